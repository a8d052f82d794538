"""Orders by mean, Borda, Copeland, Kemeny: against every permutation, and by laws."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jokbo.errors import UsageError
from jokbo.league.statistics.aggregation import borda, by_mean, copeland, kemeny, margins, orderings

NAMES = tuple("abcdefghijklmnopqrstuvwxyz")


@st.composite
def elections(draw: st.DrawFn, most: int = 6) -> tuple[np.ndarray, np.ndarray]:
    teams, events = draw(st.integers(2, most)), draw(st.integers(1, 6))
    cells = st.integers(0, 4)
    scores = [[draw(cells) for _ in range(events)] for _ in range(teams)]
    return np.array(scores, float), np.array([draw(st.integers(1, 5)) for _ in range(events)], float)


def disagreement(order: tuple[int, ...], scores: np.ndarray, weights: np.ndarray) -> float:
    """By definition: the weight of events that rank a pair the other way."""
    return sum(float(weights[scores[a] < scores[b]].sum()) for a, b in itertools.combinations(order, 2))


def best_orders(scores: np.ndarray, weights: np.ndarray) -> set[tuple[int, ...]]:
    orders = list(itertools.permutations(range(len(scores))))
    costs = [disagreement(order, scores, weights) for order in orders]
    return {order for order, cost in zip(orders, costs, strict=True) if cost <= min(costs) + 1e-9}


@settings(max_examples=60, deadline=None)
@given(elections(5))
def test_kemeny_finds_every_best_order(election):
    scores, weights = election
    names, best = NAMES[: len(scores)], best_orders(scores, weights)
    found = kemeny(scores, weights, names)
    assert found.count == len(best)
    assert set(found.first) == {names[order[0]] for order in best}
    assert set(found.last) == {names[order[-1]] for order in best}
    shown = {tuple(names.index(team) for team in order) for order in found.orders}
    assert shown <= best
    assert len(shown) == min(len(best), 24)
    place = {team: k for k, group in enumerate(found.order) for team in group}
    for a, b in itertools.combinations(range(len(scores)), 2):
        seen = {order.index(a) < order.index(b) for order in best}
        if place[names[a]] != place[names[b]]:
            assert seen == {place[names[a]] < place[names[b]]}


def test_kemeny_sets_are_as_small_as_can_be():
    # One majority circle: a > b > c > a; every rotation is best, nobody is parted.
    circle = np.array([[3, 1, 2], [2, 3, 1], [1, 2, 3]], float)
    found = kemeny(circle, np.ones(3), ("a", "b", "c"))
    assert found.order == (("a", "b", "c"),)
    assert found.count == 3
    assert found.orders == (("a", "b", "c"), ("b", "c", "a"), ("c", "a", "b"))


def test_kemeny_differs_from_borda_where_it_should():
    # Condorcet's own point: three of five put a first, b has more places in hand.
    scores = np.array([[3, 3, 3, 1, 1], [2, 2, 2, 3, 3], [1, 1, 1, 2, 2]], float)
    names, ones = ("a", "b", "c"), np.ones(5)
    assert kemeny(scores, ones, names).order == (("a",), ("b",), ("c",))
    assert copeland(scores, ones, names).order == (("a",), ("b",), ("c",))
    assert borda(scores, ones, names).order == (("b",), ("a",), ("c",))


@settings(max_examples=60, deadline=None)
@given(elections())
def test_a_condorcet_winner_is_first_by_copeland_and_kemeny(election):
    scores, weights = election
    beats = margins(scores, weights)
    names = NAMES[: len(scores)]
    for i in range(len(scores)):
        if (np.delete(beats[i], i) > 0).all():
            assert copeland(scores, weights, names).first == (names[i],)
            assert kemeny(scores, weights, names).first == (names[i],)


@settings(max_examples=60, deadline=None)
@given(elections())
def test_borda_is_the_sum_of_places(election):
    scores, weights = election
    points = np.array(
        [
            sum(
                w * sum(1.0 if s > t else 0.5 if s == t else 0.0 for k, t in enumerate(column) if k != i)
                for column, w in zip(scores.T, weights, strict=True)
                for s in [column[i]]
            )
            for i in range(len(scores))
        ]
    )
    names = NAMES[: len(scores)]
    place = {team: k for k, group in enumerate(borda(scores, weights, names).order) for team in group}
    for a, b in itertools.combinations(range(len(scores)), 2):
        assert np.sign(round(points[a] - points[b], 9)) == np.sign(place[names[b]] - place[names[a]])


@settings(max_examples=40, deadline=None)
@given(elections(), st.randoms(use_true_random=False))
def test_names_and_their_order_do_not_matter(election, random):
    scores, weights = election
    shuffled = list(range(len(scores)))
    random.shuffle(shuffled)
    names = NAMES[: len(scores)]
    there = orderings(scores, weights, names)
    here = orderings(scores[shuffled], weights, tuple(names[i] for i in shuffled))
    for method, order in there.items():
        assert [set(group) for group in order.order] == [set(group) for group in here[method].order]
        assert set(order.last) == set(here[method].last)


def test_many_teams_are_ordered_exactly_where_no_circle_is_too_large():
    rng = np.random.default_rng(3)
    scores = np.arange(50.0)[:, None] + rng.normal(0, 0.8, size=(50, 5))
    found = kemeny(scores, np.ones(5), tuple(f"t{i}" for i in range(50)))
    assert found.first == ("t49",)
    assert sum(map(len, found.order)) == 50


def test_too_many_teams_in_one_circle_are_refused():
    # Each of 16 teams beats the next seven: one circle.
    n = 16
    ballots = np.array([[(i - j) % n for j in range(n)] for i in range(n)], float)
    names = tuple(f"t{i}" for i in range(n))
    with pytest.raises(
        UsageError, match="16 teams beat each other in a circle; it is found exactly for at most 14"
    ):
        kemeny(ballots, np.ones(n), names)
    assert orderings(ballots, np.ones(n), names)["kemeny"] is None
    assert orderings(ballots, np.ones(n), names)["borda"].order == (names,)


def test_the_mean_adds_points():
    assert by_mean(np.array([[9.0, 0.0], [4.0, 4.0]]), np.array([1.0, 1.0]), ("a", "b")).first == ("a",)
    assert by_mean(np.array([[9.0, 0.0], [4.0, 4.0]]), np.array([1.0, 9.0]), ("a", "b")).first == ("b",)
