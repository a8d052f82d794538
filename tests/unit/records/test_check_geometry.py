"""C21: paths that turn, paths that were computed, and one computed state."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from jokbo.records.checkpoints import CheckpointRows, TensorRows
from jokbo.records.checks.base import CheckContext, CheckResult, Observation
from jokbo.records.checks.geometry import Geometry, shape_of, spaced_states
from jokbo.records.declaration import CheckpointEntry, Declaration, Event, EventKind, Optimizer
from jokbo.records.record import Record
from jokbo.records.trajectory import trajectory

STEPS = tuple(range(0, 400, 50))


def record_of(points: np.ndarray, *events: Event, steps: tuple[int, ...] = STEPS) -> Record:
    """A record whose one matrix takes these values, a row a checkpoint."""
    entries = tuple(CheckpointEntry(f"s{k}", step, path=f"s{k}") for k, step in enumerate(steps))
    values = points.reshape(len(steps), -1, 8).astype(np.float32)
    rows = TensorRows(
        name="w",
        role="other",
        layer=None,
        shape=values.shape[1:],
        is_vector=False,
        rows=np.arange(values.shape[1], dtype=np.int64),
        checkpoints=np.arange(len(steps), dtype=np.int64),
        values=values,
        roundoff=np.full(len(steps), 2.0**-24),
    )
    declaration = Declaration(
        "made", steps[-1], optimizer=Optimizer("adamw", (0.9, 0.95)), checkpoint=entries, event=events
    )
    record = Record(Path("."), declaration, {}, "0" * 64)
    record.__dict__["rows"] = CheckpointRows(entries, {"w": rows}, 0)
    return record


def walk(seed: int = 0, drift: float = 0.5) -> np.ndarray:
    """A path with a common direction and fresh noise at each step."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(size=(len(STEPS) - 1, 256)) + drift * rng.normal(size=256)
    return np.vstack([np.zeros(256), np.cumsum(steps, axis=0)])


def run(record: Record, n_plants: int = 59) -> CheckResult:
    return Geometry().run(record, CheckContext(seed=1, n_plants=n_plants))


def test_a_noisy_path_holds_with_power():
    found = run(record_of(walk()))
    assert found.observation is Observation.HOLDS
    rows = {p.variant: (p.found, p.tried) for p in found.planted}
    assert rows["straight"] == rows["curved"] == (59, 59)


def test_a_line_and_a_parabola_are_questioned():
    share = np.linspace(0, 1, len(STEPS))[:, None]
    rng = np.random.default_rng(1)
    a, b, c = rng.normal(size=(3, 256))
    for points in (a + share * (b - a), a + share * (b - a) + share * (1 - share) * c):
        found = run(record_of(points), n_plants=1)
        assert (found.observation, found.reasons[0].code) == (Observation.VIOLATED, "flat")


def test_one_computed_state_is_named_unless_declared():
    points = walk()
    points[3] = 0.4 * points[2] + 0.6 * points[4]
    found = run(record_of(points), n_plants=1)
    assert found.reasons[0].values == {"step": 150, "count": 1}
    declared = run(record_of(points, Event(EventKind.AVERAGE, 100, 200)), n_plants=59)
    assert (declared.observation, declared.events) == (Observation.HOLDS, (0,))


def test_an_average_declared_elsewhere_excuses_nothing():
    points = walk()
    points[3] = 0.4 * points[2] + 0.6 * points[4]
    assert run(record_of(points, Event(EventKind.AVERAGE, 300, 350)), 1).observation is Observation.VIOLATED


def test_states_that_share_momentum_are_not_counted_as_several():
    """Twelve states one update apart all point one way, and say nothing about interpolation."""
    steps = (*range(12), 100)
    points = np.vstack([walk()[:1] + np.arange(12)[:, None] * 1e-3, walk()[1:2]])
    found = run(record_of(points, steps=steps), n_plants=1)
    assert (found.observation, found.reasons[0].code) == (Observation.UNKNOWN, "few_states")


def test_a_path_that_rests_has_no_shape():
    record = record_of(np.ones((len(STEPS), 256)))
    assert shape_of(trajectory(record), range(len(STEPS))) is None
    assert run(record).reasons[0].code == "nothing_shared"


@pytest.mark.parametrize("beta", [0.0, 0.9, 0.99])
def test_states_are_spaced_by_the_declared_momentum(beta: float):
    steps = list(range(0, 1000, 7))
    chosen = spaced_states(steps, Optimizer("adamw", (beta, 0.95)))
    gaps = np.diff([steps[k] for k in chosen])
    assert chosen[-1] == len(steps) - 1
    assert (gaps >= 3 / (1 - beta) - 1e-9).all()
