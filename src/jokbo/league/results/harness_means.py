"""What a results file of the harness states: means, errors, versions, groups; and what is odd about its group "
"means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jokbo.errors import FormatError
from jokbo.league.results.base import ItemRows, Published
from jokbo.league.results.groups import mean_notes
from jokbo.league.results.reading import brief, mapping_at, name_of, number_of
from jokbo.views.component import Reason

MAX_TASKS = 20_000
_NOT_METRICS = frozenset({"alias", "name", "sample_len", "sample_count", "samples"})
_MEANS = frozenset({"acc", "acc_norm", "acc_mutual_info", "acc_bytes", "exact_match", "em"})
"""Metrics that the harness averages plainly unless a task's configuration says otherwise."""


@dataclass(frozen=True, slots=True)
class Means:
    """A results file, checked as far as it is used.

    Attributes
    ----------
    new : bool
        Written by 0.4 or later, whose keys name filters.
    """

    document: Mapping[str, Any]
    where: str
    tasks: tuple[str, ...]
    groups: Mapping[str, tuple[str, ...]]
    task_hashes: Mapping[str, str]
    model: str | None
    new: bool

    def _stated(self, task: str) -> Mapping[str, Any]:
        return mapping_at(self.document["results"], task, where=self.where)

    def published(self, task: str) -> tuple[dict[str, tuple[Published, ...]], list[Reason]]:
        """Means by filter, and notes on errors that say nothing."""
        stated = self._stated(task)
        found: dict[str, list[Published]] = {}
        notes = []
        count = self.count(task)
        for key, value in stated.items():
            metric, _, name = key.rpartition(",") if "," in key else (key, "", "none")
            if key in _NOT_METRICS or metric.endswith("_stderr"):
                continue
            name_of(metric, where=f"{self.where} ({task})", what="a metric")
            number = number_of(value)
            if number is None:
                notes.append(Reason("not_a_number", {"task": task, "metric": key, "found": brief(value)}))
                continue
            error = stated.get(f"{metric}_stderr,{name}" if "," in key else f"{metric}_stderr")
            known = number_of(error)
            if error is not None and not known and number not in (0.0, 1.0):
                code = "error_zero" if known == 0 else "error_absent"
                notes.append(Reason(code, {"task": task, "metric": key, "value": number}))
            usable = known if known is not None and known > 0 else None
            found.setdefault(name, []).append(Published(metric, number, usable, count))
        return {name: tuple(each) for name, each in found.items()}, [*notes, *self._limits(task)]

    def _limits(self, task: str) -> Iterator[Reason]:
        sizes = mapping_at(mapping_at(self.document, "n-samples", where=self.where), task, where=self.where)
        effective, original = sizes.get("effective"), sizes.get("original")
        if isinstance(effective, int) and isinstance(original, int) and effective < original:
            yield Reason("limited", {"task": task, "effective": effective, "original": original})
        elif not sizes and mapping_at(self.document, "config", where=self.where).get("limit") is not None:
            yield Reason("limit_used", {"task": task})

    def count(self, task: str) -> int | None:
        """Items evaluated, as stated; None where it is not, or the task is a group."""
        sizes = mapping_at(mapping_at(self.document, "n-samples", where=self.where), task, where=self.where)
        effective = sizes.get("effective", self._stated(task).get("sample_len"))
        if task in self.groups or effective is None:
            return None
        if isinstance(effective, bool) or not isinstance(effective, int):
            raise FormatError(
                f"{self.where}: {task} states {brief(effective)} items; expected a whole number. The file is edited or "
                "damaged: give it as it was written."
            )
        return effective

    def settings(self, task: str) -> dict[str, str]:
        """What has to be equal for all: version, few-shot examples, hash of all questions."""
        versions = mapping_at(self.document, "versions", where=self.where)
        shots = mapping_at(self.document, "n-shot", where=self.where)
        config = mapping_at(self.document, "config", where=self.where)
        stated = {
            "version": versions.get(task),
            "num_fewshot": shots.get(task, None if self.new else config.get("num_fewshot")),
            "task_hash": self.task_hashes.get(task),
        }
        for key, value in stated.items():
            if value is not None and not isinstance(value, str | int | float):
                raise FormatError(
                    f"{self.where}: {key} of {task} is {brief(value)}; expected a text or a number. "
                    "The file is edited or damaged: give it as it was written."
                )
        plain = {key: value for key, value in stated.items() if value is not None}
        return {
            key: name_of(str(value), where=f"{self.where} ({task})", what=key) for key, value in plain.items()
        }

    def plain(self, task: str) -> dict[str, bool]:
        """Which metrics are the plain means of their rows, where the file says so or the harness does by default."""
        config = mapping_at(mapping_at(self.document, "configs", where=self.where), task, where=self.where)
        found = dict.fromkeys(_MEANS, True)
        listed = config.get("metric_list")
        for each in listed if isinstance(listed, list) else ():
            if isinstance(each, Mapping) and isinstance(each.get("metric"), str) and "aggregation" in each:
                found[each["metric"]] = each["aggregation"] == "mean"
        return found

    def higher_is_better(self, task: str) -> dict[str, bool]:
        """Which metrics are better high, where the file says it.

        Raises
        ------
        FormatError
            It says something else than true or false.
        """
        stated = mapping_at(self.document, "higher_is_better", where=self.where)
        found = mapping_at(stated, task, where=f"{self.where} (higher_is_better)")
        for metric, value in found.items():
            if value is not None and not isinstance(value, bool):
                raise FormatError(
                    f"{self.where}: higher_is_better of {brief(metric)} ({task}) is {brief(value)}; expected true or "
                    "false."
                )
        return {metric: value for metric, value in found.items() if value is not None}

    def leaves(self, group: str) -> tuple[str, ...]:
        """The tasks under a group, through groups in between.

        Raises
        ------
        FormatError
            A group holds itself.
        """
        found: dict[str, None] = {}
        open_: list[tuple[str, tuple[str, ...]]] = [(group, ())]
        steps = 0
        while open_:
            name, above = open_.pop()
            steps += 1
            if name in above or steps > MAX_TASKS:
                raise FormatError(
                    f"{self.where}: the group {brief(group)} holds itself. The file is damaged."
                )
            below = self.groups.get(name)
            if below is None:
                found[name] = None
            else:
                open_ += [(each, (*above, name)) for each in reversed(below)]
        return tuple(found)


