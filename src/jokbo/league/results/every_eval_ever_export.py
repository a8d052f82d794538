"""Results written in the schema of Every Eval Ever (0.3.0).

Questions, prompts and answers are not in a :class:`TaskResult`, so none are given away: an instance holds an item's
number, hash and score. What the schema has no field for stands in its free details, under names that begin with
``jokbo_``.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jokbo.errors import UsageError
from jokbo.evidence.canonical import canonical_bytes
from jokbo.league.results.base import ItemRows, Published, TaskResult
from jokbo.league.results.every_eval_ever import OWN, REPEAT, SAMPLES, VERSION, as_text
from jokbo.sources.whole_files import write_whole

LIBRARIES = {
    "lm_harness": "lm_eval", "lighteval": "lighteval", "inspect_eval": "inspect_ai",
    "hret": "haerae-evaluation-toolkit", "csv_items": "unknown", "every_eval_ever": "unknown",
}  # fmt: skip
RELATIONSHIPS = ("first_party", "third_party", "collaborative", "other")


@dataclass(frozen=True, slots=True)
class Origin:
    """What no result file states, and the schema asks for.

    Attributes
    ----------
    organization : str
        Who hands the results on.
    relationship : str
        Of the evaluator to the model: one of :data:`RELATIONSHIPS`.
    retrieved_at : int
        Seconds since 1970.
    collection : str
        Folder of the datastore.
    lower_is_better : collection of str
        Metrics of which less is better; of all others more is, unless the files say it themselves.
    """

    organization: str = "unknown"
    relationship: str = "other"
    retrieved_at: int = 0
    collection: str = "jokbo"
    lower_is_better: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Exported:
    """One evaluation: where its two files belong in a datastore, and their bytes; no instances where it has no "
    "rows."""

    folder: str
    name: str
    aggregate: bytes
    instances: bytes | None


def export(result: TaskResult, origin: Origin) -> Exported:
    """One result in the schema; the same input gives the same bytes and the same name.

    Raises
    ------
    UsageError
        The relationship is none that the schema knows.
    """
    if origin.relationship not in RELATIONSHIPS:
        raise UsageError(
            f"relationship {origin.relationship[:60]!r}; expected one of {', '.join(RELATIONSHIPS)}."
        )
    model = result.model or "unknown"
    developer, _, short = model.rpartition("/")
    folder = "/".join(["data", _part(origin.collection), _part(developer or "unknown"), _part(short)])
    run = f"{_name(result)}/{model}/{origin.retrieved_at}"
    instances = None if result.rows is None else _instances(result, result.rows, run, model)
    document = _aggregate(result, origin, run, model)
    seed = hashlib.sha256(canonical_bytes(document) + (instances or b"")).digest()
    name = str(uuid.UUID(bytes=seed[:16], version=4))
    if instances is not None:
        document["detailed_evaluation_results"] = {
            "format": "jsonl",
            "file_path": f"{folder}/{name}{SAMPLES}",
            "hash_algorithm": "sha256",
            "checksum": hashlib.sha256(instances).hexdigest(),
            "total_rows": instances.count(b"\n"),
        }
    return Exported(folder, name, canonical_bytes(document) + b"\n", instances)


def write_exported(results: Sequence[TaskResult], into: Path, origin: Origin) -> list[Path]:
    """Write every result below a folder, as a datastore lays them out; returns the aggregate files.

    Raises
    ------
    UsageError
        Nothing is to be written, the folder is not empty, or cannot be written.
    """
    if not results:
        raise UsageError("there are no results to write.")
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        raise UsageError(f"{into} is there already, and is not empty. Name another folder.")
    written = []
    try:
        for result in results:
            found = export(result, origin)
            folder = into / found.folder
            folder.mkdir(parents=True, exist_ok=True)
            if found.instances is not None:
                write_whole(folder / f"{found.name}{SAMPLES}", found.instances)
            write_whole(folder / f"{found.name}.json", found.aggregate)
            written.append(folder / f"{found.name}.json")
    except OSError as error:
        raise UsageError(f"cannot write below {into}: {error.strerror}. Name another folder.") from None
    return written


def _part(text: str) -> str:
    """A name of a folder: what could mean something to a file system becomes a line."""
    return re.sub(r"[^\w.-]", "_", text).strip(".")[:100] or "unknown"


