"""What a fingerprint says, on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from jokbo.report.texts import MAX_LISTED, Texts, clean

if TYPE_CHECKING:
    from rich.console import Console

Document = Mapping[str, Any]


def render_fingerprint(document: Document, *, lang: str, console: Console) -> None:
    """Print what `jokbo fingerprint FILE --show --json` holds.

    Parameters
    ----------
    document : mapping
        ``path``, ``sha256``, ``bytes``, ``sketch_bytes`` and ``header``.
    lang : str
        ``"en"`` or ``"ko"``.
    console : rich.console.Console
    """
    from rich.table import Table
    from rich.text import Text

    t = Texts(lang)
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in _rows(document, t):
        table.add_row(Text(t(f"fingerprint.field.{key}")), Text(value))
    console.print(table)
    console.print()
    console.print(Text(t("fingerprint.claim")), soft_wrap=True)


def render_made(document: Document, *, lang: str, console: Console) -> None:
    """Print that a fingerprint was written, how large it is, and how much was read for it."""
    from rich.text import Text

    t, header = Texts(lang), document["header"]
    name, path = clean(header["name"]), document["path"]
    size = t.bytes(document["bytes"])
    console.print(
        Text(t("fingerprint.made", path=path, name=name, bytes=size, sha256=document["sha256"])),
        soft_wrap=True,
    )
    share = t.percent(header["read_bytes"] / max(header["data_bytes"], 1))
    read, everything = t.bytes(header["read_bytes"]), t.bytes(header["data_bytes"])
    console.print(Text(t("fingerprint.read", bytes=read, share=share, all=everything)), soft_wrap=True)


def _rows(document: Document, t: Texts) -> Iterator[tuple[str, str]]:
    header = document["header"]
    declared = header["declared"]
    none = t("fingerprint.value.none")
    yield "name", clean(header["name"])
    yield "commit", clean(header["commit"] or none)
    yield "digest", header["digest"]
    yield "digest_covers", t.code("fingerprint.value", header["digest_covers"])
    yield "family", clean(header["family"])
    yield "parameters", t.number(header["parameters"])
    yield "size", t.bytes(header["data_bytes"])
    shape = {key: t.number(header[key]) for key in ("hidden_size", "num_layers")}
    yield "shape", t("fingerprint.value.shape", **shape)
    yield "files", ", ".join(clean(file["file"]) for file in header["files"][:MAX_LISTED])
    yield "read", t.bytes(header["read_bytes"])
    yield "salt", clean(header["salt"])
    yield "rows", t("fingerprint.value.rows", **{key: t.number(n) for key, n in header["plan"].items()})
    for tower, layers in header["layers"].items():
        yield "layers", t("fingerprint.value.layers", tower=clean(tower), layers=_numbers(layers, t))
    yield "private", t(f"fingerprint.value.{'private' if header['private'] else 'raw'}")
    yield "sketch", t.bytes(document["sketch_bytes"]) if document["sketch_bytes"] else none
    yield "tokenizer", _tokenizer(header["tokenizer"], t) or none
    yield "parents", ", ".join(map(clean, declared["base_models"][:MAX_LISTED])) or none
    yield "relation", clean(declared["relation"] or none)
    yield "license", clean(declared["license"] or none)
    yield "version", t.number(header["version"])


def _numbers(layers: Any, t: Texts) -> str:
    """Runs of layers: ``0-3, 8``."""
    runs: list[list[int]] = []
    for layer in sorted(layers):
        if runs and layer == runs[-1][1] + 1:
            runs[-1][1] = layer
        else:
            runs.append([layer, layer])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs) or t("fingerprint.value.none")


def _tokenizer(tokenizer: Document, t: Texts) -> str:
    counts = {key: tokenizer.get(key) for key in ("size", "merges")}
    if not all(type(count) is int for count in counts.values()):
        return ""
    return t("fingerprint.value.tokenizer", **{key: t.number(count) for key, count in counts.items()})  # type: ignore[arg-type]
