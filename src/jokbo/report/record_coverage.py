"""The table of forgeries: what excludes each, how often that found planted ones, and what the others would take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jokbo.report.record_checks import FindingRow, Findings
from jokbo.report.record_words import Document, check_text, forgery_title, needs
from jokbo.report.texts import Texts
from jokbo.report.wording import capital

MARKS: Mapping[str, str] = {"excluded": "○", "partial": "◐", "open": "?"}
STYLE: Mapping[str, str] = {"excluded": "no_evidence", "partial": "inconclusive", "open": "inconclusive"}

MAX_NAMED = 2
"""Checks named for one of several ways to make a forgery."""

Checks = Mapping[str, Mapping[str, Any]]


def coverage(document: Document, t: Texts) -> Findings:
    """Which forgeries are excluded, by what, and what it would take for the others."""
    checks = {row["check"]: row for row in document["checks"]}
    present = {_covered(row, checks) for row in document["coverage"]}
    return Findings(
        key="coverage",
        title=t("record.section.coverage"),
        lead=t("record.section.coverage_lead"),
        caption=t("record.section.coverage"),
        head=tuple(t(f"record.head.{key}") for key in ("forgery", "finding", "by", "would_need")),
        rows=tuple(_forgery(row, checks, t) for row in document["coverage"]),
        legend=tuple(
            (mark, t(f"record.coverage.{key}.word"), t(f"record.coverage.{key}.meaning"))
            for key, mark in MARKS.items()
            if key in present
        ),
    )


def _covered(row: Mapping[str, Any], checks: Checks) -> str:
    """Excluded; partly, where some ways are or a check that saw nothing odd would have found some; or open."""
    if row["excluded"]:
        return "excluded"
    quiet = (each for each in row["partial"] if not _spoke_up(checks[each["check"]]))
    some = any(way["by"] for way in row["variants"])
    return "partial" if some or any(each["found"] for each in quiet) else "open"


def _spoke_up(check: Mapping[str, Any]) -> bool:
    return check["outcome"] == "inconsistent" or check["observation"] == "violated"


def _forgery(row: Mapping[str, Any], checks: Checks, t: Texts) -> FindingRow:
    kind = _covered(row, checks)
    return FindingRow(
        name=forgery_title(row["forgery"], t),
        note=t.code("record.forgery", f"{row['forgery']}.text"),
        status=STYLE[kind],
        mark=MARKS[kind],
        status_text=t(f"record.coverage.{kind}.word"),
        cells=(_ways(row, checks, t), () if row["excluded"] else (_wanted(row, checks, t),)),
    )


def _ways(row: Mapping[str, Any], checks: Checks, t: Texts) -> tuple[str, ...]:
    """One line a way to make the forgery and check; ways are named where there are several."""
    several = len(row["variants"]) > 1
    left = list(row["partial"])
    lines = []
    for way in row["variants"]:
        found = [_power(name, row["forgery"], way["variant"], checks, t) for name in way["by"]]
        mine = [each for each in left if each["variant"] == way["variant"]]
        left = [each for each in left if each["variant"] != way["variant"]]
        if not found:
            found = [_partly(each, checks, t) for each in _least(mine)]
            found = found or ([t("record.power.open")] if several else [])
        if several:
            found = _few(found, t)
            words = capital(t.code("record.variant", f"{row['forgery']}.{way['variant']}"))
            lines.append(t("record.power.variant", variant=words, checks=", ".join(found)))
        else:
            lines += found
    if left and not any(way["by"] for way in row["variants"]):
        others = ", ".join(_partly(each, checks, t) for each in _least(left))
        lines.append(t("record.power.variant", variant=capital(t("record.power.other")), checks=others))
    return tuple(lines)


def _few(found: list[str], t: Texts) -> list[str]:
    """One check is enough to exclude a way; the table of checks has all of them."""
    if len(found) <= MAX_NAMED:
        return found
    shown = ", ".join(found[:MAX_NAMED])
    return [t("record.power.more", checks=shown, count=t.number(len(found) - MAX_NAMED))]


def _power(check: str, forgery: str, variant: str, checks: Checks, t: Texts) -> str:
    """The plants of one way that a check found least of: a pass excludes no more than those."""
    rows = [p for p in checks[check]["planted"] if (p["forgery"], p["variant"]) == (forgery, variant)]
    planted = min(rows, key=lambda row: row["lower"])
    return t(
        f"record.power.{'costly' if planted['costly'] else 'all'}",
        check=check_text(check, "title", t),
        found=t.number(planted["found"]),
        tried=t.number(planted["tried"]),
        lower=t.percent(planted["lower"]),
    )


def _least(partial: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Of each check the kind of plants that it found least of."""
    found: dict[str, Mapping[str, Any]] = {}
    for row in sorted(partial, key=lambda each: each["found"] / max(each["tried"], 1)):
        found.setdefault(row["check"], row)
    return [found[name] for name in dict.fromkeys(row["check"] for row in partial)]


def _partly(row: Mapping[str, Any], checks: Checks, t: Texts) -> str:
    counts = {"found": t.number(row["found"]), "tried": t.number(row["tried"])}
    whole = "all" if row["found"] == row["tried"] else "partial"
    key = "not_passed" if _spoke_up(checks[row["check"]]) else whole
    return t(f"record.power.{key}", check=check_text(row["check"], "title", t), **counts)


def _wanted(row: Mapping[str, Any], checks: Checks, t: Texts) -> str:
    """What would let a check speak of a forgery that none excludes."""
    if row["would_need"]:
        key = "one" if len(row["would_need"]) == 1 else "any"
        return capital(t(f"record.need_sentence.{key}", needs=needs(row["would_need"], t)))
    looking = {each["outcome"] for each in checks.values() if row["forgery"] in each["catches"]}
    if "inconsistent" in looking:
        return t("record.need_sentence.contradicted")
    return t(f"record.need_sentence.{'no_violation' if looking else 'none'}")
