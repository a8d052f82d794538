"""What published facts say that no linear row can: somebody holds the highest value, figures without names, rescalings.

Each is a choice among sets of rows of which at least one holds. A solver asks whether a point satisfies it, and if
not, takes the sets one after another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

NEAR = 1e-6
"""A point this near to satisfying a choice does: it makes intervals wider, never narrower."""

FINEST = 1e-3
"""Scales of a rescaling are told apart to this share; the intervals contain all the same."""


@dataclass(frozen=True, slots=True)
class Row:
    """``low <= sum of factor * variable <= high``; `fact` numbers the published fact, None: it always holds."""

    factors: Mapping[int, float]
    low: float
    high: float
    fact: int | None = None


Option = tuple[tuple[Row, ...], Any]
"""Rows that hold in one case, and what the choice has to remember of it."""


class Choice(Protocol):
    """At least one option holds."""

    @property
    def facts(self) -> tuple[int, ...]:
        """Facts that need it, any of which is enough; empty: it always holds."""
        ...

    def satisfied(self, x: np.ndarray) -> bool:
        """Whether a point satisfies it."""
        ...

    def options(self, x: np.ndarray, state: Any) -> list[Option] | None:
        """Cases that together leave nothing out, those nearest to the point first; None once they say all there is."""
        ...


@dataclass(frozen=True, slots=True)
class Holder:
    """One of the cells equals a figure's highest value (`sign` 1) or lowest (-1), given in column `end`."""

    end: int
    cells: tuple[int, ...]
    sign: float
    facts: tuple[int, ...] = ()

    def satisfied(self, x: np.ndarray) -> bool:
        """Whether the end is some cell's value."""
        return bool((self.sign * (x[self.end] - x[list(self.cells)])).min() <= NEAR)

    def options(self, x: np.ndarray, state: Any) -> list[Option] | None:
        """Each cell in turn."""
        if state is not None:
            return None
        order = np.argsort(-self.sign * x[list(self.cells)], kind="stable")
        return [
            ((Row({self.cells[k]: self.sign, self.end: -self.sign}, 0.0, np.inf),), int(k)) for k in order
        ]


@dataclass(frozen=True, slots=True)
class Unnamed:
    """The highest values of some cells are these, highest first; whose each is, is not said.

    Attributes
    ----------
    intervals : tuple of (float, float)
        Where each may lie; their ends fall together.
    """

    cells: tuple[int, ...]
    intervals: tuple[tuple[float, float], ...]
    facts: tuple[int, ...] = ()

    def satisfied(self, x: np.ndarray) -> bool:
        """Whether the values in falling order lie in their intervals; if any assignment fits, that one does."""
        values = np.sort(x[list(self.cells)])[::-1]
        inside = all(
            low - NEAR <= v <= high + NEAR for v, (low, high) in zip(values, self.intervals, strict=False)
        )
        return inside and bool((values[len(self.intervals) :] <= self.intervals[-1][1] + NEAR).all())

    def options(self, x: np.ndarray, state: Any) -> list[Option] | None:
        """Each remaining cell as the holder of the next value; none, where equal values leave no cell in order."""
        holders: tuple[int, ...] = state or ()
        k = len(holders)
        if k == len(self.intervals):
            return None
        low, high = self.intervals[k]
        # Equal figures may change hands without changing anything: they go in the order of cells.
        after = holders[-1] if k and self.intervals[k - 1] == self.intervals[k] else -1
        free = [cell for cell in self.cells if cell not in holders]
        found: list[Option] = []
        for cell in sorted((c for c in free if c > after), key=lambda c: abs(x[c] - (low + high) / 2)):
            others = [Row({each: 1.0}, -np.inf, high, self.facts[0]) for each in free if each != cell]
            found.append(((Row({cell: 1.0}, low, high, self.facts[0]), *others), (*holders, cell)))
        return found


@dataclass(frozen=True, slots=True)
class Rescaling:
    """``to * top = first * of`` for every team: a product, enclosed ever more narrowly by cutting the range of `top`.

    Attributes
    ----------
    to, of : tuple of int
        Columns of the rescaled figure and of the one it was made from.
    top : int
        Column of the highest value of the latter.
    low, high : float
        Where that may lie; `low` is above zero.
    """

    to: tuple[int, ...]
    of: tuple[int, ...]
    top: int
    first: float
    low: float
    high: float
    facts: tuple[int, ...] = ()

    def satisfied(self, x: np.ndarray) -> bool:
        """Whether every product fits."""
        apart = x[list(self.to)] * x[self.top] - self.first * x[list(self.of)]
        return bool(np.abs(apart).max() <= NEAR * max(self.first, 1.0))

    def rows(self, low: float, high: float) -> tuple[Row, ...]:
        """``first of / high <= to <= first of / low`` for tops between `low` and `high`."""
        found = [Row({self.top: 1.0}, low, high)]
        for to, of in zip(self.to, self.of, strict=True):
            found.append(Row({to: 1.0, of: -self.first / high}, 0.0, np.inf))
            found.append(Row({to: 1.0, of: -self.first / low}, -np.inf, 0.0))
        return tuple(found)

    def options(self, x: np.ndarray, state: Any) -> list[Option] | None:
        """The lower and the upper half of the range."""
        low, high = state or (self.low, self.high)
        if high - low <= FINEST * low:
            return None
        middle = (low + high) / 2
        halves = [(low, middle), (middle, high)]
        if x[self.top] > middle:
            halves.reverse()
        return [(self.rows(*half), half) for half in halves]


def kept(choices: Sequence[Choice], facts: frozenset[int]) -> tuple[Choice, ...]:
    """Choices that these facts need, and those that always hold."""
    return tuple(choice for choice in choices if not choice.facts or facts & set(choice.facts))
