"""The board: what a round came to, as one canonical document (``jokbo.board/1``). Everything shown is drawn from it.

Numbers are rounded here and nowhere else, so that the same inputs give the same bytes on every machine; what is not
known is null, never zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from jokbo import __version__
from jokbo.league.board_events import event_document
from jokbo.league.decide import Contest, contestants, decide
from jokbo.league.freeze import round_digest
from jokbo.league.gate import GateTable
from jokbo.league.measured import InputFile, RaceRuns
from jokbo.league.numbers import figure, probability
from jokbo.league.robustness import robustness
from jokbo.league.round import Axis, EventKind, Round
from jokbo.league.scores.axes import RangeRow
from jokbo.league.scores.events import Composite
from jokbo.league.scores.pareto import Front
from jokbo.league.scores.races import race_rows
from jokbo.league.standings import RangeRanks, Standings, range_ends
from jokbo.league.statistics.ranks import RankSets

SCHEMA = "jokbo.board/1"
METHODS = 1
"""Number of the set of methods. Whoever changes what a figure comes out as raises it, so that a board of an earlier set
is not said to be wrong by a version that computes otherwise."""


def board_document(
    found: Standings,
    gate: GateTable,
    *,
    frozen: Mapping[str, Any] | None = None,
    randomness: str | None = None,
    inputs: Sequence[InputFile] = (),
) -> dict[str, Any]:
    """Everything a round came to.

    Parameters
    ----------
    found : Standings
    gate : GateTable
    frozen : mapping, optional
        ``digest``, ``date`` and ``keyid`` of the frozen rules.
    randomness : str, optional
        The public value of the lot, where the round named one.
    inputs : sequence of InputFile
        Every file that was read.
    """
    round = found.round
    teams = contestants(round, gate)
    everybody = tuple(team.id for team in round.teams)
    ranks = {some: found.ranks(some) for some in {teams, everybody} if some}
    contest = Contest(
        teams=teams,
        score={team: score for team, score in found.scores().items() if team in teams},
        ranks=ranks.get(teams),
        figures={
            step: {team: value for team, value in each.items() if team in teams}
            for step, each in found.figures().items()
        },
    )
    decision = decide(round, gate, contest, randomness=randomness)
    return {
        "schema": SCHEMA,
        "jokbo": __version__,
        "methods": METHODS,
        "round": _round(round, frozen, randomness),
        "teams": [_team(team) for team in round.teams],
        "gate": gate.to_document(),
        "events": [
            event_document(scored, results, copies, found.range, round.level)
            for scored, results, copies in zip(found.events, found.measured, found.drawn, strict=True)
        ],
        "axes": _axes(found),
        "categories": [
            {"id": category.id, "title": dict(category.title), "points": figure(category.points)}
            | {"rows": composite_rows(each, round.level)}
            for category, each in zip(round.categories, found.totals.categories, strict=True)
        ],
        "tables": {
            "all": _table(found, everybody, ranks.get(everybody)),
            "eligible": _table(found, teams, ranks.get(teams)),
        },
        **robustness(round, found.measured, found.events, teams=teams),
        "decision": decision.to_document(),
        "inputs": [asdict(each) for each in sorted(inputs, key=lambda each: each.name)],
    }


def _round(round: Round, frozen: Mapping[str, Any] | None, randomness: str | None) -> dict[str, Any]:
    lot = round.elimination.lot
    return {
        "id": round.id,
        "title": dict(round.title),
        "season": round.season,
        "number": round.number,
        "seed": round.seed,
        "draws": round.draws,
        "level": figure(round.level),
        "digest": round_digest(round),
        "frozen": None if frozen is None else dict(frozen),
        "lot": None if lot is None else {"source": dict(lot.source), "after": lot.after},
        "randomness": randomness,
    }


def _team(team: Any) -> dict[str, Any]:
    return {
        "id": team.id,
        "name": dict(team.name),
        "affiliations": list(team.affiliations),
        "model": asdict(team.model),
        "declared_ancestors": [
            {"name": each.name, "digest": each.digest, "components": list(each.components)}
            for each in team.declared_ancestors
        ],
    }


def composite_rows(each: Composite, level: float) -> list[dict[str, Any]]:
    """Score, error and own interval of every team, in the round's order."""
    low, high = each.interval(level)
    error = each.error
    return [
        {
            "team": team,
            "score": figure(each.value[k]),
            "error": figure(error[k]),
            "low": figure(low[k]),
            "high": figure(high[k]),
            "floored": list(each.floored.get(team, ())),
        }
        for k, team in enumerate(each.teams)
    ]


