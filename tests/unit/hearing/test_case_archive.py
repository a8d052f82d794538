"""An archive follows its case: what is held leaves it, what is released comes back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("cryptography")

from jokbo.errors import InputError
from jokbo.hearing.archive.export import Exporter, export
from jokbo.hearing.archive.manifest import read_manifest
from jokbo.hearing.archive.verify import verify_folder
from jokbo.hearing.case.withheld import public_state
from jokbo.hearing.pages.claims import claim_page
from jokbo.hearing.pages.contexts import Contexts
from jokbo.hearing.pages.render import render
from jokbo.hearing.terminal import verified_document
from jokbo.testing.hearings import Stage, open_stage, small_hearing, words

EVIDENCE = Path(__file__).parents[2] / "compat/evidence/0.3.0-base0-base1.json"
HOLD = {
    "action": "hold",
    "reason": "confidential",
    "asked_by": "affected_party",
    "until": "2026-01-20T00:00:00.000Z",
}


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = small_hearing(tmp_path / "case", EVIDENCE.read_bytes())
    yield made
    made.case.close()


def everything(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_a_hold_takes_text_and_file_out_of_an_archive_and_a_release_brings_them_back(
    stage: Stage, tmp_path: Path
):
    case, archive = stage.case, tmp_path / "archive"
    exporter = Exporter(archive)
    exporter.export(case.entries, case.state, case.exhibits)
    before = set(read_manifest(archive).files)
    number = stage.numbers["table"]
    file = f"files/{case.state.items[number].payload['file']['sha256']}.bin"
    assert file in before
    assert b"table.py" in everything(archive)
    stage.say("mod", "moderation", HOLD, about=number)
    made = exporter.export(case.entries, case.state, case.exhibits)
    assert file in made.removed
    assert not (archive / file).exists()
    assert b"table.py" not in everything(archive)
    assert verify_folder(archive).exit_status == 0
    release = {"action": "release", "reason": "other", "asked_by": "moderator"}
    stage.say("mod", "moderation", release, about=number)
    exporter.export(case.entries, case.state, case.exhibits)
    assert (archive / file).is_file()
    assert verify_folder(archive).exit_status == 0


def test_only_what_changed_is_written(stage: Stage, tmp_path: Path):
    case, archive = stage.case, tmp_path / "archive"
    exporter = Exporter(archive)
    exporter.export(case.entries, case.state, case.exhibits)
    stage.say("w9", "vote", {"value": 1}, about=stage.numbers["queued"])
    made = exporter.export(case.entries, case.state, case.exhibits)
    changed = {f"{lang}/{page}.html" for lang in ("en", "ko") for page in ("index", "questions", "entries")}
    assert set(made.written) == changed | {"log.jsonl", "manifest.json"}
    # A process that starts anew finds the files as they are.
    assert export(case.entries, case.state, case.exhibits, archive).written == ()


def test_a_damaged_exhibit_is_not_exported(stage: Stage, tmp_path: Path):
    file = next(stage.case.exhibits.folder.iterdir())
    data = file.read_bytes()
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(InputError, match=r"is damaged: expected SHA-256"):
        export(stage.case.entries, stage.case.state, stage.case.exhibits, tmp_path / "archive")
    assert [p.code for p in verify_folder(stage.case.folder).problems] == ["exhibit_differs"]
    file.unlink()
    assert [p.code for p in verify_folder(stage.case.folder).problems] == ["exhibit_missing"]


def test_the_outcome_of_a_verification_is_plain_json(stage: Stage):
    import json

    document = verified_document(verify_folder(stage.case.folder))
    assert document["schema"] == "jokbo.hearing-verification/1"
    assert document["holds"]
    assert json.loads(json.dumps(document)) == document


def test_a_rule_of_another_version_is_named_by_its_code(tmp_path: Path):
    from jokbo.hearing.claims.lint import lint_claim

    template = Path(__file__).parents[3] / "src/jokbo/hearing/claims/templates"
    for name in ("claim.en.yaml", "claim.csv"):
        (tmp_path / name.replace(".en", "")).write_bytes((template / name).read_bytes())
    lint = dict(lint_claim(tmp_path / "claim.yaml").document)
    found = {"code": "from_the_future", "variant": "", "severity": "fault", "places": [], "numbers": {}}
    lint["findings"] = [*lint["findings"], found]
    stage = open_stage(tmp_path / "case")
    number = stage.say("lab", "claim", {"title": "t", **words("x"), "lint": lint}).sequence
    stage.case.close()
    for lang, said in (
        ("en", "This version does not explain the rule."),
        ("ko", "이 버전에는 이 규칙의 설명이 없습니다."),
    ):
        contexts = Contexts(public_state(stage.case.state), lang, lambda name, number: f"{name}-{number}")
        page = render("claim.html", {**claim_page(contexts, number), "here": ""}, lang=lang)
        assert "from_the_future" in page
        assert said in page


def test_pages_are_in_both_languages_and_texts_in_their_own(stage: Stage, tmp_path: Path):
    export(stage.case.entries, stage.case.state, stage.case.exhibits, tmp_path / "archive")
    number = stage.numbers["claim"]
    english, korean = (
        (tmp_path / f"archive/{lang}/claim-{number}.html").read_text(encoding="utf-8")
        for lang in ("en", "ko")
    )
    for page in (english, korean):
        assert '<p class="words" lang="ko" dir="auto">코사인 유사도가' in page
        assert "&lt;script&gt;" in page
    assert "Shown not to hold" in english
    assert "Original: Korean" in english
    assert "성립하지 않음을 확인" in korean
    assert "원문: 한국어" in korean
    assert f'href="../ko/claim-{number}.html"' in english
