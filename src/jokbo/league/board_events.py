"""One event of the board: its rules, what was counted, every team's result, and the rows that may be shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from jokbo.errors import FormatError
from jokbo.league.measured import EventDraws, ItemScores, Measured, PanelScores, RaceRuns
from jokbo.league.numbers import figure
from jokbo.league.round import Event
from jokbo.league.scores.axes import RangeRow
from jokbo.league.scores.events import EventScores
from jokbo.league.statistics.agreement import krippendorff_alpha
from jokbo.league.statistics.panels import combined_scores, fit_additive, parts

MAX_ITEMS_SHOWN = 200
"""Of an event; all of them are in the inputs."""


def event_document(
    scored: EventScores, results: Measured, drawn: EventDraws, ranges: Sequence[RangeRow], level: float
) -> dict[str, Any]:
    """One event, as the board holds it.

    Parameters
    ----------
    ranges : sequence of RangeRow
        Of all teams: whether each finished the event, if it is on that axis.
    """
    event = scored.event
    return {
        **_rules(event),
        "counts": _counts(results),
        "settings": dict(results.settings),
        "notes": [{"code": note.code, "values": dict(note.values)} for note in results.notes],
        "assumed": drawn.assumed,
        "why": dict(event.published.why) if event.published is not None else None,
        "files": sorted({file.sha256 for file in results.files}),
        "results": _results(scored, ranges, level),
        "panel": _panel(event, results, level) if isinstance(results, PanelScores) else None,
        "items": _items(results) if isinstance(results, ItemScores) and event.show_items else None,
    }


def _rules(event: Event) -> dict[str, Any]:
    rule = event.panel or event.race or event.published
    anchor = event.anchor
    return {
        "id": event.id,
        "title": dict(event.title),
        "kind": str(event.kind),
        "axes": [str(axis) for axis in event.axes],
        "category": event.category,
        "weight": figure(event.weight),
        "author": event.author,
        "affiliations": list(event.affiliations),
        "direction": event.direction,
        "scale": event.scale,
        "unit": event.unit,
        "task": event.task,
        "metric": event.metric,
        "filter": event.filter,
        "average": event.average,
        "floor": figure(event.floor),
        "anchor": {
            "value": figure(anchor.value),
            "model": None if anchor.model is None else asdict(anchor.model),
            "source": anchor.source,
        },
        "missing": event.missing,
        "rule": None if rule is None else asdict(rule),
    }


def _counts(results: Measured) -> dict[str, Any] | None:
    if isinstance(results, ItemScores):
        repeats = sorted({int(n) for n in results.repeats})
        return {
            "items": len(results.items),
            "clusters": len(set(results.clusters.tolist())),
            "groups": len(set(results.groups.tolist())),
            "repeats": repeats[0] if len(repeats) == 1 else repeats,
        }
    if isinstance(results, PanelScores):
        return {"raters": len(results.raters), "criteria": len(results.criteria)}
    if isinstance(results, RaceRuns):
        return {"runs": int(results.started.sum())}
    return None


def _results(scored: EventScores, ranges: Sequence[RangeRow], level: float) -> list[dict[str, Any]]:
    points = scored.points
    low, high = points.interval(level)
    error = points.error
    finished = {row.team: dict(row.finished).get(scored.event.id) for row in ranges}
    return [
        {
            "team": team,
            "status": scored.status[k],
            "value": figure(scored.raw[k]),
            "value_error": figure(scored.raw_error[k]),
            "naive_error": figure(scored.naive_error[k]),
            "score": figure(points.value[k]),
            "score_error": figure(error[k]),
            "low": figure(low[k]),
            "high": figure(high[k]),
            "finished": finished.get(team),
        }
        for k, team in enumerate(points.teams)
    ]


def _panel(event: Event, results: PanelScores, level: float) -> dict[str, Any]:
    """How far raters agree, how severe each is, and every row."""
    units = results.scores.reshape(len(results.raters), -1)
    try:
        agreement: Mapping[str, Any] = asdict(krippendorff_alpha(units, level=level))
    except (
        FormatError
    ):  # all ratings equal, or none twice: there is nothing to agree on, and the page says so
        agreement = {"alpha": None, "low": None, "high": None}
    severity: Sequence[float | None] = [None] * len(results.raters)
    if event.panel is not None and len(parts(results.rated)) == 1:
        severity = [float(x) for x in fit_additive(combined_scores(results, event.panel), results)[1]]
    return {
        "alpha": figure(agreement["alpha"]),
        "alpha_low": figure(agreement["low"]),
        "alpha_high": figure(agreement["high"]),
        "raters": [
            {"rater": rater, "severity": figure(value)}
            for rater, value in zip(results.raters, severity, strict=True)
        ],
        "rows": [
            {
                "rater": results.raters[r],
                "team": results.entrants[t],
                "criterion": results.criteria[c],
                "score": figure(results.scores[r, t, c]),
            }
            for r, t in np.argwhere(results.rated).tolist()
            for c in range(len(results.criteria))
        ],
    }


def _items(results: ItemScores) -> dict[str, Any]:
    many = len(results.group_names) > 1
    return {
        "total": len(results.items),
        "shown": [
            {
                "item": item,
                "group": results.group_names[int(results.groups[k])] if many else None,
                "scores": {team: figure(results.scores[t, k]) for t, team in enumerate(results.entrants)},
            }
            for k, item in enumerate(results.items[:MAX_ITEMS_SHOWN])
        ],
    }
