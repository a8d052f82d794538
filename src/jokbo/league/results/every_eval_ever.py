"""Every Eval Ever (schema 0.3.0): an aggregate JSON, and a JSONL of instances that its checksum binds.

Both are held against the vendored schemas. One instance is one item, repetition and metric. What `jokbo league convert`
wrote is read back to equal results; what others wrote is read as far as the schema states it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import PurePosixPath
from typing import Any

from jokbo.errors import FormatError
from jokbo.evidence import schema as rules
from jokbo.evidence.documents import load_schema
from jokbo.league.results.base import MAX_ROWS, ItemRows, Published, ResultFile, TaskResult
from jokbo.league.results.reading import brief, fields_of, json_lines, mapping_at, name_of, read_document
from jokbo.league.results.rows import RowBuilder, check_published
from jokbo.sources.regular_files import file_facts
from jokbo.views.component import Reason

READER = "every_eval_ever"
VERSION = "0.3.0"
SAMPLES = "_samples.jsonl"
OWN = "jokbo_"
"""Begins the names of what the schema has no field for."""

REPEAT = "repeat"
"""Field of an instance's metadata: 0, 1, ... where an item was answered more than once."""

_ACCURACIES = dict.fromkeys(("acc", "acc_norm", "accuracy", "exact_match"), True)


@cache
def aggregate_schema() -> Mapping[str, Any]:
    """The schema of aggregate files."""
    return load_schema("jokbo.league.results", "schemas/eval.schema.json")


@cache
def instance_schema() -> Mapping[str, Any]:
    """The schema of a line of instances."""
    return load_schema("jokbo.league.results", "schemas/instance_level_eval.schema.json")


def recognises(file: ResultFile, head: bytes) -> bool:
    """Whether a file follows one of the schemas."""
    return (
        file.name.endswith((".json", ".jsonl")) and b'"schema_version"' in head and b'"evaluation_id"' in head
    )


def read(files: Sequence[ResultFile], *, fields: Sequence[str] = ()) -> tuple[TaskResult, ...]:
    """Read aggregate files, each with its instances.

    Raises
    ------
    FormatError
        A file breaks its schema, or instances and aggregate are not of one evaluation.
    """
    instances = {PurePosixPath(file.name).name: file for file in files if file.name.endswith(".jsonl")}
    used: set[str] = set()
    found: list[TaskResult] = []
    for file in files:
        if file.name.endswith(".jsonl"):
            continue
        document = read_document(file)
        _check(document, aggregate_schema(), file.name)
        pointer = document.get("detailed_evaluation_results")
        name = PurePosixPath(pointer["file_path"]).name if pointer else ""
        own = instances.get(name)
        if own is not None and pointer is not None:
            used.add(name)
            _check_pointer(pointer, own, file)
        found += _Evaluation(document, file, own, fields).results()
    alone = sorted(set(instances) - used)
    if alone:
        raise FormatError(
            f"{instances[alone[0]].name}: no aggregate file here names these instances. Give it too."
        )
    return tuple(found)


def _check(document: Any, whole: Mapping[str, Any], where: str) -> None:
    found = next(rules.problems(document, whole), None)
    if found is not None:
        path, problem = found
        raise FormatError(
            f"{where}{f' at {path}' if path else ''}: {problem}. It does not follow schema {VERSION} of Every Eval "
            "Ever."
        )


def _check_pointer(pointer: Mapping[str, Any], own: ResultFile, file: ResultFile) -> None:
    if "checksum" not in pointer or pointer.get("hash_algorithm") != "sha256":
        return
    sha256 = file_facts(own.path).sha256
    if pointer["checksum"].lower() != sha256:
        raise FormatError(
            f"{own.name} has the SHA-256 {sha256[:16]}..., and {file.name} states {brief(pointer['checksum'][:16])}. "
            "Give the instances of this evaluation, unedited."
        )


@dataclass(slots=True)
class _Rows:
    """Instances of one evaluation name, in the order of their items."""

    scores: dict[tuple[str, int], dict[str, float]] = field(default_factory=dict)
    first: dict[tuple[str, int], tuple[str, Mapping[str, Any]]] = field(default_factory=dict)
    places: dict[tuple[str, int, str], str] = field(default_factory=dict)


