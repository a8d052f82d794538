"""A board as CSV: one file a subject, ids and numbers as the board holds them.

A cell that a spreadsheet would take for a formula begins with an apostrophe. An absent figure is an empty cell.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Row = Sequence[object]

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def sheets(board: Mapping[str, Any]) -> dict[str, bytes]:
    """Every CSV file of a board, by its path in the site."""
    found = {
        "table": _table(board),
        "results": _results(board),
        "pairs": _pairs(board),
        "gate": _gate(board),
        "multiverse": _multiverse(board),
        "panel": _panel(board),
        "items": _items(board),
        "inputs": _inputs(board),
    }
    return {f"csv/{name}.csv": _write(head, rows) for name, (head, rows) in found.items()}


Sheet = tuple[Row, Iterable[Row]]


def _write(head: Row, rows: Iterable[Row]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([cell(value) for value in row] for row in rows)
    return out.getvalue().encode("utf-8")


def cell(value: object) -> str:
    """One value: a number plainly, nothing for what is absent, a text that no spreadsheet computes.

    Examples
    --------
    >>> cell(-0.5), cell(None), cell("=1+1"), cell(True)
    ('-0.5', '', "'=1+1", 'yes')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, list | tuple):
        return cell(" ".join(str(each) for each in value))
    text = str(value).replace("\x00", "\N{REPLACEMENT CHARACTER}")
    return f"'{text}" if text.startswith(_FORMULA) else text


def _table(board: Mapping[str, Any]) -> Sheet:
    fields = ("team", "place", "score", "error", "low", "high", "best_rank", "worst_rank",
              "first_probability", "last_probability")  # fmt: skip
    rows = [
        (name, table["by"], *(row[field] for field in fields))
        for name in ("eligible", "all")
        if (table := board["tables"][name]) is not None
        for row in table["rows"]
    ]
    return ("table", "by", *fields), rows


def _pairs(board: Mapping[str, Any]) -> Sheet:
    fields = ("above", "below", "difference", "low", "high", "resolved")
    rows = [
        (name, *(pair[field] for field in fields))
        for name in ("eligible", "all")
        if (table := board["tables"][name]) is not None
        for pair in table["pairs"]
    ]
    return ("table", *fields), rows


def _results(board: Mapping[str, Any]) -> Sheet:
    fields = (
        "team",
        "status",
        "value",
        "value_error",
        "naive_error",
        "score",
        "score_error",
        "low",
        "high",
        "finished",
    )
    rows = [
        (event["id"], event["kind"], event["category"], *(row[field] for field in fields))
        for event in board["events"]
        for row in event["results"]
    ]
    return ("event", "kind", "category", *fields), rows


def _gate(board: Mapping[str, Any]) -> Sheet:
    rows = []
    for row in board["gate"]["rows"]:
        codes = [reason["code"] for reason in row["reasons"]]
        for each in row["evidence"] or [{}]:
            fields = ("reference", "verdict", "declared", "components", "file", "sha256")
            rows.append((row["team"], row["standing"], codes, *(each.get(field) for field in fields)))
    return (
        "team",
        "standing",
        "reasons",
        "reference",
        "verdict",
        "declared",
        "components",
        "file",
        "sha256",
    ), rows


def _multiverse(board: Mapping[str, Any]) -> Sheet:
    universes = (board["multiverse"] or {}).get("universes", ())
    rows = [
        (
            each["kind"],
            each["name"],
            [f"{key}={value}" for key, value in each["values"].items()],
            each["order"],
            each["first"],
            each["last"],
        )
        for each in universes
    ]
    return ("kind", "name", "values", "order", "first", "last"), rows


def _panel(board: Mapping[str, Any]) -> Sheet:
    rows = [
        (event["id"], row["rater"], row["team"], row["criterion"], row["score"])
        for event in board["events"]
        if event["panel"] is not None
        for row in event["panel"]["rows"]
    ]
    return ("event", "rater", "team", "criterion", "score"), rows


def _items(board: Mapping[str, Any]) -> Sheet:
    rows = [
        (event["id"], row["item"], row["group"], team, score)
        for event in board["events"]
        if event["items"] is not None
        for row in event["items"]["shown"]
        for team, score in row["scores"].items()
    ]
    return ("event", "item", "group", "team", "score"), rows


def _inputs(board: Mapping[str, Any]) -> Sheet:
    fields = ("name", "role", "reader", "size", "public", "sha256")
    return fields, [tuple(row[field] for field in fields) for row in board["inputs"]]
