"""Events of a made-up round, one of each kind, as a board holds them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

TEAMS = ("aurora", "baekdu", "cheonji", "donghae", "eunha")
NAMES = {
    "aurora": {"en": "Aurora Lab", "ko": "오로라랩"},
    "baekdu": {"en": "Baekdu AI", "ko": "백두AI"},
    "cheonji": {"en": "Cheonji Research", "ko": "천지연구소"},
    "donghae": {"en": "Donghae Systems", "ko": "동해시스템"},
    "eunha": {"en": "Eunha Group", "ko": "은하그룹"},
}
HOSTILE = '<script>alert("1")</script>\u202e\u05d0\u05d1&amp;{{ 7*7 }}' + "x" * 10_000
"""A text that tries markup, a template, a turn of direction and length, all at once."""


def sha(words: str) -> str:
    return hashlib.sha256(words.encode()).hexdigest()


def words(en: str, ko: str) -> dict[str, str]:
    return {"en": en, "ko": ko}


def result(team: str, score: float | None, half: float | None = 3.0, **more: Any) -> dict[str, Any]:
    """A row of an event; its value is a fiftieth of the score above a quarter."""
    known = score is not None and half is not None
    return {
        "team": team,
        "status": "scored",
        "value": None if score is None else round(0.25 + score * 0.0045, 6),
        "value_error": None if half is None else round(half / 2 * 0.0045, 6),
        "score": score,
        "score_error": None if half is None else half / 2,
        "low": round(score - half, 6) if known else None,  # type: ignore[operator]
        "high": round(score + half, 6) if known else None,  # type: ignore[operator]
        "finished": None if score is None else "yes" if score > 3 else "unresolved" if score > -3 else "no",
        "naive_error": None,
    } | more


def event(
    id: str, kind: str, title: Mapping[str, str], scores: Sequence[float], **more: Any
) -> dict[str, Any]:
    """An event of `kind` with one score a team."""
    return {
        "id": id,
        "title": dict(title),
        "kind": kind,
        "axes": ["range", "absolute"] if kind != "race" else ["efficiency"],
        "category": {"items": "benchmark", "panel": "expert", "published": "user"}.get(kind),
        "weight": 1,
        "author": "Open Evaluation Centre",
        "affiliations": ["Open Evaluation Centre"],
        "direction": "higher",
        "scale": "linear",
        "unit": "accuracy" if kind == "items" else "",
        "metric": "acc" if kind == "items" else None,
        "task": id if kind == "items" else None,
        "average": "items",
        "floor": 0.25,
        "anchor": {
            "value": 0.7,
            "model": {"name": "anchor-7b", "digest": sha("anchor")},
            "source": "measured once, frozen",
        },
        "rule": None,
        "counts": {"items": 1200, "clusters": 300, "groups": 45, "repeats": 1} if kind == "items" else None,
        "settings": {"version": "3", "num_fewshot": "5"} if kind == "items" else {},
        "notes": [],
        "assumed": False,
        "why": None,
        "files": [sha(f"{id}/{team}") for team in TEAMS],
        "results": [result(team, score) for team, score in zip(TEAMS, scores, strict=True)],
        "panel": None,
        "items": None,
    } | more


def knowledge() -> dict[str, Any]:
    rows = [
        {
            "item": f"q{k}",
            "group": ("law", "physics")[k % 2],
            "scores": {team: float((k * 7 + j) % 3 > 0) for j, team in enumerate(TEAMS)},
        }
        for k in range(24)
    ]
    made = event(
        "knowledge", "items", words("Knowledge of Korea", "한국 지식"), (82.4, 80.1, 77.9, 61.2, 79.0)
    )
    made["results"] = [r | {"naive_error": round(r["value_error"] / 3, 6)} for r in made["results"]]
    return made | {"items": {"total": 1200, "shown": rows}, "average": "groups"}


def experts() -> dict[str, Any]:
    raters = [f"r{k:02d}" for k in range(10)]
    rows = [
        {"rater": rater, "team": team, "criterion": "quality", "score": float(24 + (3 * j + k) % 9)}
        for k, rater in enumerate(raters)
        for j, team in enumerate(TEAMS)
    ]
    severity = [{"rater": rater, "severity": round((k - 4.5) / 3, 6)} for k, rater in enumerate(raters)]
    return event(
        "experts",
        "panel",
        words("Expert panel", "전문가 평가"),
        (84.0, 82.9, 83.5, 74.0, 80.2),
        rule={"lowest": 0, "highest": 35, "drop_each_side": 1, "criteria": {"quality": 1}},
        counts={"raters": 10, "criteria": ["quality"]},
        panel={"alpha": 0.712, "alpha_low": 0.6, "alpha_high": 0.801, "raters": severity, "rows": rows},
    )


def users() -> dict[str, Any]:
    return event(
        "users",
        "published",
        words("User scores", "사용자 평가"),
        (76.4, 72.4, 75.6, 56.4, 70.0),
        assumed=True,
        why=words("rater rows are closed; sd 5 of 25 assumed", "평가자 점수가 비공개라 표준편차 5점을 가정"),
        rule={"standard_error": 0.7, "why": words("assumed", "가정")},
        counts=None,
    )


def race(id: str = "speed", *, higher: bool = False) -> dict[str, Any]:
    times = (81.0, 64.0, 240.0, None, 130.0)
    rows = []
    for team, value in zip(TEAMS, times, strict=True):
        if value is None:
            rows.append(result(team, None, None, status="did_not_finish", value_error=None))
        else:
            score = round(100 - value / 4, 6)
            rows.append(result(team, score, 2.0, value=value, value_error=1.25, finished=None))
    made = event(
        id, "race", words("Minutes to the target", "목표까지 걸린 시간"), (0, 0, 0, 0, 0), results=rows
    )
    return made | {
        "direction": "higher" if higher else "lower",
        "scale": "log",
        "category": None,
        "floor": 400,
        "anchor": {"value": 60, "model": None, "source": None},
        "rule": {
            "quantity": "seconds",
            "target": words("loss 3.28 on the held-out text", "검증 텍스트에서 손실 3.28"),
            "fixed": {"hardware": "8 x H100", "data": "10B tokens"},
        },
        "counts": {"runs": 12},
    }
