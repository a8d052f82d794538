"""Published facts as linear rows over the cells of a table, and as choices of who holds a maximum or minimum.

Variables: one a figure and team, and for figures whose highest or lowest value counts, that value. Most facts are
rows ``low <= a x <= high``. That the highest value is *somebody's* is no row but a choice among teams: a solver
takes one after another (:mod:`jokbo.league.leak.solver`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from jokbo.league.leak.choices import Choice, Holder, Rescaling, Row, Unnamed, kept
from jokbo.league.leak.plan import Fact, Figure, Plan, figure_ranges

SLACK = 1e-7
"""Rows are this much wider than published, so that a solver's tolerance never excludes what is true."""

LEAST_TOP = 1e-3
"""The best of a figure that is rescaled has at least this share of its scale; a best of nothing has no scale."""

TOP, BOTTOM = "top of", "bottom of"


@dataclass(frozen=True, slots=True)
class Model:
    """A linear model with choices.

    Attributes
    ----------
    variables : mapping
        Column of each (figure, team), and of (``"top of"``, figure) and (``"bottom of"``, figure).
    low, high : numpy.ndarray, shape (variables,)
    rows : tuple of Row
    choices : tuple of Choice
    """

    variables: Mapping[tuple[str, str], int]
    low: np.ndarray
    high: np.ndarray
    rows: tuple[Row, ...]
    choices: tuple[Choice, ...]

    def only(self, facts: frozenset[int]) -> Model:
        """The model of some of the facts, by number."""
        rows = tuple(row for row in self.rows if row.fact is None or row.fact in facts)
        return Model(self.variables, self.low, self.high, rows, kept(self.choices, facts))


def build_model(plan: Plan) -> Model:
    """Rows and choices of a plan, in its order."""
    variables: dict[tuple[str, str], int] = {}
    for figure in plan.figures:
        for team in (*plan.names,):
            variables[figure.id, team] = len(variables)
    for figure in plan.figures:
        for end in (TOP, BOTTOM):
            variables[end, figure.id] = len(variables)
    ranges = figure_ranges(plan.figures)
    low, high = np.empty(len(variables)), np.empty(len(variables))
    for (a, b), k in variables.items():
        low[k], high[k] = ranges[b if a in (TOP, BOTTOM) else a]
    builder = _Builder(plan, variables, ranges)
    rows = [*builder.structure(), *(row for k in range(len(plan.facts)) for row in builder.rows(k))]
    choices = [*builder.ends(), *(choice for k in range(len(plan.facts)) for choice in builder.unnamed(k))]
    return Model(variables, low, high, tuple(rows), tuple(choices))


