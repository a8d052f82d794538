"""Files of a results list put together, an event at a time: every check that stands between a file and a score."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from jokbo.errors import ChangedError, FormatError
from jokbo.league.event_tables import panel_scores, published_figures, race_runs
from jokbo.league.measured import InputFile, ItemScores, Measured
from jokbo.league.pairing import TeamRows, pair
from jokbo.league.results.base import ResultFile, TaskResult
from jokbo.league.results.choose import read_files
from jokbo.league.results_file import DidNotRun, Listed, ResultsList
from jokbo.league.round import Event, EventKind, Round
from jokbo.league.task_choice import choose_rows
from jokbo.league.whose_files import whose_notes
from jokbo.sources.regular_files import file_facts
from jokbo.views.component import Reason

MOST_NOTES = 3
"""Of one kind an event keeps these, and says how many more there are."""


def assemble(round: Round, listed: ResultsList) -> tuple[Measured, ...]:
    """Read all results of a round, check them and pair them.

    Parameters
    ----------
    round : Round
    listed : ResultsList
        As :func:`jokbo.league.results_file.read_results` reads it.

    Returns
    -------
    tuple of Measured
        One an event, in the round's order. A team that did not run an event is not among its entrants.

    Raises
    ------
    FormatError
        A file is damaged, a team has no results and is not said to have run nothing, runs are not of the same
        questions, or a row is missing, doubled or out of bounds; the message names file and row.
    """
    _check_did_not_run(round, listed)
    work = _Work(round, listed)
    return tuple(work.event(event) for event in round.events)


def _check_did_not_run(round: Round, listed: ResultsList) -> None:
    seen: dict[tuple[str, str], DidNotRun] = {}
    for each in listed.did_not_run:
        if seen.setdefault((each.team, each.event), each) is not each:
            raise FormatError(f"{each.where}: {each.team} and {each.event} are named already. Keep one line.")
        if round.event(each.event).missing != "floor":
            raise FormatError(
                f"{each.where}: {each.event} does not allow a team to be missing (missing: refuse). The round's "
                f"rules are fixed: give the results of {each.team}."
            )
        both = next((e for e in listed.entries if each.event in e.events and e.team == each.team), None)
        if both is not None:
            raise FormatError(
                f"{each.where}: {each.team} has results of {each.event} at {both.where}. Take one of the two away."
            )


@dataclass(slots=True)
class _Work:
    round: Round
    listed: ResultsList
    _read: dict[str, tuple[TaskResult, ...]] = field(default_factory=dict)
    _facts: dict[str, InputFile] = field(default_factory=dict)

    def event(self, event: Event) -> Measured:
        absent = {each.team: each for each in self.listed.did_not_run if each.event == event.id}
        entrants = [team.id for team in self.round.teams if team.id not in absent]
        entries = [entry for entry in self.listed.entries if event.id in entry.events]
        if not entries:
            raise FormatError(
                f"{self.listed.where}: there are no results of {event.id}. List its files, or who did not run it and "
                "why."
            )
        notes = [Reason("did_not_run", {"team": each.team, "why": each.why}) for each in absent.values()]
        if event.kind is EventKind.ITEMS:
            return self._items(event, entrants, entries, notes)
        files = [file for entry in entries for file in entry.files]
        facts = self._inputs(entries, str(event.kind), public=True)
        table = {
            EventKind.PANEL: panel_scores,
            EventKind.RACE: race_runs,
            EventKind.PUBLISHED: published_figures,
        }
        return table[event.kind](event, files, entrants, facts, tuple(notes))

    def _items(
        self, event: Event, entrants: Sequence[str], entries: Sequence[Listed], notes: Sequence[Reason]
    ) -> ItemScores:
        teams = []
        named: dict[str, list[TaskResult]] = {}
        met: list[Reason] = list(notes)
        for team in entrants:
            own = [entry for entry in entries if entry.team == team]
            if not own:
                raise FormatError(
                    f"{self.listed.where}: {team} has no results of {event.id}. List its files; a team that did not "
                    "run an event is named under did_not_run."
                )
            results = tuple(result for entry in own for result in self._results(entry))
            rows, settings, more = choose_rows(event, team, results)
            scored = {task.file for task in rows}
            named[team] = [result for result in results if result.files[-1].name in scored]
            teams.append(TeamRows(team, rows, settings))
            met += [Reason(note.code, {"who": team, **note.values}) for note in more]
        paired = pair(event, teams)
        public = event.show_items
        files = self._inputs(entries, "results", public=public)
        met += whose_notes(self.round, named, {file.name: file.sha256 for file in files})
        return ItemScores(
            event=event.id,
            entrants=tuple(entrants),
            files=files,
            settings=paired.settings,
            notes=few([*met, *paired.notes]),
            items=paired.items,
            scores=paired.scores,
            repeats=paired.repeats,
            clusters=paired.clusters,
            groups=paired.groups,
            cluster_names=paired.cluster_names,
            group_names=paired.group_names,
        )

    def _results(self, entry: Listed) -> tuple[TaskResult, ...]:
        """What an entry's files hold, read once for all its events."""
        if entry.where not in self._read:
            events = [self.round.event(id) for id in entry.events]
            columns = [name for event in events for name in (event.group, event.cluster) if name is not None]
            self._read[entry.where] = read_files(entry.files, reader=entry.reader, fields=columns)
        return self._read[entry.where]

    def _inputs(self, entries: Sequence[Listed], role: str, *, public: bool) -> tuple[InputFile, ...]:
        found = []
        for entry in entries:
            readers = {
                file.name: result.reader
                for result in self._read.get(entry.where, ())
                for file in result.files
            }
            shown = public and (
                role != "results" or all(self.round.event(id).show_items for id in entry.events)
            )
            found += [self._input(file, role, readers.get(file.name), shown) for file in entry.files]
        return tuple(found)

    def _input(self, file: ResultFile, role: str, reader: str | None, public: bool) -> InputFile:
        if file.name not in self._facts:
            facts = file_facts(file.path)
            if facts.size != file.size:
                raise ChangedError(
                    f"{file.name} changed while it was read. Let whatever writes it end, then read again."
                )
            self._facts[file.name] = InputFile(file.name, facts.sha256, facts.size, role, reader, public)
        return self._facts[file.name]


def few(notes: Sequence[Reason]) -> tuple[Reason, ...]:
    """Notes without repetition, at most three of a kind, and how many more there are of it.

    What is noted alike of several teams is said once, of all of them (value ``who``).

    Examples
    --------
    >>> [note.code for note in few([Reason("limited", {"task": str(k)}) for k in range(9)])]
    ['limited', 'limited', 'limited', 'more_notes']
    >>> few([Reason("no_rows", {"who": team, "task": "a"}) for team in ("one", "two")])[0].values["who"]
    'one, two'
    """
    return tuple(_few(notes))


def _few(notes: Sequence[Reason]) -> Iterator[Reason]:
    by_code: dict[str, list[tuple[Mapping[str, int | float | str], list[str]]]] = {}
    for note in notes:
        held = by_code.setdefault(note.code, [])
        values = {key: value for key, value in note.values.items() if key != "who"}
        who = next((who for other, who in held if other == values), None)
        if who is None:
            held.append((values, who := []))
        if "who" in note.values and note.values["who"] not in who:
            who.append(str(note.values["who"]))
    for code, held in by_code.items():
        for kept, teams in held[:MOST_NOTES]:
            yield Reason(code, {"who": ", ".join(teams), **kept} if teams else kept)
        if len(held) > MOST_NOTES:
            yield Reason("more_notes", {"note": code, "count": len(held) - MOST_NOTES})
