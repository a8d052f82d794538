"""The page of ``family_tree.py``, in English and Korean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

TEXTS = {
    "en": {
        "title": "# Family tree of models of known descent",
        "lead": "Written by `python -m benchmarks.family_tree`; do not edit. {models} models: the zoo, really trained, "
        "and transforms of it. Every pair was compared once by fingerprints alone and once with whole models of "
        "those pairs that showed something.",
        "fingerprints": "Fingerprints alone",
        "whole": "With whole models",
        "measure": "| | {a} | {b} |\n|---|---:|---:|",
        "compared": "pairs compared by fingerprints",
        "confirmed": "of them as whole models",
        "families": "families exact",
        "yes": "yes",
        "no": "no",
        "invented": "pairs without anything in common, called dependent or a lead",
        "seen": "pairs of relatives that showed something (dependence or lead)",
        "found": "pairs of relatives found to be relatives",
        "orphans": "models without an edge to any they were made from",
        "told": "relations told",
        "wrong": "relations told wrong",
        "pairs": "## Pairs",
        "pairs_note": "Truth: relatives (a common ancestor), models that share a component or a start and no more, "
        "and models that share nothing. Found: with whole models.",
        "truth": {"lineage": "relatives", "shared": "component or start", "none": "nothing"},
        "pairs_head": "| truth | found | pairs |\n|---|---|---:|",
        "relations": "## Relations of relatives",
        "relations_note": "With whole models. A relation that could not be told is no error.",
        "relations_head": "| told | right | wrong |\n|---|---:|---:|",
        "open": "| undetermined | {count} | |",
        "merges": "## Mixtures",
        "merges_head": "| model | named as parents | made from |\n|---|---|---|",
        "missed": "## Relatives that were not found",
        "missed_note": "With whole models: the pair, and what was found instead.",
        "none": "None.",
        "missed_head": "| pair | found |\n|---|---|",
        "alone": "## Models without an edge to what they were made from",
    },
    "ko": {
        "title": "# 계보를 아는 모델들의 족보",
        "lead": "`python -m benchmarks.family_tree`가 쓴 문서이므로 직접 고치지 않습니다. 실제로 학습한 동물원 모델과 "
        "그 변형 {models}개입니다. 모든 쌍을 한 번은 지문만으로, 한 번은 무언가를 보인 쌍의 전체 모델까지 "
        "비교했습니다.",
        "fingerprints": "지문만",
        "whole": "전체 모델까지",
        "measure": "| | {a} | {b} |\n|---|---:|---:|",
        "compared": "지문으로 비교한 쌍",
        "confirmed": "그중 전체 모델로도 비교한 쌍",
        "families": "일가가 정확함",
        "yes": "예",
        "no": "아니요",
        "invented": "공유한 것이 없는데 의존 또는 단서라고 한 쌍",
        "seen": "무언가를 보인 친족 쌍(의존 또는 단서)",
        "found": "친족으로 찾은 친족 쌍",
        "orphans": "자신을 만든 모델과 이어지지 않은 모델",
        "told": "가려낸 관계",
        "wrong": "잘못 가려낸 관계",
        "pairs": "## 쌍",
        "pairs_note": "실제: 친족(공통 조상이 있음), 구성 요소나 초기값만 공유함, 공유한 것이 없음. "
        "찾은 것은 전체 모델까지 비교한 결과입니다.",
        "truth": {"lineage": "친족", "shared": "구성 요소 또는 초기값", "none": "없음"},
        "pairs_head": "| 실제 | 찾은 것 | 쌍 |\n|---|---|---:|",
        "relations": "## 친족의 관계",
        "relations_note": "전체 모델까지 비교한 결과입니다. 가려내지 못한 관계는 틀린 것이 아닙니다.",
        "relations_head": "| 가려낸 관계 | 맞음 | 틀림 |\n|---|---:|---:|",
        "open": "| undetermined | {count} | |",
        "merges": "## 혼합",
        "merges_head": "| 모델 | 부모로 지목한 모델 | 실제 재료 |\n|---|---|---|",
        "missed": "## 찾지 못한 친족",
        "missed_note": "전체 모델까지 비교했을 때의 쌍과, 대신 찾은 것입니다.",
        "none": "없습니다.",
        "missed_head": "| 쌍 | 찾은 것 |\n|---|---|",
        "alone": "## 자신을 만든 모델과 이어지지 않은 모델",
    },
}

Run = Mapping[str, Any]


def markdown(runs: Sequence[Run], lang: str) -> str:
    """The page; `runs` are of fingerprints alone and with whole models."""
    t: Any = TEXTS[lang]
    last = runs[-1]
    parts = [
        t["title"],
        t["lead"].format(models=last["models"]),
        t["measure"].format(a=t["fingerprints"], b=t["whole"]) + "\n" + "\n".join(_measures(runs, t)),
        t["pairs"],
        t["pairs_note"],
        _table(t["pairs_head"], ([t["truth"][truth], found, count] for truth, found, count in last["pairs"])),
        t["relations"],
        t["relations_note"],
        _relations(last, t),
        t["merges"],
        _table(t["merges_head"], ([m, ", ".join(n) or "–", ", ".join(p)] for m, n, p in last["merges"])),
        t["missed"],
        t["missed_note"],
        _table(t["missed_head"], ([f"{a}, {b}", found] for a, b, found in last["missed"]))
        if last["missed"]
        else t["none"],
        t["alone"],
        "\n".join(f"- {name} ({', '.join(parents)})" for name, *parents in last["edges_alone"]) or t["none"],
    ]
    return "\n\n".join(parts) + "\n"


def _measures(runs: Sequence[Run], t: Any) -> list[str]:
    rows = {
        "compared": [r["pairs_compared"] for r in runs],
        "confirmed": [r["pairs_confirmed"] for r in runs],
        "families": [t["yes" if r["families_exact"] else "no"] for r in runs],
        "invented": [f"{len(r['invented'])} / {_pairs(r, 'none')}" for r in runs],
        "seen": [f"{_pairs(r, 'lineage', seen=True)} / {_pairs(r, 'lineage')}" for r in runs],
        "found": [f"{_pairs(r, 'lineage') - len(r['missed'])} / {_pairs(r, 'lineage')}" for r in runs],
        "orphans": [len(r["edges_alone"]) for r in runs],
        "told": [
            sum(n for kind, verdict, n in r["relations"] if verdict in ("right", "wrong")) for r in runs
        ],
        "wrong": [len(r["wrong"]) for r in runs],
    }
    return [f"| {t[key]} | {values[0]} | {values[1]} |" for key, values in rows.items()]


def _pairs(run: Run, truth: str, *, seen: bool = False) -> int:
    return sum(
        count
        for said, found, count in run["pairs"]
        if said == truth and not (seen and found in ("nothing", "inconclusive"))
    )


def _relations(run: Run, t: Any) -> str:
    counts = {(kind, verdict): n for kind, verdict, n in run["relations"]}
    kinds = sorted({kind for kind, _ in counts} - {"undetermined"})
    rows = [[kind, counts.get((kind, "right"), 0), counts.get((kind, "wrong"), 0)] for kind in kinds]
    table = _table(t["relations_head"], rows)
    open_ = counts.get(("undetermined", "open"), 0)
    return f"{table}\n{t['open'].format(count=open_)}"


def _table(head: str, rows: Any) -> str:
    return "\n".join([head, *(f"| {' | '.join(map(str, row))} |" for row in rows)])
