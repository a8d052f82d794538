"""Writes what lm-evaluation-harness writes with `--log_samples`: `results_TIME.json` and `samples_TASK_TIME.jsonl`.

The layout is that of its `loggers/evaluation_tracker.py` and `evaluator.py` (0.4.13): keys, hashes and their order.
Three things differ, to keep the files small: rows have no spaces, `doc` holds where an item comes from without its
text, and `arguments` names the line of `texts/TASK.jsonl` in place of repeating it. The hashes are over the real
prompt and target.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FILTER = "none"


def hash_string(text: str) -> str:
    """SHA-256 in hexadecimal digits."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


@dataclass(frozen=True, slots=True)
class Sample:
    """One item as it was answered.

    Attributes
    ----------
    doc : mapping
        Short fields of the item.
    prompt, target : str
        What was asked and what is right; hashed, not written.
    responses : sequence
        A log-likelihood, or (log-likelihood, greedy) for every choice.
    metrics : mapping of str to float
    """

    doc: Mapping[str, Any]
    prompt: str
    target: str
    responses: Sequence[Any]
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class TaskRun:
    """One task of one model.

    Attributes
    ----------
    output_type : str
        ``loglikelihood_rolling`` or ``multiple_choice``.
    higher_is_better : mapping of str to bool
        By metric; all metrics are means of their rows.
    """

    task: str
    version: str
    output_type: str
    higher_is_better: Mapping[str, bool]
    samples: list[Sample] = field(default_factory=list)


def texts_of(value: Any) -> Any:
    """Nested lists with texts as leaves, as the harness writes responses."""
    return [texts_of(each) for each in value] if isinstance(value, list | tuple) else str(value)


def sample_row(run: TaskRun, number: int, sample: Sample) -> dict[str, Any]:
    """A line of the samples file."""
    return {
        "doc_id": number,
        "doc": dict(sample.doc),
        "target": sample.target if run.output_type == "multiple_choice" else "",
        "arguments": {"gen_args_0": {"arg_0": f"texts/{run.task}.jsonl:{number + 1}"}},
        "resps": texts_of([[each] for each in sample.responses]),
        "filtered_resps": texts_of(sample.responses),
        "filter": FILTER,
        "metrics": list(sample.metrics),
        "doc_hash": hash_string(json.dumps(dict(sample.doc), indent=2, ensure_ascii=False)),
        "prompt_hash": hash_string(sample.prompt),
        "target_hash": hash_string(sample.target),
        **sample.metrics,
    }


def means(run: TaskRun) -> dict[str, Any]:
    """The harness's means and standard errors (sample deviation over the root of n, as if items were independent)."""
    found: dict[str, Any] = {"alias": run.task}
    count = len(run.samples)
    for metric in run.higher_is_better:
        values = [sample.metrics[metric] for sample in run.samples]
        mean = sum(values) / count
        spread = sum((value - mean) ** 2 for value in values) / (count - 1)
        found[f"{metric},{FILTER}"] = mean
        found[f"{metric}_stderr,{FILTER}"] = (spread / count) ** 0.5
    return found


def config(run: TaskRun) -> dict[str, Any]:
    """A task's configuration."""
    return {
        "task": run.task,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": f"texts/{run.task}.jsonl"},
        "output_type": run.output_type,
        "num_fewshot": 0,
        "repeats": 1,
        "metric_list": [
            {"metric": metric, "aggregation": "mean", "higher_is_better": higher}
            for metric, higher in run.higher_is_better.items()
        ],
        "metadata": {"version": run.version},
    }


def write_run(
    folder: Path, model: str, runs: Sequence[TaskRun], *, time: str, environment: Mapping[str, Any]
) -> None:
    """Write the files of one model.

    Parameters
    ----------
    time : str
        As the harness writes it into file names: ``2026-11-26T18-30-00.000000``.
    environment : mapping
        What ran: versions, threads, number format.
    """
    folder.mkdir(parents=True, exist_ok=True)
    hashes = {}
    for run in runs:
        rows = [sample_row(run, number, sample) for number, sample in enumerate(run.samples)]
        lines = "".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows)
        (folder / f"samples_{run.task}_{time}.jsonl").write_text(lines, encoding="utf-8")
        hashes[run.task] = hash_string(
            "".join(row["doc_hash"] + row["prompt_hash"] + row["target_hash"] for row in rows)
        )
    tasks = {run.task: run for run in runs}
    document = {
        "results": {task: means(run) for task, run in tasks.items()},
        "group_subtasks": {task: [] for task in tasks},
        "configs": {task: config(run) for task, run in tasks.items()},
        "versions": {task: run.version for task, run in tasks.items()},
        "n-shot": dict.fromkeys(tasks, 0),
        "higher_is_better": {task: dict(run.higher_is_better) for task, run in tasks.items()},
        "n-samples": {
            task: {"original": len(run.samples), "effective": len(run.samples)} for task, run in tasks.items()
        },
        "config": {
            "model": "hf",
            "model_args": f"pretrained={model}",
            "batch_size": 1,
            "limit": None,
            **environment,
        },
        "task_hashes": hashes,
        "model_source": "hf",
        "model_name": model,
        "model_name_sanitized": model.replace("/", "__"),
    }
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    (folder / f"results_{time}.json").write_text(text, encoding="utf-8")
