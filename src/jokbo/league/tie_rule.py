"""The tie rule: steps taken one after another, among the teams that the ranks do not part, until one decides.

A step compares figures as they are shown, to six decimals. Where the lowest of them are enough to fill what is still
open it decides; where several share the boundary figure it puts out those below, keeps those above, and leaves the rest
to the next step. A step that lacks somebody's figure parts nobody: nothing is assumed in its place. Only races differ:
who did not finish is behind all who did.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from jokbo.league.freeze import round_digest
from jokbo.league.lot import tickets
from jokbo.league.round import EventKind, Round, TieStep

DECIMALS = 6
"""Figures are compared as they are shown: machines differ in the last bits of a sum, never in these."""

TICKET_DIGITS = 12

Figures = Mapping[str, float | None]
"""A figure a team, higher is better; None where there is none."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the tie rule.

    Attributes
    ----------
    by, of : str, str or None
        As the round states it.
    figures : Figures
        What it looked at, of the teams that were still at the boundary; a ticket between 0 and 1 of a lot.
    parted : bool
        Whether it decided.
    out : tuple of str
        Teams that it put out.
    left : tuple of str
        Teams still at the boundary after it.
    note : str or None
        ``missing``: somebody has no figure, so it was passed over; ``waits``: the public value of the lot is not given.
    """

    by: str
    of: str | None
    figures: Figures
    parted: bool
    out: tuple[str, ...]
    left: tuple[str, ...]
    note: str | None = None


def take_steps(
    round: Round,
    figures: Mapping[tuple[str, str | None], Figures],
    boundary: tuple[str, ...],
    wanted: int,
    randomness: str | None,
) -> tuple[Step, ...]:
    """The steps taken, up to the one that decides.

    Parameters
    ----------
    figures : mapping of (str, str or None) to Figures
        By step: ``("category", "benchmark")``, ``("total", None)``...
    boundary : tuple of str
        Teams that the ranks do not part; more than `wanted`.
    wanted : int
        How many of them leave; at least one.
    randomness : str, optional
        Public value of the lot.

    Raises
    ------
    ValueError
        The round's tie rule ends without deciding, or a step has no figures: a fault of the caller.
    """
    return tuple(_steps(round, figures, boundary, wanted, randomness))


def shown(value: float) -> float:
    """A figure as it is shown and compared; adds zero so that -0.0 never appears."""
    return round(float(value), DECIMALS) + 0.0


def figure(value: float | None) -> float | None:
    """A figure as it is shown; None where there is none, NaN included."""
    return None if value is None or math.isnan(value) else shown(value)


def _steps(
    round: Round,
    figures: Mapping[tuple[str, str | None], Figures],
    left: tuple[str, ...],
    need: int,
    randomness: str | None,
) -> Iterator[Step]:
    for rule in round.elimination.tie_rule:
        if rule.by == "keep":
            step = Step("keep", None, {}, True, (), ())
        elif rule.by == "lot":
            step = _lot(round, left, need, randomness)
        elif (rule.by, rule.of) in figures:
            step = _compare(round, rule, figures[rule.by, rule.of], left, need)
        else:
            raise ValueError(f"no figures for the step {rule.by} {rule.of or ''} of the tie rule")
        yield step
        if step.parted or step.note == "waits":
            return
        need -= len(step.out)
        left = step.left
    raise ValueError(f"the tie rule of the round {round.id!r} does not end with a step that decides")


def _compare(round: Round, rule: TieStep, given: Figures, left: tuple[str, ...], need: int) -> Step:
    figures = {team: figure(given.get(team)) for team in left}
    race = rule.by == "event" and rule.of is not None and round.event(rule.of).kind is EventKind.RACE
    if None in figures.values() and not race:
        return Step(rule.by, rule.of, figures, False, (), left, "missing")
    height = {team: -float("inf") if x is None else x for team, x in figures.items()}
    out, equal = _lowest(height, need)
    return Step(rule.by, rule.of, figures, not equal, out, equal)


def _lowest(height: Mapping[str, float], need: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Teams that go for certain, and those that share the boundary figure where that does not part them."""
    edge = sorted(height.values())[need - 1]
    out = tuple(team for team in height if height[team] < edge)
    equal = tuple(team for team in height if height[team] == edge)
    return ((*out, *equal), ()) if len(out) + len(equal) == need else (out, equal)


def _lot(round: Round, left: tuple[str, ...], need: int, randomness: str | None) -> Step:
    if round.elimination.lot is not None and randomness is None:
        return Step("lot", None, {}, False, (), left, "waits")
    drawn = tickets(round_digest(round), left, randomness)
    figures = {team: shown(int(drawn[team][:TICKET_DIGITS], 16) / 16**TICKET_DIGITS) for team in left}
    lowest = sorted(left, key=lambda team: drawn[team])[:need]
    return Step("lot", None, figures, True, tuple(team for team in left if team in lowest), ())
