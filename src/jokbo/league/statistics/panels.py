"""Panels: teams' scores from raters' rows, by an additive model or a trimmed mean, and raters resampled.

Raters are a sample, teams and criteria are not. A rater may be severe; where every rater rates every team that
cancels, and otherwise the additive model score = team + rater + error takes it out by least squares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from jokbo.errors import FormatError
from jokbo.league.measured import PanelScores
from jokbo.league.round import PanelRule
from jokbo.league.statistics.resampling import child_generator, resample_counts, spread


@dataclass(frozen=True, slots=True)
class PanelDraws:
    """A panel's scores and their resampled copies.

    Attributes
    ----------
    value : numpy.ndarray, shape (entrants,)
    severity : numpy.ndarray, shape (raters,)
        How far a rater lies below (negative) or above the panel, by the additive model; sums to 0.
    deviations : numpy.ndarray, shape (draws, entrants)
    degrees : float, or numpy.ndarray of shape (entrants, entrants)
    """

    value: np.ndarray
    severity: np.ndarray
    deviations: np.ndarray
    degrees: float | np.ndarray


def combined_scores(measured: PanelScores, rule: PanelRule) -> np.ndarray:
    """Weighted mean over criteria, shape (raters, entrants); NaN where not rated."""
    weights = np.array([rule.criteria.get(name, 1.0) for name in measured.criteria], np.float64)
    return measured.scores @ (weights / weights.sum())


def draw_panel(
    measured: PanelScores,
    rule: PanelRule,
    *,
    rng: np.random.Generator,
    draws: int,
    among: Sequence[str] = (),
) -> PanelDraws:
    """Score a panel and resample its raters.

    Without trimming: least squares, and the delete-one-rater jackknife as influence. With `drop_each_side`: for
    every team its highest and lowest raters are dropped, in the panel and, as the same share, in every resampled panel.
    With `among`, raters of this panel and of others are drawn together, and each panel takes what of them is its own.

    Raises
    ------
    FormatError
        Fewer than two raters (or than trimming leaves), raters and teams that fall apart, a missing rating where raters
        are dropped, or a rater without whom teams cannot be compared.
    """
    scores = combined_scores(measured, rule)
    raters = len(scores)
    if raters < 2:
        raise FormatError(
            f"event {measured.event}: {raters} rater, so nothing is known of the spread between raters; expected two "
            "or more."
        )
    silent = np.flatnonzero(np.isnan(scores).all(1))
    if silent.size:
        raise FormatError(
            f"event {measured.event}: rater {measured.raters[silent[0]]} rated no team; expected at least one. "
            "Leave that rater out of the file."
        )
    value, severity = fit_additive(scores, measured)
    grain = grains(measured, rule, rng=rng, draws=draws)
    if not rule.drop_each_side:
        without = _without_each(scores, measured)
        at, of = _places(measured, among)
        influence = np.zeros((of, scores.shape[1]))
        influence[at] = value - without
        deviations = spread(rng, influence, [of], draws)
        return PanelDraws(value, severity, deviations + grain, _degrees(~np.isnan(scores)))
    kept = raters - 2 * rule.drop_each_side
    if kept < 2:
        raise FormatError(
            f"event {measured.event}: {raters} raters of whom {2 * rule.drop_each_side} are dropped for every team; "
            "expected two or more to remain."
        )
    if np.isnan(scores).any():
        rater, team = (int(k) for k in np.argwhere(np.isnan(scores))[0])
        raise FormatError(
            f"event {measured.event}: rater {measured.raters[rater]} did not rate {measured.entrants[team]}, and the "
            "highest and lowest raters are dropped; expected every rater to rate every team. Drop nobody, or add rows."
        )
    found = _trimmed(scores, severity, rule.drop_each_side, rng, draws, _places(measured, among))
    return replace(found, deviations=found.deviations + grain)


def _places(measured: PanelScores, among: Sequence[str]) -> tuple[list[int], int]:
    """Where a panel's raters stand among all who are drawn, and how many those are."""
    everybody = list(among) or list(measured.raters)
    return [everybody.index(name) for name in measured.raters], len(everybody)


def grains(measured: PanelScores, rule: PanelRule, *, rng: np.random.Generator, draws: int) -> np.ndarray:
    """What scores in steps hide, shape (draws, entrants): an error of one step's width, evenly spread, in every score.

    Two raters who differ by 4 points on both teams show no spread at all, and it would be taken for certainty. The step
    is the smallest that any two scores of a criterion lie apart; the whole scale where all of them are equal.
    """
    weights = np.array([rule.criteria.get(name, 1.0) for name in measured.criteria], np.float64)
    variance = 0.0
    for criterion, weight in enumerate(weights / weights.sum()):
        given = measured.scores[:, :, criterion]
        levels = np.unique(given[~np.isnan(given)])
        step = float(np.diff(levels).min()) if len(levels) > 1 else rule.highest - rule.lowest
        variance += (weight * step) ** 2 / 12
    counted = np.maximum((~np.isnan(measured.scores[:, :, 0])).sum(0) - 2 * rule.drop_each_side, 1)
    normal = [child_generator(rng, team).standard_normal(draws) for team in measured.entrants]
    return np.stack(normal, axis=1) * np.sqrt(variance / counted)


