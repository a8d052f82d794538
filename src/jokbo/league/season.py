"""A season: several rounds, and in which state each of them and each team is on a given day.

A round is *planned*, *frozen*, *scored*, *published* with its objection window open, and *final*. In between it may be
scored and published again after an objection, and a repechage may bring a team back, or in. Who leaves leaves for good
only when the round is final; until then it is provisional. Nothing comes after *final*.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any

from jokbo.league.round import Words


@dataclass(frozen=True, slots=True)
class Entry:
    """What happened on a day; only the fields of its kind are set.

    Attributes
    ----------
    kind : str
        ``frozen`` (`digest`), ``scored`` (`board`, `out`, perhaps `file`), ``published``, ``objection`` (`id`, `by`,
        `text`), ``objection_decided`` (`of`, `accepted`, `text`), ``repechage_opened`` (`places`, `text`),
        ``reinstated`` (`team`, `text`), ``final``.
    """

    date: date
    kind: str
    digest: str | None = None
    board: str | None = None
    file: str | None = None
    out: tuple[str, ...] = ()
    id: str | None = None
    by: str | None = None
    of: str | None = None
    accepted: bool | None = None
    places: int | None = None
    team: str | None = None
    text: Words | None = None


@dataclass(frozen=True, slots=True)
class SeasonRound:
    """One round and its entries, in the order of their days."""

    id: str
    number: int
    objection_days: int
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class SeasonTeam:
    """A team; `starts` is False for one that a repechage admits later."""

    id: str
    name: Words
    starts: bool = True


@dataclass(frozen=True, slots=True)
class Season:
    """A season as its file states it, without contradictions."""

    id: str
    title: Words
    teams: tuple[SeasonTeam, ...]
    rounds: tuple[SeasonRound, ...]


@dataclass(frozen=True, slots=True)
class RoundState:
    """Where a round stands.

    Attributes
    ----------
    stage : str
        ``planned``, ``frozen``, ``scored``, ``objections_open``, ``objections_pending`` (the window is over, and
        something is undecided), ``undisputed`` (nothing is open, and it is not yet final), ``final``.
    since : date or None
        Day of the last entry.
    window_until : date or None
        Last day on which an objection may be entered.
    objections : tuple of str
        Undecided ones.
    digest, board : str or None
        Of the frozen round, and of the newest board's file.
    out : tuple of str
        Teams that leave by the newest board.
    repechage_places : int
        Places that are open.
    accepted : bool
        An objection was accepted since the last publication.
    """

    id: str
    number: int
    stage: str = "planned"
    since: date | None = None
    window_until: date | None = None
    objections: tuple[str, ...] = ()
    digest: str | None = None
    board: str | None = None
    out: tuple[str, ...] = ()
    repechage_places: int = 0
    accepted: bool = False


@dataclass(frozen=True, slots=True)
class TeamState:
    """Where a team stands: ``in``, ``provisionally_out``, ``out`` or ``waiting``; by which round, since when."""

    id: str
    standing: str
    round: str | None = None
    since: date | None = None


@dataclass(frozen=True, slots=True)
class SeasonState:
    """A season on one day."""

    season: str
    at: date
    rounds: tuple[RoundState, ...]
    teams: tuple[TeamState, ...]

    def to_document(self) -> dict[str, Any]:
        """Plain values under ``jokbo.season-state/1``."""
        return {
            "schema": "jokbo.season-state/1",
            "season": self.season,
            "at": self.at.isoformat(),
            "rounds": [
                {
                    "id": row.id,
                    "number": row.number,
                    "stage": row.stage,
                    "since": _day(row.since),
                    "window_until": _day(row.window_until),
                    "objections": list(row.objections),
                    "digest": row.digest,
                    "board": row.board,
                    "out": list(row.out),
                    "repechage_places": row.repechage_places,
                }
                for row in self.rounds
            ],
            "teams": [
                {"id": row.id, "standing": row.standing, "round": row.round, "since": _day(row.since)}
                for row in self.teams
            ],
        }


def _day(value: date | None) -> str | None:
    return None if value is None else value.isoformat()


def window_end(published: date, days: int) -> date:
    """Last day of an objection window of so many days, the day of publication not counted.

    Examples
    --------
    >>> window_end(date(2026, 1, 15), 10).isoformat()
    '2026-01-25'
    """
    # The calendar of dates ends with the year 9999.
    return published + timedelta(days=min(days, (date.max - published).days))


def state_at(season: Season, at: date) -> SeasonState:
    """The state of a season at the end of a day.

    Examples
    --------
    >>> rounds = (SeasonRound("r1", 1, 10, (Entry(date(2026, 1, 2), "frozen", digest="0" * 64),)),)
    >>> season = Season("s", {}, (SeasonTeam("a", {}), SeasonTeam("b", {})), rounds)
    >>> [state_at(season, date(2026, 1, day)).rounds[0].stage for day in (1, 2)]
    ['planned', 'frozen']
    """
    ledger = Ledger.begin(season)
    rounds = []
    for each in season.rounds:
        state = RoundState(each.id, each.number)
        for entry in each.entries:
            if entry.date <= at:
                state = follow(state, entry, each)
                ledger = ledger.follow(entry, state)
        rounds.append(_at_day_end(state, at))
    teams = tuple(ledger.teams[team.id] for team in season.teams)
    return SeasonState(season.id, at, tuple(rounds), teams)


def follow(state: RoundState, entry: Entry, rules: SeasonRound) -> RoundState:
    """A round's state after one more entry; what the entry may be is checked elsewhere."""
    state = replace(state, since=entry.date)
    match entry.kind:
        case "frozen":
            return replace(state, stage="frozen", digest=entry.digest)
        case "scored":
            return replace(state, stage="scored", board=entry.board, out=entry.out, window_until=None)
        case "published":
            until = window_end(entry.date, rules.objection_days)
            return replace(state, stage="objections_open", window_until=until, accepted=False)
        case "objection":
            return replace(state, objections=(*state.objections, entry.id or ""))
        case "objection_decided":
            left = tuple(each for each in state.objections if each != entry.of)
            return replace(state, objections=left, accepted=state.accepted or bool(entry.accepted))
        case "repechage_opened":
            return replace(state, repechage_places=state.repechage_places + (entry.places or 0))
        case "reinstated":
            return replace(state, repechage_places=max(state.repechage_places - 1, 0))
        case _:
            return replace(state, stage="final", repechage_places=0)


