"""Tables and universes of a made-up round, as a board holds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def table(
    teams: Sequence[str], scores: Mapping[str, float], *, half: float, by: str = "total"
) -> dict[str, Any]:
    """A table in which a difference is resolved from one and a half `half` on."""
    order = sorted(teams, key=lambda team: -scores[team])
    bar = half * 1.5
    rows = []
    for k, team in enumerate(order):
        better = sum(scores[other] - scores[team] > bar for other in order)
        worse = sum(scores[team] - scores[other] > bar for other in order)
        rows.append(
            {
                "team": team,
                "place": k + 1,
                "score": scores[team],
                "error": round(half / 2, 6),
                "low": round(scores[team] - half, 6),
                "high": round(scores[team] + half, 6),
                "best_rank": better + 1,
                "worst_rank": len(order) - worse,
                "first_probability": round(max(0.7 - 0.25 * k, 0.0), 4),
                "last_probability": round(max(0.9 - 0.3 * (len(order) - 1 - k), 0.0), 4),
            }
        )
    pairs = []
    for i, above in enumerate(order):
        for below in order[i + 1 :]:
            gap = round(scores[above] - scores[below], 6)
            pairs.append(
                {
                    "above": above,
                    "below": below,
                    "difference": gap,
                    "low": round(gap - bar, 6),
                    "high": round(gap + bar, 6),
                    "resolved": gap > bar,
                }
            )
    return {"by": by, "rows": rows, "critical": 2.61, "pairs": pairs}


TOTALS = {"aurora": 71.6, "baekdu": 69.9, "cheonji": 70.0, "donghae": 57.8, "eunha": 67.1}


def _summary(last: str, teams: Sequence[str]) -> list[dict[str, Any]]:
    def shares(main: str, other: str, share: float) -> dict[str, float]:
        return dict.fromkeys(teams, 0.0) | {main: share, other: round(1 - share, 4)}

    first = [team for team in teams if team != last] or [last]
    second = first[1] if len(first) > 1 else first[0]
    counts = {
        "weights": 121,
        "normalisation": 6,
        "leave_out_event": 4,
        "average": 2,
        "drop_raters": 10,
        "aggregation": 4,
    }
    return [
        {
            "kind": kind,
            "count": count,
            "last": shares(last, first[-1], 1.0 if k % 2 else 0.9917),
            "first": shares(first[0], second, 0.62 if second != first[0] else 1.0),
        }
        for k, (kind, count) in enumerate(counts.items())
    ]


def simplex(last: str, other: str, steps: int = 20) -> dict[str, Any]:
    """A triangle in which `other` is last only where the benchmark counts little, and a seam ties."""
    grid = []
    for a in range(steps + 1):
        for b in range(steps + 1 - a):
            weights = [round(100 * each / steps, 4) for each in (a, b, steps - a - b)]
            who = [other] if a > 0.7 * steps else [last, other] if a == 0.7 * steps and b == 2 else [last]
            grid.append({"weights": weights, "last": who})
    return {
        "categories": ["benchmark", "expert", "user"],
        "grid": grid,
        "step": 100 / steps,
        "share": {last: 0.87, other: 0.13},
        "near": {last: 0.9917, other: 0.0083},
    }


def multiverse(teams: Sequence[str], last: str) -> dict[str, Any]:
    others = [team for team in teams if team != last]
    order = [*others, last]

    def universe(kind: str, name: str, values: Mapping[str, Any], turned: bool = False) -> dict[str, Any]:
        final = [others[-1]] if turned else [last]
        return {
            "kind": kind,
            "name": name,
            "values": dict(values),
            "order": order,
            "first": [order[0]],
            "last": final,
        }

    return {
        "universes": [
            universe("weights", "declared", {}),
            universe("weights", "less", {"category": "benchmark", "points": 30.0}),
            universe("normalisation", "min_max", {}),
            universe("leave_out_event", "event", {"event": "knowledge"}, turned=True),
            universe("drop_raters", "one", {"event": "experts", "rater": "r03"}),
        ],
        "summary": _summary(last, teams),
        "simplex": simplex(last, others[-1]),
        "flips": [
            {"category": "benchmark", "weight": 55.4, "last_before": [last], "last_after": [others[-1]]},
            {"category": "user", "weight": None, "last_before": [last], "last_after": []},
        ],
        "smallest_change": {
            "moved": 10.96,
            "weights": [50.96, 35.0, 14.04],
            "last_before": [last],
            "last_after": [others[-1], last],
        },
        "skipped": [],
    }