def _name(result: TaskResult) -> str:
    return result.task if result.filter in (None, "none") else f"{result.task}/{result.filter}"


def _aggregate(result: TaskResult, origin: Origin, run: str, model: str) -> dict[str, Any]:
    details = {
        f"{OWN}task": result.task,
        f"{OWN}settings": as_text(dict(result.settings)),
        f"{OWN}notes": as_text([[note.code, dict(note.values)] for note in result.notes]),
        f"{OWN}subtasks": as_text(list(result.subtasks)),
        f"{OWN}better": as_text(
            {metric: "higher" if high else "lower" for metric, high in result.higher_is_better.items()}
        ),
    }
    if result.filter is not None:
        details[f"{OWN}filter"] = result.filter
    if not result.named:
        details[f"{OWN}named"] = "no"
    if result.model is None:
        details[f"{OWN}model"] = "none"
    stated = [each.metric for each in result.published]
    computed = [name for name in result.rows.scores if name not in stated] if result.rows is not None else []
    return {
        "schema_version": VERSION,
        "evaluation_id": run,
        "retrieved_timestamp": str(origin.retrieved_at),
        "source_metadata": {
            "source_type": "documentation" if result.rows is None else "evaluation_run",
            "source_organization_name": origin.organization,
            "evaluator_relationship": origin.relationship,
        },
        "eval_library": {
            "name": LIBRARIES[result.reader],
            "version": "unknown",
            "additional_details": details,
        },
        "model_info": {
            "name": model,
            "id": model,
            "additional_details": {"deployment_type": "unknown", "model_availability": "unknown"},
        },
        "evaluation_results": [
            *(_figure(result, each, origin) for each in result.published),
            *(_computed(result, name, origin) for name in computed),
        ],
    }


def _figure(result: TaskResult, stated: Published, origin: Origin) -> dict[str, Any]:
    """A published mean."""
    score: dict[str, Any] = {"score": stated.value}
    uncertainty: dict[str, Any] = {}
    if stated.standard_error is not None:
        uncertainty["standard_error"] = {"value": stated.standard_error}
    if stated.count is not None:
        uncertainty["num_samples"] = stated.count
    if uncertainty:
        score["uncertainty"] = uncertainty
    return _result(result, stated.metric, score, origin)


def _computed(result: TaskResult, metric: str, origin: Origin) -> dict[str, Any]:
    """A mean of rows for which the file states none."""
    assert result.rows is not None
    mean = float(np.mean(result.rows.scores[metric]))
    return _result(result, metric, {"score": mean, "details": {f"{OWN}computed": "yes"}}, origin)


def _result(result: TaskResult, metric: str, score: dict[str, Any], origin: Origin) -> dict[str, Any]:
    return {
        "evaluation_result_id": f"{_name(result)}/{metric}",
        "evaluation_name": _name(result),
        "source_data": {"dataset_name": result.task, "source_type": "other"},
        "metric_config": {
            "metric_id": metric,
            "metric_name": metric,
            "lower_is_better": not result.higher_is_better.get(metric, metric not in origin.lower_is_better),
        },
        "score_details": score,
    }


def _instances(result: TaskResult, rows: ItemRows, run: str, model: str) -> bytes:
    """A line an item, repetition and metric."""
    name = _name(result)
    scores = [(metric, values.tolist()) for metric, values in rows.scores.items()]
    columns = list(rows.fields.items())
    lines = []
    for k, id in enumerate(rows.ids):
        metadata = {REPEAT: str(int(rows.repeats[k])), **{column: texts[k] for column, texts in columns}}
        for metric, values in scores:
            row: dict[str, Any] = {
                "schema_version": VERSION,
                "evaluation_id": run,
                "model_id": model,
                "evaluation_name": name,
                "evaluation_result_id": f"{name}/{metric}",
                "sample_id": id,
                "sample_hash": rows.digests[k],
                "interaction_type": "single_turn",
                "input": {"raw": "", "reference": []},
                "output": {"raw": []},
                "answer_attribution": [],
                "evaluation": {"score": values[k], "is_correct": values[k] == 1.0},
                "metadata": metadata,
            }
            lines.append(canonical_bytes(row) + b"\n")
    return b"".join(lines)
