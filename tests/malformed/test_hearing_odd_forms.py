"""One field of an otherwise right form holds something odd: it is entered or refused, and the server never fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

pytest.importorskip("starlette")
pytest.importorskip("sqlalchemy")
pytest.importorskip("python_multipart")

from live_room import People, hearing

from jokbo.hearing.case.chain import verify_log
from jokbo.hearing.case.log import read_log
from jokbo.hearing.live.forms import FORMS

ODD = (
    "", "0", "-1", "7", "9" * 30, "²", "١", "\x00", "a" * 40_000, "é한글", "../..", "%00", "1e3", "nan", "inf", "7 8",
    "null", "[]", "{{7*7}}", "🙂" * 50, "\u202e", "\r\nX: y", "p-0123456789abcdef", "kim",
)  # fmt: skip
TEXT = {"text": "Some words.", "language": "en"}
RIGHT: dict[str, tuple[str, dict[str, str]]] = {
    "interest": ("pan", {"none": "yes", **TEXT}),
    "artefact": ("accuser", {"name": "x", "repository": "org/x", "commit": "a" * 40}),
    "claim": ("accuser", {"title": "t", "artefacts": "5", **TEXT}),
    "rebuttal": ("accused", {"about": "6", **TEXT}),
    "reply": ("accused", {"about": "6", **TEXT}),
    "answer": ("accuser", {"about": "7", **TEXT}),
    "question": ("pan", {"to": "accuser", **TEXT}),
    "question_state": ("mod", {"about": "7", "state": "queued"}),
    "pin": ("mod", {"about": "7", "pinned": "yes", "why": "w"}),
    "reply_timer": ("kim", {"about": "6", "account": "accused", "hours": "3"}),
    "transcript": (
        "mod",
        {"start_seconds": "1", "stop_seconds": "2", "speaker": "s", "questions": "7", **TEXT},
    ),
    "finding": ("pan", {"about": "6", "outcome": "not_proven", "would_settle": "w", **TEXT}),
    "residual": ("pan", {"would_settle": "w", **TEXT}),
    "moderation": (
        "mod",
        {"about": "7", "action": "hold", "reason": "privacy", "asked_by": "author", "days": "2"},
    ),
    "notice": (
        "mod",
        {"about": "0", "to": "author", "how": "mail"},
    ),  # about none: no moderation has this number
    "party": ("kim", {"account": "pan", "name": "n"}),
    "role": ("kim", {"account": "new", "role": "panel", "mailbox": "new@example.org"}),
    "key": ("kim", {"account": "pan", "key": "AAAA", "valid": "yes"}),
}


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    with hearing(tmp_path_factory.mktemp("odd")) as found:
        for who in ("kim", "mod", "pan", "accuser", "accused"):
            found.sign_in(who)
        yield found


@pytest.mark.parametrize("kind", RIGHT)
def test_no_odd_field_makes_the_server_fail(people: People, kind: str):
    who, right = RIGHT[kind]
    people.become(who)
    seen: Counter[int] = Counter()
    for name in [*right, "supersedes"]:
        for odd in ODD:
            answer = people.write(kind, {**right, name: odd})
            seen[answer.status_code] += 1
            assert answer.status_code in (303, 413, 422), (kind, name, odd[:40], answer.text)
            assert "Traceback" not in answer.text
    assert seen[422] > 0
    read = read_log(people.folder / "case" / "log.jsonl")
    assert verify_log(read.lines, torn=read.torn).problems == ()
    for page in ("", "questions", "people", "moderation", "entries", "transcript"):
        for lang in ("en", "ko"):
            assert people.client.get(f"/{lang}/{page}").status_code == 200


def test_every_kind_of_form_is_tried():
    files = {"exhibit", "reproduction", "signed"}  # in other tests: theirs are files
    assert set(FORMS) - files - {"withdrawal", "close"} == set(RIGHT)
