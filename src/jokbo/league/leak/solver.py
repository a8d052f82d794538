"""The least and greatest value of every closed cell under the published facts: linear programmes, case by case.

Branch and bound: a linear programme without the choices gives a bound; where its point breaks a choice, the choice's
cases follow, and a case whose own bound is no better than a point already found is left. What comes out is exact up to
the solver's tolerance, and is rounded outwards beyond it.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jokbo.errors import UsageError
from jokbo.league.leak.choices import Row
from jokbo.league.leak.model import Model

MOST_PROGRAMMES = 20_000
"""Linear programmes for one plan: some minutes. More cases than that are refused, and the message says what helps."""

SAME = 1e-8
OUTWARDS = 2e-6
"""Wider than any tolerance in here."""

DIGITS = 3

BLOCKS = 64
"""Questions asked in one programme."""


class Contradiction(Exception):
    """No table fits the facts."""


@dataclass(slots=True)
class Budget:
    """How many programmes were solved; shared by everything asked of one plan."""

    used: int = 0
    most: int = MOST_PROGRAMMES

    def spend(self) -> None:
        """Count one.

        Raises
        ------
        UsageError
            There were too many.
        """
        self.used += 1
        if self.used > self.most:
            raise UsageError(
                f"the plan has too many cases: {self.most:,} linear programmes were not enough. Name who holds the "
                "highest and lowest values, or publish fewer figures without names."
            )


@dataclass(frozen=True, slots=True)
class Extremes:
    """Least and greatest value of some columns, as solved.

    Attributes
    ----------
    low, high : numpy.ndarray, shape (columns,)
    """

    columns: tuple[int, ...]
    low: np.ndarray
    high: np.ndarray

    def outwards(self) -> list[tuple[float, float]]:
        """Intervals that contain these, to three decimals."""
        unit = 10**DIGITS
        return [
            (
                float(np.floor((low - OUTWARDS) * unit) / unit) + 0.0,
                float(np.ceil((high + OUTWARDS) * unit) / unit) + 0.0,
            )
            for low, high in zip(self.low, self.high, strict=True)
        ]


def extremes(
    model: Model, columns: Sequence[int], budget: Budget, *, within: Extremes | None = None
) -> Extremes:
    """Least and greatest value of each column under a model.

    Parameters
    ----------
    within : Extremes, optional
        Of the same columns under more facts: values that can be reached anyway.

    Raises
    ------
    Contradiction
        Nothing fits.
    UsageError
        More cases than the budget.
    """
    solver = _Solver(model, budget)
    at = list(columns)
    low = np.full(len(at), np.inf) if within is None else within.low.copy()
    high = np.full(len(at), -np.inf) if within is None else within.high.copy()
    roots = solver.roots(at)
    if roots is None:
        raise Contradiction
    # A table that fits is one for all cells: those that need no choice come first.
    for x in (x for x in roots if solver.fits(x)):
        low, high = np.minimum(low, x[at]), np.maximum(high, x[at])
    for k, (column, sign) in enumerate(itertools.product(at, (1.0, -1.0))):
        cell = k // 2
        best = low[cell] if sign > 0 else -high[cell]
        found, points = solver.least(column, sign, best, roots[k])
        if not np.isfinite(found):
            raise Contradiction
        for x in points:
            low, high = np.minimum(low, x[at]), np.maximum(high, x[at])
    return Extremes(tuple(columns), low, high)


def feasible(model: Model, budget: Budget) -> bool:
    """Whether any table fits."""
    found, _ = _Solver(model, budget).least(0, 0.0, np.inf)
    return bool(np.isfinite(found))


class _Solver:
    def __init__(self, model: Model, budget: Budget) -> None:
        self.model, self.budget = model, budget
        self.bounds = np.column_stack([model.low, model.high])
        self.matrix, self.right = _upper(model.rows, len(model.low))
        self.impossible: set[frozenset[Any]] = set()
        """Cases that nothing fits, whatever is asked."""

    def roots(self, columns: Sequence[int]) -> list[np.ndarray] | None:
        """For each column the least and the greatest point without the choices; None where nothing fits.

        One programme of independent blocks: most of a small programme's time is spent around it.
        """
        from scipy.sparse import identity, kron

        asked = list(itertools.product(columns, (1.0, -1.0)))
        n, found = len(self.model.low), []
        for first in range(0, len(asked), BLOCKS):
            part = asked[first : first + BLOCKS]
            cost = np.zeros(len(part) * n)
            for k, (column, sign) in enumerate(part):
                cost[k * n + column] = sign
            matrix = kron(identity(len(part)), self.matrix, format="csc")
            x = self._solve(
                cost, matrix, np.tile(self.right, len(part)), np.tile(self.bounds, (len(part), 1))
            )
            if x is None:
                return None
            found += list(x.reshape(len(part), n))
        return found

    def least(
        self, column: int, sign: float, best: float, root: np.ndarray | None = None
    ) -> tuple[float, list[np.ndarray]]:
        """Least of ``sign * x[column]`` below `best`, or `best`; and every table met on the way.

        Parameters
        ----------
        root : numpy.ndarray, optional
            The least point without the choices, where it was found before.
        """
        cost = np.zeros(len(self.model.low))
        cost[column] = sign
        points: list[np.ndarray] = []
        stack: list[tuple[tuple[Row, ...], Mapping[int, Any]]] = [((), {})]
        while stack:
            rows, state = stack.pop()
            key = frozenset(state.items())
            if key in self.impossible:
                continue
            x = root if not state and root is not None else self._case(cost, rows)
            if x is None:
                self.impossible.add(key)
                continue
            if sign * x[column] >= best - SAME:
                continue
            options = self._open(x, state)
            if options is None:
                best = float(sign * x[column])
                points.append(x)
                if sign == 0:
                    break
                continue
            which, cases = options
            stack += [((*rows, *added), {**state, which: memory}) for added, memory in reversed(cases)]
        return best, points

    def fits(self, x: np.ndarray) -> bool:
        """Whether a point satisfies every choice."""
        return all(choice.satisfied(x) for choice in self.model.choices)

    def _open(
        self, x: np.ndarray, state: Mapping[int, Any]
    ) -> tuple[int, list[tuple[tuple[Row, ...], Any]]] | None:
        """The first choice that the point breaks and that has cases left."""
        for k, choice in enumerate(self.model.choices):
            if not choice.satisfied(x):
                cases = choice.options(x, state.get(k))
                if cases is not None:
                    return k, cases
        return None

    def _case(self, cost: np.ndarray, rows: tuple[Row, ...]) -> np.ndarray | None:
        extra, right = _upper(rows, len(cost))
        matrix, limits = np.vstack([self.matrix, extra]), np.concatenate([self.right, right])
        return self._solve(cost, matrix, limits, self.bounds)

    def _solve(
        self, cost: np.ndarray, matrix: Any, limits: np.ndarray, bounds: np.ndarray
    ) -> np.ndarray | None:
        """A vertex that is least, or None where nothing fits."""
        from scipy.optimize import linprog

        self.budget.spend()
        for presolve in (True, False):
            options = {"presolve": presolve}
            solved = linprog(cost, A_ub=matrix, b_ub=limits, bounds=bounds, method="highs", options=options)
            if solved.status == 0:
                found: np.ndarray = solved.x
                return found
            if solved.status == 2:
                return None
        raise UsageError(f"the linear programme of this plan was not solved ({solved.message[:120]}).")


def _upper(rows: Sequence[Row], n: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows as ``A x <= b``; equalities as two, which keeps their tolerance on both sides."""
    lines, right = [np.zeros((0, n))], []
    for row in rows:
        line = np.zeros((1, n))
        line[0, list(row.factors)] = list(row.factors.values())
        if np.isfinite(row.high):
            lines.append(line)
            right.append(row.high)
        if np.isfinite(row.low):
            lines.append(-line)
            right.append(-row.low)
    return np.concatenate(lines), np.array(right)
