"""Hold one candidate against every model of a register.

A sketch of each model says which of them are worth a full test; these are compared by their fingerprints, each paying
for the whole register. What is not tested counts as an e-value of 0, which is one, so neither the accusations (each
at E / N) nor the e-BH list (which only ranks) can err more often for the prefilter; what it can lose is power, and the
document says from where on nothing would have been lost.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jokbo.errors import FormatError
from jokbo.evidence.compare import ModelSpec
from jokbo.lineage.fingerprint import Fingerprint, read_header
from jokbo.lineage.journal import Journal
from jokbo.lineage.register import Entry, Register
from jokbo.lineage.search_document import SearchResult, check
from jokbo.lineage.search_prepare import MEASURED_CLASSES, TOP, Found, SearchChoices, Tell, prepare
from jokbo.lineage.search_relations import parse_date, public_first
from jokbo.lineage.tasks import CONFIRM, PAIR, End, Task, make_task
from jokbo.sources.base import OpenOptions
from jokbo.views.fingerprint import SUFFIX

if TYPE_CHECKING:
    from jokbo.lineage.task_progress import Progress


@dataclass(frozen=True, slots=True)
class Pool:
    """How tasks are run."""

    executor: str = "serial"
    workers: int | None = None
    ray_address: str | None = None
    results: Path | None = None
    options: OpenOptions = field(default_factory=OpenOptions)
    progress: Callable[[Progress], None] | None = None


def search(
    candidate: ModelSpec | Fingerprint,
    register: Register,
    *,
    seed: int = 0,
    top: int = TOP,
    measured: int = MEASURED_CLASSES,
    candidate_since: str | None = None,
    declare: Sequence[str] = (),
    confirm: bool = False,
    keep_going: bool = False,
    executor: str = "serial",
    workers: int | None = None,
    ray_address: str | None = None,
    results: Path | None = None,
    options: OpenOptions | None = None,
    progress: Tell | None = None,
    task_progress: Callable[[Progress], None] | None = None,
) -> SearchResult:
    """Search a register for relatives of a model.

    Parameters
    ----------
    candidate : str, path, Source, Model or Fingerprint
        A model, or a fingerprint (file) of the register's salt.
    register : Register
    seed : int
        The order of betting; rows follow from the register's salt.
    top : int
        Models that are tested in full at least: where the prefilter passes fewer, the nearest beside them.
    measured : int
        Classes of shape for which bounds are measured on the nearest clean model.
    candidate_since : str, optional
        ISO date since which you vouch that the candidate has been public. Registered models whose owner vouches
        for an earlier date count as first, which lifts the guard against models made to match.
    declare : sequence of str
        Names or keys of registered models that the candidate may come from.
    confirm : bool
        Compare what was found on the models themselves, where they can be opened.
    keep_going : bool
        Name damaged fingerprints and leave them out; they are never counted as clean.
    executor, workers, ray_address, results
        See :func:`jokbo.lineage.executors.run_tasks`; without `results` nothing is kept.
    options : OpenOptions, optional
    progress : callable, optional
        Called with (stage, what).
    task_progress : callable, optional

    Returns
    -------
    SearchResult

    Raises
    ------
    UsageError
        The register is empty, a name is not in it, or the candidate is a fingerprint of another salt.
    InputError
        The candidate or, without `keep_going`, a registered fingerprint cannot be read or believed.

    Examples
    --------
    >>> import numpy as np
    >>> from jokbo.lineage.fingerprint import make_fingerprint
    >>> from jokbo.lineage.register import open_register
    >>> from jokbo.testing.builders import llama
    >>> a, b = (llama(np.random.default_rng(k)).to_source(name=f"model{k}") for k in (0, 1))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     register = open_register(Path(folder) / "r", create=True)
    ...     entry = register.add(make_fingerprint(a))
    ...     search(b, register).document["answer"]["outcome"]
    'clean'
    """
    from jokbo.lineage.search_answer import build_document

    choices = SearchChoices(
        seed=seed,
        top=top,
        measured=measured,
        candidate_since=candidate_since,
        declare=tuple(declare),
        confirm=confirm,
        keep_going=keep_going,
    )
    if candidate_since is not None:
        parse_date(candidate_since, what="the candidate's date")
    tell = progress or (lambda stage, what: None)
    pool = Pool(executor, workers, ray_address, results, options or OpenOptions(), task_progress)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="jokbo-search-")))
        if results is not None:
            # Workers on other machines read the candidate's fingerprint there.
            folder = Journal(results).folder
        found = prepare(candidate, register, choices, folder=folder, options=pool.options, tell=tell)
        run_tests(found, pool, folder, tell)
        if confirm:
            confirm_pairs(found, candidate, pool, folder)
        document = build_document(found)
    check(document, where="the search")
    return SearchResult(document)


def run_tests(found: Found, pool: Pool, folder: Path, tell: Tell) -> None:
    """Test in full what the prefilter passes, the nearest, and one model of each class whose bounds are measured."""
    keys = found.index.keys
    passed = [keys[k] for k in found.scored.passed()]
    found.passed = set(passed)
    fill = max(found.choices.top - len(passed), 0)
    nearest = [keys[k] for k in found.scored.nearest(fill + len(passed))]
    wanted = [*passed, *[key for key in nearest if key not in found.passed][:fill]]
    classes = range(min(found.choices.measured, len(found.classes)))
    # What was not passed is clean as a rule, so its test and its bounds are one.
    found.measured = {n: key for n in classes if (key := _nearest_clean(found, n)) is not None}
    measured = list(found.measured.values())
    tell("search", "")
    _run(found, [key for key in wanted if key not in measured], pool, folder, bounds=False)
    tell("bounds", "")
    _run(found, measured, pool, folder, bounds=True)
    for number, key in list(found.measured.items()):
        if key in found.failed or found.pairs[key]["relation"] != "no_evidence":
            del found.measured[number]


def _nearest_clean(found: Found, number: int) -> str | None:
    """The model of a class with the highest score among those that the prefilter does not pass."""
    keys, score = found.index.keys, found.scored.score
    order = sorted(found.classes[number].models.tolist(), key=lambda k: (-score[k], k))
    return next((keys[k] for k in order if keys[k] not in found.passed), None)


def _run(found: Found, keys: Sequence[str], pool: Pool, folder: Path, *, bounds: bool) -> None:
    entries = {entry.key: entry for entry in found.entries}
    tasks = {key: pair_task(found, entries[key], bounds=bounds) for key in keys}
    done, failed = run_pool(list(tasks.values()), pool, folder)
    for key, task in tasks.items():
        if task.key in done:
            found.pairs[key] = done[task.key]
        elif not found.choices.keep_going:
            raise FormatError(
                f"{entries[key].name}: {failed[task.key]} With --keep-going it is named and left out."
            )
        else:
            found.pairs.pop(key, None)
            found.failed[key] = failed[task.key]


def run_pool(
    tasks: Sequence[Task], pool: Pool, folder: Path
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Results and failures by the key of the task."""
    from jokbo.lineage.executors import run_tasks

    if not tasks:
        return {}, {}
    result = run_tasks(
        tasks,
        executor=pool.executor,
        results=pool.results or folder / "results",
        workers=pool.workers,
        ray_address=pool.ray_address,
        progress=pool.progress,
        options=pool.options,
    )
    return dict(result.done), dict(result.failed)


