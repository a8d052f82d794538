"""The audit as a document: what was found and all it takes to find it again.

Canonical JSON under ``schemas/record-audit-1.json``. Two audits of one record with one seed give
the same document but for ``software``, which the digest leaves out.
"""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from jokbo.evidence.canonical import canonical_bytes
from jokbo.records.checks.base import CheckContext, Planted
from jokbo.records.declaration import Event
from jokbo.records.record import Record
from jokbo.records.verdict import Coverage, JudgedCheck, RecordVerdict
from jokbo.views.component import Reason

SCHEMA = "jokbo.record-audit/1"
METHODS = 1
"""The set of checks: raised when any of them changes what it gives for the same record."""

DIGITS = 6
"""Significant digits of a number in the document: machines differ in the last bits of a sum, never in these."""


def build_document(
    record: Record, verdict: RecordVerdict, context: CheckContext, history: Mapping[str, Any]
) -> dict[str, Any]:
    """Write an audit down.

    Returns
    -------
    dict
        Plain JSON values, as they would be read back from a file.
    """
    from jokbo import __version__

    document = {
        "schema": SCHEMA,
        "jokbo": __version__,
        "question": "training_record",
        "parameters": {
            "methods": METHODS,
            "seed": context.seed,
            "budget_bytes": record.budget_bytes,
            "n_plants": context.n_plants,
            "replay": context.replay,
            "flops": plain(context.flops),
            "against": [_last_name(model) for model in context.against],
            "tsa_certificates": len(context.tsa_certificates),
            "keys": len(context.keys),
            "checks": [j.check.name for j in verdict.checks],
        },
        "record": _record(record, verdict),
        "log": _log(record),
        "checkpoints": _checkpoints(record),
        "events": [_event(event) for event in record.declaration.event],
        "checks": [_check(judged) for judged in verdict.checks],
        "coverage": [_coverage(row) for row in verdict.coverage],
        "history": plain(history),
        "verdict": {
            "kind": str(verdict.kind),
            "violated": list(verdict.violated),
            "excluded": [str(c.forgery) for c in verdict.coverage if c.excluded],
            "not_excluded": [str(c.forgery) for c in verdict.coverage if not c.excluded],
            "next_disclosure": verdict.next_disclosure,
            "reasons": [],
            "exit_status": verdict.exit_status,
            "policy": asdict(verdict.policy),
        },
        "software": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "machine": platform.machine(),
        },
    }
    found: dict[str, Any] = json.loads(canonical_bytes(document))
    return found


def plain(value: Any) -> Any:
    """Numbers rounded to :data:`DIGITS` significant digits, arrays as lists; NaN and infinities as null.

    Examples
    --------
    >>> plain({"a": np.float32(1 / 3), "b": (1, float("nan"))})
    {'a': 0.333333, 'b': [1, None]}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, str | bool) or value is None:
        return str(value) if isinstance(value, str) else value
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(f"{float(value):.{DIGITS}g}") + 0.0 if math.isfinite(value) else None
    if isinstance(value, Sequence):
        return [plain(item) for item in value]
    raise TypeError(f"a {type(value).__name__} has no place in an audit document")


def _record(record: Record, verdict: RecordVerdict) -> dict[str, Any]:
    missing = {need for j in verdict.checks for need in j.result.missing}
    needed = {need for j in verdict.checks for need in j.check.needs}
    return {
        "name": record.declaration.name,
        "digest": record.digest,
        "files": len(record.files),
        "bytes": sum(file.size for file in record.files.values()),
        "steps": record.declaration.steps,
        "disclosed": sorted(needed - missing),
        "undisclosed": sorted(missing),
    }


def _log(record: Record) -> dict[str, Any] | None:
    log = record.log
    if log is None:
        return None
    known = log.steps[log.steps >= 0]
    return {
        "rows": log.n_rows,
        "first_step": int(known.min()) if known.size else None,
        "last_step": int(known.max()) if known.size else None,
        "metrics": sorted(str(name) for name in log.columns),
        "segments": [
            {
                "file": s.file,
                "format": s.format,
                "first_row": s.first_row,
                "last_row": s.last_row,
                "resumed": s.resumed,
                "forked_from": s.forked_from,
                "sampled": s.sampled,
            }
            for s in log.segments
        ],
        "faults": [reason_document(fault) for fault in log.faults],
        "n_faults": log.n_faults,
    }


def _checkpoints(record: Record) -> list[dict[str, Any]]:
    rows = record.rows
    found = []
    for member in record.checkpoints.members:
        entry, model = member.entry, member.model
        index = rows.entries.index(entry) if entry in rows.entries else None
        read = [t for t in rows.tensors.values() if index is not None and index in t.checkpoints]
        found.append(
            {
                "name": entry.name,
                "step": entry.step,
                "role": str(entry.role),
                "sha256": (model.digest if model is not None else entry.digest) or None,
                "tensors": len(model.catalog) if model is not None else len(read),
                "parameters": model.catalog.parameters if model is not None else 0,
                "rows_read": sum(len(t.rows) for t in read),
                "whole": bool(read) and all(t.whole for t in read),
            }
        )
    return found


def _event(event: Event) -> dict[str, Any]:
    return {"kind": str(event.kind), "step": event.step, "to_step": event.to_step, "note": event.note}


def _check(judged: JudgedCheck) -> dict[str, Any]:
    check, result = judged.check, judged.result
    return {
        "number": check.number,
        "check": check.name,
        "kind": str(check.kind),
        "version": check.version,
        "outcome": str(judged.outcome),
        "observation": str(result.observation),
        "reasons": [reason_document(reason) for reason in judged.reasons],
        "statistic": plain(result.statistic),
        "threshold": plain(result.threshold),
        "log10_pvalue": None if result.log_pvalue is None else plain(result.log_pvalue / math.log(10)),
        "planted": [_planted(planted) for planted in result.planted],
        "missing": list(result.missing),
        "events": list(result.events),
        "catches": [str(forgery) for forgery in check.catches],
        "details": plain(result.details),
    }


def _planted(planted: Planted) -> dict[str, Any]:
    return {
        "forgery": str(planted.forgery),
        "variant": planted.variant,
        "found": planted.found,
        "tried": planted.tried,
        "lower": plain(planted.lower),
        "costly": planted.costly,
        "powered": planted.powered,
    }


def _coverage(row: Coverage) -> dict[str, Any]:
    return {
        "forgery": str(row.forgery),
        "excluded": row.excluded,
        "by": list(row.by),
        "variants": [{"variant": name, "by": list(checks)} for name, checks in row.variants.items()],
        "partial": [
            {"check": name, "variant": planted.variant, "found": planted.found, "tried": planted.tried}
            for name, planted in row.partial
        ],
        "would_need": list(row.would_need),
    }


def reason_document(reason: Reason) -> dict[str, Any]:
    """A reason as JSON: its code and its values."""
    return {"code": reason.code, "values": plain(dict(reason.values))}


def _last_name(model: str) -> str:
    """What a person calls a model, without the folders of the machine that ran the audit."""
    return model.rstrip("/").rsplit("/", 1)[-1] if model.startswith(("/", ".", "~")) else model
