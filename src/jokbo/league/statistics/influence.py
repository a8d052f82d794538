"""The fewest questions, or raters, whose removal changes who is last.

A bootstrap asks what other samples might have said; this asks how little of *this* sample holds the result up. After
the leaderboard whose first place two votes of 57,477 decided, no board should be without it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

NEGLIGIBLE = 1e-9
"""Of a total in points: a lead this small is none."""

MOST_SUBSETS = 5_000
"""Sets of raters that are tried; beyond it raters are taken one by one, and the answer is an upper bound."""

MOST_ITEMS_IN_GROUPS = 1_000
"""Questions dropped where every group counts the same: found exactly up to this many."""


@dataclass(frozen=True, slots=True)
class Influence:
    """How few rows decide.

    Attributes
    ----------
    dropped : int or None
        Rows to remove until the team that is last alone is so no more. None: no number does (`exact`), or none that
        was tried. Zero: two teams are last together as it is.
    of : int
        Rows there are.
    exact : bool
        No smaller number does; otherwise `dropped` is an upper bound.
    rows : tuple of int
        Which.
    last_before, last_after : tuple of int
        Index of teams in the totals; a tie is a change.
    """

    dropped: int | None
    of: int
    exact: bool
    rows: tuple[int, ...]
    last_before: tuple[int, ...]
    last_after: tuple[int, ...]


def fewest_items(
    scores: np.ndarray, totals: np.ndarray, gain: float, *, groups: np.ndarray | None = None
) -> Influence:
    """The fewest items of one event whose removal, for all teams, changes who is last; exact.

    Let `l` be last and `j` another team, with lead ``C + mean(d)``: ``d`` the items' differences in points of the
    total and ``C`` all other events. After removing a set of `k` items the mean of the rest is ``(S - P) / (n - k)``
    with `P` the sum removed, least where `P` is greatest: the `k` largest differences. This least mean falls or stays
    with `k` (what is removed next is at least the mean of what is left), so that the first `k` at which the lead is
    gone is the fewest for `j`, and the least over all `j` is the fewest of all: unless some team has no lead over
    `l`, `l` is last alone. With `groups`, each counting the same, the fall of each group's mean for each number removed
    in it is found that way, and the best division among groups by dynamic programming.

    Parameters
    ----------
    scores : numpy.ndarray, shape (teams, items)
    totals : numpy.ndarray, shape (teams,)
        As declared, from all items.
    gain : float
        Points of the total for one unit of the event's mean; negative where less is better.
    groups : numpy.ndarray, shape (items,), int64, optional
        Of each item, where the event's value is the mean of groups' means. No group is emptied.

    Examples
    --------
    >>> found = fewest_items(np.array([[1.0, 1.0, 1.0, 0.0], [0.0, 0.0, 1.0, 1.0]]), np.array([75.0, 50.0]), 100.0)
    >>> found.dropped, found.rows, found.last_after
    (1, (0,), (0, 1))
    """
    last, n = _lowest(totals), scores.shape[1]
    if len(last) > 1 or len(totals) < 2:
        return Influence(0 if len(last) > 1 else None, n, True, (), last, last)
    best: tuple[int, ...] | None = None
    limit = n - 1 if groups is None else min(n - len(np.unique(groups)), MOST_ITEMS_IN_GROUPS)
    leads = totals - totals[last[0]]
    for j in np.argsort(leads, kind="stable"):
        if j == last[0]:
            continue
        d = gain * (scores[j] - scores[last[0]])
        most = limit if best is None else len(best) - 1
        rows = _one_pool(d, leads[j], most) if groups is None else _pools(d, leads[j], groups, most)
        if rows is not None:
            best = rows
    if best is None:
        whole = groups is None or n - len(np.unique(groups)) <= MOST_ITEMS_IN_GROUPS
        return Influence(None, n, whole, (), last, last)
    after = totals + gain * (_mean(scores, groups, best) - _mean(scores, groups, ()))
    return Influence(len(best), n, True, tuple(sorted(best)), last, _lowest(after))


def few_items_curved(
    scores: np.ndarray, totals: np.ndarray, points: Callable[[np.ndarray], np.ndarray]
) -> Influence:
    """The same for an event whose points are no straight line of its mean, such as a logarithm; an upper bound.

    Items go in the order of their differences at the slope of today's means, and who is last is computed anew after
    each.

    Parameters
    ----------
    points : callable
        Points of the total from values of the event, of any shape; increasing or decreasing, and smooth.
    """
    last, n = _lowest(totals), scores.shape[1]
    if len(last) > 1 or len(totals) < 2:
        return Influence(0 if len(last) > 1 else None, n, True, (), last, last)
    means = scores.mean(axis=1)
    step = 1e-6 * np.maximum(np.abs(means), 1e-6)
    slopes = (points(means + step) - points(means)) / step
    best: tuple[tuple[int, ...], tuple[int, ...]] | None = None
    for j in range(len(totals)):
        order = np.argsort(-(slopes[j] * scores[j] - slopes[last[0]] * scores[last[0]]), kind="stable")
        left = n - np.arange(1, n)
        rest = (scores.sum(axis=1, keepdims=True) - np.cumsum(scores[:, order], axis=1)[:, :-1]) / left
        after = totals[:, None] + points(rest) - points(means)[:, None]
        changed = np.flatnonzero(
            (np.delete(after, last[0], axis=0) <= after[last[0]] + NEGLIGIBLE).any(axis=0)
        )
        if len(changed) and (best is None or changed[0] + 1 < len(best[0])):
            best = tuple(order[: changed[0] + 1].tolist()), _lowest(after[:, changed[0]])
    if best is None:
        return Influence(None, n, False, (), last, last)
    return Influence(len(best[0]), n, len(best[0]) == 1, tuple(sorted(best[0])), last, best[1])


def fewest_raters(
    raters: int, totals: Callable[[np.ndarray], np.ndarray | None], *, most: int = MOST_SUBSETS
) -> Influence:
    """The fewest raters whose removal changes who is last, for any rule that makes values of rows.

    Trimmed means and models of raters are not linear, so sets are tried: all of one rater, of two and so on while
    they are at most `most` in all; beyond it, the rater whose removal narrows the last team's gap most is removed
    again and again, which gives an upper bound.

    Parameters
    ----------
    raters : int
    totals : callable
        Totals of all teams, shape (teams,), from a mask of the raters that stay; None where too few are left for the
        panel's rule.
    """
    everybody = totals(np.ones(raters, bool))
    if everybody is None:
        return Influence(None, raters, True, (), (), ())
    last = _lowest(everybody)
    if len(last) > 1 or len(everybody) < 2:
        return Influence(0 if len(last) > 1 else None, raters, True, (), last, last)
    tried = k = 0
    while k + 1 < raters and tried + math.comb(raters, k + 1) <= most:
        k += 1
        for rows in itertools.combinations(range(raters), k):
            found = totals(_without(raters, rows))
            if found is not None and _lowest(found) != last:
                return Influence(k, raters, True, rows, last, _lowest(found))
        tried += math.comb(raters, k)
    if k + 1 >= raters:
        return Influence(None, raters, True, (), last, last)
    return _one_by_one(raters, totals, last, beyond=k)


def _one_by_one(
    raters: int, totals: Callable[[np.ndarray], np.ndarray | None], last: tuple[int, ...], *, beyond: int
) -> Influence:
    gone: tuple[int, ...] = ()
    while len(gone) < raters // 2:
        tries = []
        for rater in sorted(set(range(raters)) - set(gone)):
            found = totals(_without(raters, (*gone, rater)))
            if found is not None:
                gap = np.delete(found, last[0]).min() - found[last[0]]
                tries.append((round(float(gap), 9), rater, found))
        if not tries:
            break
        _, rater, found = min(tries, key=lambda each: each[:2])
        gone = (*gone, rater)
        if _lowest(found) != last:
            return Influence(
                len(gone), raters, len(gone) == beyond + 1, tuple(sorted(gone)), last, _lowest(found)
            )
    return Influence(None, raters, False, (), last, last)


def _one_pool(d: np.ndarray, lead: float, most: int) -> tuple[int, ...] | None:
    order = np.argsort(-d, kind="stable")
    k = np.arange(1, min(most, len(d) - 1) + 1)
    rest = (d.sum() - np.cumsum(d[order])[: len(k)]) / (len(d) - k)
    gone = np.flatnonzero(lead - d.mean() + rest <= NEGLIGIBLE)
    return tuple(order[: gone[0] + 1].tolist()) if len(gone) else None


def _pools(d: np.ndarray, lead: float, groups: np.ndarray, most: int) -> tuple[int, ...] | None:
    """`best[k]` is the greatest fall of the mean of groups' means when `k` items go; `taken` remembers from where."""
    names = np.unique(groups)
    best = np.full(most + 1, -np.inf)
    best[0] = 0.0
    orders, taken = [], []
    for name in names:
        members = np.flatnonzero(groups == name)
        order = members[np.argsort(-d[members], kind="stable")]
        k = np.arange(1, min(len(order) - 1, most) + 1)
        rest = (d[members].sum() - np.cumsum(d[order])[: len(k)]) / (len(order) - k)
        falls = np.concatenate([[0.0], d[members].mean() - rest]) / len(names)
        reached, how_many = best.copy(), np.zeros(most + 1, np.int64)
        for a in range(1, len(falls)):
            with_a = best[: most + 1 - a] + falls[a]
            better = with_a > reached[a:] + 1e-15
            reached[a:][better] = with_a[better]
            how_many[a:][better] = a
        best = reached
        orders.append(order)
        taken.append(how_many)
    gone = np.flatnonzero(lead - best <= NEGLIGIBLE)
    if not len(gone):
        return None
    left, rows = int(gone[0]), []
    for order, how_many in zip(orders[::-1], taken[::-1], strict=True):
        rows += order[: how_many[left]].tolist()
        left -= int(how_many[left])
    return tuple(rows)


def _mean(scores: np.ndarray, groups: np.ndarray | None, gone: tuple[int, ...]) -> np.ndarray:
    keep = _without(scores.shape[1], gone)
    if groups is None:
        return scores[:, keep].mean(axis=1)
    return np.mean([scores[:, keep & (groups == name)].mean(axis=1) for name in np.unique(groups)], axis=0)


def _without(n: int, rows: tuple[int, ...]) -> np.ndarray:
    keep = np.ones(n, bool)
    keep[list(rows)] = False
    return keep


def _lowest(totals: np.ndarray) -> tuple[int, ...]:
    return tuple(np.flatnonzero(totals <= totals.min() + NEGLIGIBLE).tolist())
