"""The calibration table as Markdown, in English or Korean."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator
from pathlib import Path

from benchmarks.calibration import DERIVED_COSINE, UNCHECKED_PAIRS, Calibration
from benchmarks.populations import BY_NAME
from benchmarks.tally import RARE, Row, Tally, summarise, uniformity

TEXTS = tomllib.loads(Path(__file__).with_name("calibration_texts.toml").read_text(encoding="utf-8"))


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
            yield [
                _label(name, lang),
                kind,
                f"{len(pvalues):,}",
                *(f"{share:.2%}" for share in shares),
                *cells,
            ]


def _derived(found: Calibration) -> Iterator[list[str]]:
    for name, logs in sorted(found.derived.items()):
        yield [name, f"{min(logs) / math.log(10):.1f}"]
