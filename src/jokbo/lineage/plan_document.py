"""A plan as a document: canonical JSON under ``schemas/tasks-1.json``, checked at the edge."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

from jokbo.errors import EvidenceError
from jokbo.evidence import schema as rules
from jokbo.evidence.canonical import canonical_bytes
from jokbo.formats.strict_json import strict_loads
from jokbo.lineage.tasks import MAX_TASKS, Task, needed_fingerprints, task_key

SCHEMA = "jokbo.tasks/1"
MAX_PLAN_BYTES = 4 << 30


@cache
def schema() -> Mapping[str, Any]:
    """The JSON Schema of a plan."""
    text = resources.files("jokbo.lineage").joinpath("schemas/tasks-1.json").read_text(encoding="utf-8")
    document: Mapping[str, Any] = json.loads(text)
    return document


def plan_to_json(tasks: Sequence[Task]) -> bytes:
    """Canonical JSON of a plan, with a final newline."""
    return canonical_bytes({"schema": SCHEMA, "tasks": [task.to_document() for task in tasks]}) + b"\n"


def parse_plan(data: bytes, *, where: str = "plan") -> tuple[Task, ...]:
    """Read a plan that somebody else wrote.

    Raises
    ------
    EvidenceError
        It is not JSON, does not follow the schema, a key is not that of its task, or a pair needs a fingerprint
        that no task of the plan makes.

    Examples
    --------
    >>> from jokbo.lineage.tasks import plan_fingerprints
    >>> tasks = plan_fingerprints(["org/a"], out="prints")
    >>> parse_plan(plan_to_json(tasks)) == tasks
    True
    """
    if len(data) > MAX_PLAN_BYTES:
        raise EvidenceError(f"{where} is {len(data):,} bytes; expected at most {MAX_PLAN_BYTES:,}.")
    try:
        document = strict_loads(data)
    except (ValueError, RecursionError) as error:
        raise EvidenceError(f"{where} is not JSON ({error}). Write the plan again.") from None
    found = next(rules.problems(document, schema()), None)
    if found is not None:
        raise _wrong(where, *found)
    if len(document["tasks"]) > MAX_TASKS:
        raise EvidenceError(
            f"{where}: {len(document['tasks']):,} tasks; expected at most {MAX_TASKS:,}. Split the plan."
        )
    tasks = tuple(read_task(each, where=f"{where} at tasks/{k}") for k, each in enumerate(document["tasks"]))
    _check_needs(tasks, where)
    return tasks


def read_task(document: Mapping[str, Any], *, where: str) -> Task:
    """One task of a plan, its spec held against the schema of its kind and its key against its spec.

    Raises
    ------
    EvidenceError
        It does not follow the schema, or the key is another task's.
    """
    kind = document.get("kind")
    whole = schema()
    if not isinstance(kind, str) or kind not in whole["$defs"]:
        raise _wrong(
            where, "kind", f"expected one of {', '.join(sorted(whole['$defs']))}, found {str(kind)[:40]!r}"
        )
    found = next(rules.problems(document, {**whole["$defs"][kind], "$defs": whole["$defs"]}), None)
    if found is not None:
        raise _wrong(where, *found)
    key = task_key(kind, document["spec"])
    if key != document["key"]:
        raise EvidenceError(
            f"{where}: the key is {document['key']}; expected {key}, the digest of its spec. "
            "It is damaged or edited: write the plan again."
        )
    return Task(key, kind, dict(document["spec"]))


def _check_needs(tasks: Sequence[Task], where: str) -> None:
    known = {task.key for task in tasks}
    for k, task in enumerate(tasks):
        for key in needed_fingerprints(task):
            if key not in known:
                raise EvidenceError(
                    f"{where} at tasks/{k}: it needs the fingerprint of task {key}, which is not in the plan. "
                    "Write the plan again, whole."
                )


def _wrong(where: str, path: str, problem: str) -> EvidenceError:
    place = f" at {path}" if path else ""
    return EvidenceError(f"{where}{place}: {problem}. It is damaged or edited: write the plan again.")
