"""The table that every question on a decision starts from: anchored scores of teams in events, and declared weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jokbo.errors import UsageError

TIED = 9
"""Totals that agree to this many decimals are tied: sums in another order differ by less."""


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """Scores of all teams in all events that a total, or one category of it, is made of.

    Attributes
    ----------
    teams, events : tuple of str
    scores : numpy.ndarray, shape (teams, events), float64
        Anchored points: 0 at the floor, 100 at the anchor.
    values : numpy.ndarray, shape (teams, events), float64
        In the event's own unit, turned so that more is better.
    weights : numpy.ndarray, shape (events,), float64
        Within the event's category; positive.
    categories : tuple of str
    category : numpy.ndarray, shape (events,), int64
        Index into `categories`; each has at least one event.
    points : numpy.ndarray, shape (categories,), float64
        Declared; not negative, and not all zero.

    Raises
    ------
    UsageError
        Shapes do not fit, a score is missing or a weight makes no sense; nothing is averaged over what is missing.
    """

    teams: tuple[str, ...]
    events: tuple[str, ...]
    scores: np.ndarray
    values: np.ndarray
    weights: np.ndarray
    categories: tuple[str, ...]
    category: np.ndarray
    points: np.ndarray

    def __post_init__(self) -> None:
        shape = (len(self.teams), len(self.events))
        if 0 in shape or self.scores.shape != shape or self.values.shape != shape:
            raise UsageError(
                f"a score table of {shape[0]} teams and {shape[1]} events has scores of shape {self.scores.shape} and "
                f"values of shape {self.values.shape}; expected a row a team and a column an event, at least one each."
            )
        if self.weights.shape != shape[1:] or self.category.shape != shape[1:]:
            raise UsageError("a score table needs one weight and one category for each event.")
        if self.points.shape != (len(self.categories),) or set(self.category) != set(range(len(self.points))):
            raise UsageError("a score table needs points for each category, and an event in each.")
        for array, what in ((self.scores, "scores"), (self.values, "values")):
            bad = np.argwhere(~np.isfinite(array))
            if len(bad):
                team, event = self.teams[bad[0][0]], self.events[bad[0][1]]
                raise UsageError(
                    f"{what}: team {team} has none in event {event}; a total needs every one. Score it by the event's "
                    "rule for missing results, or leave the team or the event out."
                )
        if not (np.isfinite(self.weights).all() and (self.weights > 0).all()):
            raise UsageError("weights of events are positive numbers.")
        if not (np.isfinite(self.points).all() and (self.points >= 0).all() and self.points.sum() > 0):
            raise UsageError("points of categories are not negative, and not all zero.")

    def declared(self) -> np.ndarray:
        """Totals as the round declares them, shape (teams,)."""
        return self.by_category() @ self.points / 100

    def by_category(self, scores: np.ndarray | None = None, *, keep: np.ndarray | None = None) -> np.ndarray:
        """Weighted mean of a category's events, shape (teams, categories); NaN where `keep` leaves it none.

        Parameters
        ----------
        scores : numpy.ndarray, shape (teams, events), optional
            Other scores than the table's.
        keep : numpy.ndarray, shape (events,), bool, optional
            Events that count.
        """
        chosen = self.scores if scores is None else scores
        weights = self.weights if keep is None else np.where(keep, self.weights, 0.0)
        means = np.full((len(self.teams), len(self.categories)), np.nan)
        for k in range(len(self.categories)):
            inside = (self.category == k) & (weights > 0)
            if inside.any():
                means[:, k] = chosen[:, inside] @ (weights[inside] / weights[inside].sum())
        return means

    def totals(self, scores: np.ndarray | None = None, *, keep: np.ndarray | None = None) -> np.ndarray:
        """Totals, shape (teams,); where a category has no event left, its points go to the others in proportion.

        Raises
        ------
        UsageError
            No category with points is left.
        """
        means = self.by_category(scores, keep=keep)
        left = np.isfinite(means[0])
        points = self.points[left]
        if not points.sum() > 0:
            raise UsageError("no event with points is left. Keep at least one.")
        return means[:, left] @ (points * (self.points.sum() / points.sum())) / 100

    def shares(self) -> np.ndarray:
        """What part of the total each event decides, shape (events,); they sum to one."""
        inside = np.array([self.weights[self.category == k].sum() for k in range(len(self.points))])
        shares = self.points[self.category] * self.weights / inside[self.category]
        return shares / shares.sum()


def tied_sets(totals: np.ndarray, teams: tuple[str, ...]) -> list[list[str]]:
    """Teams best first, those with equal totals (to nine decimals) together, in the table's order.

    Examples
    --------
    >>> tied_sets(np.array([1.0, 3.0, 1.0]), ("a", "b", "c"))
    [['b'], ['a', 'c']]
    """
    rounded = np.round(totals, TIED)
    return [[teams[i] for i in np.flatnonzero(rounded == value)] for value in np.unique(rounded)[::-1]]
