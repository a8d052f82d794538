"""Size and ranks of the unit tests on rows alone, 1,200 pairs, and what they say of planted mistakes."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.tally import RARE, summarise, uniformity
from calibration_rows import DRAWS, UNITS, anchored, direct, evalues, make_grams, rank_bets
from scipy.stats import binom

PAIRS = 300
BINS = 20


@pytest.mark.parametrize("name", DRAWS)
def test_every_unit_test_keeps_its_size(name: str) -> None:
    rng = np.random.default_rng(11)
    found: dict[str, list[float]] = {}
    for _ in range(PAIRS):
        for test, value in evalues(make_grams(DRAWS[name], rng), rng).items():
            found.setdefault(test, []).append(value)
    rows = [summarise(test, logs) for test, logs in found.items()]
    assert len(rows) == 6
    assert [row for row in rows if not row.size_holds] == []


def ranks_of(
    name: str, count: object, rng: np.random.Generator, *, order: np.ndarray | None = None
) -> np.ndarray:
    """Shares ``(g + U t) / n`` of all visits of many pairs, in bins."""
    bins = np.zeros(BINS, dtype=int)
    for _ in range(PAIRS):
        grams = make_grams(DRAWS[name], rng)
        visits = rng.permutation(UNITS) if order is None else order
        if count is direct:
            better, tied, n = direct(grams.direct_scores(), visits)
        else:
            better, tied, n = anchored(*grams.gram_stacks(), visits)
        shares = (better + rng.random(better.shape) * tied) / n
        bins += np.bincount((shares * BINS).astype(int).reshape(-1), minlength=BINS)
    return bins


@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.parametrize("count", [direct, anchored], ids=["direct", "anchored"])
def test_ranks_are_uniform(name: str, count: object) -> None:
    assert uniformity(ranks_of(name, count, np.random.default_rng(12))) > RARE


@pytest.mark.parametrize("count", [direct, anchored], ids=["direct", "anchored"])
def test_stopping_when_it_suits_gains_nothing(count: object) -> None:
    """P(wealth ever reaches 20) <= 1/20, though the analyst looks after every visit."""
    rng = np.random.default_rng(13)
    reached = 0
    for _ in range(PAIRS):
        grams = make_grams(DRAWS["gaussian"], rng)
        order = rng.permutation(UNITS)
        scores = grams.direct_scores()[:1] if count is direct else [g[:1] for g in grams.gram_stacks()]
        counts = direct(scores, order) if count is direct else anchored(*scores, order)
        best = max(float(rank_bets(*(c[..., :k] for c in counts))[0]) for k in range(1, UNITS + 1))
        reached += best >= np.log(20)
    assert binom.sf(reached - 1, PAIRS, 1 / 20) > RARE


def test_reading_on_while_unconvinced_gains_nothing() -> None:
    """Stages are weighted once and for all: reading on only while E is small keeps the rate."""
    rng = np.random.default_rng(14)
    reached = 0
    for _ in range(PAIRS):
        total = 0.0
        for weight in (0.1, 0.6, 0.3):
            total += weight * float(
                np.exp(evalues(make_grams(DRAWS["heavy"], rng), rng)["rank_betting direct"])
            )
            if total >= 20:
                reached += 1
                break
    assert binom.sf(reached - 1, PAIRS, 1 / 20) > RARE
