"""What the linter found, on a terminal, in the reader's language."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from jokbo.hearing.claims.wording import FindingText, finding_text
from jokbo.report.terminal import MAX_WIDTH, bullets, heading
from jokbo.report.texts import Texts, clean, name

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

Document = Mapping[str, Any]

_KIND = {0: "clear", 10: "fault", 11: "missing"}
_STYLE = {"fault": "bold yellow", "missing": "magenta", "note": "dim", "clear": "blue"}


def render_lint_terminal(document: Document, *, lang: str, console: Console) -> None:
    """Print a result of the linter for people.

    Parameters
    ----------
    document : mapping
        What :attr:`jokbo.hearing.claims.lint.LintResult.document` holds.
    lang : str
        ``"en"`` or ``"ko"``.
    console : rich.console.Console

    Raises
    ------
    EvidenceError
        The document holds a code that this version does not explain.
    UsageError
        The language is not available.
    """
    t = Texts(lang)
    t("ui.brand")
    width = min(console.width, MAX_WIDTH)
    for piece in _pieces(document, t):
        console.print(piece, width=width)


def _pieces(document: Document, t: Texts) -> Iterator[RenderableType]:
    yield _panel(document, t)
    if document["statistics"]:
        yield heading(t("claim.numbers"))
        yield _statistics(document, t)
    if document["findings"]:
        yield heading(t("claim.findings"))
        for finding in document["findings"]:
            yield _finding(finding_text(finding, t))
    yield heading(t("claim.rerun"))
    yield bullets(tuple(_rerun(document["rerun"], t)))
    yield heading(t("claim.others"))
    yield bullets(tuple(_others(document, t)), dim=True)


def _panel(document: Document, t: Texts) -> RenderableType:
    from rich.console import Group
    from rich.panel import Panel
    from rich.text import Text

    claim, kind = document["claim"], _KIND[document["exit_status"]]
    counts = {key: t.number(document[key]) for key in ("faults", "missing", "notes")}
    said = t(f"claim.{kind}", **counts)
    if kind == "clear" and document["notes"]:
        said += f" {t('claim.clear_notes', **counts)}"
    sides = {
        side: name(claim["models"][claim[side]]["name"] or claim[side]) for side in ("reference", "candidate")
    }
    claimed = t(
        "claim.claimed",
        says=t.code("claim.says", claim["says"]),
        about=t.code("claim.about", claim["about"]),
        **sides,
    )
    lines = [Text(_shown(claim["title"]), style="bold"), Text(_shown(claimed))]
    if claim["claimant"] or claim["date"] or claim["source"]:
        known = {key: clean(claim[key], limit=400) or t("ui.none") for key in ("claimant", "date", "source")}
        lines.append(Text(_shown(t("claim.by", **known)), style="dim"))
    return Panel(
        Group(*lines, Text(""), Text(said, style="bold"), Text(""), Text(t("claim.limits"))),
        title=Text(t(f"claim.{kind}_label"), style=_STYLE[kind]),
        title_align="left",
        border_style=_STYLE[kind],
        padding=(1, 2),
    )


def _shown(text: str) -> str:
    from jokbo.report.context import plain

    return plain(clean(text, limit=2_000) if "\u2068" not in text else text)


def _statistics(document: Document, t: Texts) -> RenderableType:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for key in ("rows", "n", "mean", "sd", "low", "high"):
        table.add_column(t(f"claim.head.{key}"), justify="left" if key == "rows" else "right")
    for role, group in document["statistics"].items():
        cells = [t.significant(group[key]) if group[key] is not None else t("ui.none") for key in _NUMBERS]
        table.add_row(Text(t.code("claim.role", role)), t.number(group["n"]), *cells)
    return table


_NUMBERS = ("mean", "sd", "low", "high")


def _finding(found: FindingText) -> RenderableType:
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    from jokbo.report.context import plain

    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=1)
    grid.add_column(overflow="fold")
    head = Text(f"{found.title} ({found.word})", style=_STYLE[found.severity])
    body = Text(plain(f"{found.what} {found.why}"))
    grid.add_row(Text(found.mark, style=_STYLE[found.severity]), head)
    grid.add_row("", body)
    if found.places:
        grid.add_row("", Text(", ".join(found.places), style="dim"))
    return Padding(grid, (0, 0, 1, 0))


def _rerun(rerun: Document, t: Texts) -> Iterator[str]:
    if rerun["rows"]:
        yield t("claim.rerun_rows", count=t.number(rerun["rows"]))
    if rerun["headline"] is not None:
        again = rerun["headline"]
        numbers = {key: t.significant(again[key]) for key in ("raw", "shuffled", "centred", "pvalue")}
        yield t("claim.rerun_headline", pairs=t.number(again["pairs"]), **numbers)
    if rerun["evidence"] is not None:
        yield t("claim.rerun_evidence", digest=clean(rerun["evidence"][:16]))
    if rerun["models"] is not None:
        yield _models(rerun["models"], t)
    if not rerun["rows"] and all(rerun[key] is None for key in ("headline", "evidence", "models")):
        yield t("claim.rerun_none")


def _models(models: Document, t: Texts) -> str:
    if any(models[key] is None for key in ("raw", "shuffled", "centred")):
        return t("claim.rerun_models_only")
    numbers = {key: t.significant(models[key]) for key in ("raw", "shuffled", "centred")}
    return t("claim.rerun_models", pairs=t.number(models["pairs"]), **numbers)


def _others(document: Document, t: Texts) -> Iterator[str]:
    for outcome, key in (("clear", "clear_rules"), ("not_applicable", "idle_rules")):
        codes = [rule["code"] for rule in document["rules"] if rule["outcome"] == outcome]
        if codes:
            yield t(f"claim.{key}", rules="; ".join(t.code("claim.rule", f"{code}.title") for code in codes))
