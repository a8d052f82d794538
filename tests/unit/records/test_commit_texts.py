"""Every code that commitments, their checks and document verification give has a text in both languages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import jokbo.records
from jokbo.records.checks.init_regeneration import InitRegeneration
from jokbo.records.checks.precedence import Precedence
from jokbo.report.texts import Texts, catalogue

ROOT = Path(jokbo.records.__file__).parent
CODE = re.compile(r"(?:Reason|unknown)\(\s*\"([a-z0-9_.]+)\"")
CONDITIONAL = re.compile(r"\"([a-z_]+)\" if [^\n]+ else \"([a-z_]+)\"")


def codes(*files: str) -> set[str]:
    found: set[str] = set()
    for file in files:
        text = (ROOT / file).read_text(encoding="utf-8")
        found |= set(CODE.findall(text))
        for match in re.finditer(r"Reason\((.*?)\)", text, re.DOTALL):
            found |= {code for pair in CONDITIONAL.findall(match[1]) for code in pair}
    return found


GROUPS = {
    "record.reason.precedence": codes("checks/precedence.py", "commit/chain.py", "commit/files.py"),
    "record.reason.init_regeneration": codes("checks/init_regeneration.py"),
}


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("group", GROUPS)
def test_every_reason_has_a_text(lang: str, group: str):
    assert len(GROUPS[group]) > 10
    missing = {c for c in GROUPS[group] if "." not in c and not Texts(lang).has(f"{group}.{c}")}
    assert missing == set()


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_every_outcome_of_verification_has_a_text(lang: str):
    t = Texts(lang)
    groups = ("record.verify.what", "record.verify.open", "record.verify.problem", "record.reason.precedence")
    found = codes("attest/verify_documents.py")
    assert len(found) > 10
    assert {c for c in found if not any(t.has(f"{group}.{c}") for group in groups)} == set()


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("check", [Precedence, InitRegeneration])
def test_checks_and_their_needs_have_texts(lang: str, check: type):
    t = Texts(lang)
    for part in ("title", "what", "catches", "cannot", "statistic"):
        assert t.has(f"record.check.{check.name}.{part}")
    for need in (*check.needs, "beacon", "time_stamps", "trusted_authority"):
        assert t.has(f"record.need.{need}")


def test_both_languages_use_the_same_placeholders():
    english, korean = catalogue("en"), catalogue("ko")
    prefixes = (
        "record.commit.",
        "record.verify.",
        "record.reason.precedence.",
        "record.reason.init_regeneration.",
    )
    keys = [key for key in english if key.startswith(prefixes)]
    assert len(keys) > 60
    for key in keys:
        names = [sorted(set(re.findall(r"\{(\w+)\}", text[key]))) for text in (english, korean)]
        assert names[0] == names[1], key
