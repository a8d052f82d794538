"""Orders from a table of scores: by mean, Borda, Copeland and Kemeny.

Means add points, so that one event with a wide spread can decide. The other three look only at who is ahead of whom
in each event, an event counting as much as its part of the total. Where they name another order than the means do,
the order is a matter of the rule and not of the teams.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from jokbo.errors import UsageError
from jokbo.league.statistics.score_table import tied_sets

METHODS = ("mean", "borda", "copeland", "kemeny")
MOST_KNOTTED = 14
"""Teams in one majority cycle that Kemeny's order is found for exactly: 16,384 subsets."""

MOST_ORDERS = 24
"""Best orders that are written out; their number is exact however many there are."""

EQUAL = 1e-9
"""Parts of the total that differ by less are equal: they are sums of rounded numbers."""


@dataclass(frozen=True, slots=True)
class Ordering:
    """An order of teams, best first.

    Attributes
    ----------
    method : str
    order : tuple of tuple of str
        Sets that follow one another; inside a set the method does not part the teams.
    first, last : tuple of str
        Who is first, and last, in at least one of the best orders.
    orders : tuple of tuple of str
        The best orders themselves, at most 24, of Kemeny's method alone.
    count : int
        How many there are.
    """

    method: str
    order: tuple[tuple[str, ...], ...]
    first: tuple[str, ...]
    last: tuple[str, ...]
    orders: tuple[tuple[str, ...], ...] = ()
    count: int = 1


