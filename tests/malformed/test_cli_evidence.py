"""Evidence that follows the schema and is absurd all the same: shown or refused, never a crash."""

from __future__ import annotations

import copy
import io
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from jokbo.errors import JokboError
from jokbo.evidence.schema import check
from jokbo.report.html import render_html
from jokbo.report.terminal import render_terminal

FROZEN = sorted((Path(__file__).resolve().parents[1] / "compat/evidence").glob("*.json"))

ABSURD = [
    *(None, True, 0, -1, 0.5, 1e300, -1e308, 1e-300, 2**60, "", "x" * 5000, [], {}, [[0, 1]]),
    *("made_up", "text", "vision", "inherited", "identical", "rows", "U", "2020-13-99", "a.b"),
    *("\x1b[31m", "<script>alert(1)</script>", "{0}", "%s", "\u202e", "0" * 64),
]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a document."""
    yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inside:
        yield from places(each, (*path, key))


def edited(document: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    document = copy.deepcopy(document)
    *steps, last = rng.choice(list(places(document))[1:])
    where: Any = document
    for step in steps:
        where = where[step]
    where[last] = where[last][:1] if isinstance(where[last], list) else rng.choice(ABSURD)
    return document


@pytest.mark.parametrize("path", FROZEN[:2], ids=lambda path: path.stem)
def test_what_passes_the_schema_can_be_shown(path: Path):
    rng = random.Random(0)
    honest = json.loads(path.read_bytes())
    shown = 0
    for _ in range(250):
        document = edited(honest, rng)
        try:
            check(document, where="evidence")
            page = render_html(document, lang="en")
            render_terminal(document, lang="ko", console=Console(file=io.StringIO(), width=80))
        except JokboError:
            continue
        shown += 1
        assert "<script>alert(1)</script>" not in page
        assert "\x1b" not in page
    assert shown > 20
