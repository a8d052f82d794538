"""Laws of league scores: fixed scales, permutations, units, and what a rank set always holds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from benchmarks.league_scenarios import event, items
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from jokbo.league.measured import ItemScores
from jokbo.league.round import Anchor
from jokbo.league.scores.anchored import anchored
from jokbo.league.scores.events import score_event
from jokbo.league.statistics.bootstrap import draw_event
from jokbo.league.statistics.ranks import rank_sets
from jokbo.league.statistics.resampling import event_generator

FEW = settings(max_examples=30)
numbers = st.floats(-1e3, 1e3, allow_nan=False).map(lambda x: round(x, 3))


@st.composite
def results(draw: st.DrawFn, teams: tuple[int, int] = (2, 5)) -> ItemScores:
    """Scores of a few teams on a few clusters of items, coarse enough for ties and equal teams."""
    k = draw(st.integers(*teams))
    sizes = draw(st.lists(st.integers(1, 4), min_size=2, max_size=8))
    n = sum(sizes)
    scores = draw(arrays(np.float64, (k, n), elements=st.integers(0, 3).map(float)))
    return items(scores, np.repeat(np.arange(len(sizes)), sizes))


def drawn(measured: ItemScores, draws: int = 300):
    return draw_event(event(), measured, rng=event_generator(0, "items"), draws=draws)


def ranked(measured: ItemScores, level: float = 0.9):
    copies = drawn(measured)
    return rank_sets(copies.value, copies.draws, level=level, degrees=copies.degrees)


@FEW
@given(results(teams=(3, 5)))
def test_a_teams_points_do_not_change_with_the_field(measured: ItemScores) -> None:
    fewer = replace(measured, entrants=measured.entrants[:-1], scores=measured.scores[:-1])
    whole = score_event(event(), drawn(measured), measured.entrants).points
    part = score_event(event(), drawn(fewer), fewer.entrants).points
    assert (whole.value[:-1] == part.value).all()
    assert np.allclose(whole.draws[:, :-1], part.draws, rtol=0, atol=1e-9)


@given(st.lists(numbers, min_size=2, max_size=6), numbers, st.floats(0.5, 100), st.booleans())
def test_points_never_fall_when_the_value_gets_better(
    values: list[float], floor: float, width: float, up: bool
) -> None:
    sign = 1 if up else -1
    rule = event(floor=floor, anchor=Anchor(floor + sign * width), direction="higher" if up else "lower")
    points = anchored(np.sort(values)[::sign], rule)
    assert (np.diff(points) >= 0).all()


@given(st.lists(numbers, min_size=1, max_size=6), st.floats(0.01, 100), numbers)
def test_the_unit_does_not_matter(values: list[float], factor: float, shift: float) -> None:
    plain = anchored(np.array(values), event(floor=1.0, anchor=Anchor(3.0)))
    other = event(floor=1.0 * factor + shift, anchor=Anchor(3.0 * factor + shift))
    assert np.allclose(plain, anchored(np.array(values) * factor + shift, other), rtol=1e-6, atol=1e-4)


@given(st.lists(st.floats(0.01, 1e4), min_size=1, max_size=6), st.floats(0.01, 100))
def test_on_the_log_scale_a_factor_does_not_matter(values: list[float], factor: float) -> None:
    plain = anchored(np.array(values), event(floor=1.0, anchor=Anchor(30.0), scale="log"))
    other = event(floor=factor, anchor=Anchor(30.0 * factor), scale="log")
    assert np.allclose(plain, anchored(np.array(values) * factor, other), atol=1e-6)


@FEW
@given(results(), st.randoms(use_true_random=False))
def test_the_order_of_teams_does_not_matter(measured: ItemScores, random) -> None:
    order = list(range(len(measured.entrants)))
    random.shuffle(order)
    turned = replace(measured, scores=measured.scores[order])
    found, other = ranked(measured), ranked(turned)
    assert (found.best_rank[order] == other.best_rank).all()
    assert (found.worst_rank[order] == other.worst_rank).all()
    assert np.allclose(found.last_probability[order], other.last_probability)


@FEW
@given(results(), st.randoms(use_true_random=False))
def test_the_order_of_items_within_clusters_does_not_matter(measured: ItemScores, random) -> None:
    order = list(range(len(measured.items)))
    random.shuffle(order)
    turned = replace(measured, scores=measured.scores[:, order], clusters=measured.clusters[order])
    found, other = drawn(measured), drawn(turned)
    assert np.allclose(found.value, other.value)
    assert np.allclose(found.draws, other.draws, atol=1e-9)
    assert np.allclose(found.degrees, other.degrees)


@FEW
@given(results())
def test_rank_sets_hold_the_rank_of_the_point_estimate(measured: ItemScores) -> None:
    sets, value = ranked(measured), measured.scores.mean(1)
    better = (value[None, :] > value[:, None] + 1e-12).sum(1)
    worse = (value[None, :] < value[:, None] - 1e-12).sum(1)
    assert (sets.best_rank <= 1 + better).all()
    assert (sets.worst_rank >= len(value) - worse).all()


@FEW
@given(results())
def test_more_level_never_narrows_a_rank_set(measured: ItemScores) -> None:
    narrow, wide = ranked(measured, 0.8), ranked(measured, 0.99)
    assert (wide.best_rank <= narrow.best_rank).all()
    assert (wide.worst_rank >= narrow.worst_rank).all()


@FEW
@given(results())
def test_resolved_orders_are_orders(measured: ItemScores) -> None:
    sets = ranked(measured)
    assert not (sets.resolved & sets.resolved.T).any()
    assert not sets.resolved.diagonal().any()
    assert np.allclose(sets.low, -sets.high.T, equal_nan=True)


@FEW
@given(results(), st.integers(0, 4))
def test_a_team_entered_twice_is_never_parted_from_itself(measured: ItemScores, which: int) -> None:
    row = measured.scores[which % len(measured.scores)]
    twice = replace(
        measured,
        entrants=(*measured.entrants, "again"),
        scores=np.concatenate([measured.scores, row[None]]),
    )
    sets = ranked(twice)
    k, again = which % len(measured.scores), len(measured.scores)
    assert not sets.resolved[k, again]
    assert not sets.resolved[again, k]
    assert sets.best_rank[k] == sets.best_rank[again]
