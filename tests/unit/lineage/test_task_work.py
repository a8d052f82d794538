"""One task: its own sources opened, a plain document returned; a hub that refuses half of what it is asked."""

from __future__ import annotations

import itertools
import json
import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from task_faults import DYING_WORK, MARK, ray_token

from jokbo.errors import ChangedError, UsageError
from jokbo.evidence.canonical import canonical_bytes
from jokbo.lineage.executors import load_executor, run_tasks
from jokbo.lineage.executors.base import Executor, Settings
from jokbo.lineage.fingerprint import check_fingerprint, make_fingerprint
from jokbo.lineage.tasks import End, plan_confirm, plan_fingerprints, plan_tree, plan_tree_of_models
from jokbo.lineage.work import WORK, attempt, run_task
from jokbo.sources import transport
from jokbo.sources.base import OpenOptions
from jokbo.testing.builders import llama
from jokbo.testing.hub import LocalHub
from jokbo.testing.serving import Answer, LoggedRequest
from jokbo.testing.transforms import fine_tune_noise


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A base, one derived from it, and an independent one."""
    folder = tmp_path_factory.mktemp("models")
    base, other = (llama(np.random.default_rng(k), hidden_size=64, num_layers=2) for k in (0, 1))
    tuned = fine_tune_noise(base, size=0.1, rng=np.random.default_rng(2))
    made = {"base": base, "tuned": tuned, "other": other}
    for name, model in made.items():
        model.save(folder / name)
    return {name: folder / name for name in made}


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def serial(models, tmp_path_factory) -> tuple[list[str], dict[str, bytes], dict[str, str]]:
    """The tree of the three, run here."""
    folder = tmp_path_factory.mktemp("serial")
    names = [str(path) for path in models.values()]
    found = run_tasks(plan_tree_of_models(names, out=folder / "prints"), results=folder / "results")
    assert found.failed == {}
    relations = {
        "-".join(sorted((d["reference"]["name"], d["candidate"]["name"]))): d["relation"]
        for d in found.done.values()
        if "relation" in d
    }
    return names, files(folder), relations


def test_a_tree_finds_what_is_derived_and_nothing_else(serial):
    dependence = {"identical", "lineage", "shared_initialisation", "reuse", "shared_basis", "lead"}
    assert serial[2]["base-tuned"] in dependence
    assert {serial[2]["base-other"], serial[2]["other-tuned"]}.isdisjoint(dependence)


@pytest.mark.parametrize("executor", ["processes", pytest.param("ray", marks=pytest.mark.torch)])
def test_the_same_bytes_from_every_executor_also_when_a_worker_is_killed(
    serial, executor: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Two workers; then again with one that is killed in the middle. Ray's workers inherit the mark with the rest."""
    names, expected, _ = serial
    mark = tmp_path / "mark"
    monkeypatch.setenv(MARK, str(mark))
    with cluster() if executor == "ray" else nullcontext():
        for killed in (False, True):
            folder = tmp_path / str(killed)
            found = run_tasks(
                plan_tree_of_models(names, out=folder / "prints"),
                executor=executor,
                workers=2,
                results=folder / "results",
                work=DYING_WORK if killed else WORK,
            )
            assert found.failed == {}
            assert files(folder) == expected
            assert mark.exists() == killed


def cluster() -> Executor:
    """One cluster for both runs: beginning one takes seconds."""
    ray_token()
    pytest.importorskip("ray")
    return load_executor("ray")(Settings(workers=2))


def test_a_pair_whose_fingerprint_could_not_be_made_is_told_so(models, tmp_path: Path):
    names = [str(models["base"]), str(tmp_path / "missing.safetensors")]
    tasks = plan_tree_of_models(names, out=tmp_path / "prints")
    found = run_tasks(tasks, results=tmp_path / "results")
    assert len(found.done) == 1
    assert "its fingerprint could not be made:" in found.failed[tasks[-1].key]
    assert "missing.safetensors" in found.failed[tasks[-1].key]


def test_a_fingerprint_that_was_replaced_is_not_taken_for_the_planned_one(models, tmp_path: Path):
    ends = []
    for name in ("base", "other"):
        made = make_fingerprint(models[name])
        path = tmp_path / f"{name}.fingerprint.safetensors"
        made.write(path)
        ends.append(End.of_fingerprint(path, made.sha256))
    (task,) = plan_tree(ends)
    assert run_task(task.to_document())["schema"] == "jokbo.pair/1"
    os.replace(tmp_path / "base.fingerprint.safetensors", tmp_path / "other.fingerprint.safetensors")
    (tmp_path / "base.fingerprint.safetensors").write_bytes(
        (tmp_path / "other.fingerprint.safetensors").read_bytes()
    )
    with pytest.raises(ChangedError, match=r"expected [0-9a-f]{64}, as planned.*plan again"):
        run_task(task.to_document())


