"""Build the texts of the demo season: `python -m zoo.league.texts`, from the root of the repository.

Writes `zoo/league/texts/TASK.jsonl`, one item a line, and `sources.json`: which files they were cut from, with their
digests, and the training text they were checked against (`unseen.py`). Everything follows from the sources and the
seed. The evaluation reads the written files alone, so that it needs neither this Python version nor these sources.
"""

from __future__ import annotations

import os

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import hashlib
import json
import platform
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer
from zoo.corpus import CONTEXT, files, library
from zoo.league.unseen import SLICES, Seen, training_text

ROOT = Path(__file__).resolve().parents[2]
OUT = Path(__file__).resolve().parent / "texts"
SEED = 7
OPTIONS = 4
COMMIT = "1b2db279d6d8df39976aebf9eb42ee27490ec025"
"""Of this repository: its pages change, the texts cut from them do not."""


@dataclass(frozen=True, slots=True)
class Document:
    """One source file: its name, the group it belongs to, its text."""

    name: str
    group: str
    text: str


@dataclass(frozen=True, slots=True)
class Task:
    """One task: where its documents come from and how they are cut.

    Attributes
    ----------
    passage : (int, int)
        Fewest and most bytes of a passage (of the context of a choice).
    continuation : (int, int), optional
        Fewest and most bytes of what is to be chosen; None for perplexity tasks.
    """

    name: str
    documents: Callable[[], Iterator[Document]]
    items: int
    a_document: int
    passage: tuple[int, int]
    continuation: tuple[int, int] | None = None


def python_sources(name: str, *, skipped: tuple[str, ...] = ()) -> Iterator[Document]:
    """Sources of one slice of the standard library; the group is the package."""
    for path in files(name):
        relative = path.relative_to(library())
        if str(relative) not in skipped and path.stat().st_size:
            group = relative.parts[0] if len(relative.parts) > 1 else "modules"
            yield Document(f"Lib/{relative.as_posix()}", group, path.read_text(encoding="utf-8"))


def prose(text: str) -> str:
    """The running text of a Markdown page: no headings, tables, code or pictures."""
    text = re.sub(r"(?ms)^ *```.*?^ *```$", "", text)
    lines = [line for line in text.splitlines() if not re.match(r"\s*(#|\||!\[|<|\*\[|$)", line)]
    return "\n".join(lines) + "\n"


def git(*arguments: str) -> str:
    """What git says of this repository."""
    return subprocess.run(
        ["git", "-C", str(ROOT), *arguments], check=True, capture_output=True, text=True
    ).stdout


def pages(half: int, *, korean: bool) -> Iterator[Document]:
    """Every other page of this repository's own documentation as of `COMMIT`; the group is the folder."""
    folders = [f"docs/{folder}" for folder in ("cases", "design", "explanation", "how-to")]
    names = git("ls-tree", "-r", "--name-only", COMMIT, *folders).splitlines()
    found = sorted(name for name in names if name.endswith(".md") and name.endswith(".ko.md") == korean)
    for name in found[half::2]:
        yield Document(name, name.split("/")[1], prose(git("show", f"{COMMIT}:{name}")))


NUMBER_TABLES = ("html/entities.py",)
NETWORK = lambda: python_sources("network", skipped=NUMBER_TABLES)  # noqa: E731
LIBRARY = lambda: python_sources("library_odd")  # noqa: E731
TASKS = (
    Task("network_bpb", NETWORK, 80, 2, (400, 560)),
    Task("network_cloze", NETWORK, 120, 3, (200, 420), (120, 280)),
    Task("docs_bpb", lambda: pages(0, korean=False), 80, 4, (400, 560)),
    Task("docs_cloze", lambda: pages(0, korean=False), 100, 5, (200, 420), (120, 280)),
    Task("korean_bpb", lambda: pages(0, korean=True), 60, 6, (120, 225)),
    Task("library_bpb", LIBRARY, 80, 1, (400, 560)),
    Task("library_cloze", LIBRARY, 120, 2, (200, 420), (120, 280)),
    Task("manual_bpb", lambda: pages(1, korean=False), 80, 4, (400, 560)),
)


