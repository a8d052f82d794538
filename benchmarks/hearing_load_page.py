"""Pages of the load benchmark, in both languages, from figures that were measured before."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
FIGURES = HERE.parent / "docs" / "reference" / "hearing-load.json"
MOST_DELIVERY_MS, MOST_MEMORY_MB = 1000, 200
PARTS = ("load", "killed")
"""Runs that the figures may hold: the plain one, and the one in which the server is killed."""


def read_figures(path: Path) -> dict[str, Any]:
    """Figures of earlier runs, so that one of the two can be measured again alone."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found


def keep(path: Path, found: dict[str, Any]) -> dict[str, Any]:
    """Put a run among the figures that are kept; gives all of them."""
    known = read_figures(path)
    figures = {part: known[part] for part in PARTS if part in known}
    figures["killed" if found["killed"] else "load"] = found
    path.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return figures


def bars(found: dict[str, Any]) -> dict[str, tuple[Any, bool]]:
    """Name of a bar -> what was found, and whether it is reached."""
    tests = {
        "gaps": (found["readers_with_a_gap"], found["readers_with_a_gap"] == 0),
        "order": (found["told_out_of_order"], found["told_out_of_order"] == 0),
        "votes": (found["votes_lost"], found["votes_lost"] == 0),
        "chain": (found["chain_problems"], found["chain_problems"] == 0),
        "dropped": (found["readers_dropped"], found["readers_dropped"] >= found["stalled_readers"]),
    }
    if not found["killed"]:
        delivery, memory = found["delivery_p99_ms"], found["memory_most_mb"]
        tests["delivery"] = (f"{delivery} ms", delivery < MOST_DELIVERY_MS)
        tests["memory"] = (f"{memory} MB", memory < MOST_MEMORY_MB)
    return tests


def write_pages(markdown: Path, figures: dict[str, Any]) -> None:
    """Write the English page, and the Korean one beside it."""
    words = tomllib.loads((HERE / "hearing_load_texts.toml").read_text(encoding="utf-8"))
    for lang, place in (("en", markdown), ("ko", markdown.with_suffix(".ko.md"))):
        place.write_text(page(figures, words[lang]), encoding="utf-8")


def page(figures: dict[str, Any], t: dict[str, Any]) -> str:
    """One page."""
    parts = [t["title"], t["other"], t["intro"]]
    for part in PARTS:
        if part in figures:
            found = figures[part]
            parts += [t["figures_killed"], t["killed"]] if part == "killed" else [t["bars"]]
            parts.append(_bars(found, t))
            parts += [] if part == "killed" else [t["figures"]]
            parts.append(_table(t["columns"], _rows(found, t)))
    return "\n\n".join(parts) + "\n"


def _bars(found: dict[str, Any], t: dict[str, Any]) -> str:
    rows = [
        [t[name].format(value=found["stalled_readers"]), value, t["yes"] if reached else t["no"]]
        for name, (value, reached) in bars(found).items()
    ]
    return _table(t["bar_columns"], rows)


def _rows(found: dict[str, Any], t: dict[str, Any]) -> list[list[Any]]:
    return [[label, _value(key, found[key], t)] for key, label in t["label"].items() if key in found]


def _value(key: str, value: Any, t: dict[str, Any]) -> str:
    if key == "answers":
        return ", ".join(f"{status}: {count:,}" for status, count in value.items())
    unit = key.rpartition("_")[2]
    if unit in ("ms", "mb"):
        return str(t[unit].format(value=value))
    return f"{value:,}"


def _table(head: str, rows: list[list[Any]]) -> str:
    names = head.split("|")
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)
