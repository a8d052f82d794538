"""The calibration table as Markdown, in English or Korean."""

from __future__ import annotations

import math
from collections.abc import Iterator

from benchmarks.calibration import DERIVED_COSINE, UNCHECKED_PAIRS, Calibration
from benchmarks.populations import BY_NAME
from benchmarks.tally import RARE, Row, Tally, summarise, uniformity

TEXTS = {
    "en": {
        "title": "# Calibration",
        "intro": (
            "Written by `python -m benchmarks.calibration --markdown docs/reference/calibration.md` (`make calibration`); "
            "do not edit. {pairs:,} simulated pairs of independent models, and {zoo} ordered pairs of really trained, "
            "independent ones, went through the same examination as a user's models. Under independence an e-value has mean "
            "at most 1 and reaches 20 in at most one pair of twenty."
        ),
        "holds": "**Every bound holds.**",
        "fails": "**These bounds do not hold:**",
        "columns": "| population | e-value | pairs | mean E | mean of min(E, 1000) ± s.e. | E ≥ 20 | 95 % upper bound | p of rate ≤ 1/20 | largest log10 E | E ≥ 1e6 |",
        "sizes": "## E-values",
        "sizes_note": (
            "The upper bound is Clopper and Pearson's; p is the exact binomial one-sided p-value of the hypothesis that the rate is at "
            "most 1/20 (fails below {rare}). Heavy tails make the plain mean unstable, so the mean of min(E, 1000) is tested. \"Any visit\" "
            "and \"any stage\" are the largest values along the way: whoever stops when it suits gains nothing. An axis that fails E0 counts in "
            "its local form or not at all, so some tests have fewer pairs than the population."
        ),
        "accused": "{accused} of {pairs:,} simulated and {zoo_accused} of {zoo} really trained independent pairs are called dependent.",
        "ranks": "## Ranks",
        "ranks_note": (
            "Chi-square p-values of the ranks (g + U t)/n in 20 bins, on axes that were used. Local ranks of structured "
            "populations are left out of the bounds: blocks of tiled axes repeat one another, so their ranks are not independent "
            "draws, which is why blocks are averaged and never multiplied."
        ),
        "rank_columns": "| population | ranks | visits | p |",
        "checks": "## E0, the assumption itself",
        "checks_note": (
            "Share of axes, each of one model, that fail (p ≤ 0.001), and share with p ≤ 0.05. The sign checks use Hoeffding's "
            "bound and so stay far below 5 %. \"Without E0\" is the largest log10 E of any component on up to {unchecked} pairs when every axis is believed, and how many of "
            "these pairs would then be called dependent; it shows why E0 and the local form are there."
        ),
        "check_columns": "| population | axis | axes | failed | p ≤ 0.05 | without E0: largest log10 E | without E0: accused |",
        "derived": "## Not a dead test",
        "derived_note": "Smallest log10 E over {n} pairs derived at a row cosine of {cosine}.",
        "derived_columns": "| e-value | smallest log10 E |",
        "zoo": "really trained (zoo)",
    },
    "ko": {
        "title": "# 보정 검사",
        "intro": (
            "`python -m benchmarks.calibration --markdown docs/reference/calibration.md`(`make calibration`)가 쓴 문서이므로 "
            "직접 고치지 않습니다. 서로 독립인 모의 모델 {pairs:,}쌍과, 실제로 학습한 독립 모델의 순서쌍 {zoo}개를 사용자의 모델과 똑같이 "
            "검사했습니다. 두 모델이 독립이면 e값의 평균은 1 이하이고, 20 이상이 되는 쌍은 스무 쌍 가운데 하나를 넘지 않습니다."
        ),
        "holds": "**모든 한계가 지켜졌습니다.**",
        "fails": "**지켜지지 않은 한계:**",
        "columns": "| 모집단 | e값 | 쌍 | 평균 E | min(E, 1000)의 평균 ± 표준오차 | E ≥ 20 | 95 % 상한 | 비율 ≤ 1/20의 p | 최대 log10 E | E ≥ 1e6 |",
        "sizes": "## e값",
        "sizes_note": (
            "상한은 클로퍼-피어슨 방법의 값이고, p는 비율이 1/20 이하라는 가설의 정확한 이항 단측 p값입니다({rare} 미만이면 실패). 꼬리가 두꺼워 "
            "단순 평균은 불안정하므로 min(E, 1000)의 평균을 검사합니다. \"any visit\"와 \"any stage\"는 진행 도중의 최댓값입니다. 유리할 때 멈추어도 얻는 것이 "
            "없음을 보여 줍니다. E0를 통과하지 못한 축은 국소형으로만 쓰거나 쓰지 않으므로, 일부 검정은 모집단보다 쌍이 적습니다."
        ),
        "accused": "모의 쌍 {pairs:,}개 가운데 {accused}개, 실제로 학습한 독립 쌍 {zoo}개 가운데 {zoo_accused}개가 의존으로 판정되었습니다.",
        "ranks": "## 순위",
        "ranks_note": (
            "검정에 쓰인 축에서 순위 (g + U t)/n을 20개 구간으로 나눈 카이제곱 p값입니다. 구조가 심어진 모집단의 국소 순위는 한계에서 뺐습니다. 타일식 축의 "
            "블록은 서로를 되풀이하여 순위가 독립이 아니기 때문이며, 그래서 블록은 곱하지 않고 평균합니다."
        ),
        "rank_columns": "| 모집단 | 순위 | 방문 | p |",
        "checks": "## E0, 가정 자체의 검사",
        "checks_note": (
            "한 모델의 축마다 실패한 비율(p ≤ 0.001)과 p ≤ 0.05인 비율입니다. 부호 검사는 회프딩 한계를 쓰므로 5 %보다 훨씬 낮습니다. \"E0 없이\"는 모든 축을 믿었을 때 최대 "
            "{unchecked}쌍에서 나온 성분별 최대 log10 E와, 그때 의존으로 판정될 쌍의 수입니다. E0와 국소형이 왜 있는지를 보여 줍니다."
        ),
        "check_columns": "| 모집단 | 축 | 축 수 | 실패 | p ≤ 0.05 | E0 없이: 최대 log10 E | E0 없이: 의존 판정 |",
        "derived": "## 검정력이 살아 있는가",
        "derived_note": "행 코사인 {cosine}로 파생한 {n}쌍에서 가장 작은 log10 E입니다.",
        "derived_columns": "| e값 | 최소 log10 E |",
        "zoo": "실제 학습(zoo)",
    },
}