def _at_day_end(state: RoundState, at: date) -> RoundState:
    """A published round moves on by itself once its window is over."""
    if state.stage != "objections_open" or state.window_until is None or at <= state.window_until:
        return state
    return replace(state, stage="objections_pending" if state.objections else "undisputed")


@dataclass(frozen=True, slots=True)
class Ledger:
    """Where the teams stand, entry by entry."""

    teams: Mapping[str, TeamState] = field(default_factory=dict)

    @classmethod
    def begin(cls, season: Season) -> Ledger:
        """Before the first entry."""
        return cls({team.id: TeamState(team.id, "in" if team.starts else "waiting") for team in season.teams})

    def follow(self, entry: Entry, state: RoundState) -> Ledger:
        """After one more entry of the round in this state."""
        teams = dict(self.teams)
        for team, standing in self._moves(entry, state):
            teams[team] = TeamState(team, standing, state.id, entry.date)
        return Ledger(teams)

    def _moves(self, entry: Entry, state: RoundState) -> Iterator[tuple[str, str]]:
        if entry.kind == "scored":
            for team, row in self.teams.items():
                if team in entry.out:
                    yield team, "provisionally_out"
                elif row.standing == "provisionally_out" and row.round == state.id:
                    yield team, "in"  # scored again, and no longer among those who leave
        elif entry.kind == "reinstated" and entry.team is not None:
            yield entry.team, "in"
        elif entry.kind == "final":
            for team, row in self.teams.items():
                if row.standing == "provisionally_out" and row.round == state.id:
                    yield team, "out"
