"""What ``jokbo record inspect`` prints, in both languages."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from jokbo.records.checks.choose import CHECKS
from jokbo.records.declaration import CheckpointRole, EventKind
from jokbo.records.inspection import AUDITOR, disclosures, layout_document
from jokbo.records.pack import write_pack
from jokbo.records.record import Record
from jokbo.report.record_inspection import MAX_ROWS, render_layout
from jokbo.report.texts import Texts, catalogue
from jokbo.testing.packs import write_tiny_run

LANGUAGES = ("en", "ko")


@pytest.fixture
def record(tmp_path: Path) -> Record:
    return write_pack(write_tiny_run(tmp_path / "run"), tmp_path / "pack")


def printed(document: dict[str, Any], lang: str) -> str:
    console = Console(file=io.StringIO(), width=160)
    render_layout(document, lang=lang, console=console)
    return console.file.getvalue()


@pytest.mark.parametrize("lang", LANGUAGES)
def test_everything_that_a_pack_holds_is_shown(record: Record, lang: str):
    document = layout_document(record, [])
    document["checks"] = [{"number": 1, "name": "bytes", "kind": "exact", "missing": ["held_out"]}]
    text = printed(document, lang)
    t = Texts(lang)
    for part in ("tiny", "log.jsonl", "step-2", "machine changed", record.digest[:16], "loss"):
        assert part in text
    for key in (
        "need.log",
        "need.held_out",
        "layout.event.restart",
        "layout.form.weights",
        "check.bytes.title",
    ):
        assert t(f"record.{key}") in text
    assert f"- {t('record.need.held_out')}" in text
    assert f"+ {t('record.need.log')}" in text


def test_foreign_text_is_cleaned_and_is_no_markup(record: Record):
    document = layout_document(record, [])
    document["checkpoints"][0]["name"] = "[bold]\u202ex[/bold]"
    document["events"][0]["note"] = "a\x1b[31mb"
    text = printed(document, "en")
    assert "[bold][U+202E]x[/bold]" in text
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_many_checkpoints_are_shortened(record: Record):
    document = layout_document(record, [])
    document["checkpoints"] = [document["checkpoints"][0] | {"name": f"c{k}", "step": k} for k in range(1000)]
    text = printed(document, "en")
    assert "c0 " in text
    assert "c999" in text
    assert "c500" not in text
    assert "…" in text
    assert text.count("weights") <= MAX_ROWS + 10


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_code_has_a_text(record: Record, lang: str):
    known = set(catalogue(lang))
    for kind in EventKind:
        assert f"record.layout.event.{kind}" in known
    for role in CheckpointRole:
        assert f"record.layout.role.{role}" in known
    for need in (*disclosures(record), *AUDITOR):
        assert f"record.need.{need}" in known
    for name in CHECKS:
        assert f"record.check.{name}.title" in known


def test_both_languages_have_the_same_texts():
    own = [{key for key in catalogue(lang) if key.startswith("record.layout.")} for lang in LANGUAGES]
    assert own[0] == own[1]
    assert len(own[0]) > 40
