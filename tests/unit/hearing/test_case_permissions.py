"""Who may enter what, and when."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("cryptography")

from jokbo.errors import FormatError, UsageError
from jokbo.evidence.schema import KEYWORDS
from jokbo.hearing.case.entry import ROLES
from jokbo.hearing.case.kinds import KINDS, check_payload, schema
from jokbo.hearing.case.permissions import MAY, TRANSITIONS, may
from jokbo.report.texts import LANGUAGES, catalogue
from jokbo.testing.hearings import Stage, open_stage, words


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = open_stage(tmp_path / "case")
    yield made
    made.case.close()


def claim(stage: Stage, **more: Any) -> int:
    return stage.say("lab", "claim", {"title": "t", **words("x")}, **more).sequence


def question(stage: Stage, *states: str) -> int:
    number = stage.say("v", "question", words("why")).sequence
    for state in states:
        stage.say("mod", "question_state", {"state": state}, about=number)
    return number


def test_every_kind_has_a_row_a_schema_and_words():
    assert set(MAY) == set(KINDS)
    assert set(KINDS) <= set(schema()["$defs"])
    for roles in MAY.values():
        assert roles <= set(ROLES)
    for lang in LANGUAGES:
        texts = catalogue(lang)
        assert {f"hearing.kind.{kind}" for kind in KINDS} <= set(texts)
        assert {f"hearing.role.{role}" for role in ROLES} <= set(texts)
        assert {f"hearing.reason.{code}" for code in schema()["$defs"]["reason"]["enum"]} <= set(texts)
        assert {f"hearing.state.{code}" for code in TRANSITIONS} <= set(texts)


def test_the_schema_uses_only_keywords_that_are_checked():
    def walk(rule: Any) -> Iterator[str]:
        if isinstance(rule, dict):
            for key, value in rule.items():
                if key in ("properties", "$defs"):
                    for each in value.values():
                        yield from walk(each)
                else:
                    yield key
                    yield from walk(value)
        elif isinstance(rule, list):
            for each in rule:
                yield from walk(each)

    assert set(walk(schema())) <= KEYWORDS


def test_the_schema_is_a_json_schema():
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator.check_schema(dict(schema()))


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"case"}))
def test_only_the_roles_of_the_table_may_write(stage: Stage, kind: str):
    accounts = {
        "chair": "chair",
        "moderator": "mod",
        "panel": "ahn",
        "claimant": "lab",
        "respondent": "maker",
    }
    for role in ROLES:
        account = accounts.get(role, "somebody")
        assert may(stage.case.state, account, kind) is (role in MAY[kind])


@pytest.mark.parametrize(
    ("account", "kind", "payload", "about", "problem"),
    [
        (
            "v",
            "claim",
            {"title": "t", "text": "x", "language": "en"},
            None,
            "the role public does not write this",
        ),
        ("mod", "vote", {"value": 1}, "published", "the role moderator does not write this"),
        ("lab", "rebuttal", {"text": "x", "language": "en"}, None, "it has to be about an entry"),
        ("lab", "rebuttal", {"text": "x", "language": "en"}, "published", "is a question; expected one of"),
        ("lab", "rebuttal", {"text": "x", "language": "en"}, 999, "nothing that can be spoken of"),
        ("v", "vote", {"value": 1}, "pending", "the question is pending"),
        (
            "mod",
            "question_state",
            {"state": "answered"},
            "pending",
            "it can become hidden, published, not answered",
        ),
        (
            "mod",
            "moderation",
            {"action": "release", "reason": "other", "asked_by": "author"},
            "claim",
            "is not held",
        ),
        (
            "mod",
            "moderation",
            {"action": "hold", "reason": "other", "asked_by": "author", "until": "2027-01-01T00:00:00.000Z"},
            "claim",
            "a hold lasts 30 days at most",
        ),
        ("maker", "withdrawal", {"text": "x", "language": "en"}, "claim", "who alone may withdraw it"),
        ("chair", "role", {"account": "chair", "role": "panel"}, None, "without a chair"),
        ("chair", "case", {}, None, "field 'title' is missing"),
        (
            "ahn",
            "finding",
            {"outcome": "not_proven", "text": "x", "language": "en"},
            "claim",
            "what test would settle it",
        ),
        (
            "ahn",
            "finding",
            {"outcome": "proven", "text": "x", "language": "en", "exhibits": [0]},
            "claim",
            "entry 0 is no exhibit",
        ),
        ("mod", "question_state", {"state": "hidden"}, "published", "hidden with a reason"),
        ("mod", "notice", {"to": "author", "how": "mail"}, "claim", "is a claim; expected one of moderation"),
    ],
)
def test_what_is_not_permitted_is_said_in_a_sentence(
    stage: Stage, account: str, kind: str, payload: dict[str, Any], about: Any, problem: str
):
    numbers = {"claim": claim(stage), "published": question(stage, "published"), "pending": question(stage)}
    before = stage.case.state
    with pytest.raises((UsageError, FormatError), match=problem):
        stage.say(account, kind, payload, about=numbers.get(about, about))
    assert stage.case.state == before


def test_a_role_cannot_be_claimed(stage: Stage):
    from jokbo.hearing.case.entry import Author, Draft

    with pytest.raises(UsageError, match="has the role public, not panel"):
        stage.case.add(Draft("interest", {"none": True, **words("x")}, Author("v", "panel")))


def test_superseding(stage: Stage):
    first = claim(stage)
    with pytest.raises(UsageError, match="who alone may supersede it"):
        stage.say("maker", "claim", {"title": "t", **words("x")}, supersedes=first)
    second = claim(stage, supersedes=first)
    assert stage.case.state.items[first].replaced_by == second
    with pytest.raises(UsageError, match="superseded by entry"):
        claim(stage, supersedes=first)
    with pytest.raises(UsageError, match="entries of this kind are not superseded"):
        stage.say("v", "question", words("x"), supersedes=first)
    stage.say("lab", "withdrawal", words("We withdraw it, and are sorry."), about=second)
    with pytest.raises(UsageError, match="is withdrawn"):
        claim(stage, supersedes=second)


def test_a_key_belongs_to_one_account(stage: Stage):
    facts = next(iter(stage.case.state.keys.values()))
    with pytest.raises(UsageError, match="this key is"):
        stage.say("chair", "key", {"account": "somebody", "key": facts.der, "valid": True})
    with pytest.raises(FormatError, match="names a key that is none"):
        stage.say("chair", "key", {"account": "somebody", "key": "A" * 40, "valid": True})


def test_a_closed_case_still_gives_the_right_of_reply(stage: Stage):
    number = claim(stage)
    stage.say("chair", "close", words("Closed."))
    with pytest.raises(UsageError, match="was closed by entry"):
        claim(stage)
    assert stage.say("maker", "reply", words("We reply."), about=number).kind == "reply"
    assert not may(stage.case.state, "lab", "claim")


def test_erasure_is_final(stage: Stage):
    number = claim(stage)
    erase = {"action": "erase", "reason": "privacy", "asked_by": "author"}
    stage.say("mod", "moderation", erase, about=number)
    with pytest.raises(UsageError, match="which is final"):
        stage.say("mod", "moderation", {**erase, "action": "release"}, about=number)


@pytest.mark.parametrize("text", ["", "a\x00b", "\x1b[31mred", "x" * 20_001])
def test_texts_are_bounded_and_hold_no_control_characters(text: str):
    with pytest.raises(FormatError, match="at text: expected text like"):
        check_payload("rebuttal", words(text), where="x")


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_problem_and_key_of_the_pages_has_words(lang: str):
    """Codes and keys as the source and the templates name them."""
    import ast
    import re

    import jokbo

    source = Path(jokbo.__file__).parent / "hearing"
    texts = catalogue(lang)
    asked = set()
    for path in [*source.glob("templates/*.html"), *source.glob("*.py"), *source.glob("[acp]*/*.py")]:
        asked |= set(re.findall(r'\bt\("(hearing\.[a-z0-9_.]+)"', path.read_text(encoding="utf-8")))
    assert len(asked) > 100
    assert asked <= set(texts)
    codes = set()
    for path in (source / "case/chain.py", source / "archive/verify.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            named = isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", ""))
            if named in ("Problem", "_problem") and isinstance(node.args[0], ast.Constant):
                codes.add(node.args[0].value)
    assert len(codes) > 20
    assert {
        c for c in codes if f"hearing.problem.{c}" not in texts and f"hearing.unchecked.{c}" not in texts
    } == set()
