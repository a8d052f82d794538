"""Laws of a case: folding, what the public sees, tampering, export."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

pytest.importorskip("cryptography")

from jokbo.hearing.archive.export import Exporter, export
from jokbo.hearing.archive.site import pages
from jokbo.hearing.archive.verify import verify_folder
from jokbo.hearing.case.case import open_case
from jokbo.hearing.case.chain import verify_log
from jokbo.hearing.case.entry import Author, Draft
from jokbo.hearing.case.log import LOG, read_log
from jokbo.hearing.case.state import CaseState, apply, fold
from jokbo.hearing.case.views import GROUPS, queue
from jokbo.hearing.case.withheld import public_entries, public_state
from jokbo.testing.hearings import Stage, open_stage, small_hearing, words

EVIDENCE = Path(__file__).parents[1] / "compat/evidence/0.3.0-base0-base1.json"

ACCOUNTS = ("chair", "mod", "ahn", "choi", "lab", "maker", "v1", "v2", "v3")
TEXTS = st.sampled_from(["x", "네, 그렇습니다.", "<b>bold</b> & \u202eturned", "a\nb"])


def payloads(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    text = TEXTS.map(words)
    known: dict[str, st.SearchStrategy[dict[str, Any]]] = {
        "claim": TEXTS.map(lambda t: {"title": "t", **words(t)}),
        "vote": st.sampled_from([{"value": v} for v in (-1, 0, 1)]),
        "question_state": st.sampled_from(
            [{"state": s} for s in ("published", "queued", "answering", "answered")]
            + [{"state": "hidden", "reason": "spam"}]
        ),
        "pin": st.sampled_from([{"pinned": p, "why": "w"} for p in (True, False)]),
        "role": st.builds(
            lambda a, r: {"account": a, "role": r},
            st.sampled_from(ACCOUNTS),
            st.sampled_from(["chair", "moderator", "panel", "claimant", "respondent", "public"]),
        ),
        "moderation": st.sampled_from(
            [
                {
                    "action": "hold",
                    "reason": "privacy",
                    "asked_by": "affected_party",
                    "until": "2026-01-10T00:00:00.000Z",
                },
                {"action": "release", "reason": "other", "asked_by": "moderator"},
                {"action": "erase", "reason": "privacy", "asked_by": "author"},
            ]
        ),
        "notice": st.just({"to": "author", "how": "mail"}),
        "finding": TEXTS.map(lambda t: {"outcome": "not_proven", **words(t), "would_settle": "a test"}),
        "interest": TEXTS.map(lambda t: {"none": False, **words(t)}),
        "reply_timer": st.just({"account": "maker", "until": "2026-01-03T00:00:00.000Z"}),
        "transcript": TEXTS.map(
            lambda t: {"start_seconds": 1, "stop_seconds": 2.5, "speaker": "s", **words(t)}
        ),
    }
    return known.get(kind, text)


KINDS_DRAWN = [
    *(
        "claim",
        "rebuttal",
        "reply",
        "question",
        "question_state",
        "pin",
        "vote",
        "answer",
        "finding",
        "residual",
    ),
    *("withdrawal", "moderation", "notice", "role", "interest", "reply_timer", "transcript"),
]


@st.composite
def moves(draw: st.DrawFn) -> tuple[str, str, dict[str, Any], int, int | None]:
    kind = draw(st.sampled_from(KINDS_DRAWN))
    supersedes = draw(st.one_of(st.none(), st.none(), st.integers(0, 12)))
    return draw(st.sampled_from(ACCOUNTS)), kind, draw(payloads(kind)), draw(st.integers(0, 12)), supersedes


def play(folder: Path, script: list[tuple[str, str, dict[str, Any], int, int | None]]) -> Stage:
    """Try each move; what is not permitted is refused, and the rest entered. Numbers count from the end."""
    stage = open_stage(folder)
    for k, (account, kind, payload, back, old) in enumerate(script):
        author = Author(account, stage.case.state.role(account))
        if k % 2 and stage.case.state.questions:  # half of the moves find a question to be about
            about = sorted(stage.case.state.questions)[back % len(stage.case.state.questions)]
        else:
            about = max(stage.case.state.length - 1 - back, 0)
        needs = kind not in ("claim", "residual", "role", "interest", "transcript")
        supersedes = None if old is None else stage.case.state.length - 1 - old
        stage.case.add_many([Draft(kind, payload, author, about if needs else None, supersedes)])
    return stage


@settings(max_examples=25)
@given(st.lists(moves(), min_size=5, max_size=40))
def test_any_sequence_folds_the_same_however_it_is_folded(script: list[Any]):
    with tempfile.TemporaryDirectory() as folder:
        stage = play(Path(folder) / "case", script)
        stage.case.close()
        case = stage.case
        states = [CaseState()]
        for entry in case.entries:
            states.append(apply(states[-1], entry))
        assert states[-1] == fold(case.entries) == case.state
        for k in range(0, len(states), 5):
            assert fold(case.entries[k:], states[k]) == case.state
        with open_case(case.folder) as again:
            assert again.state == case.state
        # What the public sees is what its log gives: texts live in items, and nowhere else.
        public = list(public_entries(case.entries, case.state))
        assert fold(public) == public_state(case.state)
        assert verify_log(public).problems == ()
        assert [p.draw() for p in pages(fold(public))] == [p.draw() for p in pages(public_state(case.state))]


@settings(max_examples=25)
@given(st.lists(moves(), min_size=5, max_size=40))
def test_tallies_are_recounts_of_the_votes(script: list[Any]):
    with tempfile.TemporaryDirectory() as folder:
        stage = play(Path(folder) / "case", script)
        stage.case.close()
        last: dict[tuple[int, str], tuple[str, int]] = {}
        groups = {"panel": "panel", "claimant": "parties", "respondent": "parties", "public": "public"}
        for entry in stage.case.entries:
            if entry.kind == "vote":
                last[entry.about, entry.author.account] = (groups[entry.author.role], entry.payload["value"])
        for row in queue(stage.case.state):
            for group in GROUPS:
                values = [v for (q, _), (g, v) in last.items() if q == row.item.sequence and g == group]
                assert (row.tallies[group].up, row.tallies[group].down) == (values.count(1), values.count(-1))


@settings(max_examples=8)
@given(st.lists(moves(), min_size=5, max_size=30), st.integers(1, 29))
def test_exports_are_deterministic_and_incremental(script: list[Any], cut: int):
    """An archive that followed the log is that which is made at once, byte by byte, and verifies."""
    with tempfile.TemporaryDirectory() as base:
        folder = Path(base)
        stage = open_stage(folder / "early")
        early = play(folder / "case", script[:cut])
        exporter = Exporter(folder / "followed")
        exporter.export(early.case.entries, early.case.state, early.case.exhibits)
        for account, kind, payload, _, _ in script[cut:]:
            author = Author(account, early.case.state.role(account))
            early.case.add_many([Draft(kind, payload, author)])
            exporter.export(early.case.entries, early.case.state, early.case.exhibits)
        export(early.case.entries, early.case.state, early.case.exhibits, folder / "once")
        stage.case.close()
        early.case.close()
        assert tree(folder / "followed") == tree(folder / "once")
        assert verify_folder(folder / "once").exit_status == 0
        again = exporter.export(early.case.entries, early.case.state, early.case.exhibits)
        assert (again.written, again.removed) == ((), ())


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@cache
def good_log() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        stage = small_hearing(Path(folder) / "case", EVIDENCE.read_bytes())
        stage.case.close()
        return (stage.case.folder / LOG).read_bytes()


def problems(data: bytes, **given: Any) -> list[tuple[str, int]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / LOG
        path.write_bytes(data)
        read = read_log(path)
    found = verify_log(read.lines, torn=read.torn, **given).problems
    return [(each.code, int(each.values["sequence"])) for each in found]


def test_the_log_itself_holds():
    log = good_log()
    assert problems(log) == []


@settings(max_examples=80)
@given(where=st.integers(0), value=st.integers(0, 255))
def test_any_changed_byte_is_found_and_its_entry_named(where: int, value: int):
    log = good_log()
    where %= len(log)
    if log[where] == value:
        return
    found = problems(log[:where] + bytes([value]) + log[where + 1 :])
    number = log[:where].count(b"\n")
    assert found
    assert number in {sequence for _, sequence in found}


@settings(max_examples=30, phases=[Phase.generate])
@given(k=st.integers(0), j=st.integers(0), cut=st.integers(0))
def test_dropped_repeated_moved_and_cut_lines_are_found(k: int, j: int, cut: int):
    log = good_log()
    lines = log.splitlines(keepends=True)
    k, j, cut = k % (len(lines) - 1), j % len(lines), 1 + cut % (len(lines) - 1)
    dropped = problems(b"".join(lines[:k] + lines[k + 1 :]))
    assert ("missing", k) in dropped
    twice = problems(b"".join([*lines[: j + 1], lines[k], *lines[j + 1 :]]))
    assert ("repeated" if j >= k - 1 else "missing") in {code for code, _ in twice}
    if j != k:
        moved = list(lines)
        moved.insert(j, moved.pop(k))
        assert problems(b"".join(moved))
    # A cut end is seen by nobody who kept nothing, but for texts whose erasure was cut off with it.
    assert {code for code, _ in problems(b"".join(lines[:cut]))} <= {"hole"}
    assert ("head_not_found", cut) in problems(b"".join(lines[:cut]), head=read_head(lines[-1]))


def read_head(line: bytes) -> str:
    import json

    return json.loads(line)["digest"]


@settings(max_examples=20)
@given(st.binary(min_size=1, max_size=80))
def test_noise_is_an_unreadable_line_or_a_torn_end(noise: bytes):
    log = good_log()
    assert problems(log + noise)


def test_a_line_without_an_end_is_not_an_entry():
    log = good_log()
    assert problems(log[:-1])[-1][0] == "torn"
