"""Result files and lists that a test has at hand, read and put together as a round's are."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jokbo.league.assemble import assemble
from jokbo.league.measured import Measured
from jokbo.league.results.base import ResultFile, TaskResult
from jokbo.league.results.choose import read_files
from jokbo.league.results_file import read_results
from jokbo.league.round import (
    Anchor,
    Axis,
    Elimination,
    Event,
    EventKind,
    GateRule,
    ModelIdentity,
    Round,
    Team,
)


def event_of(id: str, kind: EventKind = EventKind.ITEMS, **changes: Any) -> Event:
    """An event with plain rules, except for what is named.

    Examples
    --------
    >>> event_of("kmmlu", metric="acc").metric
    'acc'
    """
    plain: dict[str, Any] = {
        "id": id,
        "title": {"en": id, "ko": id},
        "kind": kind,
        "axes": (Axis.EFFICIENCY if kind is EventKind.RACE else Axis.ABSOLUTE,),
        "category": None,
        "weight": 1.0,
        "author": "nobody",
        "affiliations": (),
        "direction": "higher",
        "scale": "linear",
        "floor": 0.0,
        "anchor": Anchor(1.0),
    }
    return Event(**(plain | changes))


def round_of(*events: Event, teams: Sequence[str] = ("one", "two")) -> Round:
    """A round of these events and teams, with id ``r1``."""
    return Round(
        id="r1",
        title={"en": "r1", "ko": "r1"},
        teams=tuple(Team(team, {"en": team, "ko": team}, ModelIdentity(team)) for team in teams),
        events=events,
        categories=(),
        gate=GateRule(),
        elimination=Elimination(1, "absolute", ()),
        seed=1,
    )


def assembled(
    folder: Path, round: Round, files: Mapping[str, str | bytes], results: str
) -> tuple[Measured, ...]:
    """Write files and the lines of a results list, and assemble them.

    Parameters
    ----------
    files : mapping of str to (str or bytes)
        By name in the folder.
    results : str
        What stands under ``results:``, and after it.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     (found,) = assembled(
    ...         Path(folder),
    ...         round_of(event_of("e"), teams=["one"]),
    ...         {"one.csv": "item,acc\\n1,0.5\\n"},
    ...         "  - {team: one, events: [e], files: [one.csv]}",
    ...     )
    >>> found.items
    ('1',)
    """
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
    listed = folder / "results.yaml"
    listed.write_text(f"jokbo_results: 1\nround: {round.id}\nresults:\n{results}\n", encoding="utf-8")
    return assemble(round, read_results(listed, round))


def result_files(folder: Path, pattern: str = "**/*") -> list[ResultFile]:
    """The files of a folder that a pattern matches, named from it."""
    return [
        ResultFile(path.relative_to(folder).as_posix(), path, path.stat().st_size)
        for path in sorted(folder.glob(pattern))
        if path.is_file()
    ]


def read_folder(
    folder: Path, pattern: str = "**/*", **options: Any
) -> dict[tuple[str, str | None], TaskResult]:
    """What the files of a folder hold, by task and filter."""
    return {(each.task, each.filter): each for each in read_files(result_files(folder, pattern), **options)}


def edit_json(path: Path, change: Callable[[Any], None]) -> None:
    """Change a JSON file in place, as somebody would who has something to hide."""
    document = json.loads(path.read_text(encoding="utf-8"))
    change(document)
    path.write_text(json.dumps(document), encoding="utf-8")


def edit_lines(path: Path, change: Callable[[list[dict[str, Any]]], None]) -> None:
    """The same with a file of one JSON object a line."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    change(rows)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