def _table(
    found: Standings, teams: Sequence[str], ranks: RankSets | RangeRanks | None
) -> dict[str, Any] | None:
    """Ranks of some of the teams, best first; None where nobody is left."""
    if ranks is None:
        return None
    whole = found.composite()
    rows = (
        _range_rows(found.range, teams)
        if whole is None
        else composite_rows(whole.among(teams), found.round.level)
    )
    for k, row in enumerate(rows):
        row["best_rank"], row["worst_rank"] = int(ranks.best_rank[k]), int(ranks.worst_rank[k])
        sets = ranks if isinstance(ranks, RankSets) else None
        row["first_probability"] = None if sets is None else probability(sets.first_probability[k])
        row["last_probability"] = None if sets is None else probability(sets.last_probability[k])
    for row in rows:
        # Equal scores share a place: 1 + the number of teams strictly above.
        row["place"] = 1 + sum(other["score"] > row["score"] for other in rows)
    return {
        "by": found.round.elimination.by,
        "critical": figure(ranks.critical) if isinstance(ranks, RankSets) else None,
        "assumed": whole is not None and whole.assumed,
        "rows": sorted(rows, key=lambda row: row["place"]),
        "pairs": _pairs(ranks, teams, rows),
    }


def _range_rows(ranges: Sequence[RangeRow], teams: Sequence[str]) -> list[dict[str, Any]]:
    rows = []
    for row in ranges:
        if row.team in teams:
            least, most = range_ends(row)
            rows.append(
                {"team": row.team, "score": least, "error": None, "low": least, "high": most, "floored": []}
            )
    return rows


def _pairs(ranks: Any, teams: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Every two teams, the higher first, with the simultaneous interval of their difference."""
    if not isinstance(ranks, RankSets):
        return []
    at = {team: k for k, team in enumerate(teams)}
    order = [at[row["team"]] for row in sorted(rows, key=lambda row: row["place"])]
    return [
        {
            "above": teams[i],
            "below": teams[j],
            "difference": figure(ranks.difference[i, j]),
            "low": figure(ranks.low[i, j]),
            "high": figure(ranks.high[i, j]),
            "resolved": bool(ranks.resolved[i, j]),
        }
        for place, i in enumerate(order)
        for j in order[place + 1 :]
    ]


def _axes(found: Standings) -> dict[str, Any]:
    round = found.round
    on_range = [event for event in round.events if Axis.RANGE in event.axes]
    return {
        "range": [
            {
                "team": row.team,
                "finished": row.count,
                "of": len(on_range),
                "events": [event for event, answer in row.finished if answer == "yes"],
                "unresolved": [event for event, answer in row.finished if answer == "unresolved"],
            }
            for row in found.range
        ],
        "absolute": [] if found.absolute is None else composite_rows(found.absolute, round.level),
        "efficiency": {"races": list(_races(found)), "fronts": [_front(front) for front in found.fronts]},
    }


def _races(found: Standings) -> Any:
    teams = [team.id for team in found.round.teams]
    for scored, results, copies in zip(found.events, found.measured, found.drawn, strict=True):
        if scored.event.kind is EventKind.RACE and isinstance(results, RaceRuns):
            rows = race_rows(scored.event, results, copies, teams, level=found.round.level)
            yield {
                "event": scored.event.id,
                "rows": [
                    {
                        key: figure(value) if isinstance(value, float) else value
                        for key, value in asdict(row).items()
                    }
                    for row in rows
                ],
            }


def _front(front: Front) -> dict[str, Any]:
    return {
        "cost": front.cost,
        "ability": front.ability,
        "points": [
            {
                "team": point.team,
                "cost": figure(point.cost),
                "ability": figure(point.ability),
                "on_front": point.on_front,
                "dominated_by": list(point.dominated_by),
                "front_share": probability(point.front_share),
            }
            for point in front.points
        ],
        "did_not_finish": list(front.did_not_finish),
    }
