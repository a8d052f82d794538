"""Boards to draw: a plain season of five, and the ways in which a round can be otherwise. Made by hand, not scored."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from league_events import HOSTILE, NAMES, TEAMS, event, experts, knowledge, race, result, sha, users, words
from league_rankings import TOTALS, multiverse, table

Board = dict[str, Any]


def gate_row(team: str, standing: str = "eligible", **more: Any) -> dict[str, Any]:
    verdict = {"eligible": "no_evidence", "not_eligible": "derived", "untestable": "untestable"}[standing]
    evidence = {
        "file": f"gate/{team}.json",
        "sha256": sha(f"gate/{team}"),
        "reference": "reference-30b",
        "role": "candidate",
        "verified": True,
        "verdict": verdict,
        "declared": False if standing == "not_eligible" else None,
        "components": ["text.mlp", "text.attention"] if standing == "not_eligible" else [],
    }
    return {"team": team, "standing": standing, "reasons": [], "evidence": [evidence], "compute": None} | more


def _round() -> dict[str, Any]:
    """The rules: frozen, ten thousand draws."""
    return {
        "id": "r2",
        "title": words("Second round", "2차 라운드"),
        "season": "national",
        "number": 2,
        "seed": 20260818,
        "draws": 10000,
        "level": 0.95,
        "digest": sha("round"),
        "frozen": {"digest": sha("round"), "date": "2026-08-01", "keyid": "ab" * 8},
    }


def _teams() -> list[dict[str, Any]]:
    """A model each."""
    return [
        {
            "id": team,
            "name": NAMES[team],
            "affiliations": [NAMES[team]["en"]],
            "model": {
                "name": f"{team}-32b",
                "repository": f"hub/{team}-32b",
                "commit": sha(team)[:40],
                "digest": sha(f"w{team}"),
                "parameters": 32.1e9,
                "active_parameters": None,
            },
        }
        for team in TEAMS
    ]


def _aggregations() -> list[dict[str, Any]]:
    """Three rules, one of which gives no order."""
    return [
        {
            "method": "mean",
            "order": [["aurora"], ["cheonji"], ["baekdu"], ["eunha"], ["donghae"]],
            "orders": 1,
            "among": "eligible",
        },
        {
            "method": "borda",
            "order": [["aurora"], ["baekdu", "cheonji"], ["eunha"], ["donghae"]],
            "orders": 1,
            "among": "eligible",
        },
        {"method": "kemeny", "order": None, "orders": 0, "among": "eligible"},
    ]


def _influence() -> dict[str, Any]:
    """One event hangs on questions, another on no rater."""
    return {
        "items": [
            {
                "event": "knowledge",
                "dropped": 214,
                "of": 1200,
                "exact": True,
                "last_before": ["donghae"],
                "last_after": ["eunha"],
            }
        ],
        "raters": [
            {
                "event": "experts",
                "dropped": None,
                "of": 10,
                "exact": True,
                "last_before": ["donghae"],
                "last_after": ["donghae"],
            }
        ],
    }


def _axes(speed: dict[str, Any]) -> dict[str, Any]:
    """Everybody finished everything but the race, whose front two share."""
    finished = [
        {"team": team, "finished": 3, "of": 3, "events": ["knowledge", "experts", "users"], "unresolved": []}
        for team in TEAMS
    ]
    absolute = [
        {"team": team, "score": score, "error": 1.1, "low": score - 2.2, "high": round(score + 2.2, 6)}
        for team, score in zip(TEAMS, (80.9, 78.5, 79.0, 63.9, 76.4), strict=True)
    ]
    points = [
        {
            "team": row["team"],
            "cost": row["value"],
            "ability": a["score"],
            "on_front": row["team"] in ("aurora", "baekdu"),
            "dominated_by": [] if row["team"] in ("aurora", "baekdu") else ["baekdu"],
        }
        for row, a in zip(speed["results"], absolute, strict=True)
        if row["value"] is not None
    ]
    return {
        "range": finished,
        "absolute": absolute,
        "efficiency": {
            "races": [
                {
                    "event": "speed",
                    "rows": [{"team": r["team"], "value": r["value"]} for r in speed["results"]],
                }
            ],
            "fronts": [{"cost": "speed", "ability": "absolute", "points": points}],
        },
    }


def _categories() -> list[dict[str, Any]]:
    """Three, of 40, 35 and 25 points."""
    return [
        {
            "id": id,
            "title": title,
            "points": points_,
            "rows": [
                {
                    "team": team,
                    "score": round(points_ * (0.6 + 0.05 * ((k + j) % 5)), 6),
                    "error": 0.6,
                    "low": round(points_ * (0.6 + 0.05 * ((k + j) % 5)) - 1.2, 6),
                    "high": round(points_ * (0.6 + 0.05 * ((k + j) % 5)) + 1.2, 6),
                }
                for k, team in enumerate(TEAMS)
            ],
        }
        for j, (id, title, points_) in enumerate(
            (
                ("benchmark", words("Benchmark", "벤치마크"), 40),
                ("expert", words("Experts", "전문가"), 35),
                ("user", words("Users", "사용자"), 25),
            )
        )
    ]


def plain() -> Board:
    """Five teams, a declared total, a last place that the results resolve."""
    events = [knowledge(), experts(), users(), race()]
    return {
        "schema": "jokbo.board/1",
        "jokbo": "0.7.0",
        "methods": 1,
        "round": _round(),
        "teams": _teams(),
        "gate": {
            "required": True,
            "references": [{"name": "reference-30b", "digest": sha("reference")}],
            "rows": [gate_row(team) for team in TEAMS],
        },
        "events": events,
        "axes": _axes(events[3]),
        "categories": _categories(),
        "tables": {key: table(TEAMS, TOTALS, half=3.0) for key in ("all", "eligible")},
        "aggregations": _aggregations(),
        "multiverse": multiverse(TEAMS, "donghae"),
        "influence": _influence(),
        "decision": {
            "teams_out": 1,
            "by": "total",
            "resolved": True,
            "candidates": ["donghae"],
            "last": "donghae",
            "steps": [],
            "eliminated": [{"team": "donghae", "cause": "score"}],
            "kept": ["aurora", "baekdu", "cheonji", "eunha"],
            "reasons": [],
        },
        "inputs": [
            {
                "name": f"runs/{team}/results.json",
                "sha256": sha(f"knowledge/{team}"),
                "size": 48213,
                "role": "results",
                "reader": "lm_harness",
                "public": team != "eunha",
            }
            for team in TEAMS
        ],
    }


def no_total() -> Board:
    """No categories: the absolute axis decides; nothing is frozen."""
    board = plain()
    scores = {row["team"]: row["score"] for row in board["axes"]["absolute"]}
    for each in board["events"]:
        each["category"] = None
    board["round"]["frozen"] = None
    board["decision"]["by"] = "absolute"
    board["multiverse"]["simplex"] = None
    board["multiverse"]["flips"] = []
    return board | {
        "categories": [],
        "tables": {key: table(TEAMS, scores, half=3.0, by="absolute") for key in ("all", "eligible")},
    }


def unresolved() -> Board:
    """Three teams share the last place as far as the results can say; the tie rule parts them by lot."""
    board = plain()
    close = TOTALS | {"donghae": 66.4}
    board["tables"] = {key: table(TEAMS, close, half=3.0) for key in ("all", "eligible")}
    board["decision"] |= {
        "resolved": False,
        "candidates": ["baekdu", "eunha", "donghae"],
        "eliminated": [{"team": "donghae", "cause": "tie_rule"}],
        "steps": [
            {
                "by": "category",
                "of": "benchmark",
                "figures": {"baekdu": 22.7, "eunha": 20.6, "donghae": 20.6},
                "parted": False,
                "left": ["eunha", "donghae"],
            },
            {"by": "lot", "of": None, "figures": {}, "parted": True, "left": ["donghae"]},
        ],
    }
    return board


def gated() -> Board:
    """The gate removes the last team; one of the others could not be tested; nobody goes by score."""
    board = plain()
    board["gate"]["rows"][3] = gate_row("donghae", "not_eligible")
    board["gate"]["rows"][4] = gate_row("eunha", "untestable")
    left = [team for team in TEAMS if team != "donghae"]
    board["tables"]["eligible"] = table(left, TOTALS, half=3.0)
    board["multiverse"] = multiverse(left, "eunha")
    board["decision"] |= {
        "last": "eunha",
        "candidates": ["eunha"],
        "kept": left,
        "teams_out": 1,
        "eliminated": [{"team": "donghae", "cause": "gate"}],
    }
    return board


def all_gone() -> Board:
    """Nobody is eligible: there is nothing to rank and nothing to vary."""
    board = plain()
    board["gate"]["rows"] = [gate_row(team, "not_eligible") for team in TEAMS]
    board["tables"]["eligible"] = None
    board["decision"] |= {
        "last": None,
        "candidates": [],
        "kept": [],
        "resolved": False,
        "eliminated": [{"team": team, "cause": "gate"} for team in TEAMS],
    }
    return board | {"multiverse": None, "influence": None, "aggregations": []}


def single() -> Board:
    """One event without any spread, two teams, nobody goes."""
    board = plain()
    two = TEAMS[:2]
    only = event(
        "race-only", "published", words("One figure", "한 가지 수치"), (61.0, 60.0, 0, 0, 0), files=[]
    )
    only["results"] = [result(team, score, None) for team, score in zip(two, (61.0, 60.0), strict=True)]
    made = table(two, {"aurora": 61.0, "baekdu": 60.0}, half=0.0)
    empty = {"error": None, "low": None, "high": None, "first_probability": None, "last_probability": None}
    made |= {
        "critical": None,
        "pairs": [],
        "rows": [row | empty | {"best_rank": 1, "worst_rank": 2} for row in made["rows"]],
    }
    board["decision"] |= {
        "teams_out": 0,
        "resolved": False,
        "candidates": list(two),
        "last": "baekdu",
        "eliminated": [],
        "kept": list(two),
        "steps": [{"by": "keep", "of": None, "figures": {}, "parted": False, "left": list(two)}],
    }
    return board | {
        "teams": board["teams"][:2],
        "events": [only],
        "gate": {"required": False, "references": [], "rows": [gate_row(t, evidence=[]) for t in two]},
        "axes": {"range": [], "absolute": [], "efficiency": {"races": [], "fronts": []}},
        "categories": [],
        "aggregations": [],
        "multiverse": None,
        "influence": None,
        "tables": {"all": made, "eligible": copy.deepcopy(made)},
    }


BOARDS: dict[str, Callable[[], Board]] = {
    "plain": plain,
    "no_total": no_total,
    "unresolved": unresolved,
    "gated": gated,
    "all_gone": all_gone,
    "single": single,
}


def hostile() -> Board:
    """The plain round with a hostile text wherever a round or a results file could have put one."""
    board = plain()
    board["round"]["title"] = HOSTILE
    board["round"]["frozen"]["date"] = HOSTILE
    for team in board["teams"]:
        team["name"] = {"en": HOSTILE, "ko": HOSTILE}
        team["affiliations"] = [HOSTILE] * 40
        team["model"] |= {"name": HOSTILE, "repository": HOSTILE, "commit": HOSTILE, "digest": HOSTILE}
    for reference in board["gate"]["references"]:
        reference["name"] = HOSTILE
    for row in board["gate"]["rows"]:
        row["evidence"][0] |= {"file": HOSTILE, "reference": HOSTILE, "components": [HOSTILE]}
    for each in board["events"]:
        each |= {
            "title": HOSTILE,
            "author": HOSTILE,
            "affiliations": [HOSTILE],
            "unit": HOSTILE,
            "task": HOSTILE,
            "metric": HOSTILE,
            "settings": {HOSTILE: HOSTILE},
            "why": HOSTILE,
        }
        each["anchor"] |= {"source": HOSTILE, "model": {"name": HOSTILE}}
        if each["panel"] is not None:
            for row in (*each["panel"]["rows"], *each["panel"]["raters"]):
                row["rater"] = HOSTILE
        if each["items"] is not None:
            for row in each["items"]["shown"]:
                row |= {"item": HOSTILE, "group": HOSTILE}
        if each["kind"] == "race":
            each["rule"] = {"quantity": HOSTILE, "target": HOSTILE, "fixed": {HOSTILE: HOSTILE}}
    for part in board["categories"]:
        part["title"] = HOSTILE
    board["multiverse"]["universes"][4]["values"]["rater"] = HOSTILE
    for row in board["inputs"]:
        row |= {"name": HOSTILE, "reader": HOSTILE}
    return board