def _degrees(rated: np.ndarray) -> float | np.ndarray:
    """Raters less one; with gaps, of each difference, raters of both teams less one (at least 1).

    What other raters add through third teams is used and not counted.
    """
    if rated.all():
        return float(len(rated) - 1)
    both = rated.T.astype(np.float64) @ rated
    return np.maximum(both - 1, 1.0)


def _trimmed(
    scores: np.ndarray,
    severity: np.ndarray,
    drop: int,
    rng: np.random.Generator,
    draws: int,
    places: tuple[list[int], int],
) -> PanelDraws:
    """Trimmed means, with Tukey and McLaughlin's degrees of freedom (1963, Sankhya A 25, 331-352)."""
    raters, teams = scores.shape
    order = np.argsort(scores, axis=0, kind="stable")
    ordered = np.take_along_axis(scores, order, axis=0)
    value = ordered[drop : raters - drop].mean(0)
    copies = np.empty((draws, teams))
    at, of = places
    for first, everybody in resample_counts(rng, [of], draws):
        counts = everybody[:, at]
        counts[counts.sum(1) == 0] = 1  # none of this panel was drawn: it stays as it is
        for team in range(teams):
            copies[first : first + len(counts), team] = _trimmed_mean(
                counts[:, order[:, team]], ordered[:, team], drop / raters
            )
    return PanelDraws(value, severity, copies - value, float(raters - 2 * drop - 1))


def _trimmed_mean(counts: np.ndarray, values: np.ndarray, share: float) -> np.ndarray:
    """Means without a share of the weight on each side; a rater at the edge is dropped in part."""
    total = counts.sum(1, keepdims=True)
    upper = np.cumsum(counts, axis=1)
    low, high = share * total, (1 - share) * total
    kept = np.clip(np.minimum(upper, high) - np.maximum(upper - counts, low), 0, None)
    return kept @ values / kept.sum(1)


def fit_additive(scores: np.ndarray, measured: PanelScores) -> tuple[np.ndarray, np.ndarray]:
    """Team and rater effects by least squares.

    Parameters
    ----------
    scores : numpy.ndarray, shape (raters, entrants)
        NaN where not rated.

    Returns
    -------
    value : numpy.ndarray, shape (entrants,)
        What a team would score on average over all raters of the panel.
    severity : numpy.ndarray, shape (raters,)
        Sums to 0.

    Raises
    ------
    FormatError
        The raters fall into parts that rate no team in common.
    """
    rated = ~np.isnan(scores)
    _check_joined(rated, measured)
    value = _team_effects(scores, rated)
    filled = np.where(rated, scores, 0.0)
    rater = (filled.sum(1) - rated @ value) / rated.sum(1)
    return value + rater.mean(), rater - rater.mean()


def _team_effects(scores: np.ndarray, rated: np.ndarray) -> np.ndarray:
    """Team effects up to a constant (mean 0): raters eliminated from the normal equations."""
    count = rated.sum(1, keepdims=True)
    on = rated.astype(np.float64)
    filled = np.where(rated, scores, 0.0)
    laplacian = np.diag(on.sum(0)) - (on / count).T @ on
    right = filled.sum(0) - (on / count).T @ filled.sum(1)
    teams = scores.shape[1]
    return np.linalg.solve(laplacian + np.full((teams, teams), 1.0 / teams), right)


def _without_each(scores: np.ndarray, measured: PanelScores) -> np.ndarray:
    """Team scores without each rater in turn, shape (raters, entrants)."""
    rated = ~np.isnan(scores)
    if rated.all():
        return (scores.sum(0) - scores) / (len(scores) - 1)
    out = np.empty_like(scores)
    for r, name in enumerate(measured.raters):
        rest = np.delete(scores, r, axis=0)
        if len(parts(~np.isnan(rest))) > 1:
            raise FormatError(
                f"event {measured.event}: without rater {name} teams fall apart that no other rater compares, so "
                "their spread is not known; expected every comparison to rest on two raters or more."
            )
        out[r] = fit_additive(rest, measured)[0]
    return out


def _check_joined(rated: np.ndarray, measured: PanelScores) -> None:
    found = parts(rated)
    if len(found) > 1:
        named = "; ".join(", ".join(measured.entrants[k] for k in part) for part in found)
        raise FormatError(
            f"event {measured.event}: no rater joins these teams: {named}. Expected raters who rate teams of every "
            "part, for severity and quality cannot be told apart otherwise."
        )


def parts(rated: np.ndarray) -> list[list[int]]:
    """Teams joined by common raters, as connected parts.

    Parameters
    ----------
    rated : numpy.ndarray, shape (raters, entrants), bool

    Examples
    --------
    >>> parts(np.array([[True, True, False], [False, False, True]]))
    [[0, 1], [2]]
    """
    left, found = set(range(rated.shape[1])), []
    while left:
        part, new = set(), {min(left)}
        while new:
            part |= new
            raters = rated[:, sorted(new)].any(1)
            new = set(np.flatnonzero(rated[raters].any(0)).tolist()) - part
        found.append(sorted(part))
        left -= part
    return found
