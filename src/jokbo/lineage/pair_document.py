"""The document of one pair under ``schemas/pair-1.json``, checked where a result comes from somewhere else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jokbo.evidence import schema as rules
from jokbo.evidence.documents import load_schema
from jokbo.lineage.tasks import FINGERPRINT, Task

AS_ASKED = ("among", "seed", "reference_first")
"""Fields of a pair that repeat what its task asked for."""


def schema() -> Mapping[str, Any]:
    """The JSON Schema of a pair."""
    return load_schema("jokbo.lineage", "schemas/pair-1.json")


def pair_problem(document: Any) -> str | None:
    """Where a document is no pair, in a few words; None when it is one.

    Examples
    --------
    >>> pair_problem({"schema": "jokbo.pair/2"})
    "it is no comparison of a pair: field 'among' is missing"
    """
    found = next(rules.problems(document, schema()), None)
    if found is None:
        return None
    path, problem = found
    return f"it is no comparison of a pair{f' at {path}' if path else ''}: {problem}"


def result_problem(task: Task, result: Mapping[str, Any]) -> str | None:
    """Why a kept document cannot be what :func:`~jokbo.lineage.work.run_task` made of a task; None when it can.

    A pair follows its schema, and repeats what the task asked for: another threshold or other rows would be
    another task's. What a fingerprint's file holds is checked when it is opened.

    Examples
    --------
    >>> from jokbo.lineage.tasks import plan_confirm
    >>> (task,) = plan_confirm([("a", "b")])
    >>> result_problem(task, {})
    "it is no comparison of a pair: field 'among' is missing"
    """
    if task.kind == FINGERPRINT:
        return None
    problem = pair_problem(result)
    if problem is not None:
        return problem
    asked = {name: task.spec[name] for name in AS_ASKED}
    if task.spec["full"]:
        asked["rows"] = "full"
    for name, expected in asked.items():
        if result[name] != expected:
            return f"its {name} is {result[name]!r}, and the task's {expected!r}"
    return None