class _Builder:
    def __init__(
        self,
        plan: Plan,
        variables: Mapping[tuple[str, str], int],
        ranges: Mapping[str, tuple[float, float]],
    ) -> None:
        self.plan, self.at, self.ranges = plan, variables, ranges
        self.teams = tuple(plan.names)

    def structure(self) -> Iterator[Row]:
        """What a figure is, whatever is published."""
        for figure in self.plan.figures:
            for team in self.teams:
                x = self.at[figure.id, team]
                yield Row({self.at[TOP, figure.id]: 1.0, x: -1.0}, 0.0, np.inf)
                yield Row({x: 1.0, self.at[BOTTOM, figure.id]: -1.0}, 0.0, np.inf)
                if figure.sum_of:
                    parts = {self.at[part, team]: -factor for part, factor in figure.sum_of.items()}
                    yield Row({x: 1.0, **parts}, 0.0, 0.0)
            if figure.rescaled_from is not None:
                yield Row({self.at[TOP, figure.id]: 1.0}, float(figure.first or 0), float(figure.first or 0))

    def ends(self) -> Iterator[Choice]:
        """Somebody holds each highest and lowest value that a fact speaks of, or a rescaling."""
        scaled = {figure.rescaled_from for figure in self.plan.figures} - {None}
        scaled |= {figure.id for figure in self.plan.figures if figure.rescaled_from is not None}
        for figure in self.plan.figures:
            cells = tuple(self.at[figure.id, team] for team in self.teams)
            for end, kind, sign in ((TOP, "top", 1.0), (BOTTOM, "bottom", -1.0)):
                needs = tuple(
                    k
                    for k, fact in enumerate(self.plan.facts)
                    if fact.of == figure.id and fact.kind in (kind, "gap")
                )
                always = end == TOP and figure.id in scaled
                if needs or always:
                    yield Holder(self.at[end, figure.id], cells, sign, () if always else needs)
            if figure.rescaled_from is not None:
                yield self._rescaling(figure, cells)

    def _rescaling(self, figure: Figure, cells: tuple[int, ...]) -> Rescaling:
        of = str(figure.rescaled_from)
        low, high = self.ranges[of]
        return Rescaling(
            cells,
            tuple(self.at[of, team] for team in self.teams),
            self.at[TOP, of],
            float(figure.first or 0.0),
            max(low, high * LEAST_TOP),
            high,
        )

    def rows(self, k: int) -> Iterator[Row]:
        """Rows of fact number `k`."""
        fact = self.plan.facts[k]
        if fact.kind in ("first", "last", "order") or (fact.kind in ("top", "bottom") and fact.teams):
            yield from self._order(fact, k)
        factors = self._factors(fact)
        for low, high in fact.intervals() if factors else ():
            yield Row(factors, low - SLACK, high + SLACK, k)
        if fact.kind == "unnamed" and len(fact.values) == len(self.teams):
            low, high = (sum(ends) for ends in zip(*fact.intervals(), strict=True))
            yield Row({self.at[fact.of, team]: 1.0 for team in self.teams}, low - SLACK, high + SLACK, k)

    def _factors(self, fact: Fact) -> dict[int, float]:
        of, n = fact.of, len(self.teams)
        everybody = [self.at[of, team] for team in self.teams]
        if fact.kind in ("mean", "sum"):
            return dict.fromkeys(everybody, 1.0 / n if fact.kind == "mean" else 1.0)
        if fact.kind == "gap":
            return {self.at[TOP, of]: 1.0, self.at[BOTTOM, of]: -1.0}
        if fact.kind in ("top", "bottom"):
            end = TOP if fact.kind == "top" else BOTTOM
            return {self.at[of, fact.teams[0]] if fact.teams else self.at[end, of]: 1.0}
        if fact.kind == "difference":
            return {self.at[of, fact.teams[0]]: 1.0, self.at[of, fact.teams[1]]: -1.0}
        return {self.at[of, fact.teams[0]]: 1.0} if fact.kind == "value" else {}

    def _order(self, fact: Fact, k: int) -> Iterator[Row]:
        if fact.kind == "order":
            pairs = list(itertools.pairwise(fact.teams))
        else:
            others = [team for team in self.teams if team != fact.teams[0]]
            first = fact.kind in ("first", "top")
            pairs = [(fact.teams[0], each) if first else (each, fact.teams[0]) for each in others]
            end = TOP if first else BOTTOM
            # A named holder also fixes the figure's end, without a choice.
            column, x = self.at[end, fact.of], self.at[fact.of, fact.teams[0]]
            yield Row({column: 1.0, x: -1.0}, 0.0, 0.0, k)
        for above, below in pairs:
            yield Row({self.at[fact.of, above]: 1.0, self.at[fact.of, below]: -1.0}, 0.0, np.inf, k)

    def unnamed(self, k: int) -> Iterator[Choice]:
        """Values of fact number `k` that are published without names."""
        fact = self.plan.facts[k]
        if fact.kind == "unnamed":
            cells = tuple(self.at[fact.of, team] for team in self.teams)
            intervals = sorted(((low - SLACK, high + SLACK) for low, high in fact.intervals()), reverse=True)
            yield Unnamed(cells, tuple(intervals), (k,))
