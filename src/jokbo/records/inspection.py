"""The layout of a pack: what is disclosed, what is not, and which checks that leaves without an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from jokbo.records.declaration import CheckpointEntry, CheckpointRole, Declaration
from jokbo.records.manifest import declaration_document
from jokbo.records.record import Record
from jokbo.records.series import Log, Metric

if TYPE_CHECKING:
    from jokbo.records.checks.base import Check

SCHEMA = "jokbo.record-layout/1"

AUDITOR = {"against": "", "replay_extra": "torch", "cryptography_extra": "cryptography"}
"""Needs that no pack can meet: they are the auditor's, who may have the package named."""

_METRICS = {
    "loss": Metric.LOSS,
    "learning_rate": Metric.LEARNING_RATE,
    "tokens": Metric.TOKENS,
}


def layout_document(record: Record, checks: Sequence[Check] | None = None) -> dict[str, Any]:
    """What a pack holds, as plain JSON values.

    Parameters
    ----------
    record : Record
        Its logs are read; of its checkpoints only the manifest's sizes and digests.
    checks : sequence of Check, optional
        Whose needs are compared with what is disclosed; else all of them.

    Raises
    ------
    InputError
        A log cannot be read.
    """
    if checks is None:
        from jokbo.records.checks.choose import all_checks

        checks = all_checks()
    declaration, log = record.declaration, record.log
    held, sizes = disclosures(record), _sizes(record)
    return {
        "schema": SCHEMA,
        "name": declaration.name,
        "steps": declaration.steps,
        "digest": record.digest,
        "files": {"count": len(record.files), "bytes": sum(file.size for file in record.files.values())},
        "declared": _declared(declaration),
        "disclosed": held,
        "logs": [] if log is None else _logs(log),
        "metrics": {}
        if log is None
        else {name: len(column.values) for name, column in sorted(log.columns.items())},
        "log_faults": 0 if log is None else log.n_faults,
        "checkpoints": [
            _checkpoint(entry, sizes) for entry in sorted(declaration.checkpoint, key=lambda c: c.step)
        ],
        "events": [declaration_document(event) for event in declaration.event],
        "checks": [
            {
                "number": check.number,
                "name": check.name,
                "kind": check.kind.value,
                "missing": [need for need in check.needs if not held.get(need, _auditor_has(need))],
            }
            for check in checks
        ],
    }


def _auditor_has(need: str) -> bool:
    package = AUDITOR.get(need, "")
    return bool(package) and find_spec(package) is not None


def disclosures(record: Record) -> dict[str, bool]:
    """Which of the disclosures that checks ask for (``record.need.<code>``) the record holds."""
    declaration, log = record.declaration, record.log
    data, start, made = declaration.data, declaration.initialisation, declaration.commitments
    shown = [entry for entry in declaration.checkpoint if entry.path or entry.rows]
    training = {entry.step for entry in shown if entry.role is CheckpointRole.TRAINING}
    return {
        "log": log is not None and log.n_rows > 0,
        **{code: _logged(log, metric) for code, metric in _METRICS.items()},
        "timestamps": log is not None and bool(np.isfinite(log.times).any()),
        "checkpoints": len(training) >= 2,
        "step0": 0 in training,
        "final": declaration.steps in training or any(e.role is CheckpointRole.PUBLISHED for e in shown),
        "optimizer_declared": declaration.optimizer is not None,
        "schedule": declaration.schedule is not None,
        "batch": bool(declaration.batch),
        "initialisation": start is not None and bool(start.law),
        "seed": start is not None and start.seed is not None and bool(start.procedure),
        "hardware": declaration.hardware is not None and declaration.hardware.count > 0,
        "windows": data is not None and bool(data.windows),
        "order": data is not None and bool(data.order),
        "held_out": data is not None and bool(data.held_out),
        "unseen_tokens": data is not None and bool(data.unseen_tokens or data.windows),
        "optimizer_state": any(entry.optimizer for entry in declaration.checkpoint),
        "chain": made is not None and bool(made.chain),
        "config": bool(declaration.model.config) or any(_own_config(entry, record) for entry in shown),
    }


def _logged(log: Log | None, metric: Metric) -> bool:
    return log is not None and log.effective(metric) is not None


def _own_config(entry: CheckpointEntry, record: Record) -> bool:
    folder = entry.path if entry.path not in record.files else entry.path.rpartition("/")[0]
    return f"{folder}/config.json".lstrip("/") in record.files


def _declared(declaration: Declaration) -> list[str]:
    """Parts of the declaration that are there, in its own order."""
    return [name for name in declaration_document(declaration) if name not in ("name", "steps")]


def _logs(log: Log) -> list[dict[str, Any]]:
    rows = []
    for segment in log.segments:
        steps = log.steps[segment.first_row : segment.last_row]
        named = steps[steps >= 0]
        rows.append(
            {
                "file": segment.file,
                "format": segment.format,
                "rows": segment.last_row - segment.first_row,
                "first_step": int(named.min()) if named.size else None,
                "last_step": int(named.max()) if named.size else None,
                "resumed": segment.resumed,
                "sampled": segment.sampled,
            }
        )
    return rows


def _checkpoint(entry: CheckpointEntry, sizes: Mapping[str, int]) -> dict[str, Any]:
    form = "weights" if entry.path else "rows" if entry.rows else "digest"
    return {
        "name": entry.name,
        "step": entry.step,
        "role": entry.role.value,
        "form": form,
        "bytes": sizes.get(entry.path or entry.rows, 0),
        "digest": entry.digest or None,
        "optimizer": bool(entry.optimizer),
    }


def _sizes(record: Record) -> dict[str, int]:
    """Bytes of every file, and of the files directly in every folder."""
    found: dict[str, int] = {}
    for path, file in record.files.items():
        found[path] = file.size
        if folder := path.rpartition("/")[0]:
            found[folder] = found.get(folder, 0) + file.size
    return found
