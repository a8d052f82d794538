"""Parts of a watch: lists, what a hub says, the state on disk, and which declaration accounts for what."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from jokbo.errors import EvidenceError, FormatError, NotFoundError, SourceError, UsageError
from jokbo.lineage.watch.lookout import Lookout, Newest
from jokbo.lineage.watch.report_document import Kinship, check, decide, schema
from jokbo.lineage.watch.state import REPORTS, STATE, Known, WatchState
from jokbo.lineage.watch.watchlist import Watchlist, parse_watchlist, read_watchlist
from jokbo.sources.base import OpenOptions
from jokbo.sources.transport import RetryPolicy, Transport
from jokbo.testing.publishing import PublishingHub
from jokbo.testing.serving import Answer

TINY = {"config.json": b"{}"}


def entry(name: str, *parents: str, source: str | None = None) -> SimpleNamespace:
    return SimpleNamespace(name=name, parents=parents, source=source, key=name)


@pytest.mark.parametrize(
    ("mine", "other", "others", "explained"),
    [
        (entry("a"), entry("b"), [], None),
        (entry("a", "b"), entry("b"), [], "declared"),
        (entry("a", "Org/B"), entry("alias", source="org/b@" + "0" * 40), [], "declared"),
        (entry("a", "mid"), entry("b"), [entry("mid", "b")], "declared"),
        (entry("a"), entry("b", "a"), [], "declared_by_other"),
        (entry("a", "root"), entry("b", "root"), [], "common_ancestor"),
        (entry("a"), entry("a"), [], "same_repository"),
        (entry("x", source="org/a@1"), entry("y", source="org/a@2"), [], "same_repository"),
        (entry("a", "mid"), entry("b"), [entry("mid", "a")], None),  # a circle of declarations ends
    ],
)
def test_which_declaration_accounts_for_dependence(mine, other, others, explained):
    assert Kinship([mine, other, *others]).explain(mine, other) == explained


FOUND = st.lists(
    st.fixed_dictionaries(
        {
            "relation": st.sampled_from(["lineage", "identical", "lead", "inconclusive"]),
            "explained": st.sampled_from([None, "declared", "same_repository"]),
        }
    )
)


@given(FOUND, st.booleans())
def test_the_outcome_is_that_of_the_gravest_finding(found: list[dict], left_out: bool):
    unexplained = {row["relation"] for row in found if row["explained"] is None}
    outcome = decide(found, left_out=left_out)
    if unexplained & {"lineage", "identical"}:
        assert outcome == "undeclared"
    elif unexplained or left_out:
        assert outcome == "undecided"
    else:
        assert outcome == ("explained" if found else "nothing")


def test_a_report_that_was_edited_is_refused_by_name():
    Draft202012Validator.check_schema(schema())
    with pytest.raises(EvidenceError, match=r"^report: field 'schema' is missing"):
        check({}, where="report")
    with pytest.raises(EvidenceError, match=r"^report at schema: expected 'jokbo\.watch/1'"):
        check(
            {"schema": "jokbo.watch/2"} | dict.fromkeys(set(schema()["required"]) - {"schema"}),
            where="report",
        )


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({}, "names nothing to watch"),
        ({"repositores": ["org/a"]}, r"key 'repositores' is not known; expected one of repositories"),
        ({"repositories": "org/a"}, r"repositories is not a list of texts"),
        ({"repositories": ["a"]}, r"repository 'a' is not org/name or org/name@branch"),
        ({"repositories": ["org/a/../b"]}, "is not org/name"),
        ({"organisations": ["org/a"]}, r"organisation 'org/a' is not the name of an author"),
        ({"organisations": ["org"], "pause_seconds": -1}, r"pause_seconds is -1; expected a number from 0"),
        ({"organisations": ["org"], "pause_seconds": True}, "pause_seconds is True"),
        ({"organisations": ["org"], "pause_seconds": float("nan")}, "pause_seconds is nan"),
        ({"organisations": ["org"] * 20_000}, r"organisations has 20,000 entries; expected at most 10,000"),
    ],
)
def test_a_list_that_is_not_understood_is_refused_by_key(document: dict, said: str):
    with pytest.raises(FormatError, match=said):
        parse_watchlist(document, where="list.toml")


def test_a_list_is_read_from_its_file(tmp_path: Path):
    path = tmp_path / "list.toml"
    path.write_text(
        'repositories = ["org/a", "org/b@dev", "org/a"]\nexclude = ["org/*-x"]\npause_seconds = 2\n'
    )
    assert read_watchlist(path) == Watchlist(("org/a", "org/b@dev"), (), ("org/*-x",), 2.0)
    path.write_bytes(b"\xff")
    with pytest.raises(FormatError, match="is not TOML"):
        read_watchlist(path)
    path.write_text("a = [" * 5000)
    with pytest.raises(FormatError, match="is not TOML"):
        read_watchlist(path)
    with pytest.raises(UsageError, match="cannot read the list"):
        read_watchlist(tmp_path / "none.toml")


def lookout(hub: PublishingHub) -> Lookout:
    return Lookout(
        OpenOptions(endpoint=hub.endpoint), transport=Transport(RetryPolicy(first_wait_seconds=0.001))
    )


def test_the_newest_commit_and_an_empty_answer_when_nothing_changed():
    with PublishingHub({"org/a": TINY}) as hub:
        first = lookout(hub).look("org/a")
        assert first.commit == hub.models["org/a"].commit
        sent = hub.bytes_sent
        assert lookout(hub).look("org/a", first) is first
        assert hub.bytes_sent == sent
        hub.publish("org/a", {"config.json": b"[]"})
        assert lookout(hub).look("org/a", first).commit == hub.models["org/a"].commit


@pytest.mark.parametrize("page", [1, 2, 100])
def test_an_author_s_models_page_by_page(page: int):
    names = [f"org/m{k}" for k in range(5)]
    with PublishingHub(dict.fromkeys([*names, "other/x"], TINY), page=page) as hub:
        assert list(lookout(hub).list_models("org")) == [(name, hub.models[name].commit) for name in names]
        assert len(hub.requests) == -(-5 // page)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(500, {}), "gave up after 6 tries"),
        (Answer(418, {}), "the hub answered 418; expected 200"),
        (Answer.json([]), "did not answer as a hub does"),
        (Answer.json({"sha": "main"}), "did not answer as a hub does"),
        (Answer.json({"sha": ["0" * 40]}), "did not answer as a hub does"),
        (Answer(200, {}), "the hub's answer is not JSON"),
        (Answer(304, {}), "did not answer as a hub does|not JSON|answered 304"),
        (Answer(302, {"Location": "https://elsewhere.example/"}), "the hub answered 302"),
    ],
)
def test_a_hub_that_answers_otherwise_is_not_believed(answer: Answer, said: str):
    class Odd(PublishingHub):
        def answer(self, request):
            return Answer(answer.status, dict(answer.headers), answer.content, answer.start, answer.stop)

    with Odd({"org/a": TINY}) as hub, pytest.raises(SourceError, match=said):
        lookout(hub).look("org/a")


@pytest.mark.parametrize(
    ("rows", "link", "said"),
    [
        ({}, "", "did not answer as a hub does"),
        ([{"id": "../x"}], "", "did not answer as a hub does"),
        ([3], "", "did not answer as a hub does"),
        (
            [],
            '<https://elsewhere.example/x>; rel="next"',
            "goes on at https://elsewhere.example/x, another host",
        ),
        ([], '</api/models?author=org>; rel="next"', "has more than 100 pages"),
    ],
)
def test_a_list_that_leads_elsewhere_or_never_ends_is_not_followed(rows, link: str, said: str):
    class Odd(PublishingHub):
        def answer(self, request):
            made = Answer.json(rows)
            made.headers["Link"] = link
            return made

    with Odd({}) as hub, pytest.raises(SourceError, match=said):
        list(lookout(hub).list_models("org"))


def test_an_answer_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("jokbo.lineage.watch.lookout.MAX_ANSWER_BYTES", 100)

    class Endless(PublishingHub):
        def answer(self, request):
            return Answer.json({"sha": "0" * 1000})

    with Endless({}) as hub, pytest.raises(SourceError, match="is larger than 100 bytes"):
        lookout(hub).look("org/a")


def test_a_page_with_more_than_was_asked_for_is_no_answer_of_a_hub():
    class Flood(PublishingHub):
        def answer(self, request):
            return Answer.json([{"id": f"org/m{k}"} for k in range(501)])

    with Flood({}) as hub, pytest.raises(SourceError, match="did not answer as a hub does"):
        list(lookout(hub).list_models("org"))


def test_a_token_is_sent_to_the_hub():
    with PublishingHub({"org/a": TINY}, private=["org/a"], tokens=["secret"]) as hub:
        patient = Transport(RetryPolicy(first_wait_seconds=0.001))
        options = OpenOptions(endpoint=hub.endpoint, token="secret")
        assert Lookout(options, transport=patient).look("org/a").commit == hub.models["org/a"].commit
        with pytest.raises(NotFoundError, match="knows no such repository"):
            Lookout(options, transport=patient).look("org/b")


REPORT = {"repository": "org/a", "commit": "1" * 40}


def test_a_state_is_what_was_noted(tmp_path: Path):
    with WatchState.open(tmp_path) as state:
        state.note("org/a", commit="1", etag='W/"x"')
        state.note("org/a", key="k")
        state.report(REPORT)
        state.report(REPORT)
    with WatchState.open(tmp_path) as again:
        assert again.known("org/a") == Known(commit="1", key="k", etag='W/"x"')
        assert again.known("org/b") == Known()
        again.report(REPORT)
    assert len((tmp_path / REPORTS).read_text().splitlines()) == 1
    assert Newest("c").etag is None


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_a_report_line_that_was_cut_is_taken_away_and_written_again(tmp_path: Path, cut: int):
    with WatchState.open(tmp_path) as state:
        state.report(REPORT | {"commit": "0" * 40})
        state.report(REPORT)
    whole = (tmp_path / REPORTS).read_bytes()
    (tmp_path / REPORTS).write_bytes(whole[:-cut])
    with WatchState.open(tmp_path) as state:
        state.report(REPORT)
    assert (tmp_path / REPORTS).read_bytes() == whole


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b'{"schema":"jokbo.watch_state/2","repositories":{}}',
        b'{"schema":"jokbo.watch_state/1","repositories":[]}',
        b'{"schema":"jokbo.watch_state/1","repositories":{"a":{"commit":3}}}',
        b'{"schema":"jokbo.watch_state/1","repositories":{"a":{"run":"x"}}}',
        b'{"schema":"jokbo.watch_state/1","repositories":{},"more":1}',
    ],
)
def test_a_damaged_state_is_refused_and_says_how_to_begin_anew(tmp_path: Path, data: bytes):
    (tmp_path / STATE).write_bytes(data)
    with pytest.raises(FormatError, match="Move it away to begin anew"), WatchState.open(tmp_path):
        pass


def test_what_is_known_already_is_not_written_again(tmp_path: Path):
    with WatchState.open(tmp_path) as state:
        state.note("org/a", commit="1", looked="2026-05-31")
        (tmp_path / STATE).unlink()
        state.note("org/a", looked="2026-05-31")
        assert not (tmp_path / STATE).exists()
        state.note("org/a", looked="2026-06-01")
        assert (tmp_path / STATE).exists()


def test_a_log_that_cannot_be_read_is_a_sentence(tmp_path: Path):
    (tmp_path / REPORTS).mkdir()
    with pytest.raises(UsageError, match="Choose another with --state"), WatchState.open(tmp_path):
        pass


def test_a_log_that_is_none_is_refused(tmp_path: Path):
    (tmp_path / REPORTS).write_text(json.dumps([1]) + "\n")
    with pytest.raises(FormatError, match="holds a line that is no report"), WatchState.open(tmp_path):
        pass


def test_a_state_folder_that_cannot_be_made(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="--state"), WatchState.open(tmp_path / "file" / "state"):
        pass
