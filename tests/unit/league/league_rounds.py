"""Rounds built in code: rules, results of every kind, and the list that names them, in a folder."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

TEAMS = ("ara", "bom", "cho", "dal", "eun")

RULES = """
jokbo_round: 1
id: r1
title: {en: A round, ko: 라운드}
seed: 7
draws: 1000
teams:
%(teams)s
categories:
  - {id: benchmark, title: {en: Benchmark, ko: 벤치마크}, points: 60}
  - {id: expert, title: {en: Experts, ko: 전문가}, points: 40}
events:
  - id: exam
    title: {en: Exam, ko: 시험}
    kind: items
    axes: [range, absolute]
    category: benchmark
    weight: 1
    author: Institute
    affiliations: [House of ara]
    direction: higher
    floor: 0.25
    anchor: {value: 0.75, source: a frozen model}
    task: exam
    metric: acc
    average: groups
    group: subject
    cluster: passage
    show_items: %(show)s
  - id: expert
    title: {en: Experts, ko: 전문가 평가}
    kind: panel
    axes: [absolute]
    category: expert
    author: Ministry
    direction: higher
    floor: 0
    anchor: {value: 35}
    panel: {lowest: 0, highest: 35}
  - id: speed
    title: {en: Seconds, ko: 시간}
    kind: race
    axes: [efficiency]
    author: Institute
    direction: lower
    scale: log
    floor: 100
    anchor: {value: 10}
    race: {quantity: seconds, target: {en: a target, ko: 목표}, fixed: {hardware: one machine}}
gate: {required: no}
elimination:
  teams_out: 1
  by: %(by)s
  tie_rule: [{by: category, of: expert}, {by: lot}]
"""


def write_round(
    folder: Path,
    *,
    ability: Sequence[float] = (0.7, 0.6, 0.6, 0.55, 0.2),
    teams: Sequence[str] = TEAMS,
    show: str = "yes",
    by: str = "total",
    rules: Mapping[str, str] | None = None,
    seed: int = 1,
) -> tuple[Path, Path]:
    """Write a round and its results into a folder.

    Parameters
    ----------
    ability : sequence of float
        Chance of a right answer, and what experts score around, by team.
    rules : mapping of str to str, optional
        Texts of the rules to be replaced.

    Returns
    -------
    tuple of Path
        ``round.yaml`` and ``results.yaml``.
    """
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    listed = "\n".join(
        f"  - {{id: {team}, name: {team.title()}, affiliations: [House of {team}], model: {{name: {team}-1}}}}"
        for team in teams
    )
    text = RULES % {"teams": listed, "show": show, "by": by}
    for old, new in (rules or {}).items():
        assert old in text, old
        text = text.replace(old, new)
    (folder / "round.yaml").write_text(text, encoding="utf-8")
    passages = [(f"p{c}", f"s{c % 4}") for c in range(40)]
    for team, chance in zip(teams, ability, strict=True):
        rows = [["item", "subject", "passage", "acc"]]
        for c, (passage, subject) in enumerate(passages):
            # A passage is easy or hard for a team as a whole: its items go together.
            own = np.clip(chance + 0.2 * rng.standard_normal(), 0, 1)
            rows += [[f"q{c}-{k}", subject, passage, int(rng.random() < own)] for k in range(5)]
        _table(folder / f"runs/{team}/exam.csv", rows)
    raters = [["rater", "team", "score"]]
    for r in range(10):
        raters += [
            [f"rater-{r}", team, round(float(np.clip(30 * chance + 8 + rng.normal(), 0, 35)), 1)]
            for team, chance in zip(teams, ability, strict=True)
        ]
    _table(folder / "expert.csv", raters)
    runs = [["team", "run", "value", "finished"]]
    for k, team in enumerate(teams):
        runs += [[team, n, round(20 + 5 * k + float(rng.random()), 3), "yes"] for n in range(4)]
    _table(folder / "speed.csv", runs)
    results = ["jokbo_results: 1", "round: r1", "results:"]
    results += [f"  - {{team: {team}, events: [exam], files: [runs/{team}]}}" for team in teams]
    results += ["  - {event: expert, files: [expert.csv]}", "  - {event: speed, files: [speed.csv]}"]
    (folder / "results.yaml").write_text("\n".join(results) + "\n", encoding="utf-8")
    return folder / "round.yaml", folder / "results.yaml"


def _table(path: Path, rows: Sequence[Sequence[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows(rows)
