"""Mistakes that calibration has to notice: each is planted, and the check that should fail does."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.null_pairs import measure, without_checks
from benchmarks.populations import BY_NAME
from benchmarks.tally import RARE, Tally, failures, summarise, uniformity
from calibration_rows import DRAWS, LAYERS, MLP, UNITS, make_grams, make_units
from test_rows import ranks_of

from jokbo.architectures.base import Role
from jokbo.independence import betting
from jokbo.independence.betting import combine_clusters, count_ranks, rank_bets
from jokbo.independence.grams import unit_grams
from jokbo.independence.rank_betting import rank_betting

PAIRS = 300


def test_strict_ties_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counting ties as beaten: models with repeated rows would be accused."""

    def forgiving(visited: np.ndarray, eligible: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        true = np.diagonal(visited, axis1=1, axis2=2)[:, :, None]
        return ((visited > true) & eligible).sum(axis=2), np.ones(visited.shape[:2], dtype=int)

    monkeypatch.setattr(betting, "_compare", forgiving)
    rng = np.random.default_rng(1)
    logs = []
    for _ in range(60):
        scores = rng.integers(0, 2, (1, UNITS, UNITS)).astype(float)
        logs.append(float(rank_bets(*count_ranks(scores, rng.permutation(UNITS)))[0]))
    assert not summarise("ties", logs).size_holds


def test_reused_candidates_are_noticed() -> None:
    """Ranking among all indices while dividing by those unused, as if none were taken."""
    rng = np.random.default_rng(2)
    bins = np.zeros(20, dtype=int)
    for _ in range(PAIRS):
        scores = make_grams(DRAWS["gaussian"], rng).direct_scores()
        assert scores is not None
        better = (scores > np.diagonal(scores, axis1=1, axis2=2)[:, :, None]).sum(axis=2)
        n = np.arange(UNITS, 0, -1)
        shares = np.minimum((better + rng.random(better.shape)) / n, 1 - 1e-9)
        bins += np.bincount((shares * 20).astype(int).reshape(-1), minlength=20)
    assert uniformity(bins) < RARE


def test_anchors_from_the_future_are_noticed() -> None:
    """Scoring against indices not yet visited, the true one included, gives the answer away."""
    rng = np.random.default_rng(3)
    logs = []
    for _ in range(60):
        reference, candidate = make_grams(DRAWS["gaussian"], rng).gram_stacks()
        logs.append(float(rank_bets(*count_ranks(candidate @ reference, rng.permutation(UNITS)))[0]))
    assert not summarise("future", logs).size_holds


def test_ascending_visits_are_noticed() -> None:
    """Sorted units in both models: ascending visits and unmatched sizes make the last ones sure."""
    rng = np.random.default_rng(4)
    logs = {"ascending": [], "random": []}
    for _ in range(PAIRS):
        size = np.sort(rng.exponential(size=(2, UNITS)), axis=1)
        scores = -np.abs(size[1][:, None] - size[0][None, :])[None]
        for name, order in (("ascending", np.arange(UNITS)), ("random", rng.permutation(UNITS))):
            logs[name].append(float(rank_bets(*count_ranks(scores, order))[0]))
    # No order of visits saves a sorted axis: that is E0's task and the local form's.
    assert not summarise("ascending", logs["ascending"]).size_holds
    assert not summarise("random", logs["random"]).size_holds


def test_multiplying_copied_layers_is_noticed() -> None:
    """Two layers that are copies in both models, taken as two witnesses and then as one."""
    rng = np.random.default_rng(5)
    logs: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(PAIRS):
        a, b = (make_units(DRAWS["gaussian"], rng) for _ in range(2))
        for units in (a, b):
            for rows in units.rows.values():
                rows[1:] = rows[0]
        for tied in logs:
            clusters = dict.fromkeys(range(LAYERS), 0) if tied else None
            grams = unit_grams(a, b, clusters=clusters, signed=frozenset({Role.FFN_UP}))
            results = rank_betting(grams, component=MLP, stage="rows", order=rng.permutation(UNITS))
            logs[tied].append(combine_clusters([row.log_evalue for row in results[0].rows]))
    assert summarise("tied", logs[True]).size_holds
    mean = {tied: float(np.minimum(np.exp(found), 1e6).mean()) for tied, found in logs.items()}
    assert mean[False] > mean[True]


@pytest.mark.parametrize("name", ["tiled initialisation", "position-dependent scale"])
def test_a_missing_check_is_noticed(name: str) -> None:
    """Without E0 these populations are accused; with it they are not (`test_size.py`)."""
    tally = Tally()
    with without_checks():
        for number in range(8):
            tally.add(measure(*BY_NAME[name].pair(number, seed=7), seed=number))
    assert any("E >= 1e6" in text for text in failures(tally, structured=True))


def test_uniform_ranks_pass_the_same_check() -> None:
    assert uniformity(ranks_of("gaussian", count_ranks, np.random.default_rng(6))) > RARE
