"""inspect-ai: ``.eval`` logs, a ZIP archive with ``header.json`` and one member a sample and epoch under ``samples/``.

Rows are the sample members; what the log says of its means is compared with them. Words for scores are turned into
numbers by inspect's own table (``value_to_float`` of ``inspect_ai/scorer/_metric.py``, inspect-ai==0.3.285) and no
other. Epochs are repetitions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jokbo.errors import FormatError
from jokbo.league.results.base import Published, ResultFile, TaskResult
from jokbo.league.results.reading import (
    brief,
    fields_of,
    mapping_at,
    name_of,
    number_of,
    parse_object,
    question_digest,
)
from jokbo.league.results.rows import RowBuilder, check_published
from jokbo.league.results.zip_members import Archive, open_archive
from jokbo.views.component import Reason

READER = "inspect_eval"
MAX_HEADER_BYTES = 32 << 20
VALUES: Mapping[str, float] = {
    "C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0, "yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0,
}  # fmt: skip
"""Correct, partial, incorrect, no answer; and words, whatever their case."""

_NUMBER = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?([eE][-+]?[0-9]{1,3})?")
_SAMPLE = re.compile(r"samples/[^/]+\.json")


def recognises(file: ResultFile, head: bytes) -> bool:
    """Whether a file is a log in inspect's archive format."""
    return file.name.endswith(".eval") and head.startswith(b"PK\x03\x04")


def read(files: Sequence[ResultFile], *, fields: Sequence[str] = ()) -> tuple[TaskResult, ...]:
    """Read logs, each of one task.

    Raises
    ------
    FormatError
        A log is damaged, was not successful or has been invalidated, or a sample has no score.
    """
    return tuple(_read_log(file, fields) for file in files)


def _read_log(file: ResultFile, fields: Sequence[str]) -> TaskResult:
    with open_archive(file) as archive:
        where = f"{file.name}#header.json"
        header = parse_object(archive.read("header.json", most=MAX_HEADER_BYTES), where=where)
        _check_success(header, file)
        spec = mapping_at(header, "eval", where=where, needed=True)
        results = mapping_at(header, "results", where=where, needed=True)
        task = name_of(spec.get("task"), where=where, what="the task")
        builder = RowBuilder(task)
        edited = failed = 0
        names = [name for name in archive.names if _SAMPLE.fullmatch(name)]
        for place, sample in _samples(archive, names):
            changed = _add(builder, sample, place, fields)
            edited += changed
            failed += sample.get("error") is not None
    _check_counts(results, len(names), file)
    rows, notes = builder.finish()
    published, more = _published(task, results, where)
    notes = (*notes, *more, *_run_notes(task, spec, edited, failed, len(rows.scores)))
    means = {each.metric: True for each in published}
    notes = (*notes, *check_published(task, rows, published, means=means, where=where))
    model = spec.get("model")
    return TaskResult(
        task=task,
        model=model[:500] if isinstance(model, str) and model.isprintable() else None,
        filter=None,
        reader=READER,
        files=(file,),
        settings=_settings(spec, where),
        rows=rows,
        published=published,
        notes=notes,
    )


