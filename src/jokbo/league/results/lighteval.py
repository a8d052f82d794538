"""lighteval: ``results_<time>.json`` and ``details_<task>_<time>.parquet``.

The writer drops a top-level ``id``, so rows are known by the number inside ``doc`` together with a hash of the query.
Task names hold pipes and colons (``kmmlu:law|5``); they are read from the rows, and files may be renamed.
Format: ``lighteval/logging/evaluation_tracker.py`` of lighteval==0.13.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from jokbo.errors import FormatError, MissingExtraError
from jokbo.league.results.base import MAX_ROWS, ItemRows, Published, ResultFile, TaskResult
from jokbo.league.results.groups import mean_notes
from jokbo.league.results.reading import (
    MAX_FIELD,
    brief,
    fields_of,
    mapping_at,
    name_of,
    number_of,
    open_file,
    question_digest,
    read_document,
)
from jokbo.league.results.rows import RowBuilder, check_published
from jokbo.views.component import Reason

READER = "lighteval"
MAX_GROUP_BYTES = 1 << 30
MAX_FOOTER_BYTES = 32 << 20
MAX_COLUMNS = 4_096
BATCH_ROWS = 1_024
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(?:\.\d{1,9})?")
_ASKED = ("id", "query", "choices", "gold_index", "task_name")
_MEANS = dict.fromkeys(("acc", "acc_norm", "em", "extractive_match"), True)
_AVERAGE = ":_average|"


def recognises(file: ResultFile, head: bytes) -> bool:
    """Whether a file is one that lighteval wrote."""
    name = PurePosixPath(file.name).name
    if name.endswith(".parquet"):
        return name.startswith("details") and head.startswith(b"PAR1")
    first = re.match(rb'\s*\{\s*"([^"]*)"', head)
    return name.endswith(".json") and first is not None and first[1] == b"config_general"


def read(files: Sequence[ResultFile], *, fields: Sequence[str] = ()) -> tuple[TaskResult, ...]:
    """Read the result files of one model, each with the details of its time.

    Raises
    ------
    FormatError
        A file is damaged, or rows and published means are not of one run.
    """
    results: dict[str, ResultFile] = {}
    details: dict[tuple[str, str], _Details] = {}
    for file in files:
        date = _date(file)
        if file.name.endswith(".parquet"):
            found = _read_details(file, fields)
            other = details.setdefault((date, found.task), found)
            if other is not found:
                raise FormatError(
                    f"{other.file.name} and {file.name} are two runs of {found.task}. Give one of them."
                )
        elif date in results:
            raise FormatError(f"{results[date].name} and {file.name} are of the same time. Give one of them.")
        else:
            results[date] = file
    out: list[TaskResult] = []
    for date, file in results.items():
        own = {task: details.pop((date, task)) for time, task in [*details] if time == date}
        out += _of_run(file, own)
    for held in details.values():
        notes = (Reason("samples_alone"), *held.notes)
        out.append(
            TaskResult(held.task, None, None, READER, (held.file,), _shots(held.task), held.rows, (), notes)
        )
    return tuple(out)


def _date(file: ResultFile) -> str:
    found = _DATE.findall(PurePosixPath(file.name).name)
    return found[-1] if found else ""


def _of_run(file: ResultFile, details: Mapping[str, _Details]) -> Iterator[TaskResult]:
    document = read_document(file)
    results = mapping_at(document, "results", where=file.name, needed=True)
    versions = mapping_at(document, "versions", where=file.name)
    general = mapping_at(document, "config_general", where=file.name)
    model = general.get("model_name")
    model = model[:500] if isinstance(model, str) and model.isprintable() and model else None
    strange = sorted(set(details) - set(results))
    if strange:
        raise FormatError(
            f"{details[strange[0]].file.name}: {file.name} has no task {brief(strange[0])}. Give one run."
        )
    tasks = [task for task in results if task != "all" and _AVERAGE not in task]
    for task, stated in results.items():
        name_of(task, where=file.name, what="a task")
        below = _below(task, tasks)
        published, notes = _published(task, stated, file, group=bool(below))
        notes += _limits(task, document, file)
        settings = _shots(task)
        if isinstance(versions.get(task), int | str):
            settings["version"] = name_of(str(versions[task]), where=file.name, what="a version")
        held = details.get(task)
        if held is None:
            notes += (
                _group_notes(task, below, published, details)
                if below
                else [Reason("no_rows", {"task": task})]
            )
            yield TaskResult(
                task, model, None, READER, (file,), settings, None, published, tuple(notes), below
            )
            continue
        odd = check_published(task, held.rows, published, means=_MEANS, where=file.name)
        yield TaskResult(
            task,
            model,
            None,
            READER,
            (file, held.file),
            settings,
            held.rows,
            published,
            (*notes, *held.notes, *odd),
        )


def _below(task: str, tasks: Sequence[str]) -> tuple[str, ...]:
    """The tasks that an average is over: lighteval makes one for every name before a colon, and one of all."""
    if task == "all":
        return tuple(tasks)
    name, average, shots = task.partition(_AVERAGE)
    if not average:
        return ()
    return tuple(each for each in tasks if each.startswith(f"{name}:") and each.endswith(f"|{shots}"))


def _group_notes(
    task: str, below: Sequence[str], published: Sequence[Published], details: Mapping[str, _Details]
) -> list[Reason]:
    notes = [Reason("group_and_subtasks", {"group": task, "subtasks": len(below)})]
    for each in published:
        scores = [details[name].rows.scores.get(each.metric) for name in below if name in details]
        if len(scores) == len(below) > 1 and all(held is not None for held in scores):
            known = [held for held in scores if held is not None]
            means, sizes = np.array([held.mean() for held in known]), np.array([len(held) for held in known])
            notes += mean_notes(task, each, means, sizes, ())
    return notes


def _published(
    task: str, stated: Any, file: ResultFile, *, group: bool
) -> tuple[tuple[Published, ...], list[Reason]]:
    if not isinstance(stated, Mapping):
        raise FormatError(
            f"{file.name}: the results of {brief(task)} are {brief(stated)}; expected an object."
        )
    found, notes = [], []
    for metric, value in stated.items():
        if metric.endswith("_stderr"):
            continue
        number = number_of(value)
        if number is None:
            notes.append(Reason("not_a_number", {"task": task, "metric": metric, "found": brief(value)}))
            continue
        error = number_of(stated.get(f"{metric}_stderr"))
        if error == 0 and number not in (0.0, 1.0):
            notes.append(Reason("error_zero", {"task": task, "metric": metric, "value": number}))
        if group and error:
            notes.append(Reason("average_of_errors", {"group": task, "metric": metric, "published": error}))
        found.append(Published(metric, number, None if group or not error else error))
    return tuple(found), notes


def _limits(task: str, document: Mapping[str, Any], file: ResultFile) -> list[Reason]:
    config = mapping_at(mapping_at(document, "config_tasks", where=file.name), task, where=file.name)
    effective, original = config.get("effective_num_docs"), config.get("original_num_docs")
    if isinstance(effective, int) and isinstance(original, int) and 0 < effective < original:
        return [Reason("limited", {"task": task, "effective": effective, "original": original})]
    return []


def _shots(task: str) -> dict[str, str]:
    """Few-shot examples, which a task's name states: ``task|5``, and before 0.10 ``suite|task|5|0``."""
    parts = task.split("|")
    shots = parts[1] if len(parts) == 2 else parts[2] if len(parts) > 2 else ""
    return {"num_fewshot": shots} if shots.isdecimal() else {}


