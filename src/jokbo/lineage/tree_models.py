"""The models of a family tree: entries of a register, fingerprint files, or models that are fingerprinted first."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jokbo.errors import FormatError, UsageError
from jokbo.lineage.executors import run_tasks
from jokbo.lineage.graph.declared import Node
from jokbo.lineage.task_progress import Progress
from jokbo.lineage.tasks import End, plan_fingerprints
from jokbo.sources.base import OpenOptions
from jokbo.views.fingerprint import SUFFIX, check_fingerprint
from jokbo.views.fingerprint_header import FingerprintHeader
from jokbo.views.sampling import PUBLIC_SALT

if TYPE_CHECKING:
    from jokbo.lineage.register import Register


@dataclass(frozen=True, slots=True)
class TreeModel:
    """One model of a tree.

    Attributes
    ----------
    name : str
    key : str
        SHA-256 of its fingerprint.
    path : Path
        Of the fingerprint.
    header : FingerprintHeader
    source : str or None
        What opens the model itself, where that is known.
    parents : tuple of str
        Declared, by the card or by the register's owner.
    relation : str or None
        Declared.
    public_since : str or None
        As the register's owner vouches.
    """

    name: str
    key: str
    path: Path
    header: FingerprintHeader
    source: str | None = None
    parents: tuple[str, ...] = ()
    relation: str | None = None
    public_since: str | None = None

    @property
    def end(self) -> End:
        """As tasks name it."""
        return End.of_fingerprint(self.path, self.key)

    @property
    def node(self) -> Node:
        """As declarations name it."""
        names = (self.name, self.header.name, self.key, *(() if self.source is None else (self.source,)))
        return Node(tuple(dict.fromkeys(names)), self.parents, self.relation)

    def to_document(self) -> dict[str, Any]:
        """As plain JSON."""
        header = self.header
        return {
            "name": self.name,
            "kind": header.kind,
            "commit": header.commit,
            "fingerprint": self.key,
            "digest": header.digest,
            "digest_covers": header.digest_covers,
            "family": header.family,
            "parameters": header.parameters,
            "public_since": self.public_since,
            "declared_relation": self.relation,
        }


@dataclass(frozen=True, slots=True)
class Execution:
    """Where and how tasks run; nothing here changes a result.

    Attributes
    ----------
    results : Path
        Folder that keeps what was done.
    executor : str
    workers : int or None
    ray_address : str or None
    options : OpenOptions
    progress : callable or None
        Called with (stage, :class:`~jokbo.lineage.task_progress.Progress`).
    """

    results: Path
    executor: str = "serial"
    workers: int | None = None
    ray_address: str | None = None
    options: OpenOptions = field(default_factory=OpenOptions)
    progress: Callable[[str, Progress], None] | None = None

    def run(self, tasks: Sequence[Any], stage: str) -> Any:
        """Run tasks; see :func:`jokbo.lineage.executors.run_tasks`."""
        tell = self.progress
        return run_tasks(
            tasks,
            executor=self.executor,
            results=self.results,
            workers=self.workers,
            ray_address=self.ray_address,
            options=self.options,
            progress=None if tell is None else lambda state: tell(stage, state),
        )


def gather(
    given: Sequence[str], register: Register | None, execution: Execution, *, keep_going: bool = False
) -> tuple[tuple[TreeModel, ...], tuple[tuple[str, str], ...]]:
    """Find or make the fingerprint of every model.

    Parameters
    ----------
    given : sequence of str
        Each the path of a fingerprint, a name or key of the register, or whatever opens a model. Without any, all
        of the register.
    register : Register or None
    execution : Execution
    keep_going : bool
        Leave out a model whose fingerprint is damaged.

    Returns
    -------
    tuple of TreeModel
        In the order of name and key; a fingerprint that is there twice counts once.
    tuple of (str, str)
        Models without a usable fingerprint, and why.

    Raises
    ------
    UsageError
        Fewer than two models, or fingerprints of different salts.
    FormatError
        A fingerprint is damaged.
    """
    wanted = [entry.key for entry in register.entries()] if not given and register is not None else given
    found, rest, damaged = [], [], []
    for spec in wanted:
        try:
            model = _known(spec, register)
        except FormatError as error:
            if not keep_going:
                raise
            damaged.append((spec, str(error)))
            continue
        if model is None:
            rest.append(spec)
        else:
            found.append(model)
    salt = register.salt if register is not None else found[0].header.salt if found else PUBLIC_SALT
    made, unmade = _made(rest, salt, execution)
    found += made
    failed = (*damaged, *unmade)
    models = sorted({model.key: model for model in found}.values(), key=lambda m: (m.name, m.key))
    _check(models, failed)
    return tuple(models), failed


def _check(models: Sequence[TreeModel], failed: Sequence[tuple[str, str]]) -> None:
    if len(models) < 2:
        why = f" {failed[0][0]}: {failed[0][1]}" if failed else ""
        raise UsageError(f"a tree needs two models at least; {len(models)} can be compared.{why}")
    salts = sorted({model.header.salt for model in models})
    if len(salts) > 1:
        raise UsageError(
            f"the fingerprints are of different salts ({salts[0]!r}, {salts[1]!r}), so they share no rows. "
            "Make all of them with one."
        )


def _known(spec: str, register: Register | None) -> TreeModel | None:
    path = Path(spec)
    if spec.endswith(SUFFIX) and path.is_file():
        return of_file(path)
    if register is not None and not path.exists():
        try:
            return _of_entry(register, register.get(spec))
        except UsageError:
            if any(spec in (entry.name, entry.key) for entry in register.entries()):
                raise  # more than one is called so
            return None  # then it may be a hub id
    return None


def of_file(path: Path, *, source: str | None = None) -> TreeModel:
    """The model of a fingerprint file, which is checked whole.

    Raises
    ------
    FormatError
        It is damaged, or no fingerprint.
    """
    header = check_fingerprint(path)
    declared = header.declared
    key = hashlib.sha256(path.read_bytes()).hexdigest()
    return TreeModel(
        header.name, key, path.absolute(), header, source, declared.base_models, declared.relation
    )


def _of_entry(register: Register, entry: Any) -> TreeModel:
    path = register.verified_path(entry)
    return TreeModel(
        entry.name,
        entry.key,
        path.absolute(),
        check_fingerprint(path),
        entry.source,
        tuple(entry.parents),
        entry.relation,
        entry.public_since,
    )


def _made(
    specs: Sequence[str], salt: str, execution: Execution
) -> tuple[list[TreeModel], tuple[tuple[str, str], ...]]:
    """Fingerprint models, in the results folder, where a rerun finds them again."""
    if not specs:
        return [], ()
    local = {spec: str(Path(spec).absolute()) if Path(spec).exists() else spec for spec in specs}
    tasks = plan_fingerprints(local.values(), out=(execution.results / "fingerprints").absolute(), salt=salt)
    outcome = execution.run(tasks, "fingerprint")
    done = [task for task in tasks if task.key in outcome.done]
    made = [of_file(Path(task.spec["out"]), source=str(task.spec["model"])) for task in done]
    failed = tuple(
        (str(task.spec["model"]), outcome.failed[task.key]) for task in tasks if task.key in outcome.failed
    )
    return made, failed