def means_of(document: Mapping[str, Any], *, where: str) -> Means:
    """Check a results file.

    Raises
    ------
    FormatError
        It holds no results, or something else where the harness writes objects.
    """
    results = mapping_at(document, "results", where=where, needed=True)
    if not 0 < len(results) <= MAX_TASKS:
        raise FormatError(f"{where} holds {len(results):,} tasks; expected 1 to {MAX_TASKS:,}.")
    for task, stated in results.items():
        name_of(task, where=where, what="a task")
        if not isinstance(stated, Mapping):
            raise FormatError(
                f"{where}: the results of {brief(task)} are {brief(stated)}; expected an object."
            )
    hashes = {
        key: value
        for key, value in mapping_at(document, "task_hashes", where=where).items()
        if isinstance(value, str) and value
    }
    groups = {}
    for name, below in mapping_at(document, "group_subtasks", where=where).items():
        if not isinstance(below, list) or not all(isinstance(each, str) for each in below):
            raise FormatError(
                f"{where}: the subtasks of {brief(name)} are {brief(below)}; expected a list of names."
            )
        if below:
            groups[name] = tuple(below)
    new = any("," in key for stated in results.values() for key in stated) or "configs" in document
    return Means(document, where, tuple(results), groups, hashes, _model(document), new)


def _model(document: Mapping[str, Any]) -> str | None:
    stated = document.get("model_name")
    config = document.get("config")
    arguments = config.get("model_args") if isinstance(config, Mapping) else None
    if not isinstance(stated, str) and isinstance(arguments, str):
        stated = next(
            (p.partition("=")[2] for p in arguments.split(",") if p.startswith("pretrained=")), arguments
        )
    elif not isinstance(stated, str) and isinstance(arguments, Mapping):
        stated = arguments.get("pretrained")
    return stated[:500] if isinstance(stated, str) and stated.isprintable() and stated else None


def group_notes(
    group: str,
    leaves: Sequence[str],
    published: Mapping[str, Sequence[Published]],
    means: Means,
    rows: Mapping[str, Mapping[str, ItemRows]],
) -> list[Reason]:
    """What a group's own mean is, told from its subtasks: by items, by subtasks or neither; and if its error fits.

    Until June 2026 the harness paired a mean by subtasks with an error by items; and errors of exactly zero spread.
    """
    notes = []
    if len(leaves) > 1 and all(leaf in means.tasks for leaf in leaves):
        notes.append(Reason("group_and_subtasks", {"group": group, "subtasks": len(leaves)}))
    for name, figures in published.items():
        for each in figures:
            known = _leaf_figures(leaves, name, each.metric, means, rows)
            if known is not None and len(leaves) > 1:
                notes += mean_notes(group, each, *known)
    return notes


def _leaf_figures(
    leaves: Sequence[str], name: str, metric: str, means: Means, rows: Mapping[str, Mapping[str, ItemRows]]
) -> tuple[np.ndarray, np.ndarray, list[float | None]] | None:
    """Means, sizes and errors of the subtasks: of their rows where there are any, and else as stated."""
    values, sizes, errors = [], [], []
    for leaf in leaves:
        if leaf not in means.tasks:
            return None
        stated = next((p for p in means.published(leaf)[0].get(name, ()) if p.metric == metric), None)
        held = rows.get(leaf, {}).get(name)
        scores = None if held is None else held.scores.get(metric)
        count = len(scores) if scores is not None else means.count(leaf)
        if stated is None or count is None:
            return None
        values.append(float(np.mean(scores)) if scores is not None else stated.value)
        sizes.append(count)
        errors.append(stated.standard_error)
    return np.array(values), np.array(sizes, np.float64), errors
