"""Laws of the leak check: intervals contain what is true, are exact, and only shrink with what is published."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, milp

from jokbo.league.leak.check import check_leak
from jokbo.league.leak.plan import Fact, Figure, Plan

TEAMS = ("a", "b", "c")
W = {"en": "x", "ko": "x"}
FIGURES = (
    Figure("x", W, 0.0, 10.0),
    Figure("y", W, 0.0, 20.0),
    Figure("total", W, sum_of={"x": 1.0, "y": 2.0}),
)


@st.composite
def tables(draw: st.DrawFn) -> dict[str, dict[str, float]]:
    found = {}
    for team in TEAMS:
        x, y = draw(st.integers(0, 20)) / 2, draw(st.integers(0, 40)) / 2
        found[team] = {"x": x, "y": y, "total": x + 2 * y}
    return found


KINDS = ("mean", "sum", "gap", "top", "bottom", "value", "difference", "unnamed", "order")


def one_fact(draw: st.DrawFn, table: dict[str, dict[str, float]], figure: str) -> Fact:
    column = {team: table[team][figure] for team in TEAMS}
    falling = sorted(TEAMS, key=lambda team: -column[team])
    top, bottom = column[falling[0]], column[falling[-1]]
    one, two, _ = draw(st.permutations(TEAMS))
    kind = draw(st.sampled_from(KINDS))
    if kind == "order":
        return Fact(kind, figure, tuple(falling))
    if kind == "unnamed":
        values = [f"{column[team]:.1f}" for team in falling]
        return Fact(kind, figure, (), tuple(values[: draw(st.integers(1, 3))]))
    teams = {"value": (one,), "difference": (one, two)}.get(kind, ())
    if kind == "top" and draw(st.booleans()):
        teams = (falling[0],)
    value = {
        "mean": sum(column.values()) / 3,
        "sum": sum(column.values()),
        "gap": top - bottom,
        "top": top,
        "bottom": bottom,
        "value": column[one],
        "difference": column[one] - column[two],
    }[kind]
    return Fact(kind, figure, teams, (f"{value:.1f}",))


@st.composite
def disclosures(draw: st.DrawFn) -> tuple[dict[str, dict[str, float]], tuple[Fact, ...]]:
    table = draw(tables())
    figures = draw(st.lists(st.sampled_from(["x", "y", "total"]), min_size=1, max_size=5))
    return table, tuple(one_fact(draw, table, figure) for figure in figures)


def plan(facts: tuple[Fact, ...], table: dict[str, dict[str, float]] | None = None) -> Plan:
    return Plan(W, 0.5, dict.fromkeys(TEAMS, W), FIGURES, facts, table or {})


def intervals(facts: tuple[Fact, ...]) -> dict[tuple[str, str], tuple[float, float]]:
    document = check_leak(plan(facts), one_by_one=False).document
    return {(cell["figure"], cell["team"]): (cell["low"], cell["high"]) for cell in document["cells"]}


@settings(max_examples=8, deadline=None)
@given(disclosures())
def test_what_is_true_lies_in_its_interval(case):
    table, facts = case
    for (figure, team), (low, high) in intervals(facts).items():
        assert low <= table[team][figure] <= high


class Integers:
    """The same facts with a switch for every choice: another formulation, another solver."""

    def __init__(self, facts: tuple[Fact, ...]) -> None:
        self.rows, self.cells = (
            [],
            {(f, t): k for k, (f, t) in enumerate(itertools.product(("x", "y", "total"), TEAMS))},
        )
        self.n, self.scale = len(self.cells), 100.0
        self.low, self.high = [0.0] * 9, [10.0] * 3 + [20.0] * 3 + [50.0] * 3
        self.switches: list[int] = []
        for team in TEAMS:
            self.row({("total", team): 1.0, ("x", team): -1.0, ("y", team): -2.0}, 0, 0)
        for fact in facts:
            self.fact(fact)

    def row(self, factors, low, high):
        self.rows.append(({self.cells.get(key, key): v for key, v in factors.items()}, low, high))

    def new(self, *, binary: bool) -> int:
        self.low.append(0.0)
        self.high.append(1.0 if binary else 50.0)
        self.n += 1
        if binary:
            self.switches.append(self.n - 1)
        return self.n - 1

    def end(self, figure: str, sign: float) -> int:
        column, switches = self.new(binary=False), []
        for team in TEAMS:
            switch = self.new(binary=True)
            switches.append(switch)
            self.row({column: sign, (figure, team): -sign}, 0, np.inf)
            self.row({column: sign, (figure, team): -sign, switch: self.scale}, -np.inf, self.scale)
        self.row(dict.fromkeys(switches, 1.0), 1, 1)
        return column

    def fact(self, fact: Fact) -> None:
        spans, of = fact.intervals(), fact.of
        if fact.kind in ("mean", "sum"):
            self.row({(of, t): 1 / 3 if fact.kind == "mean" else 1.0 for t in TEAMS}, *spans[0])
        elif fact.kind == "gap":
            self.row({self.end(of, 1.0): 1.0, self.end(of, -1.0): -1.0}, *spans[0])
        elif fact.kind in ("top", "bottom"):
            end = self.end(of, 1.0 if fact.kind == "top" else -1.0)
            self.row({end: 1.0}, *spans[0])
            if fact.teams:
                self.row({end: 1.0, (of, fact.teams[0]): -1.0}, 0, 0)
        elif fact.kind == "value":
            self.row({(of, fact.teams[0]): 1.0}, *spans[0])
        elif fact.kind == "difference":
            self.row({(of, fact.teams[0]): 1.0, (of, fact.teams[1]): -1.0}, *spans[0])
        elif fact.kind == "order":
            for above, below in itertools.pairwise(fact.teams):
                self.row({(of, above): 1.0, (of, below): -1.0}, 0, np.inf)
        else:
            chosen = []
            for holders in itertools.permutations(TEAMS, len(spans)):
                switch = self.new(binary=True)
                chosen.append(switch)
                for team, (low, high) in zip(holders, spans, strict=True):
                    self.row({(of, team): 1.0, switch: -self.scale}, low - self.scale, np.inf)
                    self.row({(of, team): 1.0, switch: self.scale}, -np.inf, high + self.scale)
                for team in set(TEAMS) - set(holders):
                    self.row({(of, team): 1.0, switch: self.scale}, -np.inf, spans[-1][1] + self.scale)
            self.row(dict.fromkeys(chosen, 1.0), 1, 1)

    def least(self, figure: str, team: str, sign: float) -> float:
        matrix = np.zeros((len(self.rows), self.n))
        for k, (factors, _, _) in enumerate(self.rows):
            for column, factor in factors.items():
                matrix[k, column] += factor
        cost, integer = np.zeros(self.n), np.zeros(self.n)
        cost[self.cells[figure, team]], integer[self.switches] = sign, 1
        limits = LinearConstraint(matrix, [r[1] - 1e-9 for r in self.rows], [r[2] + 1e-9 for r in self.rows])
        solved = milp(cost, constraints=limits, bounds=Bounds(self.low, self.high), integrality=integer)
        assert solved.status == 0
        return sign * solved.fun


@settings(max_examples=6, deadline=None)
@given(disclosures())
def test_intervals_are_as_narrow_as_a_mixed_integer_programme_finds_them(case):
    _, facts = case
    other = Integers(facts)
    for (figure, team), (low, high) in intervals(facts).items():
        assert low == pytest.approx(other.least(figure, team, 1.0), abs=3e-3)
        assert high == pytest.approx(other.least(figure, team, -1.0), abs=3e-3)


@settings(max_examples=6, deadline=None)
@given(disclosures(), st.data())
def test_publishing_less_never_tells_more(case, data):
    _, facts = case
    fewer = tuple(fact for fact in facts if data.draw(st.booleans()))
    more, less = intervals(facts), intervals(fewer)
    for cell in more.keys() & less.keys():
        assert less[cell][0] <= more[cell][0] + 1e-3
        assert more[cell][1] - 1e-3 <= less[cell][1]


@settings(max_examples=4, deadline=None)
@given(disclosures(), st.permutations(TEAMS))
def test_who_stands_where_in_the_file_does_not_matter(case, order):
    _, facts = case
    turned = replace(plan(facts), names=dict.fromkeys(order, W))
    cells = check_leak(turned, one_by_one=False).document["cells"]
    there = intervals(facts)
    for cell in cells:
        low, high = there[cell["figure"], cell["team"]]
        assert (cell["low"], cell["high"]) == (pytest.approx(low, abs=2e-3), pytest.approx(high, abs=2e-3))


@settings(max_examples=2, deadline=None)
@given(disclosures())
def test_without_each_fact_is_what_a_plan_without_it_says(case):
    table, facts = case
    document = check_leak(plan(facts, table)).document
    assert sorted(row["fact"] for row in document["gives_away"]) == list(range(len(facts)))
    closed = {(cell["figure"], cell["team"]): cell for cell in document["cells"]}
    for row in document["gives_away"]:
        without = intervals(tuple(fact for k, fact in enumerate(facts) if k != row["fact"]))
        wider = sum(
            (without[cell][1] - without[cell][0]) - (each["high"] - each["low"])
            for cell, each in closed.items()
        )
        assert row["wider_by"] == pytest.approx(wider, abs=0.02)