def _samples(archive: Archive, names: Sequence[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if not names:
        raise FormatError(f"{archive.file.name} holds no samples. Run the evaluation with log_samples.")
    for name in names:
        place = f"{archive.file.name}#{name}"
        yield place, parse_object(archive.read(name), where=place)


def _check_success(header: Mapping[str, Any], file: ResultFile) -> None:
    status = header.get("status")
    if status != "success":
        raise FormatError(
            f"{file.name} has the status {brief(status)}; expected 'success'. A run that broke off has no scores: "
            "finish it with `inspect eval-retry`."
        )
    if header.get("invalidated") not in (None, False):
        raise FormatError(f"{file.name} is marked as invalidated by whoever ran it. Give a valid run.")


def _check_counts(results: Mapping[str, Any], count: int, file: ResultFile) -> None:
    for key in ("total_samples", "completed_samples"):
        stated = results.get(key)
        if isinstance(stated, int) and not isinstance(stated, bool) and stated != count:
            raise FormatError(
                f"{file.name} holds {count:,} samples, and its header states {stated:,} ({key}). Nothing may be "
                "dropped: give the whole log of a run that was completed."
            )


def _add(builder: RowBuilder, sample: Mapping[str, Any], place: str, fields: Sequence[str]) -> bool:
    """Add a sample; whether any of its scores was edited after the run."""
    epoch = sample.get("epoch")
    if isinstance(epoch, bool) or not isinstance(epoch, int) or not 1 <= epoch <= 1_000_000:
        raise FormatError(f"{place}: epoch is {brief(epoch)}; expected a number from 1.")
    scores = mapping_at(sample, "scores", where=place)
    if not scores:
        raise FormatError(f"{place} has no score. A sample that failed is not averaged over: run it again.")
    values: dict[str, object] = {}
    edited = False
    for scorer, score in scores.items():
        name = name_of(scorer, where=place, what="a scorer")
        if not isinstance(score, Mapping) or "value" not in score:
            raise FormatError(
                f"{place}: the score of {brief(scorer)} is {brief(score)}; expected an object with a value."
            )
        edited = edited or bool(score.get("history"))
        value = score["value"]
        if isinstance(value, Mapping):
            values |= {
                f"{name}.{name_of(key, where=place, what='a score')}": _value(each)
                for key, each in value.items()
            }
        else:
            values[name] = _value(value)
    builder.add(
        name_of(sample.get("id"), where=place, what="id"),
        values,
        place=place,
        digest=_question_digest(sample, place),
        repeat=epoch - 1,
        fields=fields_of(sample.get("metadata"), fields),
    )
    return edited


def _value(value: Any) -> object:
    """A score as a number by inspect's table; whatever it does not know stays as it is, and is then no number."""
    if isinstance(value, str):
        known = VALUES.get(value, VALUES.get(value.lower()) if len(value) > 1 else None)
        if known is None and _NUMBER.fullmatch(value):
            known = float(value)
        return value if known is None else known
    return value


def _question_digest(sample: Mapping[str, Any], where: str) -> str:
    """Of the question and its key: what was asked, without the numbers that every run gives its messages."""
    asked = sample.get("input")
    if isinstance(asked, list):
        asked = [
            [each.get("role"), each.get("content")] if isinstance(each, Mapping) else each for each in asked
        ]
    return question_digest([asked, sample.get("target"), sample.get("choices")], where=where)


def _published(
    task: str, results: Mapping[str, Any], where: str
) -> tuple[tuple[Published, ...], list[Reason]]:
    """Means that are plain ones: of metric ``accuracy`` or ``mean``, epochs reduced by their mean."""
    listed = results.get("scores")
    if not isinstance(listed, list) or len(listed) > 1_000:
        raise FormatError(f"{where}: 'scores' is {brief(listed)}; expected a list.")
    found, notes = [], []
    for score in listed:
        if not isinstance(score, Mapping) or score.get("reducer") not in (None, "mean"):
            continue
        name = name_of(score.get("name"), where=where, what="a score")
        scorer = name_of(score.get("scorer"), where=where, what="a scorer")
        metric = name if name == scorer else f"{scorer}.{name}"
        metrics = mapping_at(score, "metrics", where=where)
        value = _metric(metrics, ("accuracy", "mean"))
        unscored = score.get("unscored_samples")
        if isinstance(unscored, int) and unscored > 0:
            raise FormatError(
                f"{where}: {unscored:,} samples have no score of {metric}. Nothing is averaged over them."
            )
        if value is None:
            continue
        error = _metric(metrics, ("stderr", "bootstrap_stderr"))
        if error == 0 and value not in (0.0, 1.0):
            notes.append(Reason("error_zero", {"task": task, "metric": metric, "value": value}))
        found.append(Published(metric, value, error if error else None))
    return tuple(found), notes


def _metric(metrics: Mapping[str, Any], names: Sequence[str]) -> float | None:
    for name in names:
        stated = metrics.get(name)
        if isinstance(stated, Mapping):
            return number_of(stated.get("value"))
    return None


def _run_notes(
    task: str, spec: Mapping[str, Any], edited: int, failed: int, scorers: int
) -> Iterator[Reason]:
    config = spec.get("config")
    if isinstance(config, Mapping) and config.get("limit") is not None:
        yield Reason("limit_used", {"task": task})
    if scorers > 1:
        yield Reason("several_scorers", {"task": task, "count": scorers})
    if edited:
        yield Reason("scores_edited", {"task": task, "count": edited})
    if failed:
        yield Reason("scored_on_error", {"task": task, "count": failed})


def _settings(spec: Mapping[str, Any], where: str) -> dict[str, str]:
    config = mapping_at(spec, "config", where=where)
    arguments = mapping_at(spec, "task_args", where=where)
    dataset = mapping_at(spec, "dataset", where=where)
    stated: dict[str, Any] = {
        "version": spec.get("task_version"),
        "epochs": config.get("epochs"),
        "dataset": dataset.get("name"),
        "task_args": question_digest(arguments, where=where)[:16] if arguments else None,
    }
    return {
        key: name_of(str(value), where=where, what=key)
        for key, value in stated.items()
        if isinstance(value, str | int | float) and str(value)
    }