@dataclass(frozen=True, slots=True)
class _Details:
    """Rows of one details file."""

    task: str
    file: ResultFile
    rows: ItemRows
    notes: tuple[Reason, ...]


def _read_details(file: ResultFile, fields: Sequence[str]) -> _Details:
    builder: RowBuilder | None = None
    task = ""
    for k, row in enumerate(_parquet_rows(file, fields)):
        place = f"{file.name}#row {k}"
        doc, metric = row.get("doc"), row.get("metric")
        if not isinstance(doc, Mapping) or not isinstance(metric, Mapping):
            raise FormatError(f"{place} has no doc or no metric; expected the details that lighteval writes.")
        named = name_of(doc.get("task_name"), where=place, what="task_name")
        if builder is None:
            task, builder = named, RowBuilder(named)
        elif named != task:
            raise FormatError(
                f"{place} is of {brief(named)}, and the rows before it of {brief(task)}. A file is one task's."
            )
        builder.add(
            name_of(doc.get("id"), where=place, what="id"),
            {
                name_of(key, where=place, what="a metric"): value
                for key, value in metric.items()
                if value is not None
            },
            place=place,
            digest=question_digest(
                [doc.get("query"), doc.get("choices"), doc.get("gold_index")], where=place
            ),
            fields=fields_of(doc.get("specific"), fields),
        )
    if builder is None:
        raise FormatError(f"{file.name} is empty; expected a row for every item.")
    rows, notes = builder.finish()
    return _Details(task, file, rows, notes)


