"""HAE-RAE evaluation toolkit (HRET): one JSON with ``metrics``, ``samples`` and ``info``.

It states no hashes and no errors, and a sample has no number: items are numbered by their place in the file, and told
apart by their text. Versions before November 2025 could pair answers with other questions when batches ran
asynchronously, and a file does not say which wrote it. Format: ``llm_eval`` of haerae-evaluation-toolkit==0.1.0.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from jokbo.errors import FormatError
from jokbo.league.results.base import Published, ResultFile, TaskResult
from jokbo.league.results.reading import (
    brief,
    fields_of,
    mapping_at,
    name_of,
    number_of,
    question_digest,
    read_document,
)
from jokbo.league.results.rows import RowBuilder, check_published
from jokbo.views.component import Reason

READER = "hret"
SCORES = ("is_correct", "judge_score", "score")
"""Where a sample holds what it scored, itself or under ``evaluation``."""

_METRICS = {"is_correct": "accuracy", "judge_score": "judge_score", "score": "score"}


def recognises(file: ResultFile, head: bytes) -> bool:
    """Whether a file is one that the toolkit wrote."""
    first = re.match(rb'\s*\{\s*"([^"]*)"', head)
    return file.name.endswith(".json") and first is not None and first[1] == b"metrics"


def read(files: Sequence[ResultFile], *, fields: Sequence[str] = ()) -> tuple[TaskResult, ...]:
    """Read result files, each of one data set.

    Raises
    ------
    FormatError
        A file is damaged, or a sample has no score.
    """
    return tuple(_read_file(file, fields) for file in files)


def _read_file(file: ResultFile, fields: Sequence[str]) -> TaskResult:
    document = read_document(file)
    info = mapping_at(document, "info", where=file.name)
    samples = document.get("samples")
    task = _task(info, file)
    if not isinstance(samples, list) or not samples:
        raise FormatError(
            f"{file.name}: 'samples' is {brief(samples)}; expected a list with a row for every item."
        )
    builder = RowBuilder(task)
    for k, sample in enumerate(samples):
        place = f"{file.name}#samples/{k}"
        if not isinstance(sample, Mapping):
            raise FormatError(f"{place} is {brief(sample)}; expected an object.")
        builder.add(
            str(k),
            _scores(sample, place),
            place=place,
            digest=question_digest(
                [sample.get("input"), sample.get("reference"), sample.get("options")], where=place
            ),
            fields=fields_of(sample, fields),
        )
    rows, notes = builder.finish()
    published = tuple(
        Published(metric, value, None)
        for metric, stated in mapping_at(document, "metrics", where=file.name).items()
        if (value := number_of(stated)) is not None
    )
    odd = check_published(task, rows, published, means={"accuracy": True}, where=file.name)
    stated = {
        "split": info.get("split"),
        "evaluation_method_name": info.get("evaluation_method_name"),
        "scaling_method_name": info.get("scaling_method_name"),
        "num_fewshot": info.get("num_few_shot_applied"),
    }
    settings = {
        key: name_of(str(value), where=file.name, what=key)
        for key, value in stated.items()
        if isinstance(value, str | int) and str(value)
    }
    suspect = (Reason("hret_pairing", {"task": task}), Reason("no_row_hashes", {"task": task}))
    return TaskResult(
        task, _model(info), None, READER, (file,), settings, rows, published, (*suspect, *notes, *odd)
    )


def _task(info: Mapping[str, Any], file: ResultFile) -> str:
    """Data set, and subset where one is named."""
    name = name_of(info.get("dataset_name"), where=f"{file.name}#info", what="dataset_name")
    subset = info.get("subset")
    if isinstance(subset, list):
        subset = "+".join(str(each) for each in subset)
    return (
        name
        if subset in (None, "")
        else name_of(f"{name}/{subset}", where=f"{file.name}#info", what="subset")
    )


def _model(info: Mapping[str, Any]) -> str | None:
    parameters = info.get("model_backend_params")
    found = parameters.get("model_name_or_path") if isinstance(parameters, Mapping) else None
    return found[:500] if isinstance(found, str) and found.isprintable() and found else None


def _scores(sample: Mapping[str, Any], place: str) -> dict[str, object]:
    evaluation = sample.get("evaluation")
    inner = evaluation if isinstance(evaluation, Mapping) else {}
    found = {
        _METRICS[key]: inner.get(key, sample.get(key)) for key in SCORES if key in inner or key in sample
    }
    if not found:
        raise FormatError(
            f"{place} has none of {', '.join(SCORES)}; expected the score of this item. Evaluate with a method that "
            "writes one."
        )
    return found
