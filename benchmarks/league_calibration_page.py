"""The league's calibration as a page, in English or Korean."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.league_calibration import TOLERANCE, Found

TEXTS = tomllib.loads(Path(__file__).with_name("league_calibration_texts.toml").read_text(encoding="utf-8"))


def markdown(found: Found, lang: str) -> str:
    """The whole page.

    Parameters
    ----------
    found : Found
    lang : {"en", "ko"}
    """
    texts = TEXTS[lang]
    failed = found.failures()
    numbers = {
        "rounds": sum(row.rounds for row in found.rows),
        "draws": found.draws,
        "level": f"{found.level:.0%}",
        "tolerance": f"{TOLERANCE:.0%}",
    }
    verdict = [texts["holds"]] if not failed else [texts["fails"], "", *(f"- {text}" for text in failed)]
    parts = [
        texts["title"],
        "",
        texts["intro"].format(**numbers),
        "",
        *verdict,
        "",
        texts["coverage"],
        "",
        texts["coverage_note"].format(**numbers),
        "",
        *_table(texts["coverage_columns"], _coverage(found, texts)),
        "",
        texts["errors"],
        "",
        texts["errors_note"].format(**numbers),
        "",
        *_table(texts["errors_columns"], _errors(found, texts)),
        "",
        texts["power"],
        "",
        texts["power_note"],
        "",
        *_table(texts["power_columns"], _power(found, texts)),
    ]
    return "\n".join(parts) + "\n"


SHORT = (
    "many_items_50",
    "many_clusters_5",
    "few_clusters_5",
    "few_clusters_50",
    "unequal_10_5",
    "near_one_5",
    "panel_10_5",
    "panel_10_50",
    "race_3_5",
    "race_uneven_5",
    "published_raters_2_5",
    "published_5",
    "mixture_5",
    "mixture_apart_5",
)
"""Kinds of round that the explanation shows."""

START, END = "<!-- written by benchmarks.league_calibration -->\n", "<!-- end -->\n"


def short(found: Found, lang: str) -> str:
    """What the explanation says of a whole run, between its marks."""
    texts, rows = TEXTS[lang], {row.id: row for row in found.rows}
    last = {f"{row.id.split('_')[0]}_{row.gap:g}": _share(row.last, texts) for row in found.power}
    table = [
        [
            texts["rounds"][id],
            f"{rows[id].rounds:,}",
            _share(rows[id].ranks, texts),
            _share(rows[id].unresolved, texts),
        ]
        for id in SHORT
    ]
    words = texts["short"].format(
        rounds=sum(row.rounds for row in found.rows),
        least=_share(min(row.ranks for row in found.rows), texts),
        error=rows["many_clusters_5"].error,
        naive=rows["many_clusters_5"].naive,
        **last,
    )
    return "\n".join([START, *_table(texts["short_columns"], table), "", words, "", END])


def put_short(page: str, found: Found, lang: str) -> str:
    """The explanation with its figures replaced."""
    before, rest = page.split(START, 1)
    return before + short(found, lang) + rest.split(END, 1)[1]


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(columns) + " |", "|---|" + "---:|" * (len(columns) - 1)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def _share(value: float | None, texts: dict[str, Any]) -> str:
    return "–" if value is None else texts["percent"].format(100 * value)


def _coverage(found: Found, texts: dict[str, Any]) -> list[list[str]]:
    return [
        [
            texts["rounds"][row.id],
            f"{row.rounds:,}",
            _share(row.ranks, texts),
            _share(row.intervals, texts),
            _share(row.unresolved, texts),
            _share(row.power, texts),
        ]
        for row in found.rows
    ]


def _errors(found: Found, texts: dict[str, Any]) -> list[list[str]]:
    return [
        [texts["rounds"][row.id], f"{row.error:.2f}", "–" if row.naive is None else f"{row.naive:.2f}"]
        for row in found.rows
        if row.error is not None
    ]


def _power(found: Found, texts: dict[str, Any]) -> list[list[str]]:
    return [
        [
            texts["powers"][row.id],
            f"{row.gap:g}",
            f"{row.rounds:,}",
            _share(row.last, texts),
            _share(row.ranks, texts),
        ]
        for row in found.power
    ]