def margins(scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """By how much team i is ahead of team j, summed over events, shape (teams, teams); antisymmetric.

    Parameters
    ----------
    scores : numpy.ndarray, shape (teams, events)
    weights : numpy.ndarray, shape (events,)
        Weight of the events where i is ahead, less that of those where j is.

    Examples
    --------
    >>> margins(np.array([[1.0, 2.0], [0.0, 3.0]]), np.array([0.75, 0.25]))
    array([[ 0. ,  0.5],
           [-0.5,  0. ]])
    """
    ahead = np.sign(np.round(scores[:, None, :] - scores[None, :, :], 9))
    found: np.ndarray = ahead @ weights
    return np.where(np.abs(found) <= EQUAL * weights.sum(), 0.0, found)


def by_mean(scores: np.ndarray, weights: np.ndarray, teams: tuple[str, ...]) -> Ordering:
    """Order by the weighted mean."""
    return _of_points("mean", scores @ (weights / weights.sum()), teams)


def borda(scores: np.ndarray, weights: np.ndarray, teams: tuple[str, ...]) -> Ordering:
    """Order by how many teams each is ahead of, a tie counting half: J.-C. de Borda, 1781.

    The sum of margins orders the same way, because n - 1 comparisons less the margin is twice those lost.
    """
    return _of_points("borda", margins(scores, weights).sum(axis=1) / weights.sum(), teams)


def copeland(scores: np.ndarray, weights: np.ndarray, teams: tuple[str, ...]) -> Ordering:
    """Order by duels won less duels lost, each by the weight of events: A. H. Copeland, 1951."""
    return _of_points("copeland", np.sign(margins(scores, weights)).sum(axis=1), teams)


def kemeny(scores: np.ndarray, weights: np.ndarray, teams: tuple[str, ...]) -> Ordering:
    """The orders that disagree least with the events: J. Kemeny, 1959; all of them, exactly.

    The cost of an order is the sum, over pairs, of the weight of events that rank the pair the other way. Teams that
    strictly beat everybody outside a set come before them in *every* best order (moving them forward, their own
    order kept, removes disagreements and adds none), so that only teams in one majority cycle have to be tried
    against each other; there, dynamic programming over subsets finds the least cost of each set of teams placed first.

    Raises
    ------
    UsageError
        More than 14 teams beat each other in a circle.
    """
    beats = margins(scores, weights)
    sets: list[tuple[int, ...]] = []
    best: list[list[tuple[int, ...]]] = []
    count = 1
    ends = []
    for knot in _knots(beats):
        if len(knot) > MOST_KNOTTED:
            raise UsageError(
                f"Kemeny's order: {len(knot)} teams beat each other in a circle; it is found exactly for at most "
                f"{MOST_KNOTTED}. Use Borda's or Copeland's order."
            )
        solved = _Subsets(beats[np.ix_(knot, knot)], float(weights.sum()))
        sets += [tuple(knot[i] for i in group) for group in solved.groups()]
        best.append([tuple(knot[i] for i in order) for order in solved.orders()])
        count *= solved.count
        ends.append(([knot[i] for i in solved.can_be_first()], [knot[i] for i in solved.can_be_last()]))
    return Ordering(
        "kemeny",
        tuple(tuple(teams[i] for i in group) for group in sets),
        tuple(teams[i] for i in ends[0][0]),
        tuple(teams[i] for i in ends[-1][1]),
        tuple(tuple(teams[i] for i in order) for order in _joined(best)),
        count,
    )


def orderings(scores: np.ndarray, weights: np.ndarray, teams: tuple[str, ...]) -> dict[str, Ordering | None]:
    """Every method's order; Kemeny's is None where too many teams are in one circle."""
    found: dict[str, Ordering | None] = {
        "mean": by_mean(scores, weights, teams),
        "borda": borda(scores, weights, teams),
        "copeland": copeland(scores, weights, teams),
    }
    knotted = max(map(len, _knots(margins(scores, weights))))
    return found | {"kemeny": kemeny(scores, weights, teams) if knotted <= MOST_KNOTTED else None}


def _of_points(method: str, points: np.ndarray, teams: tuple[str, ...]) -> Ordering:
    sets = tuple(tuple(group) for group in tied_sets(points, teams))
    return Ordering(method, sets, sets[0], sets[-1])


def _knots(beats: np.ndarray) -> list[tuple[int, ...]]:
    """Strongly connected sets of "not beaten by", those that beat the others first; inside, the table's order."""
    reach = beats >= 0  # a team is not beaten by itself
    for k in range(len(reach)):
        reach = reach | (reach[:, [k]] & reach[[k], :])
    mutual = reach & reach.T
    knots = sorted({tuple(np.flatnonzero(row).tolist()) for row in mutual})
    # Whoever reaches more teams stands higher; between two sets every duel has one winner.
    return sorted(knots, key=lambda knot: -int(reach[knot[0]].sum()))


def _joined(best: list[list[tuple[int, ...]]]) -> list[tuple[int, ...]]:
    orders: list[tuple[int, ...]] = [()]
    for part in best:
        orders = [head + tail for head in orders for tail in part][:MOST_ORDERS]
    return orders


class _Subsets:
    """Least disagreement of every set of teams placed first; sets are bits of an integer."""

    def __init__(self, beats: np.ndarray, whole: float) -> None:
        n = len(beats)
        self.n, self.full, self.near = n, (1 << n) - 1, EQUAL * whole * max(n, 1)
        # Placing t next costs the weight of events in which a team of the set is behind t.
        behind = np.maximum(-beats, 0.0)
        self.cost = np.zeros((1 << n, n))
        for s in range(1, 1 << n):
            low = (s & -s).bit_length() - 1
            self.cost[s] = self.cost[s & (s - 1)] + behind[low]
        self.head = self._least(range(1, 1 << n), forward=True)
        self.tail = self._least(range(self.full - 1, -1, -1), forward=False)
        self.edges = [
            (s, t)
            for s in range(self.full)
            for t in self._outside(s)
            if self.head[s] + self.cost[s, t] + self.tail[s | 1 << t] <= self.head[self.full] + self.near
        ]
        ways = [0] * (1 << n)
        ways[0] = 1
        for s, t in self.edges:
            ways[s | 1 << t] += ways[s]
        self.count = ways[self.full]

    def _outside(self, s: int) -> list[int]:
        return [t for t in range(self.n) if not s >> t & 1]

    def _least(self, sets: range, *, forward: bool) -> np.ndarray:
        found = np.zeros(1 << self.n)
        for s in sets:
            if forward:
                steps = (found[s ^ 1 << t] + self.cost[s ^ 1 << t, t] for t in range(self.n) if s >> t & 1)
            else:
                steps = (self.cost[s, t] + found[s | 1 << t] for t in self._outside(s))
            found[s] = min(steps)
        return found

    def groups(self) -> list[tuple[int, ...]]:
        """Sets that the best orders never part, in their order."""
        before = np.zeros((self.n, self.n))  # a stands before b in at least one best order
        for s, t in self.edges:
            before[[a for a in range(self.n) if s >> a & 1], t] = 1.0
        return _knots(before - before.T)

    def can_be_first(self) -> list[int]:
        """Who is first in a best order."""
        return [t for s, t in self.edges if s == 0]

    def can_be_last(self) -> list[int]:
        """Who is last in one."""
        return sorted(t for s, t in self.edges if s | 1 << t == self.full)

    def orders(self) -> list[tuple[int, ...]]:
        """The best orders, in the table's order, at most 24."""
        steps: dict[int, list[int]] = {}
        for s, t in self.edges:
            steps.setdefault(s, []).append(t)

        def walk(s: int) -> Iterator[tuple[int, ...]]:
            if s == self.full:
                yield ()
            for t in steps.get(s, ()):
                for rest in walk(s | 1 << t):
                    yield (t, *rest)

        found = []
        for order in walk(0):
            found.append(order)
            if len(found) == MOST_ORDERS:
                break
        return found
