"""One simulated round through the league's own path, and what its rank sets say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.league_scenarios import SimulatedRound
from jokbo.league.scores.events import Composite, score_event, weighted_sum
from jokbo.league.statistics.bootstrap import draw_event
from jokbo.league.statistics.ranks import RankSets, rank_sets
from jokbo.league.statistics.resampling import event_generator
from jokbo.league.statistics.shared import sharing


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one round gave.

    Attributes
    ----------
    ranks_held : bool
        Every team's true rank lies in its set (all ranks that equal teams share).
    intervals_held : bool
        Every true difference lies in its interval.
    none_resolved : bool
        No pair is resolved.
    power : float
        Share of truly different pairs whose order is resolved; NaN where all are equal.
    last : bool
        The true last team is resolved below all others.
    value, error, naive : float
        The first team's sum, its standard error, and what it would be if items were independent.
    """

    ranks_held: bool
    intervals_held: bool
    none_resolved: bool
    power: float
    last: bool
    value: float
    error: float
    naive: float


def run_round(simulated: SimulatedRound, *, seed: int, draws: int, level: float = 0.95) -> Outcome:
    """Resample, score, add, rank, and hold it against the truth."""
    points, weights, naive = [], [], float("nan")
    shared = sharing([rule for rule, _, _ in simulated.parts], [each for _, each, _ in simulated.parts])
    for (rule, measured, weight), how in zip(simulated.parts, shared, strict=True):
        rng = event_generator(seed, how.generator)
        drawn = draw_event(rule, measured, rng=rng, draws=draws, raters=how.raters)
        scored = score_event(rule, drawn, measured.entrants)
        points.append(scored.points)
        weights.append(weight)
        if len(simulated.parts) == 1:  # of a sum it has no meaning
            naive = float(scored.naive_error[0])
    whole = weighted_sum("sum", points, weights)
    sets = rank_sets(whole.value, whole.draws, level=level, degrees=whole.degrees)
    return judge(simulated.truth, whole, sets, naive)


def judge(truth: np.ndarray, whole: Composite, sets: RankSets, naive: float) -> Outcome:
    """Hold rank sets against the truth."""
    gap = truth[:, None] - truth[None, :]
    best = 1 + (gap < 0).sum(1)
    worst = len(truth) - (gap > 0).sum(1)
    known = np.isfinite(sets.low)
    inside = (sets.low <= gap) & (gap <= sets.high)
    apart = gap > 0
    last = int(truth.argmin())
    return Outcome(
        ranks_held=bool(((sets.best_rank <= best) & (worst <= sets.worst_rank)).all()),
        intervals_held=bool(inside[known].all()),
        none_resolved=not sets.resolved.any(),
        power=float(sets.resolved[apart].mean()) if apart.any() else float("nan"),
        last=bool(sets.best_rank[last] == len(truth)),
        value=float(whole.value[0]),
        error=float(whole.error[0]),
        naive=naive,
    )
