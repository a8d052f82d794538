"""A register and a fingerprint on a terminal: what is registered, what became of a command, what is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jokbo.report.terminal import heading
from jokbo.report.texts import Texts, clean

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

Document = Mapping[str, Any]

_SHORT_KEY = 12
_MAX_FAILURES = 200


def render_entries(document: Document, *, lang: str, console: Console) -> None:
    """Print what `jokbo registry list --json` holds.

    Parameters
    ----------
    document : mapping
        ``folder``, ``salt``, ``size`` and ``entries``.
    lang : str
        ``"en"`` or ``"ko"``.
    console : rich.console.Console
    """
    t = Texts(lang)
    if not document["entries"]:
        _say(console, t("register.empty", folder=document["folder"]))
        return
    console.print(_table(document["entries"], t))
    _say(
        console,
        t(
            "register.where",
            folder=document["folder"],
            count=t.number(len(document["entries"])),
            bytes=t.bytes(document["size"]),
            salt=clean(document["salt"]),
        ),
    )


def _table(entries: Sequence[Document], t: Texts) -> RenderableType:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for key in ("name", "key", "parameters", "family", "parents", "license", "public_since"):
        table.add_column(
            t(f"register.head.{key}"),
            overflow="fold",
            no_wrap=key in ("key", "parameters"),
            justify="right" if key == "parameters" else "left",
        )
    for entry in sorted(entries, key=lambda entry: (entry["name"], entry["key"])):
        name = Text(clean(entry["name"]))
        if entry["private"]:
            name.append(f" ({t('register.private')})", style="dim")
        cells = (entry["key"][:_SHORT_KEY], _parameters(entry["parameters"]), clean(entry["family"]))
        more = (
            _parents(entry["parents"], t),
            clean(entry["license"] or t("register.unknown")),
            _since(entry, t),
        )
        table.add_row(name, *map(Text, (*cells, *more)))
    return table


def _parameters(count: int) -> str:
    """As models are called: 8.03B, 135M."""
    for unit, size in (("T", 10**12), ("B", 10**9), ("M", 10**6), ("K", 10**3)):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return str(count)


def _parents(parents: Sequence[str], t: Texts) -> str:
    if not parents:
        return t("register.unknown")
    first = clean(parents[0])
    return first if len(parents) == 1 else t("register.more_parents", first=first, count=len(parents) - 1)


def _since(entry: Document, t: Texts) -> str:
    if entry["public_since"]:
        return clean(entry["public_since"])
    if entry["claimed_since"]:
        by = clean(entry["claimed_by"] or t("register.unknown"))
        return t("register.claimed", date=clean(entry["claimed_since"]), by=by)
    return t("register.unknown")


def render_known(groups: Mapping[str, Sequence[Document]], *, lang: str, console: Console) -> None:
    """Print the list of base models that comes with Jokbo, by group."""
    from rich.text import Text

    t = Texts(lang)
    for group, models in groups.items():
        console.print(heading(t("register.known.group", group=clean(group), count=len(models))))
        for model in models:
            line = Text(f"  {clean(model['model'])}")
            said = [clean(model["license"])] if model["license"] else []
            said += [f"← {', '.join(map(clean, model['parents']))}"] if model["parents"] else []
            line.append(f"  {'  '.join(said)}", style="dim")
            console.print(line, soft_wrap=True)
    count = sum(map(len, groups.values()))
    console.print()
    _say(console, t("register.known.title", count=t.number(count)))


def render_added(document: Document, *, lang: str, console: Console) -> None:
    """Print what became of models that were to be registered; failures last, each with its reason."""
    from rich.text import Text

    t = Texts(lang)
    for entry in document["added"]:
        console.print(Text(f"  {clean(entry['name'])}  {entry['key'][:_SHORT_KEY]}"), soft_wrap=True)
    _say(console, t("register.add.added", count=t.number(len(document["added"]))))
    if document["known"]:
        _say(console, t("register.add.known", count=t.number(len(document["known"]))))
    if document["failed"]:
        _say(console, t("register.add.failed", count=t.number(len(document["failed"]))))
        for failure in document["failed"][:_MAX_FAILURES]:
            model, reason = clean(failure["model"], limit=400), clean(failure["reason"], limit=1000)
            # Most reasons begin with the model already.
            line = reason if model in reason else t("register.add.failure", model=model, reason=reason)
            _say(console, f"  {line}")


def render_check(document: Document, *, lang: str, console: Console) -> None:
    """Print whether a register is sound, and each problem."""
    t = Texts(lang)
    for line in _check_lines(document, t):
        _say(console, line)


def _check_lines(document: Document, t: Texts) -> Iterator[str]:
    problems, folder = document["problems"], document["folder"]
    for problem in problems:
        values = {key: clean(problem[key] or "", limit=1000) for key in ("name", "path", "sentence")}
        yield t.code("register.problem", problem["code"], **values)
    repaired = sum(problem["repaired"] for problem in problems)
    if repaired:
        yield t("register.check.repaired", count=t.number(repaired))
    if document["sound"]:
        count, size = t.number(document["entries"]), t.bytes(document["size"])
        yield t("register.check.sound", folder=folder, count=count, bytes=size)
    else:
        count, entries = t.number(len(problems) - repaired), t.number(document["entries"])
        yield t("register.check.unsound", folder=folder, count=count, entries=entries)


def say(console: Console, text: str, /, *, lang: str, **values: object) -> None:
    """Print one sentence of the catalogue."""
    _say(console, Texts(lang)(text, **values))


def _say(console: Console, line: str) -> None:
    from rich.text import Text

    console.print(Text(line), soft_wrap=True)
