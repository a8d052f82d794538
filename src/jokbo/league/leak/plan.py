"""What is to be published of a table whose cells stay closed, as plain values.

Read from a file by :mod:`jokbo.league.leak.plan_file`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from jokbo.league.round import Words

ONE_NUMBER = ("value", "mean", "sum", "gap", "top", "bottom", "difference")
ORDERS = ("first", "last", "order")
LIST = "unnamed"
KINDS = (*ONE_NUMBER, *ORDERS, LIST)

ROUNDED = ("nearest", "down", "up", "exact")


@dataclass(frozen=True, slots=True)
class Figure:
    """A column of the table.

    Attributes
    ----------
    lowest, highest : float or None
        Its scale; None for a figure that is computed from others.
    sum_of : mapping of str to float
        Other figures and their factors: a total, or a category of parts.
    rescaled_from : str, optional
        A figure that this one is proportional to, its highest value being `first` ("first = 25").
    first : float, optional
    closed : bool
        Its cells are to stay closed, except those published one by one.
    """

    id: str
    title: Words
    lowest: float | None = None
    highest: float | None = None
    sum_of: Mapping[str, float] = field(default_factory=dict)
    rescaled_from: str | None = None
    first: float | None = None
    closed: bool = True


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that is published.

    Attributes
    ----------
    kind : str
        ``value`` of a team, ``mean`` or ``sum`` over teams, ``gap`` from first to last, ``top``, ``bottom``,
        ``difference`` of two teams, ``first``, ``last``, ``order`` (best first), ``unnamed``: the highest values,
        without names.
    of : str
        A figure.
    teams : tuple of str
        Whom it names.
    values : tuple of str
        As it is published, its decimals kept.
    rounded : str
        ``nearest``, ``down``, ``up`` or ``exact``.
    source : str
    """

    kind: str
    of: str
    teams: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    rounded: str = "nearest"
    source: str = ""

    def intervals(self) -> list[tuple[float, float]]:
        """Where each true value may lie, given its decimals and how it was rounded.

        Examples
        --------
        >>> Fact("mean", "benchmark", values=("22.5",)).intervals()
        [(22.45, 22.55)]
        """
        found = []
        for text in self.values:
            unit = 10.0 ** -len(text.partition(".")[2])
            below, above = {"nearest": (0.5, 0.5), "down": (0.0, 1.0), "up": (1.0, 0.0), "exact": (0.0, 0.0)}[
                self.rounded
            ]
            digits = len(text.partition(".")[2]) + 1
            found.append(
                (round(float(text) - below * unit, digits), round(float(text) + above * unit, digits))
            )
        return found


@dataclass(frozen=True, slots=True)
class Plan:
    """A table and what is to be published of it.

    Attributes
    ----------
    tolerance : float
        A closed figure that can be told to within this width is given away.
    names : mapping of str to Words
        Of teams, by id, in order.
    facts : tuple of Fact
    table : mapping of str to mapping of str to float
        True values by team and figure, where the file has them: nothing is told from them, but each has to lie in its
        interval.
    """

    title: Words
    tolerance: float
    names: Mapping[str, Words]
    figures: tuple[Figure, ...]
    facts: tuple[Fact, ...]
    table: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    source: str = ""

    def figure(self, id: str) -> Figure:
        """The figure of this id."""
        return next(figure for figure in self.figures if figure.id == id)

    def closed(self) -> tuple[tuple[str, str], ...]:
        """Cells (figure, team) that are to stay closed."""
        opened = {(fact.of, fact.teams[0]) for fact in self.facts if fact.kind == "value"}
        return tuple(
            (figure.id, team)
            for figure in self.figures
            if figure.closed
            for team in self.names
            if (figure.id, team) not in opened
        )


def figure_ranges(figures: Sequence[Figure]) -> dict[str, tuple[float, float]]:
    """What each figure can be, from the scales of what it is computed from."""
    found: dict[str, tuple[float, float]] = {}
    for figure in figures:  # parts stand before their sum, as the file's reader sees to
        if figure.sum_of:
            ends = [
                sorted((factor * found[part][0], factor * found[part][1]))
                for part, factor in figure.sum_of.items()
            ]
            found[figure.id] = (sum(low for low, _ in ends), sum(high for _, high in ends))
        elif figure.rescaled_from is not None:
            found[figure.id] = (0.0, float(figure.first or 0.0))
        else:
            found[figure.id] = (float(figure.lowest or 0.0), float(figure.highest or 0.0))
    return found
