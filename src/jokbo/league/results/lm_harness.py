"""lm-evaluation-harness: ``results_<time>.json`` and ``samples_<task>_<time>.jsonl``, of version 0.4 and before.

The rows are the samples; one row an item and *filter*. Older files (2023 and before) hold means alone, with keys such
as ``acc`` where 0.4 writes ``acc,none``. Format: ``lm_eval/loggers/evaluation_tracker.py`` of lm-eval==0.4.13.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from jokbo.errors import FormatError
from jokbo.league.results.base import ItemRows, Published, ResultFile, TaskResult
from jokbo.league.results.harness_means import Means, group_notes, means_of
from jokbo.league.results.reading import brief, fields_of, json_lines, name_of, read_document
from jokbo.league.results.rows import RowBuilder, check_published
from jokbo.views.component import Reason

READER = "lm_harness"
_DATE = r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(?:\.\d{1,9})?"
_SAMPLES = re.compile(rf"samples_(?P<task>.+?)(?:_(?P<date>{_DATE}))?\.jsonl")
_RESULTS = re.compile(rf".*?(?:_?(?P<date>{_DATE}))?\.json")
_HASHES = ("doc_hash", "prompt_hash", "target_hash")
_KNOWN = frozenset(
    {"doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics", *_HASHES}
)
_NO_FILTER = "none"
MAX_LISTED = 200_000
"""Tasks in all groups together: a task is in a few."""


def recognises(file: ResultFile, head: bytes) -> bool:
    """Whether a file is one that the harness wrote."""
    name = PurePosixPath(file.name).name
    if _SAMPLES.fullmatch(name):
        return head.lstrip().startswith(b"{") and b'"doc_id"' in head
    first = re.match(rb'\s*\{\s*"([^"]*)"', head)
    return name.endswith(".json") and first is not None and first[1] == b"results"


def read(files: Sequence[ResultFile], *, fields: Sequence[str] = ()) -> tuple[TaskResult, ...]:
    """Read the result files of one model, each with the samples of its time beside it.

    Raises
    ------
    FormatError
        A file is damaged, or rows and published means are not of one run.
    """
    results: dict[tuple[str, str, str], ResultFile] = {}
    samples: dict[tuple[str, str, str], ResultFile] = {}
    for file in files:
        key, is_samples = _key(file)
        place = samples if is_samples else results
        if key in place:
            raise FormatError(
                f"{file.name} and {place[key].name} are of the same run by their names. Give one of them."
            )
        place[key] = file
    found: list[TaskResult] = []
    for key, file in results.items():
        own = {
            task: samples.pop((folder, date, task))
            for folder, date, task in [*samples]
            if (folder, date, "") == key
        }
        found += _Run(file, own, fields).results()
    for (_, _, task), file in samples.items():
        rows, notes = _read_rows(file, task, fields)
        found += [
            TaskResult(
                task,
                None,
                name,
                READER,
                (file,),
                {},
                each.rows,
                (),
                (Reason("samples_alone"), *notes, *each.notes),
            )
            for name, each in rows.items()
        ]
    return tuple(found)


def _key(file: ResultFile) -> tuple[tuple[str, str, str], bool]:
    """Folder, time and task of a file, and whether it holds samples."""
    path = PurePosixPath(file.name)
    match = _SAMPLES.fullmatch(path.name)
    if match:
        return (str(path.parent), match["date"] or "", match["task"]), True
    plain = _RESULTS.fullmatch(path.name)
    if plain is None:
        raise FormatError(
            f"{file.name}: expected results_<time>.json or samples_<task>_<time>.jsonl, as the harness names them."
        )
    # An old file has no time in its name: it is a run of its own.
    return (
        str(path.parent),
        plain["date"] or ("" if path.stem.startswith("results") else path.name),
        "",
    ), False


@dataclass(slots=True)
class _Rows:
    """Rows of one filter."""

    rows: ItemRows
    notes: tuple[Reason, ...]


def _read_rows(
    file: ResultFile, task: str, fields: Sequence[str], *, task_hash: str | None = None
) -> tuple[dict[str, _Rows], list[Reason]]:
    """Rows of a samples file by filter, in the file's order."""
    builders: dict[str, RowBuilder] = {}
    hashes = hashlib.sha256()
    whole = True
    for where, row in json_lines(file):
        name = name_of(row.get("filter", _NO_FILTER), where=where, what="filter")
        builder = builders.setdefault(name, RowBuilder(task))
        if len(builders) > 100:
            raise FormatError(f"{where}: more than 100 filters. A row names its filter.")
        marks = {key: _hash_of(row, key, where) for key in _HASHES}
        for text in marks.values():
            hashes.update((text or "").encode())
        whole = whole and None not in marks.values()
        kept = {key: text for key, text in marks.items() if text is not None and key != "doc_hash"}
        kept |= fields_of(row.get("doc"), [each for each in fields if each != "task"])
        builder.add(
            name_of(row.get("doc_id"), where=where, what="doc_id"),
            {metric: row.get(metric) for metric in _metrics(row, where)},
            place=where,
            digest=marks["doc_hash"],
            fields=kept,
        )
    if not builders:
        raise FormatError(f"{file.name} is empty; expected a row for every item.")
    if task_hash and whole and hashes.hexdigest() != task_hash:
        raise FormatError(
            f"{file.name}: its rows have the task hash {hashes.hexdigest()[:16]}..., and the results state "
            f"{task_hash[:16]}... for {task}. Give the samples of the same run, unedited and in their order."
        )
    found = {}
    for name, builder in builders.items():
        rows, notes = builder.finish()
        found[name] = _Rows(rows, notes)
    return found, _row_notes(task, found, whole)


