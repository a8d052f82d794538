"""The league's calibration as a page, in English or Korean."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path

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


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(columns) + " |", "|---|" + "---:|" * (len(columns) - 1)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _coverage(found: Found, texts: dict[str, dict[str, str]]) -> list[list[str]]:
    return [
        [
            texts["rounds"][row.id],
            f"{row.rounds:,}",
            _share(row.ranks),
            _share(row.intervals),
            _share(row.unresolved),
            _share(row.power),
        ]
        for row in found.rows
    ]


def _errors(found: Found, texts: dict[str, dict[str, str]]) -> list[list[str]]:
    return [
        [texts["rounds"][row.id], f"{row.error:.2f}", "–" if row.naive is None else f"{row.naive:.2f}"]
        for row in found.rows
        if row.error is not None
    ]


def _power(found: Found, texts: dict[str, dict[str, str]]) -> list[list[str]]:
    return [
        [texts["powers"][row.id], f"{row.gap:g}", f"{row.rounds:,}", _share(row.last), _share(row.ranks)]
        for row in found.power
    ]