def markdown(found: Calibration, lang: str) -> str:
    """The whole page.

    Parameters
    ----------
    found : Calibration
    lang : {"en", "ko"}
    """
    texts = TEXTS[lang]
    pairs = sum(tally.pairs for tally in found.tallies.values())
    numbers = {
        "pairs": pairs,
        "zoo": found.zoo.pairs,
        "accused": sum(tally.accused for tally in found.tallies.values()),
        "zoo_accused": found.zoo.accused,
        "rare": RARE,
        "unchecked": UNCHECKED_PAIRS,
        "cosine": DERIVED_COSINE,
        "n": max((len(v) for v in found.derived.values()), default=0),
    }
    failed = found.failures()
    verdict = [texts["holds"]] if not failed else [texts["fails"], "", *(f"- {text}" for text in failed)]
    parts = [
        texts["title"],
        "",
        texts["intro"].format(**numbers),
        "",
        *verdict,
        "",
        texts["accused"].format(**numbers),
        "",
        texts["sizes"],
        "",
        texts["sizes_note"].format(**numbers),
        "",
        *_table(texts["columns"], _sizes(found, lang)),
        "",
        texts["ranks"],
        "",
        texts["ranks_note"],
        "",
        *_table(texts["rank_columns"], _ranks(found, lang)),
        "",
        texts["checks"],
        "",
        texts["checks_note"].format(**numbers),
        "",
        *_table(texts["check_columns"], _checks(found, lang)),
        "",
        texts["derived"],
        "",
        texts["derived_note"].format(**numbers),
        "",
        *_table(texts["derived_columns"], _derived(found)),
    ]
    return "\n".join(parts) + "\n"


def _table(columns: str, rows: Iterator[list[str]]) -> Iterator[str]:
    yield columns
    yield "|" + "---|" * (columns.count("|") - 1)
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def _label(name: str, lang: str) -> str:
    return name if lang == "en" else BY_NAME[name].korean


def _sizes(found: Calibration, lang: str) -> Iterator[list[str]]:
    for name, tally in (*found.tallies.items(), (TEXTS[lang]["zoo"], found.zoo)):
        label = _label(name, lang) if name in BY_NAME else name
        for entry, logs in _ordered(tally):
            yield [label, *_cells(summarise(entry, logs), bounded=tally is not found.zoo)]


def _ordered(tally: Tally) -> Iterator[tuple[str, list[float]]]:
    """The combination first, then components, tests, and what was looked at on the way."""
    rank = {"all": 0, "component": 1}
    names = sorted(tally.log_evalues, key=lambda n: (rank.get(n.split()[0], 2), _number(n), n))
    for name in names:
        yield name, tally.log_evalues[name]
    for name in sorted(tally.sup):
        yield name, tally.sup[name]


def _number(name: str) -> int:
    first = name.split()[0]
    return int(first[1:]) if first[1:].isdigit() else 0


def _cells(row: Row, *, bounded: bool) -> list[str]:
    running = row.name.endswith(("visit", "stage"))
    return [
        row.name,
        f"{row.pairs:,}",
        "" if running else f"{row.mean:.2f}",
        "" if running else f"{row.capped:.2f} ± {row.error:.2f}",
        f"{row.alarms} ({row.alarms / row.pairs:.2%})",
        f"{row.upper:.2%}" if bounded else "",
        f"{row.pvalue:.2g}" if bounded else "",
        f"{row.largest:.1f}",
        f"{row.accusations}",
    ]


def _ranks(found: Calibration, lang: str) -> Iterator[list[str]]:
    for name, tally in found.tallies.items():
        for ranks, bins in sorted(tally.ranks.items()):
            yield [_label(name, lang), ranks, f"{int(bins.sum()):,}", f"{uniformity(bins):.2g}"]


def _checks(found: Calibration, lang: str) -> Iterator[list[str]]:
    for name, tally in found.tallies.items():
        blind = found.unchecked.get(name)
        for k, (kind, pvalues) in enumerate(sorted(tally.checks.items())):
            cells = ["", ""]
            if blind is not None and k == 0:
                logs = [max(v) for entry, v in blind.log_evalues.items() if entry.startswith("component")]
                cells = [f"{max(logs) / math.log(10):.1f}", f"{blind.accused} / {blind.pairs}"]
            shares = [sum(p <= level for p in pvalues) / len(pvalues) for level in (0.001, 0.05)]
            yield [_label(name, lang), kind, f"{len(pvalues):,}", *(f"{share:.2%}" for share in shares), *cells]


def _derived(found: Calibration) -> Iterator[list[str]]:
    for name, logs in sorted(found.derived.items()):
        yield [name, f"{min(logs) / math.log(10):.1f}"]
