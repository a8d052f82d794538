"""The values of an event and their resampled copies: paired, clustered, the same weights for every entrant.

Items: clusters are drawn within each fixed group where groups count the same, over the whole event otherwise. Scores
are means over repetitions, so the spread holds what repetitions of single answers add, and not what all answers of a
run share (one seed, one machine). Panels: raters are drawn. Races: runs of each entrant by itself. Published figures:
normal draws of an assumed standard error.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jokbo.errors import FormatError, UsageError
from jokbo.league.measured import EventDraws, ItemScores, Measured, PanelScores, PublishedFigures, RaceRuns
from jokbo.league.round import Event
from jokbo.league.statistics.clusters import by_cluster
from jokbo.league.statistics.degrees import Spreads
from jokbo.league.statistics.panels import draw_panel
from jokbo.league.statistics.resampling import child_generator, spread


def draw_event(
    event: Event,
    measured: Measured,
    *,
    rng: np.random.Generator,
    draws: int,
    raters: Sequence[str] = (),
) -> EventDraws:
    """Resample one event.

    Parameters
    ----------
    event : Event
        Its rules: `average`, `scale`, `panel`, `published`.
    measured : ItemScores, PanelScores, RaceRuns or PublishedFigures
    rng : numpy.random.Generator
        From :func:`jokbo.league.statistics.resampling.event_generator`.
    draws : int
    raters : sequence of str, optional
        Of all panels that are resampled together with this one (:mod:`jokbo.league.statistics.shared`).

    Returns
    -------
    EventDraws
        On the ``log`` scale resampled copies spread on the logarithm, so that none is below zero.

    Raises
    ------
    FormatError
        One cluster, one rater, raters that no team joins, a value that a logarithm cannot take.
    UsageError
        The rules and the results are of different kinds.
    """
    if isinstance(measured, ItemScores):
        return _items(event, measured, rng, draws)
    if isinstance(measured, PanelScores):
        if event.panel is None:
            raise UsageError(
                f"event {event.id}: raters' rows, and no panel rule in the round; state `panel`."
            )
        panel = draw_panel(measured, event.panel, rng=rng, draws=draws, among=raters)
        return EventDraws(
            event.id,
            measured.entrants,
            panel.value,
            _on_scale(event, panel.value, panel.deviations),
            panel.degrees,
        )
    if isinstance(measured, RaceRuns):
        return _race(event, measured, rng, draws)
    if isinstance(measured, PublishedFigures):
        return _published(event, measured, rng, draws)
    raise UsageError(f"event {event.id}: results of kind {type(measured).__name__} cannot be resampled.")


def _on_scale(event: Event, value: np.ndarray, deviations: np.ndarray) -> np.ndarray:
    """Value and deviations added, on the logarithm (to first order) where the event counts ratios."""
    if event.scale != "log":
        return value + deviations
    if (value <= 0).any():
        raise FormatError(
            f"event {event.id}: a value of {float(value.min()):g} on the log scale; expected values above 0. "
            "Use `scale: linear`, or another metric."
        )
    return value * np.exp(deviations / value)


def _items(event: Event, measured: ItemScores, rng: np.random.Generator, draws: int) -> EventDraws:
    reduced = by_cluster(measured, average=event.average)
    deviations = spread(rng, reduced.influence, reduced.sizes, draws)
    return EventDraws(
        event.id,
        measured.entrants,
        reduced.value,
        _on_scale(event, reduced.value, deviations),
        reduced.degrees,
        naive_error=reduced.naive_error,
        floor_error=_at_floor(event.floor, measured.scores) * float(np.sqrt(reduced.per_item)),
    )


def _at_floor(floor: float, scores: np.ndarray) -> float:
    """The largest standard deviation of a score whose mean is the floor, within the span of all scores.

    Bhatia and Davis (2000, Am. Math. Monthly 107, 353-357); of right and wrong it is the standard deviation itself. A
    team at a floor of .98 has every one of 100 questions right in one exam of eight, and shows no spread at all.
    """
    low, high = float(scores.min()), float(scores.max())
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    return float(np.sqrt(max(floor - low, 0.0) * max(high - floor, 0.0)))


def _race(event: Event, measured: RaceRuns, rng: np.random.Generator, draws: int) -> EventDraws:
    """Runs of each entrant by itself; NaN where fewer than two were begun, or only some reached the target.

    The value is the mean of the runs that reached the target, the geometric one on the log scale. Where
    two or more were begun and none reached it, resampling them gives that every time: a column of infinity.
    """
    logs = event.scale == "log"
    k = len(measured.entrants)
    value, copies = np.full(k, np.nan), np.full((draws, k), np.nan)
    variance, own_degrees = np.zeros(k), np.ones(k)
    for k, (team, runs) in enumerate(zip(measured.entrants, measured.runs, strict=True)):
        if not len(runs):
            if measured.started[k] >= 2:
                copies[:, k] = np.inf
            continue
        own = np.log(runs) if logs else np.asarray(runs, np.float64)
        value[k] = np.exp(own.mean()) if logs else own.mean()
        if len(runs) < 2 or measured.started[k] != len(runs):
            continue
        influence = ((own - own.mean()) / (len(own) - 1))[:, None]
        moved = own.mean() + spread(child_generator(rng, team), influence, [len(own)], draws)[:, 0]
        copies[:, k] = np.exp(moved) if logs else moved
        variance[k], own_degrees[k] = float(own.var(ddof=1)) / len(own), len(own) - 1
    if np.isnan(copies).all():
        return EventDraws(event.id, measured.entrants, value, None, np.inf)
    return EventDraws(event.id, measured.entrants, value, copies, _of_both(variance, own_degrees))


def _of_both(variance: np.ndarray, degrees: np.ndarray) -> Spreads:
    """Differences of independent means: a spread for the row's team and one for the column's."""
    k = len(variance)
    both = variance[:, None] + variance[None, :]
    row = np.where(both > 0, variance[:, None] / np.where(both > 0, both, 1.0), 0.5)
    np.fill_diagonal(row, 1.0)
    own = np.broadcast_to(degrees[:, None], (k, k))
    return Spreads(np.stack([row, 1 - row]), np.stack([own, own.T]))


def _published(event: Event, measured: PublishedFigures, rng: np.random.Generator, draws: int) -> EventDraws:
    if event.published is None:
        raise UsageError(
            f"event {event.id}: published figures, and no `published` rule in the round; state it."
        )
    error = event.published.standard_error
    if error is None:
        return EventDraws(event.id, measured.entrants, measured.values, None, np.inf)
    normal = [child_generator(rng, team).standard_normal(draws) for team in measured.entrants]
    deviations = error * np.stack(normal, axis=1)
    return EventDraws(
        event.id,
        measured.entrants,
        measured.values,
        _on_scale(event, measured.values, deviations),
        np.inf,
        assumed=True,
    )
