"""The fewest items and raters that decide: against every subset."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jokbo.league.statistics.alternatives import item_mean
from jokbo.league.statistics.influence import few_items_curved, fewest_items, fewest_raters


def tried(n: int, lasts, allowed=lambda keep: True) -> int | None:
    """Size of the smallest set whose removal changes who is last, by trying all."""
    before = lasts(np.ones(n, bool))
    for k in range(1, n):
        for rows in itertools.combinations(range(n), k):
            keep = np.ones(n, bool)
            keep[list(rows)] = False
            if allowed(keep) and lasts(keep) != before:
                return k
    return None


def last(totals: np.ndarray) -> tuple[int, ...]:
    return tuple(np.flatnonzero(totals <= totals.min() + 1e-9))


@st.composite
def events(draw: st.DrawFn):
    teams, items = draw(st.integers(2, 4)), draw(st.integers(2, 9))
    scores = np.array([[draw(st.integers(0, 3)) for _ in range(items)] for _ in range(teams)], float)
    others = np.array([draw(st.integers(0, 30)) for _ in range(teams)], float)
    groups = np.array([draw(st.integers(0, 2)) for _ in range(items)])
    return scores, others, groups, draw(st.sampled_from([10.0, -10.0, 3.0]))


@settings(max_examples=80, deadline=None)
@given(events(), st.booleans())
def test_items_are_the_fewest(event, grouped):
    scores, others, groups, gain = event
    chosen = groups if grouped else None

    def lasts(keep: np.ndarray) -> tuple[int, ...]:
        return last(others + gain * item_mean(scores[:, keep], None if chosen is None else chosen[keep]))

    def allowed(keep: np.ndarray) -> bool:
        return chosen is None or len(np.unique(chosen[keep])) == len(np.unique(chosen))

    totals = others + gain * item_mean(scores, chosen)
    found = fewest_items(scores, totals, gain, groups=chosen)
    assert found.exact
    assert found.of == scores.shape[1]
    if len(last(totals)) > 1:
        assert found.dropped == 0
        return
    assert found.dropped == tried(scores.shape[1], lasts, allowed)
    if found.dropped:
        keep = np.ones(scores.shape[1], bool)
        keep[list(found.rows)] = False
        assert allowed(keep)
        assert lasts(keep) == found.last_after != found.last_before


@settings(max_examples=40, deadline=None)
@given(events())
def test_a_curved_event_has_an_upper_bound(event):
    scores, others, _, _ = event

    def points(values: np.ndarray) -> np.ndarray:
        return 40 * np.log(values + 2)

    def lasts(keep: np.ndarray) -> tuple[int, ...]:
        return last(others + points(scores[:, keep].mean(axis=1)))

    totals = others + points(scores.mean(axis=1))
    found = few_items_curved(scores, totals, points)
    if len(last(totals)) == 1 and found.dropped is not None:
        keep = np.ones(scores.shape[1], bool)
        keep[list(found.rows)] = False
        assert lasts(keep) == found.last_after != found.last_before
        assert found.dropped >= tried(scores.shape[1], lasts)


def trimmed(scores: np.ndarray, keep: np.ndarray, drop: int = 1) -> np.ndarray | None:
    rows = np.sort(scores[:, keep], axis=1)
    return rows[:, drop:-drop].mean(axis=1) if rows.shape[1] > 2 * drop else None


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_raters_are_the_fewest_by_any_rule(seed):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 6, size=(3, 7)).astype(float)

    def totals(keep: np.ndarray) -> np.ndarray | None:
        return trimmed(scores, keep)

    before = last(totals(np.ones(7, bool)))
    found = fewest_raters(7, totals)
    assert found.exact
    if len(before) > 1:
        assert found.dropped == 0
    else:
        assert found.dropped == tried(
            7, lambda keep: last(totals(keep)), lambda keep: totals(keep) is not None
        )


def test_many_raters_are_taken_one_by_one_and_it_says_so():
    rng = np.random.default_rng(1)
    scores = np.vstack([rng.normal(20, 3, 60), rng.normal(18, 3, 60)])
    found = fewest_raters(60, lambda keep: scores[:, keep].mean(axis=1), most=100)
    linear = fewest_items(scores, scores.mean(axis=1), 1.0)
    assert not found.exact
    assert found.dropped == linear.dropped > 2
    assert fewest_raters(60, lambda keep: scores[:, keep].mean(axis=1), most=10).last_after == (0,)


def test_one_rater_may_decide():
    scores = np.array([[9.0, 5.0, 5.0], [5.0, 5.0, 6.0]])
    found = fewest_raters(3, lambda keep: scores[:, keep].mean(axis=1))
    assert (found.dropped, found.rows, found.last_before, found.last_after) == (1, (0,), (1,), (0,))


def test_too_small_a_panel_says_nothing():
    assert fewest_raters(2, lambda keep: None).dropped is None


def test_a_team_behind_in_every_item_stays_last():
    scores = np.array([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
    found = fewest_items(scores, np.array([100.0, 0.0]), 100.0)
    assert found.dropped is None
    assert found.exact


@pytest.mark.parametrize("items", [12_000])
def test_twelve_thousand_items_and_fifty_teams(items):
    rng = np.random.default_rng(5)
    scores = (rng.random((50, items)) < 0.5 + np.arange(50)[:, None] / 500).astype(float)
    groups = np.arange(items) % 45
    plain = fewest_items(scores, 100 * scores.mean(axis=1), 100.0)
    grouped = fewest_items(scores, 100 * item_mean(scores, groups), 100.0, groups=groups)
    assert plain.dropped
    assert grouped.dropped
    assert abs(plain.dropped - grouped.dropped) <= 5
