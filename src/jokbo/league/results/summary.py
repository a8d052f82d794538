"""What result files hold, as one document: for `jokbo league inspect`, and for a look before files are listed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from jokbo.errors import UsageError
from jokbo.league.results.base import ResultFile, TaskResult
from jokbo.league.results_file import files_of

SCHEMA = "jokbo.league.results/1"
DECIMALS = 6


def files_at(paths: Sequence[Path]) -> list[ResultFile]:
    """The files of these names, and all files of these folders, as a results list would find them.

    Raises
    ------
    UsageError
        There is no such file or folder.
    FormatError
        A folder holds a link, or nothing.
    """
    found: list[ResultFile] = []
    for path in paths:
        if not path.exists():
            raise UsageError(f"there is no file or folder {path}. Correct its name.")
        whole = path.absolute()
        # Two folders may hold files of one name: each is told by the way that led to it.
        way = "" if path.parent == Path(".") else f"{path.parent.as_posix().rstrip('/')}/"
        found += [
            replace(file, name=f"{way}{file.name}")
            for file in files_of(whole.parent, whole.name, where=str(path))
        ]
    return found


def summarise(results: Sequence[TaskResult]) -> dict[str, Any]:
    """Tasks, metrics, means of the rows beside published ones, and notes; numbers rounded to six decimals.

    Examples
    --------
    >>> summarise([])
    {'schema': 'jokbo.league.results/1', 'results': []}
    """
    return {"schema": SCHEMA, "results": [_one(result) for result in results]}


def _one(result: TaskResult) -> dict[str, Any]:
    rows = result.rows
    who = result.model or result.files[0].name
    return {
        "task": result.task,
        "model": result.model,
        "filter": result.filter,
        "reader": result.reader,
        "files": [file.name for file in result.files],
        "settings": dict(sorted(result.settings.items())),
        "subtasks": list(result.subtasks),
        "rows": None
        if rows is None
        else {
            "count": len(rows.ids),
            "items": len(set(rows.ids)),
            "hashed": all(digest is not None for digest in rows.digests),
            "columns": sorted(name for name in rows.fields if not name.endswith("_hash")),
        },
        "metrics": [_metric(result, name) for name in _metrics(result)],
        "notes": [
            {"code": note.code, "values": {"who": who, **{k: _rounded(v) for k, v in note.values.items()}}}
            for note in result.notes
        ],
    }


def _metrics(result: TaskResult) -> list[str]:
    held = [] if result.rows is None else list(result.rows.scores)
    return list(dict.fromkeys([*(each.metric for each in result.published), *held]))


def _metric(result: TaskResult, name: str) -> dict[str, Any]:
    stated = next((each for each in result.published if each.metric == name), None)
    scores = None if result.rows is None else result.rows.scores.get(name)
    return {
        "metric": name,
        "mean": None if scores is None else _rounded(float(np.mean(scores))),
        "published": None if stated is None else _rounded(stated.value),
        "published_error": None
        if stated is None or stated.standard_error is None
        else _rounded(stated.standard_error),
    }


def _rounded(value: Any) -> Any:
    return round(value, DECIMALS) + 0.0 if isinstance(value, float) else value
