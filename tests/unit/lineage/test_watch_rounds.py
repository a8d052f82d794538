"""A watch over real HTTP: what is new is registered and reported once, and the hub is asked as seldom as it wants."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jokbo.errors import TransferError, UsageError
from jokbo.lineage.fingerprint import make_fingerprint
from jokbo.lineage.register import Register, open_register
from jokbo.lineage.watch import rounds
from jokbo.lineage.watch.lookout import Lookout
from jokbo.lineage.watch.report_document import check
from jokbo.lineage.watch.rounds import Round, Watch
from jokbo.lineage.watch.state import REPORTS, WatchState
from jokbo.lineage.watch.watchlist import Watchlist
from jokbo.sources.base import OpenOptions
from jokbo.sources.transport import RetryPolicy, Transport
from jokbo.testing.builders import llama
from jokbo.testing.checkpoint import Checkpoint
from jokbo.testing.faults import Fault
from jokbo.testing.publishing import PublishingHub
from jokbo.testing.transforms import fine_tune_noise

CARD = b"---\nbase_model: other/base\nlicense: mit\n---\n"
TODAY = datetime(2026, 5, 31, 12, tzinfo=UTC)


def model(seed: int) -> Checkpoint:
    return llama(np.random.default_rng(seed), hidden_size=64, num_layers=2)


def tuned(base: Checkpoint, seed: int) -> Checkpoint:
    return fine_tune_noise(base, size=0.1, rng=np.random.default_rng(seed))


BASE, FOREIGN = model(0), model(1)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Any]]:
    """The files of a model, with a card or without."""

    def save(made: Checkpoint, card: bytes | None = None) -> dict[str, Any]:
        folder = tmp_path_factory.mktemp("model")
        made.save(folder)
        found: dict[str, Any] = {path.name: path for path in folder.iterdir()}
        return found if card is None else found | {"README.md": card}

    return save


@pytest.fixture
def hub(files) -> Iterator[PublishingHub]:
    with PublishingHub({"org/a": files(BASE), "org/a-gguf": {"README.md": b""}}, page=1) as running:
        yield running


@pytest.fixture
def register(tmp_path: Path) -> Register:
    """One that knows a foreign base, vouched for as old."""
    made = open_register(tmp_path / "register", create=True)
    made.add(
        make_fingerprint(FOREIGN.to_source(name="other/base")), name="other/base", public_since="2020-01-01"
    )
    return made


LIST = Watchlist(organisations=("org",), exclude=("*-gguf",), pause_seconds=0)


def look(
    hub: PublishingHub, register: Register, tmp_path: Path, watchlist: Watchlist = LIST, **changes
) -> Round:
    """One run of the command: state opened, one round."""
    options = OpenOptions(endpoint=hub.endpoint, cache_dir=str(tmp_path / "cache"))
    with WatchState.open(tmp_path / "state") as state:
        return Watch(watchlist, register, state, options, now=lambda: TODAY, **changes).round()


def test_what_is_new_is_registered_and_reported_once(hub, register, tmp_path: Path):
    first = look(hub, register, tmp_path)
    (report,) = first.reports
    check(report, where="report")
    assert (report["repository"], report["commit"]) == ("org/a", hub.models["org/a"].commit)
    assert (report["previous"], report["not_before"], report["outcome"]) == (None, None, "nothing")
    assert (report["register"]["models"], first.exit_status) == (1, 0)
    entry = register.get("org/a")
    assert (entry.key, entry.source) == (report["fingerprint"], f"org/a@{report['commit']}")
    asked = len(hub.requests_to("content"))
    second = look(hub, register, tmp_path)
    assert (second.reports, second.unchanged, second.failed) == ((), 1, ())
    assert len(hub.requests_to("content")) == asked
    assert len(register) == 2


def test_a_new_revision_is_compared_with_the_one_before(hub, register, files, tmp_path: Path):
    look(hub, register, tmp_path)
    hub.publish("org/a", files(tuned(BASE, 5), CARD))
    (report,) = look(hub, register, tmp_path).reports
    assert report["previous"]["relation"] == "lineage"
    assert report["previous"]["weights"] == "changed"
    assert report["previous"]["parents_added"] == ["other/base"]
    assert report["declared"] == {"parents": ["other/base"], "relation": None, "license": "mit"}
    assert [(row["explained"], row["relation"]) for row in report["found"]] == [
        ("same_repository", "lineage")
    ]
    assert (report["outcome"], report["exit_status"]) == ("explained", 0)


def test_a_new_card_over_old_weights_says_so(hub, register, files, tmp_path: Path):
    look(hub, register, tmp_path)
    hub.publish("org/a", files(BASE, CARD))
    (report,) = look(hub, register, tmp_path).reports
    assert report["previous"]["weights"] == "unchanged"


@pytest.mark.parametrize(("card", "outcome", "status"), [(None, "undeclared", 10), (CARD, "explained", 0)])
def test_dependence_is_undeclared_unless_a_declaration_accounts_for_it(
    hub, register, files, tmp_path: Path, card, outcome: str, status: int
):
    look(hub, register, tmp_path)
    hub.publish("org/a", files(tuned(FOREIGN, 6), card))
    found = look(hub, register, tmp_path)
    (report,) = found.reports
    assert report["previous"]["relation"] == "no_evidence"
    assert report["not_before"] == "2026-05-31"
    assert [row["name"] for row in report["found"]] == ["other/base"]
    assert (report["outcome"], report["exit_status"], found.exit_status) == (outcome, status, status)


def test_a_watch_killed_before_it_reports_goes_on_without_reading_again(
    hub, register, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(rounds, "build_report", die)
        with pytest.raises(KeyboardInterrupt):
            look(hub, register, tmp_path)
    asked = len(hub.requests_to("content"))
    assert len(register) == 2
    assert len(look(hub, register, tmp_path).reports) == 1
    assert (len(hub.requests_to("content")), len(register)) == (asked, 2)


def test_a_watch_killed_between_report_and_state_does_not_report_twice(
    hub, register, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with monkeypatch.context() as patch:
        patch.setattr(Watch, "_done", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            look(hub, register, tmp_path)
    look(hub, register, tmp_path)
    assert len((tmp_path / "state" / REPORTS).read_bytes().splitlines()) == 1


def test_one_request_at_a_time(register, files, tmp_path: Path):
    """Every answer takes a moment; no two are ever under way together."""
    busy, most = 0, 0
    lock = threading.Lock()

    class Counting(PublishingHub):
        def answer(self, request):
            nonlocal busy, most
            with lock:
                busy += 1
                most = max(most, busy)
            time.sleep(0.01)
            with lock:
                busy -= 1
            return super().answer(request)

    with Counting({"org/a": files(BASE), "org/b": files(FOREIGN)}) as hub:
        assert len(look(hub, register, tmp_path).reports) == 2
        assert len(hub.requests) > 10
    assert most == 1


def test_a_question_asked_before_carries_its_etag(hub, register, tmp_path: Path):
    named = Watchlist(repositories=("org/a",), pause_seconds=0)
    look(hub, register, tmp_path, named)
    asked = len(hub.requests)
    assert look(hub, register, tmp_path, named).unchanged == 1
    (again,) = hub.requests[asked:]
    assert again.headers["if-none-match"].startswith('W/"')
    assert hub.answer(again).status == 304


def test_a_hub_without_etags_is_asked_without(register, files, tmp_path: Path):
    named = Watchlist(repositories=("org/a",), pause_seconds=0)
    with PublishingHub({"org/a": files(BASE)}, etags=False) as hub:
        look(hub, register, tmp_path, named)
        assert look(hub, register, tmp_path, named).unchanged == 1
        assert not any("if-none-match" in request.headers for request in hub.requests)


def test_pauses_and_rate_limits_are_kept(hub, register, tmp_path: Path):
    """The first answer uses the window up, and it has 55 seconds left."""
    slept: list[float] = []
    hub.limit = (0, 55)
    options = OpenOptions(endpoint=hub.endpoint)
    lookout = Lookout(options, transport=Transport(RetryPolicy(patience_seconds=900), sleep=slept.append))
    watchlist = Watchlist(repositories=("org/x", "org/y", "org/Y", "org/z"), pause_seconds=7)
    look(hub, register, tmp_path, watchlist, lookout=lookout)
    assert slept == [55, 7, 7]


def test_a_hub_that_answers_429_half_of_the_time_is_survived(hub, register, tmp_path: Path):
    hub.faults.add(Fault("status", where="api", status=429, headers={"Retry-After": "0"}, times=2))
    hub.faults.add(Fault("status", where="content", status=429, times=2))
    found = look(hub, register, tmp_path)
    assert (len(found.reports), found.failed) == (1, ())


def test_what_fails_is_told_and_the_rest_stands(hub, register, tmp_path: Path):
    named = Watchlist(repositories=("org/missing", "org/a"), organisations=("nobody",), pause_seconds=0)
    found = look(hub, register, tmp_path, named)
    assert [report["repository"] for report in found.reports] == ["org/a"]
    assert [name for name, _ in found.failed] == ["org/missing"]
    assert "it does not exist, or this token may not read it" in found.failed[0][1]
    assert found.exit_status == 11


def test_a_repository_without_weights_is_told_once(hub, register, tmp_path: Path):
    everything = replace(LIST, exclude=())
    first, second = (look(hub, register, tmp_path, everything) for _ in range(2))
    assert [name for name, _ in first.failed] == ["org/a-gguf"]
    assert (second.failed, second.unchanged) == ((), 2)
    hub.publish("org/a-gguf", {"README.md": b"other"})
    assert len(look(hub, register, tmp_path, everything).failed) == 1


def test_a_connection_that_broke_is_tried_again_next_time(hub, register, tmp_path: Path, monkeypatch):
    def broken(*_: object, **__: object) -> None:
        raise TransferError("org/a: the connection broke. Run again.")

    with monkeypatch.context() as patch:
        patch.setattr("jokbo.lineage.fingerprint.make_fingerprint", broken)
        assert look(hub, register, tmp_path).exit_status == 11
    assert len(look(hub, register, tmp_path).reports) == 1


def test_a_list_that_fails_leaves_what_is_known_watched(hub, register, tmp_path: Path, monkeypatch):
    look(hub, register, tmp_path)

    def broken(*_: object) -> None:
        raise TransferError("org: the connection broke. Run again.")

    monkeypatch.setattr(Lookout, "list_models", broken)
    found = look(hub, register, tmp_path)
    assert (found.unchanged, [name for name, _ in found.failed]) == (1, ["org"])


def test_a_damaged_fingerprint_of_another_model_leaves_the_search_undecided(hub, register, tmp_path: Path):
    path = register.path(register.get("other/base"))
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[-9000] ^= 1
    path.write_bytes(data)
    keep = open_register(tmp_path / "register")
    keep.add(make_fingerprint(model(9).to_source(name="sound")))
    found = look(hub, register, tmp_path)
    (report,) = found.reports
    assert (report["outcome"], found.exit_status) == ("undecided", 11)
    assert [row["name"] for row in report["register"]["left_out"]] == ["other/base"]


def test_two_watches_of_one_state_are_refused(tmp_path: Path):
    with (
        WatchState.open(tmp_path),
        pytest.raises(UsageError, match="another watch is running with the state"),
        WatchState.open(tmp_path),
    ):
        pass
