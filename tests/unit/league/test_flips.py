"""The nearest weights at which the last place changes: against fine grids and a linear programme of SciPy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from jokbo.errors import UsageError
from jokbo.league.statistics.flips import smallest_change, weight_flips
from jokbo.league.statistics.score_table import ScoreTable


def table_of(means: np.ndarray, points: np.ndarray) -> ScoreTable:
    teams, categories = means.shape
    names = tuple(f"c{k}" for k in range(categories))
    each = np.arange(categories)
    return ScoreTable(
        tuple(f"t{i}" for i in range(teams)), names, means, means, np.ones(categories), names, each, points
    )


@st.composite
def tables(draw: st.DrawFn) -> ScoreTable:
    teams, categories = draw(st.integers(2, 5)), draw(st.integers(2, 4))
    means = [[draw(st.integers(0, 20)) * 5.0 for _ in range(categories)] for _ in range(teams)]
    points = np.array([draw(st.integers(1, 10)) for _ in range(categories)], float)
    return table_of(np.array(means), points / points.sum() * 100)


def last_at(table: ScoreTable, k: int, weight: float) -> set[str]:
    others = np.delete(table.points, k)
    points = np.insert(others / others.sum() * (100 - weight), k, weight)
    totals = np.round(table.by_category() @ points / 100, 9)
    return {table.teams[i] for i in np.flatnonzero(totals == totals.min())}


@settings(max_examples=80, deadline=None)
@given(tables())
def test_nothing_changes_nearer_than_the_flip_and_it_does_beyond(table):
    declared = {"before": None}
    for k, flip in enumerate(weight_flips(table)):
        declared["before"] = last_at(table, k, table.points[k])
        assert set(flip.last_before) == declared["before"]
        far = 100.0 if flip.weight is None else abs(flip.weight - table.points[k])
        for distance in np.linspace(0, far, 25)[:-1]:
            for weight in {table.points[k] - distance, table.points[k] + distance}:
                if 1e-6 < weight < 100 - 1e-6:  # at the ends themselves others may be tied
                    assert last_at(table, k, weight) == declared["before"]
        if flip.weight is not None:
            side = np.sign(round(flip.weight - table.points[k], 9)) or None
            beyond = [last_at(table, k, flip.weight + s * 1e-5) for s in ([side] if side else [1, -1])]
            assert set(flip.last_after) in beyond
            assert set(flip.last_after) != declared["before"]


def test_a_flip_is_where_two_lines_cross():
    # 100 w against 40: tied at 40 points.
    (flip, _) = weight_flips(table_of(np.array([[100.0, 0.0], [40.0, 40.0]]), np.array([30.0, 70.0])))
    assert flip.weight == pytest.approx(40.0, abs=1e-9)
    assert (flip.last_before, flip.last_after) == (("t0",), ("t1",))


def test_two_teams_that_are_last_together_flip_at_the_declared_weight():
    flips = weight_flips(table_of(np.array([[80.0, 20.0], [20.0, 80.0]]), np.array([50.0, 50.0])))
    assert [flip.weight for flip in flips] == [50.0, 50.0]
    assert (
        smallest_change(table_of(np.array([[80.0, 20.0], [20.0, 80.0]]), np.array([50.0, 50.0]))).moved == 0
    )


def test_who_is_last_everywhere_stays_last():
    table = table_of(np.array([[50.0, 60.0], [40.0, 50.0]]), np.array([50.0, 50.0]))
    assert [flip.weight for flip in weight_flips(table)] == [None, None]
    assert smallest_change(table) is None


@settings(max_examples=80, deadline=None)
@given(tables())
def test_the_smallest_change_is_the_linear_programme_s(table):
    means, totals = table.by_category(), table.declared()
    last = int(np.argmin(totals))
    assume(np.sum(np.round(totals, 9) == np.round(totals, 9).min()) == 1)
    c = len(table.points)
    best = None
    for j in set(range(len(totals))) - {last}:
        # Variables: the weights, and what was added to and taken from each.
        solved = linprog(
            np.concatenate([np.zeros(c), np.full(2 * c, 0.5)]),
            A_ub=[np.concatenate([means[j] - means[last], np.zeros(2 * c)])],
            b_ub=[0],
            A_eq=np.block([[np.eye(c), -np.eye(c), np.eye(c)], [np.ones((1, c)), np.zeros((1, 2 * c))]]),
            b_eq=np.append(table.points, 100.0),
        )
        if solved.status == 0 and (best is None or solved.fun < best):
            best = solved.fun
    found = smallest_change(table)
    assert (found is None) == (best is None)
    if found is not None:
        assert found.moved == pytest.approx(best, abs=1e-6)
        assert sum(found.weights) == pytest.approx(100)
        assert 0.5 * np.abs(np.array(found.weights) - table.points).sum() == pytest.approx(found.moved)
        assert f"t{last}" in found.last_after
        assert len(found.last_after) > 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scores": np.array([[np.nan, 1.0], [1.0, 1.0]])}, "team t0 has none in event c0"),
        ({"scores": np.ones((2, 3))}, "expected a row a team and a column an event"),
        ({"weights": np.array([0.0, 1.0])}, "weights of events are positive"),
        ({"points": np.array([0.0, 0.0])}, "not all zero"),
        ({"points": np.array([-1.0, 5.0])}, "not negative"),
        ({"category": np.array([0, 0])}, "an event in each"),
        ({"category": np.array([0])}, "one weight and one category"),
    ],
)
def test_tables_that_make_no_sense_are_refused(change, message):
    fields = {
        "teams": ("t0", "t1"),
        "events": ("c0", "c1"),
        "scores": np.ones((2, 2)),
        "values": np.ones((2, 2)),
        "weights": np.ones(2),
        "categories": ("c0", "c1"),
        "category": np.arange(2),
        "points": np.array([50.0, 50.0]),
    }
    with pytest.raises(UsageError, match=message):
        ScoreTable(**fields | change)