def _row_notes(task: str, found: Mapping[str, _Rows], whole: bool) -> list[Reason]:
    notes = []
    if len(found) > 1:
        notes.append(Reason("several_filters", {"task": task, "filters": ", ".join(found)}))
    if not whole:
        notes.append(Reason("no_row_hashes", {"task": task}))
    return notes


def _metrics(row: Mapping[str, Any], where: str) -> list[str]:
    """Names of a row's metrics: stated since 0.4.4, and before that what is left over."""
    named = row.get("metrics")
    if named is None:
        return [key for key in row if key not in _KNOWN]
    if not isinstance(named, list) or len(named) > 200:
        raise FormatError(f"{where}: 'metrics' is {brief(named)}; expected a list of at most 200 names.")
    return [name_of(each, where=where, what="a metric") for each in named]


def _hash_of(row: Mapping[str, Any], key: str, where: str) -> str | None:
    value = row.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or not re.fullmatch(r"[0-9a-f]{64}", value):
        raise FormatError(f"{where}: {key} is {brief(value)}; expected 64 hexadecimal digits.")
    return value


@dataclass(slots=True)
class _Run:
    """A results file and the samples of the same time."""

    file: ResultFile
    samples: dict[str, ResultFile]
    fields: Sequence[str]
    rows: dict[str, dict[str, _Rows]] = field(default_factory=dict)
    listed: int = 0

    def results(self) -> list[TaskResult]:
        """A result a task and filter, groups with their subtasks."""
        means = means_of(read_document(self.file), where=self.file.name)
        strange = sorted(set(self.samples) - set(means.tasks))
        if strange:
            raise FormatError(
                f"{self.samples[strange[0]].name}: {self.file.name} has no task {brief(strange[0])}. "
                "Give the results of the same run."
            )
        found = []
        # Groups last: what they state is told from the rows of their subtasks.
        unstated = [group for group in means.groups if group not in means.tasks]
        for task in sorted((*means.tasks, *unstated), key=lambda task: task in means.groups):
            if task in means.groups:
                found.append(self._group(task, means))
            else:
                found += self._task(task, means)
        return found

    def _task(self, task: str, means: Means) -> list[TaskResult]:
        published, notes = means.published(task)
        settings = means.settings(task)
        file = self.samples.get(task)
        if file is None:
            extra = [*notes, Reason("no_rows", {"task": task})]
            return [
                TaskResult(
                    task, means.model, name, READER, (self.file,), settings, None, figures, tuple(extra)
                )
                for name, figures in published.items()
            ]
        rows, more = _read_rows(file, task, self.fields, task_hash=means.task_hashes.get(task))
        self.rows[task] = rows
        if task not in means.task_hashes:
            more.append(Reason("no_task_hashes", {"task": task}))
        absent = sorted(set(published) - set(rows))
        if absent:
            raise FormatError(
                f"{file.name} has no rows of filter {brief(absent[0])}, for which {self.file.name} states a mean of "
                f"{task}. Give the samples of the same run."
            )
        return [
            self._paired(task, name, each, file, published, settings, [*notes, *more], means)
            for name, each in rows.items()
        ]

    def _paired(
        self,
        task: str,
        name: str,
        found: _Rows,
        file: ResultFile,
        published: Mapping[str, tuple[Published, ...]],
        settings: Mapping[str, str],
        notes: Sequence[Reason],
        means: Means,
    ) -> TaskResult:
        figures = published.get(name, ())
        count = means.count(task)
        partial = any(note.code == "metric_partial" for note in found.notes)
        if count is not None and (
            len(found.rows.ids) < count or (len(found.rows.ids) > count and not partial)
        ):
            raise FormatError(
                f"{file.name} has {len(found.rows.ids):,} rows of {task} (filter {name}), and {self.file.name} says "
                f"that {count:,} items were evaluated. Nothing may be dropped: give all rows of this run."
            )
        odd = check_published(task, found.rows, figures, means=means.plain(task), where=self.file.name)
        return TaskResult(
            task, means.model, name, READER, (self.file, file), settings, found.rows, figures,
            (*notes, *found.notes, *odd), higher_is_better=means.higher_is_better(task),
        )  # fmt: skip

    def _group(self, task: str, means: Means) -> TaskResult:
        """A group: what it states is compared with its subtasks, and never used."""
        published, notes = means.published(task)
        leaves = means.leaves(task)
        self.listed += len(leaves)
        if self.listed > MAX_LISTED:
            raise FormatError(
                f"{self.file.name}: its groups list more than {MAX_LISTED:,} tasks. The file is damaged."
            )
        figures = tuple(each for name in published for each in published[name]) if len(published) == 1 else ()
        name = next(iter(published)) if len(published) == 1 else None
        rows = {leaf: {key: each.rows for key, each in self.rows.get(leaf, {}).items()} for leaf in leaves}
        more = group_notes(task, leaves, published, means, rows)
        return TaskResult(
            task,
            means.model,
            name,
            READER,
            (self.file,),
            means.settings(task),
            None,
            figures,
            (*notes, *more),
            leaves,
        )
