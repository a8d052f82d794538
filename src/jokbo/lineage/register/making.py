"""Make the fingerprints of many models, wherever there are processors, and enter them as the register's.

What is under way lies in ``making/`` of the register: results of tasks, and the fingerprints themselves. A run that
was killed left both there, so the same command goes on where it stopped; what is entered is removed from there.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jokbo.errors import FormatError, JokboError, NotFoundError, UsageError
from jokbo.lineage.executors import run_tasks
from jokbo.lineage.journal import Journal
from jokbo.lineage.register import database, files
from jokbo.lineage.register.entries import Entry, Facts, find_entry
from jokbo.lineage.register.lists import ListedModel
from jokbo.lineage.register.store import Register
from jokbo.lineage.task_progress import Progress
from jokbo.lineage.tasks import Task, plan_fingerprints
from jokbo.sources.base import OpenOptions
from jokbo.sources.open import HUB_ID
from jokbo.views.fingerprint import SUFFIX

MAKING = "making"


@dataclass(frozen=True, slots=True)
class Added:
    """What became of models that were to be registered.

    Attributes
    ----------
    added : tuple of Entry
        Entered now.
    known : tuple of Entry
        There before; they took the facts that were given.
    failed : tuple of (str, str)
        Model and why it could not be registered; everything else stands.
    """

    added: tuple[Entry, ...]
    known: tuple[Entry, ...]
    failed: tuple[tuple[str, str], ...]


def add_models(
    register: Register,
    models: Sequence[ListedModel],
    *,
    private: bool = False,
    again: bool = False,
    executor: str = "serial",
    workers: int | None = None,
    ray_address: str | None = None,
    options: OpenOptions | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Added:
    """Register models: fingerprint files as they are, others once their fingerprint is made.

    Parameters
    ----------
    register : Register
    models : sequence of ListedModel
    private : bool
        Make fingerprints without raw rows.
    again : bool
        Look also at hub models that are registered already: the repository may have moved on.
    executor, workers, ray_address, options, progress
        See :func:`jokbo.lineage.executors.run_tasks`.

    Raises
    ------
    UsageError
        The executor cannot work, or the register cannot be written.
    """
    outcome = _Outcome(register)
    register.sweep()
    entries = register.entries()
    standing = {} if again else _by_source(entries)
    wanted: dict[str, Facts] = {}
    for model in models:
        if _is_fingerprint_file(model.spec):
            outcome.take(model.spec, model.facts, Path(model.spec))
        elif entry := standing.get(model.spec):
            outcome.renew(model.spec, entry, model.facts)
        elif _is_a_name(model.spec):
            outcome.renew_called(model.spec, entries, model.facts)
        else:
            wanted[_absolute(model.spec)] = model.facts
    if wanted:
        chosen = {
            "executor": executor,
            "workers": workers,
            "ray_address": ray_address,
            "options": options,
            "progress": progress,
        }
        _make(register, wanted, private, outcome, chosen)
    return Added(tuple(outcome.added), tuple(outcome.known), tuple(outcome.failed))


def _make(
    register: Register, wanted: Mapping[str, Facts], private: bool, outcome: _Outcome, chosen: dict[str, Any]
) -> None:
    folder = register.folder.resolve() / MAKING
    tasks = plan_fingerprints(wanted, out=folder / "fingerprints", salt=register.salt, private=private)
    with database.telling(register.folder):
        (folder / "fingerprints").mkdir(parents=True, exist_ok=True)
    journal = Journal(folder / "results")
    try:
        failed = run_tasks(tasks, results=journal.folder, **chosen).failed
    except BaseException:
        # Stopped: what was made so far stands.
        _take_made(journal, tasks, wanted, outcome)
        raise
    _take_made(journal, tasks, wanted, outcome)
    outcome.failed += [(str(task.spec["model"]), failed[task.key]) for task in tasks if task.key in failed]
    with contextlib.suppress(OSError):  # others may be making more
        (folder / "fingerprints").rmdir()


def _take_made(
    journal: Journal, tasks: Sequence[Task], wanted: Mapping[str, Facts], outcome: _Outcome
) -> None:
    for task in tasks:
        model, file = str(task.spec["model"]), Path(task.spec["out"])
        try:
            result = journal.read(task)
        except FormatError:
            continue  # cut or gone: it is no result, and is told as failed or made again
        if result is None:
            continue
        taken = outcome.take(model, wanted[model], file, expected=str(result["sha256"]))
        if taken:
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)
                journal.path(task).unlink(missing_ok=True)


class _Outcome:
    """What became of each model so far."""

    def __init__(self, register: Register) -> None:
        self.register = register
        self.added: list[Entry] = []
        self.known: list[Entry] = []
        self.failed: list[tuple[str, str]] = []

    def take(self, model: str, facts: Facts, file: Path, *, expected: str | None = None) -> bool:
        """Enter a fingerprint file; whether it is entered."""
        try:
            data = self._read(model, file, expected)
            known = self.register.holds(hashlib.sha256(data).hexdigest())
            if facts.source is None and expected is not None and not HUB_ID.fullmatch(model):
                facts = Facts(**{name: getattr(facts, name) for name in facts.__slots__} | {"source": model})
            entry = self.register.add_bytes(
                data, facts, where=file.name if expected is None else f"made{SUFFIX}"
            )
        except JokboError as error:
            self.failed.append((model, str(error)))
            return False
        (self.known if known else self.added).append(entry)
        return True

    def _read(self, model: str, file: Path, expected: str | None) -> bytes:
        try:
            data = files.read_fingerprint_file(file)
        except NotFoundError:
            # Another process that was making the same model has entered it and cleared up.
            if expected is None or not self.register.holds(expected):
                raise
            data = files.read_fingerprint_file(files.fingerprint_path(self.register.folder, expected))
        if expected is not None and hashlib.sha256(data).hexdigest() != expected:
            raise FormatError(
                f"the fingerprint of {model} is not the one that was made: {file} was damaged or changed. "
                "Add the model again."
            )
        return data

    def renew_called(self, name: str, entries: Sequence[Entry], facts: Facts) -> None:
        """The same of one that is named by its name or key."""
        try:
            entry = find_entry(entries, name, where=f"the register {self.register.folder}")
        except UsageError as error:
            self.failed.append((name, f"{name}: there is no such file or folder, and {error}"))
        else:
            self.renew(name, entry, facts)

    def renew(self, model: str, entry: Entry, facts: Facts) -> None:
        """Give a model that is there the facts of a list."""
        try:
            self.known.append(self.register.describe(entry, facts))
        except JokboError as error:
            self.failed.append((model, str(error)))


def _by_source(entries: Iterable[Entry]) -> dict[str, Entry]:
    """Hub models that are there, by how a list may name them: with their commit, and without a revision."""
    found: dict[str, Entry] = {}
    for entry in sorted(entries, key=lambda entry: entry.added):
        if entry.source is not None and HUB_ID.fullmatch(entry.source):
            found[entry.source] = entry
            found[entry.source.partition("@")[0]] = entry
    return found


def _is_a_name(spec: str) -> bool:
    """Whether somebody names a registered model, to say more of it: nothing that could name a model to read."""
    return not (HUB_ID.fullmatch(spec) or "/" in spec or Path(spec).exists())


def _is_fingerprint_file(spec: str) -> bool:
    return spec.endswith(SUFFIX) and Path(spec).is_file()


def _absolute(spec: str) -> str:
    """A path as workers elsewhere can open it; everything else as it is."""
    path = Path(spec).expanduser()
    return str(path.resolve()) if path.exists() else spec
