"""What ``jokbo record inspect`` shows of a pack, in the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from jokbo.report.texts import Texts, clean, name

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

MAX_METRICS = 20
MAX_ROWS = 40
"""Rows of one table: the first and last of more; all are in the JSON."""


def render_layout(document: Mapping[str, Any], *, lang: str, console: Console) -> None:
    """Print the layout of a pack to a terminal.

    Parameters
    ----------
    document : mapping
        From :func:`jokbo.records.inspection.layout_document`.
    lang : str
        ``"en"`` or ``"ko"``.
    """
    from rich.text import Text

    t = Texts(lang)
    console.print(Text(name(document["name"]), style="bold"))
    console.print(
        Text(
            t(
                "record.layout.lead",
                steps=t.number(document["steps"]),
                files=t.number(document["files"]["count"]),
                size=t.bytes(document["files"]["bytes"]),
                digest=document["digest"][:16],
            )
        )
    )
    _print_disclosures(document, t, console)
    for part in (_logs, _checkpoints, _events):
        table = part(document, t)
        if table is not None:
            console.print()
            console.print(table)
        if part is _logs:
            _print_metrics(document, t, console)
    _print_unanswered(document, t, console)


def _print_disclosures(document: Mapping[str, Any], t: Texts, console: Console) -> None:
    from rich.text import Text

    for title, held in (("disclosed", True), ("not_disclosed", False)):
        needs = [t(f"record.need.{code}") for code, there in document["disclosed"].items() if there is held]
        console.print()
        console.print(Text(t(f"record.layout.{title}", count=t.number(len(needs))), style="bold"))
        for need in needs:
            console.print(Text(f"  {'+' if held else '-'} {need}"))


def _table(t: Texts, title: str, columns: Sequence[tuple[str, Literal["left", "right"]]]) -> Table:
    from rich.table import Table

    table = Table(
        box=None,
        pad_edge=False,
        header_style="bold",
        title=t(f"record.layout.{title}"),
        title_justify="left",
        title_style="bold",
    )
    for column, justify in columns:
        table.add_column(t(f"record.layout.column.{column}"), justify=justify)
    return table


def _shortened(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any] | None]:
    """The first and last rows, None for those between."""
    if len(rows) <= MAX_ROWS:
        return list(rows)
    return [*rows[: MAX_ROWS // 2], None, *rows[-MAX_ROWS // 2 :]]


def _add(table: Table, cells: Sequence[str] | None) -> None:
    from rich.text import Text

    # Text, not str: names of files are foreign, and rich would take their brackets for markup.
    table.add_row(*(Text(cell) for cell in cells)) if cells is not None else table.add_row(Text("…"))


def _logs(document: Mapping[str, Any], t: Texts) -> Table | None:
    if not document["logs"]:
        return None
    table = _table(
        t,
        "logs",
        (("file", "left"), ("format", "left"), ("rows", "right"), ("steps", "right"), ("remarks", "left")),
    )
    for row in _shortened(document["logs"]):
        if row is None:
            _add(table, None)
            continue
        remarks = [t(f"record.layout.{key}") for key in ("resumed", "sampled") if row[key]]
        span = (
            t("ui.none")
            if row["first_step"] is None
            else f"{t.number(row['first_step'])}–{t.number(row['last_step'])}"
        )
        _add(table, (clean(row["file"]), row["format"], t.number(row["rows"]), span, ", ".join(remarks)))
    return table


def _print_metrics(document: Mapping[str, Any], t: Texts, console: Console) -> None:
    from rich.text import Text

    if not document["logs"]:
        return
    shown = [
        f"{clean(metric)} ({t.number(count)})"
        for metric, count in list(document["metrics"].items())[:MAX_METRICS]
    ]
    console.print(Text(t("record.layout.metrics", metrics=", ".join(shown) or t("ui.none"))))
    if document["log_faults"]:
        console.print(Text(t("record.layout.faults", count=t.number(document["log_faults"]))))


def _checkpoints(document: Mapping[str, Any], t: Texts) -> Table | None:
    if not document["checkpoints"]:
        return None
    columns: tuple[tuple[str, Literal["left", "right"]], ...] = (
        ("step", "right"), ("checkpoint", "left"), ("role", "left"), ("form", "left"), ("size", "right"),
        ("optimizer", "left"),
    )  # fmt: skip
    table = _table(t, "checkpoints", columns)
    for row in _shortened(document["checkpoints"]):
        if row is None:
            _add(table, None)
            continue
        cells = (
            t.number(row["step"]),
            clean(row["name"]),
            t(f"record.layout.role.{row['role']}"),
            t(f"record.layout.form.{row['form']}"),
            t.bytes(row["bytes"]) if row["bytes"] else t("ui.none"),
            t("record.layout.yes") if row["optimizer"] else t("ui.none"),
        )
        _add(table, cells)
    return table


def _events(document: Mapping[str, Any], t: Texts) -> Table | None:
    if not document["events"]:
        return None
    table = _table(t, "events", (("step", "right"), ("event", "left"), ("note", "left")))
    for row in _shortened(document["events"]):
        if row is None:
            _add(table, None)
            continue
        step = t.number(row["step"])
        if "to_step" in row:
            step = f"{step} → {t.number(row['to_step'])}"
        _add(table, (step, t(f"record.layout.event.{row['kind']}"), clean(row.get("note", ""))))
    return table


def _print_unanswered(document: Mapping[str, Any], t: Texts, console: Console) -> None:
    """Checks that will say "cannot tell", and what would let them speak."""
    from rich.text import Text

    silent = [check for check in document["checks"] if check["missing"]]
    answers = len(document["checks"]) - len(silent)
    console.print()
    console.print(
        Text(
            t("record.layout.answers", count=t.number(answers), all=t.number(len(document["checks"]))),
            style="bold",
        )
    )
    if not silent:
        return
    table = _table(t, "unanswered", (("check", "left"), ("missing", "left")))
    for check in silent:
        needs = "; ".join(t(f"record.need.{need}") for need in check["missing"])
        _add(table, (f"{check['number']} {t('record.check.' + check['name'] + '.title')}", needs))
    console.print(table)
