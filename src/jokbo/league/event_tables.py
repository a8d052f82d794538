"""Tables of events that have no items: raters' rows, runs of a race, published figures. One file serves all teams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from jokbo.errors import FormatError
from jokbo.formats.strict_csv import number
from jokbo.league.measured import InputFile, PanelScores, PublishedFigures, RaceRuns
from jokbo.league.results.base import ResultFile
from jokbo.league.results.csv_items import read_table
from jokbo.league.results.reading import brief, name_of
from jokbo.league.round import Event
from jokbo.views.component import Reason

MAX_ROWS = 200_000
MAX_RATERS = 2_000
ONE_CRITERION = "score"


@dataclass(frozen=True, slots=True)
class _Row:
    where: str
    team: str
    cells: Mapping[str, str]
    mark: str

    def number(self, column: str) -> float | None:
        return number(self.cells[column], mark=self.mark, where=f"{self.where} ({column})")

    def needed(self, column: str) -> float:
        value = self.number(column)
        if value is None:
            raise FormatError(
                f"{self.where} ({column}): the cell is empty; expected a number. Missing is never zero."
            )
        return value

    def name(self, column: str) -> str:
        return name_of(self.cells[column], where=self.where, what=column)


def _rows(
    event: Event, files: Sequence[ResultFile], entrants: Sequence[str], columns: Sequence[str]
) -> list[_Row]:
    """Rows of all files, of entrants alone."""
    found = []
    for file in files:
        header, rows, mark = read_table(file, most_bytes=16 << 20, most_rows=MAX_ROWS)
        if sorted(header) != sorted(columns):
            raise FormatError(
                f"{file.name}:1: the columns are {brief(', '.join(header))}; expected {', '.join(columns)} for "
                f"{event.id}."
            )
        for line, cells in rows:
            team = cells["team"]
            if team not in entrants:
                raise FormatError(
                    f"{file.name}:{line}: {brief(team)} does not run in {event.id}; expected one of "
                    f"{', '.join(entrants)}."
                )
            found.append(_Row(f"{file.name}:{line}", team, cells, mark))
    absent = next((team for team in entrants if all(row.team != team for row in found)), None)
    if absent is not None:
        raise FormatError(
            f"{', '.join(file.name for file in files)}: {absent} has no row of {event.id}. Add it; a team that did "
            "not run an event is named under did_not_run."
        )
    return found


def panel_scores(
    event: Event,
    files: Sequence[ResultFile],
    entrants: Sequence[str],
    inputs: tuple[InputFile, ...],
    notes: tuple[Reason, ...],
) -> PanelScores:
    """Raters' rows: columns ``rater, team, score``, and ``criterion`` where the panel has criteria.

    Raises
    ------
    FormatError
        A score is off the scale or missing, a rater rates twice, a team or criterion is unknown, or one left out.
    """
    rule = event.panel
    assert rule is not None
    criteria = tuple(rule.criteria) or (ONE_CRITERION,)
    columns = ("rater", "team", *(("criterion",) if rule.criteria else ()), "score")
    rows = _rows(event, files, entrants, columns)
    places: dict[tuple[str, str, str], str] = {}
    values: dict[tuple[str, str, str], float] = {}
    for row in rows:
        rater = row.name("rater")
        criterion = row.cells["criterion"] if rule.criteria else ONE_CRITERION
        if criterion not in criteria:
            raise FormatError(
                f"{row.where}: there is no criterion {brief(criterion)}; expected one of {', '.join(criteria)}."
            )
        key = (rater, row.team, criterion)
        if key in places:
            raise FormatError(
                f"{row.where}: {brief(rater)} rated {row.team} at {places[key]} already. A rater rates once: keep "
                "one row."
            )
        score = row.needed("score")
        if not rule.lowest <= score <= rule.highest:
            raise FormatError(
                f"{row.where}: the score is {score:g}; the scale of {event.id} is {rule.lowest:g} to "
                f"{rule.highest:g}. Correct this row."
            )
        places[key], values[key] = row.where, score
    raters = tuple(sorted({key[0] for key in places}))
    if len(raters) > MAX_RATERS:
        raise FormatError(f"{files[0].name}: {len(raters):,} raters; expected at most {MAX_RATERS:,}.")
    scores = np.full((len(raters), len(entrants), len(criteria)), np.nan)
    for (rater, team, criterion), score in values.items():
        scores[raters.index(rater), entrants.index(team), criteria.index(criterion)] = score
    rated = ~np.isnan(scores)
    _whole_ratings(rated, raters, entrants, criteria, places)
    if not rated.all():
        missing = int((~rated[..., 0]).sum())
        notes = (*notes, Reason("panel_incomplete", {"missing": missing, "of": rated[..., 0].size}))
    return PanelScores(event.id, tuple(entrants), inputs, {}, notes, raters, criteria, scores, rated[..., 0])


def _whole_ratings(
    rated: np.ndarray,
    raters: Sequence[str],
    entrants: Sequence[str],
    criteria: Sequence[str],
    places: Mapping[tuple[str, str, str], str],
) -> None:
    """Refuse a rater who scored a team by some criteria and not by others."""
    partial = np.argwhere(rated.any(axis=2) & ~rated.all(axis=2))
    if len(partial):
        r, t = partial[0]
        there, absent = int(np.argmax(rated[r, t])), int(np.argmin(rated[r, t]))
        place = places[raters[r], entrants[t], criteria[there]]
        raise FormatError(
            f"{place}: {brief(raters[r])} rated {entrants[t]} by {criteria[there]} and not by {criteria[absent]}. "
            "Add the row."
        )


def race_runs(
    event: Event,
    files: Sequence[ResultFile],
    entrants: Sequence[str],
    inputs: tuple[InputFile, ...],
    notes: tuple[Reason, ...],
) -> RaceRuns:
    """Runs of a race: columns ``team, run, value, finished`` (yes or no).

    Raises
    ------
    FormatError
        A value is not positive, a finished run has none, or a run is there twice.
    """
    places: dict[tuple[str, str], str] = {}
    runs: dict[str, list[float]] = {team: [] for team in entrants}
    started = dict.fromkeys(entrants, 0)
    for row in _rows(event, files, entrants, ("team", "run", "value", "finished")):
        key = (row.team, row.name("run"))
        if key in places:
            raise FormatError(
                f"{row.where}: run {brief(key[1])} of {row.team} is at {places[key]} already. Keep one row."
            )
        places[key] = row.where
        finished = row.cells["finished"]
        if finished not in ("yes", "no"):
            raise FormatError(f"{row.where}: finished is {brief(finished)}; expected yes or no.")
        value = row.needed("value") if finished == "yes" else row.number("value")
        if value is not None and value <= 0:
            raise FormatError(
                f"{row.where}: the value is {value:g}; expected more than zero. A measurement of 0 is a missing one."
            )
        started[row.team] += 1
        if finished == "yes" and value is not None:
            runs[row.team].append(value)
    return RaceRuns(
        event.id, tuple(entrants), inputs, {}, notes,
        tuple(np.array(runs[team], np.float64) for team in entrants),
        np.array([started[team] for team in entrants], np.int64),
    )  # fmt: skip


def published_figures(
    event: Event,
    files: Sequence[ResultFile],
    entrants: Sequence[str],
    inputs: tuple[InputFile, ...],
    notes: tuple[Reason, ...],
) -> PublishedFigures:
    """Published figures: columns ``team, value``.

    Raises
    ------
    FormatError
        A team has none, or two.
    """
    values: dict[str, tuple[float, str]] = {}
    for row in _rows(event, files, entrants, ("team", "value")):
        if row.team in values:
            raise FormatError(
                f"{row.where}: {row.team} has a figure at {values[row.team][1]} already. Keep one row."
            )
        values[row.team] = (row.needed("value"), row.where)
    figures = np.array([values[team][0] for team in entrants], np.float64)
    return PublishedFigures(event.id, tuple(entrants), inputs, {}, notes, figures)
