"""Who leaves: the gate first, then the ranks where they part the teams, then the tie rule among those they do not part.

Of K contestants, m are to leave. The rank sets hold for all teams at once at the round's level, so a team

- *goes* where even its best rank is among the last m (``best_rank > K - m``),
- *stays* where even its worst rank is not (``worst_rank <= K - m``),
- is *at the boundary* otherwise.

The elimination is **resolved** if m teams go, or if all others stay, which says the same. Otherwise the tie rule of the
round decides, among the teams at the boundary alone. So no tie rule, lot included, ever removes a team whose rank set
excludes the last places. Ranks: Mogstad, Romano, Shaikh, Wilhelm (2024), Inference for ranks with applications to
mobility across neighbourhoods and academic achievement across countries, Review of Economic Studies 91(1).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from jokbo.league.freeze import round_digest
from jokbo.league.gate import GateTable
from jokbo.league.lot import check_randomness
from jokbo.league.round import Round
from jokbo.league.tie_rule import Figures, Step, figure, take_steps
from jokbo.views.component import Reason


class RankSets(Protocol):
    """Simultaneous rank sets, first place 1; arrays in the order of the contest's teams."""

    @property
    def best_rank(self) -> Iterable[int]:
        """Lower ends, shape (teams,)."""
        ...

    @property
    def worst_rank(self) -> Iterable[int]:
        """Upper ends, shape (teams,)."""
        ...


@dataclass(frozen=True, slots=True)
class Contest:
    """What is known of the contestants, in one order.

    Attributes
    ----------
    teams : tuple of str
        Those of :func:`contestants`.
    score : mapping of str to float
        What the round eliminates by; point estimates.
    ranks : RankSets, optional
        Of these teams and no others. None where no uncertainty is known, and then nothing is resolved.
    figures : mapping of (str, str or None) to Figures
        What each step of the tie rule looks at, higher is better: ``("category", id)``, ``("axis", name)``,
        ``("event", id)``, ``("total", None)``. Not needed for ``lot`` and ``keep``.
    """

    teams: tuple[str, ...]
    score: Figures
    ranks: RankSets | None
    figures: Mapping[tuple[str, str | None], Figures] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Out:
    """A team that leaves, and why: ``gate``, ``score`` or ``tie_rule``."""

    team: str
    cause: str


@dataclass(frozen=True, slots=True)
class Decision:
    """Who leaves.

    Attributes
    ----------
    teams_out : int
        How many were to leave by score in this contest, after what the gate took.
    resolved : bool
        Whether the ranks alone decide.
    candidates : tuple of str
        Teams that the rank sets cannot part at the boundary; empty where it is resolved.
    last : str or None
        Lowest point estimate; None where two share it, or nobody competes.
    pending : bool
        The lot waits for its public value.
    """

    teams_out: int
    by: str
    resolved: bool
    candidates: tuple[str, ...]
    last: str | None
    steps: tuple[Step, ...]
    eliminated: tuple[Out, ...]
    kept: tuple[str, ...]
    reasons: tuple[Reason, ...]
    pending: bool = False

    def to_document(self) -> dict[str, Any]:
        """Plain values, as the board holds them."""
        return {
            "teams_out": self.teams_out,
            "by": self.by,
            "resolved": self.resolved,
            "pending": self.pending,
            "candidates": list(self.candidates),
            "last": self.last,
            "steps": [asdict(step) | {"left": list(step.left), "out": list(step.out)} for step in self.steps],
            "eliminated": [{"team": out.team, "cause": out.cause} for out in self.eliminated],
            "kept": list(self.kept),
            "reasons": [{"code": reason.code, "values": _listed(reason.values)} for reason in self.reasons],
        }


def _listed(values: Mapping[str, int | float | str]) -> dict[str, Any]:
    """Values of a reason, its teams as a list; ids hold neither commas nor blanks."""
    return {key: str(value).split(", ") if key == "teams" else value for key, value in values.items()}


def contestants(round: Round, gate: GateTable | None) -> tuple[str, ...]:
    """The teams that compete, in the round's order: all that the gate does not remove.

    A team that could not be tested competes unless the round says ``untestable: removes``.
    """
    removed = () if gate is None else gate.removed
    return tuple(team.id for team in round.teams if team.id not in removed)


