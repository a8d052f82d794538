"""What is to be done, as data: which fingerprints to make, which pairs to compare.

A plan holds no model and opens nothing. Each task is a small document that a worker on any machine can act on, with
a key that is the digest of what it computes: equal keys mean equal results, so a result that is kept need not be
computed again. Where a file lies is no part of what is computed, so it is left out of the key wherever something
better names the bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jokbo.errors import UsageError
from jokbo.evidence.canonical import digest
from jokbo.views.sampling import PUBLIC_SALT

TASK_SCHEMA = "jokbo.task/1"

FINGERPRINT, PAIR, CONFIRM = "fingerprint", "pair", "confirm"
"""Kinds of task: make a fingerprint; compare two models by their fingerprints; compare two whole models."""

FINGERPRINT_SUFFIX = ".fingerprint.safetensors"

MAX_TASKS = 5_000_000
"""All pairs of 3,000 models; a search through more pays for its multiplicity elsewhere."""


@dataclass(frozen=True, slots=True)
class Task:
    """One piece of work.

    Attributes
    ----------
    key : str
        SHA-256 of what is computed; see :func:`task_key`.
    kind : str
        ``"fingerprint"``, ``"pair"`` or ``"confirm"``.
    spec : mapping
        Plain JSON: all that a worker needs to know.
    """

    key: str
    kind: str
    spec: Mapping[str, Any]

    def to_document(self) -> dict[str, Any]:
        """The task as plain JSON."""
        return {"key": self.key, "kind": self.kind, "spec": dict(self.spec)}


@dataclass(frozen=True, slots=True, order=True)
class End:
    """One model of a pair.

    Attributes
    ----------
    id : str
        What names its bytes for ever: ``sha256:`` and the digest of a fingerprint file, ``task:`` and the key of the
        task that makes one, or else the same as `at`.
    at : str
        How to open it: the path of a fingerprint, or anything that names a model.

    Examples
    --------
    >>> End.of_model("org/name@main").id
    'org/name@main'
    """

    id: str
    at: str

    @classmethod
    def of_model(cls, at: str) -> End:
        """A whole model; its own name is all that is known of it."""
        return cls(at, at)

    @classmethod
    def of_fingerprint(cls, path: str | Path, sha256: str) -> End:
        """A fingerprint that exists."""
        return cls(f"sha256:{sha256}", str(path))

    @classmethod
    def of_task(cls, task: Task) -> End:
        """A fingerprint that a task will make."""
        return cls(f"task:{task.key}", str(task.spec["out"]))


def task_key(kind: str, spec: Mapping[str, Any]) -> str:
    """Digest of what a task computes.

    Left out are ``out`` (where a fingerprint is written) and the path of an end whose ``..._id`` names its bytes.

    Examples
    --------
    >>> made = {"model": "org/a", "salt": "s", "private": False}
    >>> task_key("fingerprint", made | {"out": "here"}) == task_key("fingerprint", made | {"out": "there"})
    True
    """
    computed = {name: value for name, value in spec.items() if name != "out"}
    for end in ("reference", "candidate"):
        if str(computed.get(f"{end}_id", "")).startswith(("sha256:", "task:")):
            del computed[end]
    return digest({"schema": TASK_SCHEMA, "kind": kind, "spec": computed})


def make_task(kind: str, spec: Mapping[str, Any]) -> Task:
    """A task with its key."""
    return Task(task_key(kind, spec), kind, dict(spec))


def plan_fingerprints(
    models: Iterable[str], *, out: str | Path, salt: str = PUBLIC_SALT, private: bool = False
) -> tuple[Task, ...]:
    """One task a model, in the order of the models' names; a model named twice is fingerprinted once.

    Parameters
    ----------
    models : iterable of str
        Whatever names a model; local paths are taken as they are, so make them absolute for other machines.
    out : path
        Folder of the fingerprints, on storage that all workers share. Each is called by the key of its task.
    salt : str
        Decides which rows.
    private : bool
        Without raw rows.

    Examples
    --------
    >>> [task.spec["model"] for task in plan_fingerprints(["org/b", "org/a", "org/b"], out="prints")]
    ['org/a', 'org/b']
    """
    tasks = []
    for model in sorted(set(models)):
        spec = {"model": model, "salt": salt, "private": private}
        file = Path(out) / f"{task_key(FINGERPRINT, spec)}{FINGERPRINT_SUFFIX}"
        tasks.append(make_task(FINGERPRINT, spec | {"out": str(file)}))
    return tuple(tasks)


def plan_tree(ends: Iterable[End], *, seed: int = 0, bounds: bool = False) -> tuple[Task, ...]:
    """All pairs of models, in canonical order: the end of the smaller id is the reference.

    The number of pairs is the number of hypotheses that every one of them pays for.

    Raises
    ------
    UsageError
        More than :data:`MAX_TASKS` pairs.

    Examples
    --------
    >>> tasks = plan_tree([End.of_model(name) for name in "cab"])
    >>> [(task.spec["reference"], task.spec["candidate"], task.spec["among"]) for task in tasks]
    [('a', 'b', 3), ('a', 'c', 3), ('b', 'c', 3)]
    """
    ordered = sorted(set(ends))
    count = len(ordered) * (len(ordered) - 1) // 2
    _check_count(count, "all pairs")
    return tuple(
        _pair(reference, candidate, among=count, seed=seed, bounds=bounds)
        for k, reference in enumerate(ordered)
        for candidate in ordered[k + 1 :]
    )


def plan_tree_of_models(
    models: Iterable[str],
    *,
    out: str | Path,
    salt: str = PUBLIC_SALT,
    private: bool = False,
    seed: int = 0,
    bounds: bool = False,
) -> tuple[Task, ...]:
    """Fingerprints of models that have none yet, then all pairs of them: one plan for one run."""
    made = plan_fingerprints(models, out=out, salt=salt, private=private)
    return (*made, *plan_tree((End.of_task(task) for task in made), seed=seed, bounds=bounds))


def plan_search(
    candidate: End,
    references: Iterable[End],
    *,
    reference_first: bool = False,
    seed: int = 0,
    bounds: bool = False,
) -> tuple[Task, ...]:
    """One candidate against every reference, each paying for all of them.

    Raises
    ------
    UsageError
        More than :data:`MAX_TASKS` references.
    """
    ordered = sorted({end for end in references if end.id != candidate.id})
    _check_count(len(ordered), "a search")
    return tuple(
        _pair(
            reference,
            candidate,
            among=len(ordered),
            reference_first=reference_first,
            seed=seed,
            bounds=bounds,
        )
        for reference in ordered
    )


def plan_confirm(
    pairs: Iterable[tuple[str, str]], *, among: int = 1, seed: int = 0, bounds: bool = False
) -> tuple[Task, ...]:
    """Comparisons of whole models, (reference, candidate), for what fingerprints only hint at."""
    return tuple(
        make_task(
            CONFIRM,
            _pair_spec(
                End.of_model(reference),
                End.of_model(candidate),
                among=among,
                reference_first=False,
                seed=seed,
                bounds=bounds,
                full=True,
            ),
        )
        for reference, candidate in sorted(set(pairs))
    )


def needed_fingerprints(task: Task) -> Iterator[str]:
    """Keys of the tasks whose fingerprints this one reads."""
    for end in ("reference_id", "candidate_id"):
        kind, _, key = str(task.spec.get(end, "")).partition(":")
        if kind == "task":
            yield key


def stages(tasks: Sequence[Task]) -> tuple[tuple[Task, ...], tuple[Task, ...]]:
    """Fingerprints first, then what may read them; a key that stands twice is done once."""
    once = {task.key: task for task in tasks}.values()
    first = tuple(task for task in once if task.kind == FINGERPRINT)
    return first, tuple(task for task in once if task.kind != FINGERPRINT)


def _pair(
    reference: End,
    candidate: End,
    *,
    among: int,
    reference_first: bool = False,
    seed: int,
    bounds: bool,
) -> Task:
    spec = _pair_spec(
        reference,
        candidate,
        among=among,
        reference_first=reference_first,
        seed=seed,
        bounds=bounds,
        full=False,
    )
    return make_task(PAIR, spec)


def _pair_spec(reference: End, candidate: End, **choices: Any) -> dict[str, Any]:
    return {
        "reference": reference.at,
        "reference_id": reference.id,
        "candidate": candidate.at,
        "candidate_id": candidate.id,
        **choices,
    }


def _check_count(count: int, what: str) -> None:
    if count > MAX_TASKS:
        raise UsageError(
            f"{what} would make {count:,} comparisons; expected at most {MAX_TASKS:,}. "
            "Name fewer models, or search for one of them."
        )