def test_whole_models_confirm_a_pair(models):
    (task,) = plan_confirm([(str(models["base"]), str(models["tuned"]))], among=3)
    found = run_task(task.to_document())
    assert (found["rows"], found["among"]) == ("full", 3)
    assert canonical_bytes(found) == canonical_bytes(run_task(task.to_document()))


def test_an_unknown_kind_and_another_version_are_refused():
    with pytest.raises(
        UsageError, match=r"task kind 'shell' is not known; expected fingerprint, pair, confirm"
    ):
        run_task({"kind": "shell", "spec": {}})
    document = {"key": "k", "kind": "pair", "spec": {}, "jokbo": "0.0.1"}
    assert "the plan is run by 0.0.1" in attempt(run_task, document, OpenOptions())["error"]


def test_a_place_that_cannot_be_written_is_a_sentence(models, tmp_path: Path):
    (tmp_path / "file").write_text("")
    (task,) = plan_fingerprints([str(models["base"])], out=tmp_path / "file" / "prints")
    with pytest.raises(UsageError, match="cannot write the fingerprint"):
        run_task(task.to_document())


class BusyHub(LocalHub):
    """Answers 429 half of the time, whatever it is asked for."""

    def __init__(self, models, headers, *, turns: Iterator[bool]) -> None:
        super().__init__(models)
        self.headers = headers
        self.turns = turns
        self.came: list[tuple[float, bool]] = []
        self.lock = threading.Lock()

    def answer(self, request: LoggedRequest) -> Answer:
        """Refuse where it is the turn of a refusal."""
        with self.lock:
            refused = next(self.turns)
            self.came.append((time.monotonic(), refused))
        return Answer(429, dict(self.headers)) if refused else super().answer(request)

    @property
    def refusals(self) -> list[float]:
        """When it refused."""
        return [moment for moment, refused in self.came if refused]


def by_chance(seed: int) -> Iterator[bool]:
    """Refusals by the toss of a coin: runs of five and more are to be expected."""
    rng = random.Random(seed)
    return iter(lambda: rng.random() < 0.5, None)


@pytest.mark.parametrize(
    ("headers", "turns"),
    [
        ({}, by_chance(1)),
        ({"Retry-After": "0"}, by_chance(2)),
        (
            {"RateLimit": '"api";r=0;t=1'},
            itertools.chain([True, False, True, False, True], itertools.repeat(False)),
        ),
    ],
)
def test_a_hub_that_answers_429_half_of_the_time_is_survived(models, headers, turns, tmp_path: Path):
    expected = make_fingerprint(models["base"])
    with BusyHub({"org/base": models["base"]}, headers, turns=turns) as hub:
        options = OpenOptions(endpoint=hub.endpoint, cache_dir=str(tmp_path / "cache"))
        (task,) = plan_fingerprints(["org/base"], out=tmp_path)
        found = run_tasks([task], results=tmp_path / "results", options=options)
    assert found.failed == {}
    assert dict(check_fingerprint(task.spec["out"]).blocks) == dict(expected.header.blocks)
    assert len(hub.refusals) >= 3
    if "RateLimit" in headers:
        # Nothing is asked in the second that the hub wants to rest, but for what was under way.
        assert not [m for m, _ in hub.came for r in hub.refusals if 0.3 < m - r < 0.95]


def test_a_hub_that_asks_for_the_rest_of_its_window_is_waited_for(models, tmp_path: Path, monkeypatch):
    """Two refusals that ask for five minutes: no more requests meanwhile, and the fingerprint is made."""
    slept: list[float] = []
    now = [0.0]

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    class Clocked(transport.Transport):
        def __init__(self, retry: transport.RetryPolicy, *, connections: int) -> None:
            super().__init__(retry, sleep, lambda: now[0], connections)

    monkeypatch.setattr("jokbo.sources.hub.Transport", Clocked)
    turns = itertools.chain([True, False, True], itertools.repeat(False))
    with BusyHub({"org/base": models["base"]}, {"Retry-After": "290"}, turns=turns) as hub:
        options = OpenOptions(endpoint=hub.endpoint, cache_dir=str(tmp_path / "cache"))
        (task,) = plan_fingerprints(["org/base"], out=tmp_path)
        found = run_tasks([task], results=tmp_path / "results", options=options)
        assert len(hub.refusals) == 2
    assert found.failed == {}
    assert sum(seconds >= 289 for seconds in slept) == 2
    assert json.loads(canonical_bytes(found.done[task.key]))["name"] == "org/base"