def decide(
    round: Round, gate: GateTable | None, contest: Contest, *, randomness: str | None = None
) -> Decision:
    """Decide who leaves.

    Parameters
    ----------
    gate : GateTable, optional
        None where the round has no gate.
    randomness : str, optional
        The public value that the round's lot named beforehand.

    Raises
    ------
    ValueError
        The contest is not among :func:`contestants`, or its rank sets contradict each other: a fault of the caller.
    UsageError
        A random value that the round did not name.
    """
    if contest.teams != contestants(round, gate):
        raise ValueError(f"the contest is among {contest.teams}, not {contestants(round, gate)}")
    drawn_with = check_randomness(round, randomness)
    removed = () if gate is None else gate.removed
    wanted = round.elimination.teams_out
    if round.elimination.gate_counts:
        wanted = max(wanted - len(removed), 0)
    reasons = list(_before(round, gate, wanted, len(contest.teams)))
    if wanted >= len(contest.teams):
        wanted = 0
    goes, boundary = _by_ranks(contest, wanted)
    steps = take_steps(round, contest.figures, boundary, wanted - len(goes), drawn_with) if boundary else ()
    by_rule = [team for step in steps for team in step.out]
    reasons += _after(round, contest, wanted, goes, boundary, steps, drawn_with)
    out = {
        **dict.fromkeys(removed, "gate"),
        **dict.fromkeys(goes, "score"),
        **dict.fromkeys(by_rule, "tie_rule"),
    }
    order = [team.id for team in round.teams]
    return Decision(
        teams_out=wanted,
        by=round.elimination.by,
        resolved=not boundary,
        candidates=boundary,
        last=_last(contest),
        steps=steps,
        eliminated=tuple(Out(team, out[team]) for team in order if team in out),
        kept=tuple(team for team in order if team not in out),
        reasons=tuple(reasons),
        pending=bool(steps) and steps[-1].note == "waits",
    )


def _by_ranks(contest: Contest, wanted: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Teams that the rank sets put to go, and those at the boundary."""
    if not wanted:
        return (), ()
    edge = len(contest.teams) - wanted
    best, worst = _ends(contest)
    goes = tuple(t for t in contest.teams if best[t] > edge)
    stays = tuple(t for t in contest.teams if worst[t] <= edge)
    if len(goes) > wanted or len(stays) > edge:
        raise ValueError("the rank sets contradict each other: they hold for no order of the teams")
    rest = tuple(t for t in contest.teams if t not in goes and t not in stays)
    if len(goes) + len(rest) == wanted:
        return (*goes, *rest), ()  # all others stay, so there is nothing to part
    return (goes, ()) if len(goes) == wanted else (goes, rest)


def _ends(contest: Contest) -> tuple[Mapping[str, int], Mapping[str, int]]:
    n = len(contest.teams)
    if contest.ranks is None:
        return dict.fromkeys(contest.teams, 1), dict.fromkeys(contest.teams, n)
    best = dict(zip(contest.teams, map(int, contest.ranks.best_rank), strict=True))
    worst = dict(zip(contest.teams, map(int, contest.ranks.worst_rank), strict=True))
    if any(not 1 <= best[team] <= worst[team] <= n for team in contest.teams):
        raise ValueError("a rank set is empty, or reaches beyond the number of teams")
    return best, worst


def _last(contest: Contest) -> str | None:
    known = {t: x for t in contest.teams if (x := figure(contest.score.get(t))) is not None}
    lowest = [team for team, x in known.items() if x == min(known.values())]
    return lowest[0] if len(lowest) == 1 and len(known) == len(contest.teams) else None


def _before(round: Round, gate: GateTable | None, wanted: int, n: int) -> Iterator[Reason]:
    removed = () if gate is None else gate.removed
    asked = round.elimination.teams_out
    if removed:
        yield Reason("gate_removed", {"teams": ", ".join(removed)})
    if gate is not None and gate.open:
        yield Reason("untestable_open", {"teams": ", ".join(gate.open)})
        if round.elimination.gate_counts and wanted:
            yield Reason("gate_counts_open", {"teams": ", ".join(gate.open)})
    if not asked:
        yield Reason("nobody_out")
    elif not wanted:
        yield Reason("gate_filled", {"count": asked})
    elif wanted >= n:
        yield Reason("too_few_left", {"count": wanted, "left": n})


def _after(
    round: Round,
    contest: Contest,
    wanted: int,
    goes: tuple[str, ...],
    boundary: tuple[str, ...],
    steps: Sequence[Step],
    randomness: str | None,
) -> Iterator[Reason]:
    if not wanted:
        return
    if contest.ranks is None:
        yield Reason("no_uncertainty")
    if not boundary:
        yield Reason("resolved", {"teams": ", ".join(goes), "level": round.level})
        return
    yield Reason("not_resolved", {"teams": ", ".join(boundary), "level": round.level})
    if goes:
        yield Reason("resolved_in_part", {"teams": ", ".join(goes)})
    for step in steps:
        if step.note == "missing":
            yield Reason("step_missing", {"by": step.by, "of": step.of or ""})
    last = steps[-1]
    if last.by == "keep":
        yield Reason("kept")
    elif last.note == "waits":
        rule = round.elimination.lot
        yield Reason("lot_waits", {"after": rule.after if rule else ""})
    elif last.by == "lot" and randomness is None:
        yield Reason("lot_foreseeable", {"digest": round_digest(round)[:16]})
    elif last.by == "lot":
        rule = round.elimination.lot
        yield Reason("lot_public", {"value": randomness or "", "after": rule.after if rule else ""})
