"""E1 against a slow second implementation, written from the specification alone."""

from __future__ import annotations

import math

import numpy as np
import pytest

from jokbo.architectures.base import Role
from jokbo.independence.base import Alignment, Cluster, Family
from jokbo.independence.betting import BET_POWERS, count_anchored_ranks, count_ranks, rank_bets
from jokbo.independence.grams import AxisGrams
from jokbo.independence.rank_betting import LOCAL_BLOCK, rank_betting
from jokbo.views.component import Component, ComponentKind

MLP = Component("text", ComponentKind.MLP)


def slow_rank_betting(
    score: object, order: list[int], *, labels: list[int] | None = None, anchored: bool = False
) -> float:
    """Visit by visit, candidate by candidate, bettor by bettor; `score(i, j, past)`."""
    bettors = []
    for k in BET_POWERS:
        wealth: dict[int, float] = {}
        past: list[int] = []
        for position, i in enumerate(order):
            mine = 0 if labels is None else labels[i]
            unused = [j for j in order[position:] if labels is None or labels[j] == mine]
            known = [t for t in past if labels is None or labels[t] == mine]
            scores = {j: round(score(i, j, known), 9) for j in unused}
            n = len(unused)
            g = sum(value > scores[i] for value in scores.values())
            t = sum(value == scores[i] for value in scores.values())
            wealth[mine] = wealth.get(mine, 1.0) * n / t * (((g + t) / n) ** k - (g / n) ** k)
            past.append(i)
        bettors.append(sum(wealth.values()) / len(wealth))
    return math.log(sum(bettors) / len(bettors))


@pytest.mark.parametrize("local", [False, True])
@pytest.mark.parametrize("copy", [0.0, 0.6])
@pytest.mark.parametrize("values", ["real", "tied"])
def test_direct_form_equals_the_slow_one(values: str, copy: float, local: bool) -> None:
    rng = np.random.default_rng(1)
    scores = rng.normal(size=(20, 20)) + 2 * copy * np.eye(20)
    scores = np.round(scores) if values == "tied" else scores
    order, labels = rng.permutation(20), np.arange(20) // 7 if local else None
    counts = count_ranks(scores[None], order, labels=labels)
    fast = float(rank_bets(*counts, blocks=None if labels is None else labels[order])[0])
    slow = slow_rank_betting(
        lambda i, j, past: scores[i, j], list(order), labels=None if labels is None else list(labels)
    )
    assert math.isclose(fast, slow, rel_tol=1e-9)


@pytest.mark.parametrize("local", [False, True])
@pytest.mark.parametrize("cosine", [0.0, 0.8])
def test_anchored_form_equals_the_slow_one(cosine: float, local: bool) -> None:
    rng = np.random.default_rng(2)
    a = rng.normal(size=(20, 9))
    b = cosine * a + math.sqrt(1 - cosine**2) * rng.normal(size=(20, 9))
    ga, gb = a @ a.T, b @ b.T
    order, labels = rng.permutation(20), np.arange(20) // 7 if local else None

    def score(i: int, j: int, past: list[int]) -> float:
        mean = sum(gb[i, t] for t in past) / max(len(past), 1)
        return sum((gb[i, t] - mean) * ga[j, t] for t in past)

    counts = count_anchored_ranks(ga[None], gb[None], order, labels=labels)
    fast = float(rank_bets(*counts, blocks=None if labels is None else labels[order])[0])
    slow = slow_rank_betting(score, list(order), labels=None if labels is None else list(labels))
    assert math.isclose(fast, slow, rel_tol=1e-9)


def test_all_first_ranks_have_a_closed_form() -> None:
    """Always first among n: the product of ``n^(1 - k)`` is ``(m!)^(1 - k)``."""
    m = 64
    counts = count_ranks(np.eye(m)[None], np.arange(m))
    best = [(1 - k) * math.lgamma(m + 1) for k in BET_POWERS]
    expected = np.logaddexp.reduce(best) - math.log(len(BET_POWERS))
    assert math.isclose(float(rank_bets(*counts)[0]), expected, rel_tol=1e-12)
    assert 85 < expected / math.log(10) < math.lgamma(m + 1) / math.log(10)


def test_constant_scores_win_and_lose_nothing() -> None:
    counts = count_ranks(np.zeros((1, 10, 10)), np.arange(10))
    assert float(rank_bets(*counts)[0]) == pytest.approx(0, abs=1e-12)


def grams(a: np.ndarray, b: np.ndarray, index: np.ndarray) -> AxisGrams:
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    cross = {Role.FFN_GATE: (b @ a.T)[None]} if a.shape[1] == b.shape[1] else None
    pairs = np.zeros((1, 2), dtype=int)
    return AxisGrams(
        index, pairs, (Cluster(3),), cross, {Role.FFN_GATE: (a @ a.T)[None]}, {Role.FFN_GATE: (b @ b.T)[None]}
    )


def test_result_names_form_cluster_and_effect() -> None:
    rng = np.random.default_rng(3)
    a = rng.normal(size=(32, 40))
    b = 0.9 * a + math.sqrt(1 - 0.81) * rng.normal(size=(32, 40))
    results = rank_betting(
        grams(a, b, np.arange(100, 132)), component=MLP, stage="rows", order=rng.permutation(32)
    )
    found = {(r.parameters["score"], r.local): r for r in results}
    assert set(found) == {(score, local) for score in ("direct", "anchored") for local in (False, True)}
    direct, local = found["direct", False], found["direct", True]
    assert direct.rows[0].cluster == Cluster(3)
    assert direct.rows[0].n == 32
    assert direct.effect_size == pytest.approx(0.9, abs=0.05)
    assert found["anchored", False].alignment is Alignment.ROTATED
    assert found["anchored", False].effect_size == pytest.approx(0.9, abs=0.1)
    assert direct.family is Family.UNITS
    # Blocks are averaged: 16 neighbours are worth 16! at most, 32 indices 32!.
    assert local.rows[0].log_evalue <= math.lgamma(LOCAL_BLOCK + 1) < direct.rows[0].log_evalue


def test_other_width_leaves_the_anchored_form_alone() -> None:
    rng = np.random.default_rng(4)
    found = grams(rng.normal(size=(20, 40)), rng.normal(size=(20, 30)), np.arange(20))
    results = rank_betting(found, component=MLP, stage="rows", order=rng.permutation(20))
    assert {r.parameters["score"] for r in results} == {"anchored"}


@pytest.mark.parametrize("period", [16, 24, 43])
def test_tiled_axes_do_not_fool_the_local_form(period: int) -> None:
    """Both models repeat themselves; anchors in other blocks would name every index."""
    rng = np.random.default_rng(period)
    logs = []
    for _ in range(40):
        a, b = (
            np.tile(rng.normal(size=(period, 64)), (8, 1))[:64] + 0.3 * rng.normal(size=(64, 64))
            for _ in range(2)
        )
        results = rank_betting(
            grams(a, b, np.arange(64)), component=MLP, stage="rows", order=rng.permutation(64)
        )
        logs.append([r.rows[0].log_evalue for r in results if r.local])
        assert max(r.rows[0].log_evalue for r in results if not r.local) > math.log(1e4)
    assert np.exp(np.minimum(logs, math.log(1e3))).mean() < 1.5
    assert np.max(logs) < math.log(1e3)
