"""What a watch found, on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from jokbo.report.context import plain
from jokbo.report.terminal import MAX_WIDTH
from jokbo.report.texts import Texts, name

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from jokbo.lineage.watch.rounds import Round

SHOWN_COMMIT = 12
STYLES: Mapping[str, str] = {
    "undeclared": "bold red",
    "undecided": "bold yellow",
    "explained": "bold green",
    "nothing": "bold green",
}


def render_watch_report(document: Mapping[str, Any], *, lang: str, console: Console) -> None:
    """Print the report on one new revision for people.

    Parameters
    ----------
    document : mapping
        Valid under ``jokbo.watch/1``.
    lang : str
        ``"en"`` or ``"ko"``.
    console : rich.console.Console
        Where to.

    Raises
    ------
    EvidenceError
        The document holds a code that this version does not explain.
    UsageError
        The language is not available.
    """
    from rich.text import Text

    t = Texts(lang)
    width = min(console.width, MAX_WIDTH)
    headline = t.code("watch.headline", document["outcome"], repository=name(document["repository"]))
    console.print(Text(plain(headline), style=STYLES[document["outcome"]]), width=width)
    for sentence in watch_sentences(document, t):
        console.print(Text(f"  {plain(sentence)}"), width=width)
    if document["found"]:
        console.print(_table(document, t), width=width)
    if document["outcome"] == "undeclared":
        console.print(Text(f"  {t('watch.undeclared_note')}", style="dim"), width=width)


def render_watch_round(found: Round, *, lang: str, console: Console) -> None:
    """Print how a round ended: what could not be dealt with, and counts."""
    from rich.text import Text

    t = Texts(lang)
    width = min(console.width, MAX_WIDTH)
    if found.failed:
        console.print(Text(t("watch.failed_title"), style="bold"), width=width)
    for repository, reason in found.failed:
        sentence = t("watch.failed", repository=name(repository), reason=reason)
        console.print(Text(f"  {plain(sentence)}"), width=width)
    console.print(
        Text(
            t(
                "watch.summary",
                new=t.number(len(found.reports)),
                unchanged=t.number(found.unchanged),
                failed=t.number(len(found.failed)),
            )
        ),
        width=width,
    )


def watch_sentences(document: Mapping[str, Any], t: Texts) -> Iterator[str]:
    """What a report says below its headline, sentence by sentence."""
    previous, declared = document["previous"], document["declared"]
    parameters = t.number(document["parameters"])
    if previous is None:
        yield t("watch.first", commit=_short(document["commit"]), parameters=parameters)
    else:
        yield t(
            "watch.revision",
            commit=_short(document["commit"]),
            previous=_short(previous["commit"] or previous["key"]),
            parameters=parameters,
        )
        yield _change(previous, t)
    if document["not_before"] is not None:
        yield t("watch.not_before", date=document["not_before"])
    if declared["parents"]:
        yield t("watch.declared", parents=t.value(declared["parents"]))
    else:
        yield t("watch.declared_none")
    if declared["relation"] is not None:
        yield t("watch.declared_relation", relation=name(declared["relation"]))
    if previous is not None:
        yield from _declarations(previous, declared, t)
    yield from _search(document["register"], t)


def _change(previous: Mapping[str, Any], t: Texts) -> str:
    code = "unchanged" if previous["weights"] == "unchanged" else previous["relation"]
    share = previous["inherited_share"]
    return t.code("watch.previous", code, share=t("ui.none") if share is None else t.percent(share))


def _declarations(previous: Mapping[str, Any], declared: Mapping[str, Any], t: Texts) -> Iterator[str]:
    for code in ("parents_added", "parents_dropped"):
        if previous[code]:
            yield t(f"watch.{code}", parents=t.value(previous[code]))
    if previous["license_before"] is not None:
        now = declared["license"]
        yield t(
            "watch.license_changed",
            before=name(previous["license_before"]),
            license=t("watch.license_none") if now is None else name(now),
        )


def _search(register: Mapping[str, Any], t: Texts) -> Iterator[str]:
    models, comparable = register["models"], register["comparable"]
    if not models:
        yield t("watch.searched_none")
    elif models == comparable:
        yield t("watch.searched_all", models=t.number(models))
    else:
        yield t("watch.searched", models=t.number(models), comparable=t.number(comparable))
    if register["left_out"]:
        yield t("watch.left_out", names=t.value([row["name"] for row in register["left_out"]]))


def _table(document: Mapping[str, Any], t: Texts) -> RenderableType:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE, pad_edge=False, show_edge=False, show_header=False)
    table.add_column("", overflow="fold")
    table.add_column("", overflow="fold")
    table.add_column("", overflow="fold")
    table.add_column("", justify="right")
    for row in document["found"]:
        explained = t.code("watch.explained", row["explained"] or "none")
        evalue = t("watch.evidence", evalue=t.evalue(row["log10_evalue"]))
        style = "" if row["explained"] else "bold"
        table.add_row(
            Text(f"  {plain(name(row['name']))}", style=style),
            t.code("watch.relation", row["relation"]),
            Text(explained, style=style),
            evalue,
        )
    return table


def _short(commit: str) -> str:
    return commit[:SHOWN_COMMIT]