def chunk(lines: list[str], start: int, size: tuple[int, int]) -> tuple[str, int] | None:
    """Whole lines from `start` until the least size is reached: (text, next line), or None if it does not fit."""
    text, at = "", start
    while at < len(lines) and len(text.encode()) < size[0]:
        text += lines[at]
        at += 1
    return (text, at) if size[0] <= len(text.encode()) <= size[1] else None


def pieces(document: Document, task: Task) -> Iterator[tuple[str, str]]:
    """(passage, continuation) after one another through the document; the continuation is empty for perplexity."""
    lines, at = document.text.splitlines(keepends=True), 0
    while at < len(lines):
        first = chunk(lines, at, task.passage) if lines[at].strip() else None
        second = chunk(lines, first[1], task.continuation) if first and task.continuation else ("", at)
        if first is None or second is None:
            at += 1
            continue
        yield first[0], second[0]
        at = max(first[1], second[1])


def cut(task: Task, seen: Seen, tokenizer: Tokenizer) -> list[dict[str, Any]]:
    """The items of one task in a drawn order, at most so many a document, none that the models have seen."""
    rng = np.random.default_rng([SEED, TASKS.index(task)])
    found = []
    for document in task.documents():
        usable = [
            piece
            for piece in pieces(document, task)
            if not seen.shares("".join(piece)) and len(tokenizer.encode("".join(piece)).ids) < CONTEXT
        ]
        for k in sorted(rng.permutation(len(usable))[: task.a_document]):
            passage, continuation = usable[k]
            found.append(
                {"document": document.name, "group": document.group, "text": passage, "next": continuation}
            )
    found = [found[k] for k in sorted(rng.permutation(len(found))[: task.items])]
    return found if task.continuation is None else with_options(found, rng, tokenizer)


def with_options(
    found: list[dict[str, Any]], rng: np.random.Generator, tokenizer: Tokenizer
) -> list[dict[str, Any]]:
    """Add three continuations from other documents of the group (of any group, where it has too few)."""
    items = []
    for item in found:

        def fits(other: dict[str, Any], item: dict[str, Any] = item) -> bool:
            whole = tokenizer.encode(item["text"] + other["next"]).ids
            return (
                other["document"] != item["document"]
                and other["next"] != item["next"]
                and len(whole) < CONTEXT
            )

        near = sorted({o["next"] for o in found if o["group"] == item["group"] and fits(o)})
        far = sorted({o["next"] for o in found if fits(o)})
        wrong = [str(t) for t in rng.permutation(near if len(near) >= OPTIONS - 1 else far)[: OPTIONS - 1]]
        target = int(rng.integers(OPTIONS))
        options = [*wrong[:target], item["next"], *wrong[target:]]
        items.append(
            {**{k: item[k] for k in ("document", "group", "text")}, "choices": options, "gold": target}
        )
    return items


def main() -> None:
    """Write every task and the list of sources."""
    OUT.mkdir(exist_ok=True)
    seen = training_text()
    tokenizer = Tokenizer.from_file(str(ROOT / "zoo/models/base0/tokenizer.json"))
    sources: dict[str, dict[str, str]] = {}
    for task in TASKS:
        items = cut(task, seen, tokenizer)
        for item in items:
            item.pop("next", None)
        rows = "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items)
        (OUT / f"{task.name}.jsonl").write_text(rows, encoding="utf-8")
        used = {item["document"] for item in items}
        sources[task.name] = {
            document.name: hashlib.sha256(document.text.encode()).hexdigest()
            for document in task.documents()
            if document.name in used
        }
        print(f"{task.name}: {len(items)} items of {len(used)} documents, {len(rows):,} bytes")
    record = {
        "python": platform.python_version(),
        "commit": COMMIT,
        "seed": SEED,
        "training_text": {"slices": list(SLICES), "bytes": seen.bytes, "sha256": seen.sha256},
        "documents": sources,
    }
    (OUT / "sources.json").write_text(json.dumps(record, indent=0) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
