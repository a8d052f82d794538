"""Universes that need rows: the other average of an event's groups, a panel trimmed or not, one rater less."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from jokbo.league.measured import ItemScores, PanelScores
from jokbo.league.round import Event
from jokbo.league.statistics.multiverse import Alternative
from jokbo.league.statistics.panels import combined_scores, fit_additive, parts

Rescored = Callable[[str, np.ndarray], np.ndarray]
"""All anchored scores, shape (teams, events), with other values, shape (entrants,), of one event."""


def item_alternatives(event: Event, measured: ItemScores, rescored: Rescored) -> Iterator[Alternative]:
    """The event's mean taken over items and over groups, where it has groups."""
    if len(measured.group_names) > 1:
        for average in ("items", "groups"):
            values = item_mean(measured.scores, measured.groups if average == "groups" else None)
            yield Alternative("average", average, {"event": event.id}, rescored(event.id, values))


def panel_alternatives(event: Event, measured: PanelScores, rescored: Rescored) -> Iterator[Alternative]:
    """The panel with and without its extremes dropped, and without each of its raters."""
    rule = event.panel
    if rule is None:
        return
    scores = combined_scores(measured, rule)
    for dropped in sorted({0, rule.drop_each_side, 1}):
        values = panel_value(scores, measured, dropped)
        if values is not None:
            name = "trimmed" if dropped else "untrimmed"
            shown = {"event": event.id, "drop": dropped} if dropped else {"event": event.id}
            yield Alternative("average", name, shown, rescored(event.id, values))
    for k, rater in enumerate(measured.raters):
        values = panel_value(np.delete(scores, k, axis=0), measured, rule.drop_each_side)
        if values is not None:
            shown = {"event": event.id, "rater": rater}
            yield Alternative("drop_raters", "one", shown, rescored(event.id, values))


def panel_value(scores: np.ndarray, measured: PanelScores, dropped: int) -> np.ndarray | None:
    """A panel's value from the raters that stay, by the panel's own rule.

    Parameters
    ----------
    scores : numpy.ndarray, shape (raters that stay, entrants)
        Combined over criteria; NaN where not rated.
    dropped : int
        Scores dropped on each side, for each team.

    Returns
    -------
    numpy.ndarray, shape (entrants,), or None
        None where the rule cannot be followed: nobody would remain, or teams that no rater compares.
    """
    if dropped:
        if len(scores) <= 2 * dropped or np.isnan(scores).any():
            return None
        ordered: np.ndarray = np.sort(scores, axis=0)[dropped : len(scores) - dropped]
        return ordered.mean(axis=0)
    if not len(scores) or len(parts(~np.isnan(scores))) > 1:
        return None
    return fit_additive(scores, measured)[0]


def item_mean(scores: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    """Mean over items, or over groups of their means, shape (teams,).

    Parameters
    ----------
    scores : numpy.ndarray, shape (teams, items)
    groups : numpy.ndarray, shape (items,), optional

    Examples
    --------
    >>> item_mean(np.array([[1.0, 1.0, 0.0]]), np.array([0, 0, 1]))
    array([0.5])
    """
    if groups is None:
        return scores.mean(axis=1)
    return np.mean([scores[:, groups == name].mean(axis=1) for name in np.unique(groups)], axis=0)