def _parquet_rows(file: ResultFile, fields: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    """Rows of a parquet file: the columns that are needed, in bounded pieces."""
    pa, pq = _arrow(file, ""), _arrow(file, ".parquet")
    _check_footer(file)
    wanted = [f"doc.{name}" for name in _ASKED] + ["metric"]
    wanted += [f"doc.specific.{name.removeprefix('doc.')}" for name in fields if len(name) <= MAX_FIELD]
    try:
        with pq.ParquetFile(
            file.path, thrift_string_size_limit=32 << 20, thrift_container_size_limit=1 << 20,
            page_checksum_verification=True, memory_map=False, pre_buffer=False,
        ) as table:  # fmt: skip
            _check_claims(table.metadata, file)
            for batch in table.iter_batches(batch_size=BATCH_ROWS, columns=wanted, use_threads=False):
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError, ValueError, NotImplementedError, OverflowError) as error:
        said = " ".join(str(error).split())[:160]
        raise FormatError(f"{file.name} is damaged ({said}). Copy it again.") from None


def _check_footer(file: ResultFile) -> None:
    """Refuse a footer larger than details need, before it is parsed."""
    with open_file(file) as opened:
        opened.seek(max(0, file.size - 8))
        tail = opened.read(8)
    size = int.from_bytes(tail[:4], "little")
    if len(tail) != 8 or tail[4:] != b"PAR1" or size > file.size:
        raise FormatError(f"{file.name} is cut off: it does not end as a parquet file. Copy it again.")
    if size > MAX_FOOTER_BYTES:
        raise FormatError(
            f"{file.name}: its footer takes {size:,} bytes; expected at most {MAX_FOOTER_BYTES:,}."
        )


def _check_claims(claims: Any, file: ResultFile) -> None:
    if claims.num_rows > MAX_ROWS or claims.num_columns > MAX_COLUMNS:
        raise FormatError(
            f"{file.name} claims {claims.num_rows:,} rows and {claims.num_columns:,} columns; expected at most "
            f"{MAX_ROWS:,} and {MAX_COLUMNS:,}."
        )
    for k in range(claims.num_row_groups):
        size = claims.row_group(k).total_byte_size
        if size > MAX_GROUP_BYTES:
            raise FormatError(
                f"{file.name}: row group {k} claims {size:,} bytes unpacked; expected at most {MAX_GROUP_BYTES:,}. "
                "Write it again with smaller row groups."
            )


def _arrow(file: ResultFile, part: str) -> Any:
    try:
        return import_module(f"pyarrow{part}")
    except ImportError:
        raise MissingExtraError(
            f"{file.name} is parquet, which needs pyarrow. Install it with: pip install 'jokbo[league]'"
        ) from None
