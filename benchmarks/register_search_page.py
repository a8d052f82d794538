"""Pages of the register benchmark, in both languages, from its results."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
NAME = "register-search"

BUSY = 3.0
"""A load from which seconds by the clock say nothing of two cores."""


def read_results(root: Path) -> dict[str, Any]:
    """Results of earlier runs, so that one part can be run again alone."""
    place = root / "docs" / "reference" / f"{NAME}.json"
    found: dict[str, Any] = json.loads(place.read_text(encoding="utf-8")) if place.is_file() else {}
    return found


def write_pages(root: Path, results: dict[str, Any]) -> None:
    """Write results and pages."""
    folder = root / "docs" / "reference"
    text = json.dumps(results, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    (folder / f"{NAME}.json").write_text(text, encoding="utf-8")
    words = tomllib.loads((HERE / "register_search_texts.toml").read_text(encoding="utf-8"))
    for lang, suffix in (("en", ""), ("ko", ".ko")):
        (folder / f"{NAME}{suffix}.md").write_text(page(results, words[lang]), encoding="utf-8")


def page(results: dict[str, Any], t: dict[str, Any]) -> str:
    """One page."""
    parts = [t["title"], t["intro"]]
    if "cost" in results:
        parts += cost(results, t)
    if "power" in results:
        parts += power(results["power"], t)
    if "pairs" in results:
        parts += pairs(results["pairs"], t)
    return "\n\n".join(parts) + "\n"


def _table(head: str, rows: list[list[Any]]) -> str:
    names = head.split("|")
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def cost(results: dict[str, Any], t: dict[str, Any]) -> list[str]:
    """Seconds and memory."""
    rows, bars = results["cost"], results["bars"]
    plain = [row for row in rows if not row["bounds"]]
    figures = {
        "seconds": max(row["search_seconds"] for row in plain),
        "cpu": max(row["search_cpu_seconds"] for row in plain),
        "memory": max(row["peak_gigabytes"] for row in rows),
        "load": max(row["load"] for row in rows),
        "seconds_bar": bars["seconds"],
        "memory_bar": bars["gigabytes"],
    }
    holds = figures["seconds"] <= bars["seconds"] and figures["memory"] <= bars["gigabytes"]
    busy = figures["load"] > BUSY and figures["memory"] <= bars["gigabytes"]
    verdict = t["cost_holds" if holds else "cost_busy" if busy else "cost_fails"].format(**figures)
    cells = [
        [
            f"{row['models']:,}",
            t["one_shape" if row["one_shape"] else "many_shapes"],
            f"{row['comparable']:,}",
            row["open_seconds"],
            row["score_seconds"],
            row["tested"],
            t["with_bounds" if row["bounds"] else "without_bounds"],
            row["search_seconds"],
            row["search_cpu_seconds"],
            row["load"],
            row["peak_gigabytes"],
            f"{row['packed_megabytes']} MB, {row['packing_seconds']} s",
        ]
        for row in rows
    ]
    return [t["cost"], verdict, t["cost_note"], _table(t["cost_columns"], cells)]


def power(results: dict[str, Any], t: dict[str, Any]) -> list[str]:
    """What the prefilter drops of what the full test finds."""
    planted, cases, zoo = results["planted"], results["transforms"], results["relations"]
    lost = sum(row["lost"] for row in (*planted, *cases))
    found = sum(row["found"] for row in (*planted, *cases))
    summary = t["power_note"].format(
        lost=lost + zoo["related_found_not_passed"], found=found + zoo["related_found"]
    )
    cosines = sorted({row["cosine"] for row in planted})
    parts = [t["power"], summary, t["planted_note"]]
    for label in dict.fromkeys(row["model"] for row in planted):
        cells = []
        for kind in dict.fromkeys(row["kind"] for row in planted):
            mine = {r["cosine"]: r for r in planted if r["kind"] == kind and r["model"] == label}
            cells.append([t["kinds"][kind], *(_cell(mine[c]) for c in cosines)])
        parts += [f"**{t['models'][label]}**", _table(t["kind"] + "|" + "|".join(map(str, cosines)), cells)]
    misses = [row for row in cases if row["lost"]]
    unseen = [f"{row['reference']} {row['transform']}" for row in cases if not row["found"]]
    parts.append(
        t["transforms_note"].format(
            cases=len(cases),
            found=sum(r["found"] for r in cases),
            lost=len(misses),
            unseen="; ".join(unseen) or "-",
        )
    )
    parts.append(t["zoo_note"].format(**zoo))
    return parts


def _cell(row: dict[str, Any]) -> str:
    shown = f"{row['found']}/{row['passed']}"
    return f"**{shown}**" if row["lost"] else shown


def pairs(results: dict[str, Any], t: dict[str, Any]) -> list[str]:
    """All pairs."""
    rows = results["rows"]
    cells = [
        [
            f"{row['models']:,}",
            f"{row['pairs']:,}",
            row["prefilter_seconds"],
            row["seconds"],
            row["microseconds_a_pair"],
            row["passed"],
            f"{row['related_found']} / {row['related']}",
            row["invented"],
            f"{row['independent_passed_share']:.1e}",
        ]
        for row in rows
    ]
    note = t["pairs_note"].format(exponent=results["growth_exponent"])
    return [t["pairs"], note, _table(t["pairs_columns"], cells)]
