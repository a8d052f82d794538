"""Pages on fingerprints, in both languages, from what :mod:`benchmarks.fingerprint_power` measured."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
JSON_FILE = ROOT / "docs" / "reference" / "fingerprint.json"
PAGES = {"en": "fingerprint.md", "ko": "fingerprint.ko.md"}
MAX_SHOWN = 200.0
"""Evidence beyond this size says nothing more; the table stops there."""


def write_pages(document: Mapping[str, Any]) -> None:
    """Write JSON and pages."""
    text = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False)
    JSON_FILE.write_text(text + "\n", encoding="utf-8")
    for lang, name in PAGES.items():
        JSON_FILE.with_name(name).write_text(markdown(document, lang), encoding="utf-8")


def words_of(lang: str) -> dict[str, Any]:
    """The words of one language."""
    texts = tomllib.loads((ROOT / "benchmarks" / "fingerprint_texts.toml").read_text(encoding="utf-8"))
    found: dict[str, Any] = texts[lang]
    return found


def markdown(document: Mapping[str, Any], lang: str) -> str:
    """One page."""
    words = words_of(lang)
    null = document["null"]
    counts = _counts(document["power"])
    values = {
        "pairs": f"{null['pairs']:,}",
        "accused": null["accused"],
        "zoo": null["zoo"]["pairs"],
        "zoo_accused": null["zoo"]["accused"],
        "zoo_largest": f"{null['zoo']['largest']:.1f}",
        "mean": f"{null['all']['mean']:.2f}",
        "alarms": null["all"]["alarms"],
        "upper": f"{100 * null['all']['upper']:.2f}",
        "cpu": f"{document['cpu_seconds'] / 60:.0f}",
        **counts,
    }
    lines = [words["head"].strip(), ""]
    lines += [words["sizes"].strip(), "", *_table(words["size_columns"], _sizes(document["sizes"])), ""]
    lines += [words["power"].strip().format(**values), ""]
    lines += [*_table(words["power_columns"], _power(document["power"], words)), ""]
    lines += [words["null"].strip().format(**values), ""]
    lines += [*_table(words["null_columns"], _null(null["rows"], words)), ""]
    lines += [
        words["holds"] if not document["missed"] else words["missed"],
        *(f"- {text}" for text in document["missed"]),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _table(columns: str, rows: Iterator[Sequence[str]]) -> Iterator[str]:
    yield columns
    yield "|" + "---|" * (columns.count("|") - 1)
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def _sizes(rows: Sequence[Mapping[str, Any]]) -> Iterator[Sequence[str]]:
    for row in rows:
        plan = row["plan"]
        yield (
            row["shape"],
            f"{row['data_bytes'] / 1e9:,.1f} GB",
            f"{row['file_bytes'] / 1e6:.1f} MB",
            f"{row['sketch_bytes'] / 1e3:.0f} kB",
            f"{row['sent_bytes'] / 1e6:.1f} MB",
            f"{100 * row['share']:.3f} %",
            f"{row['requests']:,}",
            f"{row['layers_held']} / {row['layers']}",
            f"{plan['units']}, {plan['values']}, {plan['rotary']}, {plan['tokens']}",
            f"{row['seconds']:.0f} s",
        )


DEPENDENT = ("identical", "lineage", "shared_initialisation", "reuse", "shared_basis")


def _counts(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    related = [row for row in rows if row["truth"] == "related"]
    return {
        "related": len(related),
        "full_found": sum(row["full_relation"] in DEPENDENT for row in related),
        "dated_found": sum(row["dated_relation"] in DEPENDENT for row in related),
        "found": sum(row["relation"] in DEPENDENT for row in related),
        "leads": sum(row["relation"] == "lead" for row in related),
        "lost": sum(
            row["full_relation"] in DEPENDENT and row["dated_relation"] not in DEPENDENT for row in related
        ),
        "least_found": sum(row["least_relation"] in DEPENDENT for row in related),
        "independent": sum(row["truth"] == "independent" for row in rows),
        "wrong": sum(
            row["truth"] == "independent" and row["dated_relation"] in (*DEPENDENT, "lead") for row in rows
        ),
    }


def _power(rows: Sequence[Mapping[str, Any]], words: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    for row in rows:
        if row["truth"] == "independent":
            continue
        lost = row["full_relation"] in DEPENDENT and row["dated_relation"] not in DEPENDENT
        yield (
            row["group"],
            row["label"],
            f"{row['reference']}, {row['candidate']}",
            _log10(row["full_log10"]),
            words["relation"][row["full_relation"]],
            _log10(row["log10"]),
            f"**{words['relation'][row['dated_relation']]}**"
            if lost
            else words["relation"][row["dated_relation"]],
            words["relation"][row["relation"]],
            _log10(row["least_log10"]),
            words["relation"][row["least_relation"]],
        )


def _log10(value: float | None) -> str:
    if value is None:
        return "–"
    return f"> {MAX_SHOWN:.0f}" if value > MAX_SHOWN else f"{value:.1f}"


def _null(rows: Sequence[Mapping[str, Any]], words: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    for row in rows:
        if not row["name"].startswith("component"):
            yield (
                words["population"][row["population"]],
                row["name"],
                f"{row['pairs']:,}",
                f"{row['mean']:.2f}",
                f"{row['capped']:.2f} ± {row['error']:.2f}",
                f"{row['alarms']} ({100 * row['alarms'] / row['pairs']:.2f} %)",
                f"{100 * row['upper']:.2f} %",
                f"{row['pvalue']:.2g}",
                f"{row['largest']:.1f}",
            )
