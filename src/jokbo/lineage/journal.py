"""Results as they come: one file a task, so that a run that was stopped goes on where it was.

Layout, under one folder that several machines may share::

    <first two digits of the key>/<key>.json    canonical JSON: the task's key and kind, the result and its digest
    tmp/                                        files being written

A file appears by an atomic rename, so a reader sees a whole result or none. After a crash of the machine a file may
be cut all the same (nothing is synced); its digest shows it, and the task is done again. Failures are not kept: a
rerun tries again what failed.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jokbo import __version__
from jokbo.errors import FormatError, UsageError
from jokbo.evidence.canonical import canonical_bytes, digest
from jokbo.lineage.tasks import FINGERPRINT, Task
from jokbo.sources.whole_files import write_whole

SCHEMA = "jokbo.result/1"
MAX_RESULT_BYTES = 64 << 20
STALE_SECONDS = 3600.0

ProblemOf = Callable[[Task, Mapping[str, Any]], str | None]


@dataclass(frozen=True, slots=True)
class Kept:
    """What a journal holds of a plan.

    Attributes
    ----------
    done : mapping of str to dict
        Results by key.
    damaged : tuple of str
        One sentence for each file that holds no result to go by; its task is done again.
    """

    done: Mapping[str, dict[str, Any]]
    damaged: tuple[str, ...]


class Journal:
    """Results in a folder.

    Parameters
    ----------
    folder : path
        Made if need be.
    problem_of : callable, optional
        Says why a kept result cannot be the task's, or None when it can; without it every whole result is taken.

    Raises
    ------
    UsageError
        The folder cannot be made.

    Examples
    --------
    >>> import tempfile
    >>> from jokbo.lineage.tasks import plan_confirm
    >>> (task,) = plan_confirm([("a", "b")])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     journal = Journal(Path(folder))
    ...     journal.keep(task, {"relation": "no_evidence"})
    ...     journal.read(task)
    {'relation': 'no_evidence'}
    """

    def __init__(self, folder: Path, problem_of: ProblemOf | None = None) -> None:
        self.folder = folder
        self.problem_of = problem_of
        try:
            (folder / "tmp").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"cannot make the results folder {folder}: {error.strerror}. Choose another place."
            ) from None
        self._sweep()

    def path(self, task: Task) -> Path:
        """Where the result of a task is kept."""
        return self.folder / task.key[:2] / f"{task.key}.json"

    def load(self, tasks: Iterable[Task]) -> Kept:
        """Everything that is known already."""
        done: dict[str, dict[str, Any]] = {}
        damaged = []
        for task in tasks:
            try:
                found = self.read(task)
            except FormatError as error:
                damaged.append(str(error))
            else:
                if found is not None:
                    done[task.key] = found
        return Kept(done, tuple(damaged))

    def read(self, task: Task) -> dict[str, Any] | None:
        """The result of a task; None when there is none yet.

        Raises
        ------
        FormatError
            The file is cut, damaged, another task's or another version's, says what the task's result cannot say, or
            the fingerprint it tells of is gone.
        """
        path = self.path(task)
        try:
            with path.open("rb") as file:
                data = file.read(MAX_RESULT_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise FormatError(f"result {path} cannot be read ({error.strerror}); it is done again.") from None
        problem = _problem(task, data)
        result: dict[str, Any] = {} if problem else json.loads(data)["result"]
        if problem is None and self.problem_of is not None:
            problem = self.problem_of(task, result)
        if problem:
            raise FormatError(f"result {path}: {problem}; it is done again.")
        return result

    def keep(self, task: Task, result: Mapping[str, Any]) -> None:
        """Write a result, whole or not at all.

        Raises
        ------
        UsageError
            The folder cannot be written: a full disk, for example.
        """
        entry = {
            "schema": SCHEMA,
            "jokbo": __version__,
            "key": task.key,
            "kind": task.kind,
            "result": dict(result),
            "sha256": digest(result),
        }
        path = self.path(task)
        try:
            path.parent.mkdir(exist_ok=True)
            write_whole(path, canonical_bytes(entry) + b"\n", beside=self.folder / "tmp", sync=False)
        except OSError as error:
            raise UsageError(
                f"cannot write the result {path}: {error.strerror}. Make room and run again: what was done is kept."
            ) from None

    def _sweep(self) -> None:
        """Delete what processes that were killed long ago left half-written."""
        with contextlib.suppress(OSError):
            for path in (self.folder / "tmp").iterdir():
                if path.stat().st_mtime < time.time() - STALE_SECONDS:
                    path.unlink()


def _problem(task: Task, data: bytes) -> str | None:
    """Why bytes are not the result of a task; None when they are."""
    if len(data) > MAX_RESULT_BYTES:
        return f"it is larger than {MAX_RESULT_BYTES:,} bytes"
    try:
        entry = json.loads(data)
    except (ValueError, RecursionError):
        return "it is cut or damaged (not JSON)"
    if not isinstance(entry, Mapping) or not isinstance(entry.get("result"), Mapping):
        return "it is no result"
    for name, expected in (("schema", SCHEMA), ("key", task.key), ("kind", task.kind)):
        if entry.get(name) != expected:
            return f"its {name} is {str(entry.get(name))[:80]!r}, expected {expected!r}"
    if entry.get("jokbo") != __version__:
        return f"Jokbo {str(entry.get('jokbo'))[:40]} made it, and this is {__version__}"
    try:
        found = digest(entry["result"])
    except ValueError:
        return "it is damaged (not canonical JSON)"
    if entry.get("sha256") != found:
        return "its digest does not hold"
    return _file_problem(task, entry["result"])


def _file_problem(task: Task, result: Mapping[str, Any]) -> str | None:
    """Of a fingerprint: whether the file that was made is still there, by its length."""
    if task.kind != FINGERPRINT:
        return None
    path = Path(task.spec["out"])
    try:
        size = path.stat().st_size
    except OSError:
        return f"its fingerprint {path} is gone"
    return None if size == result.get("bytes") else f"its fingerprint {path} has {size:,} bytes now"