def pair_task(found: Found, entry: Entry, *, bounds: bool) -> Task:
    """The full test of one registered model on its fingerprint, paying for all of them."""
    return make_task(
        PAIR,
        {
            "reference": str(found.register.path(entry)),
            "reference_id": End.of_fingerprint("", entry.key).id,
            "candidate": str(found.path),
            "candidate_id": End.of_fingerprint("", found.fingerprint.sha256).id,
            "among": found.among,
            "reference_first": public_first(entry, found.choices.candidate_since),
            "seed": found.choices.seed,
            "bounds": bounds,
            "full": False,
        },
    )


def confirm_pairs(found: Found, candidate: ModelSpec | Fingerprint, pool: Pool, folder: Path) -> None:
    """Compare the models themselves, where something was found and both can be opened."""
    from jokbo.lineage.pairs import DEPENDENCE

    wanted = [
        entry
        for entry in found.entries
        if found.pairs.get(entry.key, {}).get("relation") in {*DEPENDENCE, "lead"}
    ]
    opens = isinstance(candidate, str | Path) and not str(candidate).endswith(SUFFIX)
    tasks = {}
    for entry in wanted:
        if not opens or entry.source is None:
            found.confirmed[entry.key] = "no_model" if opens else "candidate_is_a_fingerprint"
            continue
        spec = {
            "reference": entry.source,
            "reference_id": entry.source,
            "candidate": str(candidate),
            "candidate_id": str(candidate),
            "among": found.among,
            "reference_first": public_first(entry, found.choices.candidate_since),
            "seed": found.choices.seed,
            "bounds": False,
            "full": True,
        }
        tasks[entry.key] = make_task(CONFIRM, spec)
    done, failed = run_pool(list(tasks.values()), pool, folder)
    for key, task in tasks.items():
        pair = done.get(task.key)
        changed = pair and _other_model(pair, found, key)
        found.confirmed[key] = changed or pair or failed[task.key]


def _other_model(pair: Mapping[str, Any], found: Found, key: str) -> str | None:
    """Say that one of two models is not the one that its fingerprint names: it then says nothing of it."""
    headers = read_header(found.register.path(found.register.get(key))), found.fingerprint.header
    for end, header in zip(("reference", "candidate"), headers, strict=True):
        side = pair[end]
        if side["digest_covers"] == header.digest_covers and side["digest"] != header.digest:
            return f"{side['name']} is not the model that the fingerprint {header.name} names. Make it again."
    return None