@dataclass(slots=True)
class _Evaluation:
    """One aggregate file and its instances."""

    document: Mapping[str, Any]
    file: ResultFile
    instances: ResultFile | None
    fields: Sequence[str]

    def results(self) -> list[TaskResult]:
        """A result an evaluation name, in the order of the file."""
        names: dict[str, list[Mapping[str, Any]]] = {}
        for each in self.document["evaluation_results"]:
            names.setdefault(each["evaluation_name"], []).append(each)
        own = mapping_at(self.document["eval_library"], "additional_details", where=self.file.name)
        if not names and f"{OWN}task" in own:
            names[own[f"{OWN}task"]] = []
        rows = self._rows(names)
        return [self._result(name, listed, rows.get(name), own) for name, listed in names.items()]

    def _rows(self, names: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, _Rows]:
        found: dict[str, _Rows] = {}
        if self.instances is None:
            return found
        ids = {
            each.get("evaluation_result_id"): _metric(each) for listed in names.values() for each in listed
        }
        count = 0
        for where, row in json_lines(self.instances):
            count += 1
            _check(row, instance_schema(), where)
            if count > 4 * MAX_ROWS:
                raise FormatError(f"{where}: more than {4 * MAX_ROWS:,} instances. Split the evaluation.")
            name = row["evaluation_name"]
            if row["evaluation_id"] != self.document["evaluation_id"] or name not in names:
                raise FormatError(
                    f"{where}: this instance is of {brief(name)} of another evaluation than {self.file.name}."
                )
            self._add(
                found.setdefault(name, _Rows()), row, self._metric_of(row, names[name], ids, where), where
            )
        stated = self.document["detailed_evaluation_results"].get("total_rows", count)
        if stated != count:
            raise FormatError(
                f"{self.instances.name} has {count:,} instances; {self.file.name} states {stated:,}."
            )
        return found

    def _metric_of(
        self, row: Mapping[str, Any], listed: Sequence[Mapping[str, Any]], ids: Mapping[Any, str], where: str
    ) -> str:
        """The metric an instance scores: by its result's identifier, or the only one of its evaluation."""
        id = row.get("evaluation_result_id")
        mine = {_metric(each) for each in listed}
        found = ids.get(id) if id is not None else next(iter(mine)) if len(mine) == 1 else None
        if found is None or found not in mine:
            raise FormatError(
                f"{where}: evaluation_result_id is {brief(id)}; expected one of the results that {self.file.name} "
                "lists."
            )
        return found

    def _add(self, rows: _Rows, row: Mapping[str, Any], metric: str, where: str) -> None:
        metadata = row.get("metadata") or {}
        repeat = metadata.get(REPEAT, "0")
        if not re.fullmatch(r"[0-9]{1,6}", repeat):
            raise FormatError(f"{where}: repeat is {brief(repeat)}; expected 0, 1, 2...")
        if row.get("error"):
            raise FormatError(
                f"{where} states an error ({brief(row['error'])}) and no score. Run this item again."
            )
        key = (name_of(row["sample_id"], where=where, what="sample_id"), int(repeat))
        place = rows.places.setdefault((*key, metric), where)
        if place is not where:
            raise FormatError(
                f"{where}: item {brief(key[0])} has a score of {metric} at {place} already. Keep one row."
            )
        rows.first.setdefault(key, (where, row))
        rows.scores.setdefault(key, {})[metric] = row["evaluation"]["score"]

    def _result(
        self, name: str, listed: Sequence[Mapping[str, Any]], held: _Rows | None, own: Mapping[str, str]
    ) -> TaskResult:
        ours = f"{OWN}task" in own
        task = name_of(own.get(f"{OWN}task", name), where=self.file.name, what="evaluation_name")
        rows, notes = self._built(task, held) if held is not None else (None, ())
        published = tuple(each for each in map(_published, listed) if each is not None)
        notes = self._own_notes(own) if ours else notes
        odd = {note.values.get("metric") for note in notes if note.code == "published_not_mean"}
        if rows is None and not ours:
            notes = (*notes, Reason("no_rows", {"task": task}))
        elif rows is not None:
            means = {metric: True for metric in _ACCURACIES if metric not in odd}
            more = check_published(
                task, rows, [p for p in published if p.metric not in odd], means=means, where=self.file.name
            )
            notes = (*notes, *more)
        model = self.document["model_info"]["id"]
        return TaskResult(
            task=task,
            model=None
            if own.get(f"{OWN}model") == "none"
            else name_of(model, where=self.file.name, what="model"),
            filter=own.get(f"{OWN}filter"),
            reader=READER,
            files=(self.file,) if self.instances is None else (self.file, self.instances),
            settings=self._texts(own, "settings"),
            rows=rows,
            published=published,
            notes=tuple(notes),
            subtasks=tuple(self._texts(own, "subtasks")),
            named=own.get(f"{OWN}named") != "no",
            higher_is_better={metric: said == "higher" for metric, said in self._texts(own, "better").items()}
            if ours
            else _higher(listed),
        )

    def _built(self, task: str, held: _Rows) -> tuple[ItemRows, tuple[Reason, ...]]:
        builder = RowBuilder(task)
        for key, (where, row) in held.first.items():
            metadata = row.get("metadata") or {}
            kept = [name for name in metadata if name.endswith("_hash")]
            digest = row.get("sample_hash")
            builder.add(
                key[0],
                held.scores[key],
                place=where,
                digest=None if digest is None else name_of(digest, where=where, what="sample_hash"),
                repeat=key[1],
                fields=fields_of(metadata, list(dict.fromkeys([*kept, *self.fields]))),
            )
        return builder.finish()

    def _own_notes(self, own: Mapping[str, str]) -> tuple[Reason, ...]:
        found = self._json(own, "notes", "[]")
        if not isinstance(found, list) or not all(
            isinstance(each, list)
            and len(each) == 2
            and isinstance(each[0], str)
            and isinstance(each[1], Mapping)
            for each in found
        ):
            raise FormatError(
                f"{self.file.name}: {OWN}notes is {brief(found)}; expected a list of codes and values."
            )
        return tuple(Reason(code[:60], values) for code, values in found)

    def _texts(self, own: Mapping[str, str], key: str) -> dict[str, str]:
        """A mapping of short texts; of a list, its texts."""
        found = self._json(own, key, "{}")
        pairs = (
            dict.fromkeys(found, "")
            if isinstance(found, list) and all(isinstance(e, str) for e in found)
            else found
        )
        if not isinstance(pairs, Mapping) or not all(isinstance(value, str) for value in pairs.values()):
            raise FormatError(f"{self.file.name}: {OWN}{key} is {brief(found)}; expected short texts.")
        return {
            name_of(key, where=self.file.name, what="a setting"): value[:500] for key, value in pairs.items()
        }

    def _json(self, own: Mapping[str, str], key: str, absent: str) -> Any:
        from jokbo.formats.strict_json import strict_loads

        try:
            return strict_loads(own.get(f"{OWN}{key}", absent))
        except (ValueError, RecursionError) as error:
            raise FormatError(f"{self.file.name}: {OWN}{key} is not JSON ({error}).") from None


def _metric(result: Mapping[str, Any]) -> str:
    config = result["metric_config"]
    found = (
        config.get("metric_name") or config.get("metric_id") or result.get("evaluation_result_id") or "score"
    )
    return str(found)[:500]


def _higher(listed: Sequence[Mapping[str, Any]]) -> dict[str, bool]:
    """Which metrics are better high; `jokbo league convert` keeps apart what its source said."""
    found = ((_metric(each), each["metric_config"].get("lower_is_better")) for each in listed)
    return {metric: not lower for metric, lower in found if isinstance(lower, bool)}


def _published(result: Mapping[str, Any]) -> Published | None:
    """The figure of a result; None where `jokbo league convert` computed it from the rows."""
    details = result["score_details"]
    if (details.get("details") or {}).get(f"{OWN}computed") == "yes":
        return None
    uncertainty = details.get("uncertainty") or {}
    error = (uncertainty.get("standard_error") or {}).get("value")
    return Published(
        _metric(result),
        float(details["score"]),
        float(error) if error else None,
        uncertainty.get("num_samples"),
    )


def as_text(value: object) -> str:
    """Settings and notes as a text that a field of the schema may hold."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
