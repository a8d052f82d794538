"""What `jokbo league inspect` prints: a block a task, its means beside published ones, and its notes in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from jokbo.report.terminal import MAX_WIDTH, bullets, heading
from jokbo.report.texts import Texts, clean, name

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

Document = Mapping[str, Any]


def render_results_terminal(document: Document, *, lang: str, console: Console) -> None:
    """Print what :func:`jokbo.league.results.summary.summarise` found.

    Raises
    ------
    EvidenceError
        It holds a note that this version does not explain.
    UsageError
        The language is not available.
    """
    t = Texts(lang)
    width = min(console.width, MAX_WIDTH)
    for result in document["results"]:
        for piece in _pieces(result, t):
            console.print(piece, width=width)


def _pieces(result: Document, t: Texts) -> Iterator[RenderableType]:
    yield heading(
        clean(result["task"] if result["filter"] is None else f"{result['task']} · {result['filter']}")
    )
    yield bullets(tuple(_facts(result, t)))
    if result["metrics"]:
        yield _table(result, t)
    notes = tuple(note_text(note, t) for note in result["notes"])
    if notes:
        yield bullets(notes, dim=True)


def note_text(note: Document, t: Texts) -> str:
    """A note as a sentence."""
    return t.reason(note, group="league.note")


def _facts(result: Document, t: Texts) -> Iterator[str]:
    yield t("league.results.model", model=t("ui.none") if result["model"] is None else name(result["model"]))
    yield t("league.results.read_by", reader=result["reader"], files=", ".join(map(name, result["files"])))
    rows = result["rows"]
    if result["subtasks"]:
        yield t(
            "league.results.group", count=t.number(len(result["subtasks"])), tasks=t.value(result["subtasks"])
        )
    elif rows is None:
        yield t("league.results.no_rows")
    else:
        yield t("league.results.rows", rows=t.number(rows["count"]), items=t.number(rows["items"]))
        if rows["columns"]:
            yield t("league.results.columns", columns=t.value(rows["columns"]))
    if result["settings"]:
        stated = [
            f"{key} {value if len(value) <= 20 else value[:12] + '…'}"
            for key, value in result["settings"].items()
        ]
        yield t("league.results.settings", settings=", ".join(map(name, stated)))


def _table(result: Document, t: Texts) -> RenderableType:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column(t("league.results.head.metric"), overflow="fold")
    for key in ("mean", "published", "published_error"):
        table.add_column(t(f"league.results.head.{key}"), justify="right")
    for metric in result["metrics"]:
        cells = [
            t("ui.none") if metric[key] is None else t.fixed(metric[key], 4)
            for key in ("mean", "published", "published_error")
        ]
        table.add_row(Text(clean(metric["metric"])), *cells)
    return table
