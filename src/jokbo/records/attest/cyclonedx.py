"""A CycloneDX bill of materials (ML-BOM) of an audited record: the model, its lineage and its components.

The model is a ``machine-learning-model`` component whose pedigree names the checkpoints that it came from,
back to step 0, by digest; data, logs and optimizer states are components of their own. The verdict and
each check's outcome stand in ``declarations`` as claims about the model. No clock and no chance: the same audit
gives the same bytes, and its serial number is drawn from the audit's digest.

References
----------
CycloneDX 1.6 (ECMA-424), https://cyclonedx.org/docs/1.6/json/
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from jokbo.records.audit import audit_digest
from jokbo.records.commit.files import weight_files
from jokbo.records.commit.items import guess_kind

if TYPE_CHECKING:
    from jokbo.records.declaration import CheckpointEntry
    from jokbo.records.record import Record

SPEC_VERSION = "1.6"
SCHEMA_URL = "http://cyclonedx.org/schema/bom-1.6.schema.json"
MODEL = "model"
_NAMESPACE = uuid.UUID("6f2a5c1e-4f0e-5d59-8b0a-6a6f6b626f31")

TYPES: Mapping[str, str] = {"data": "data", "weights": "file", "optimizer": "file", "log": "data"}


def bom(document: Mapping[str, Any], record: Record | None = None) -> dict[str, Any]:
    """Write an audit's record as a CycloneDX 1.6 document.

    Parameters
    ----------
    document : mapping
        An audit (``jokbo.record-audit/1``).
    record : Record, optional
        The audited pack: its files become components, its declared data the model's datasets.
    """
    files = list(_files(record)) if record is not None else []
    entries = {} if record is None else {entry.name: entry for entry in record.declaration.checkpoint}
    checkpoints = [_checkpoint(row, entries.get(row["name"]), record) for row in document["checkpoints"]]
    model = _model(document, record, checkpoints)
    digest = audit_digest(document)
    return {
        "$schema": SCHEMA_URL,
        "bomFormat": "CycloneDX",
        "specVersion": SPEC_VERSION,
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, digest)}",
        "version": 1,
        "metadata": {
            "tools": {"components": [{"type": "application", "name": "jokbo", "version": document["jokbo"]}]},
            "component": model,
            "properties": _properties(
                {"jokbo:record:digest": document["record"]["digest"], "jokbo:audit:digest": digest}
            ),
        },
        "components": files,
        "dependencies": [{"ref": MODEL, "dependsOn": sorted(f["bom-ref"] for f in files)}],
        "declarations": _declarations(document),
    }


def _model(
    document: Mapping[str, Any], record: Record | None, checkpoints: list[dict[str, Any]]
) -> dict[str, Any]:
    rows = document["checkpoints"]
    order = sorted(range(len(rows)), key=lambda k: (rows[k]["step"], rows[k]["role"] == "published"))
    last = order[-1] if order else None
    ancestors = [checkpoints[k] for k in reversed(order) if k != last]
    found: dict[str, Any] = {
        "type": "machine-learning-model",
        "bom-ref": MODEL,
        "name": document["record"]["name"],
        "modelCard": {"modelParameters": _parameters(record)},
        "properties": _properties(
            {
                "jokbo:steps": document["record"]["steps"],
                "jokbo:verdict": document["verdict"]["kind"],
                "jokbo:excluded": ",".join(document["verdict"]["excluded"]),
                "jokbo:not_excluded": ",".join(document["verdict"]["not_excluded"]),
            }
        ),
    }
    if last is not None:
        found |= {
            part: checkpoints[last][part] for part in ("hashes", "components") if part in checkpoints[last]
        }
    if ancestors:
        found["pedigree"] = {
            "ancestors": ancestors,
            "notes": "Checkpoints of the disclosed training, latest first; as declared, and as far as the audit says.",
        }
    return found


def _parameters(record: Record | None) -> dict[str, Any]:
    found: dict[str, Any] = {"approach": {"type": "self-supervised"}}
    data = record.declaration.data if record is not None else None
    if data is not None and record is not None:
        held = [p for p in (data.windows, data.held_out) if p and p in record.files]
        found["datasets"] = [{"ref": f"file:{path}"} for path in held]
    return found


def _checkpoint(
    row: Mapping[str, Any], entry: CheckpointEntry | None, record: Record | None
) -> dict[str, Any]:
    properties = {"jokbo:step": row["step"], "jokbo:role": row["role"]}
    if row["sha256"] is not None:
        # Over a table of all weight files: no file has this digest, so it is no hash of the component.
        properties["jokbo:weights:digest"] = row["sha256"]
    found: dict[str, Any] = {
        "type": "machine-learning-model",
        "bom-ref": f"checkpoint:{row['name']}",
        "name": row["name"],
        "version": f"step {row['step']}",
        "properties": _properties(properties),
    }
    digests = [] if entry is None or record is None else weight_files(entry, record)
    if len(digests) == 1:
        found["hashes"] = _hashes(digests[0][1])
    elif digests:
        found["components"] = [
            {"type": "file", "name": path, "hashes": _hashes(sha256)} for path, sha256 in digests
        ]
    return found


def _files(record: Record) -> Iterator[dict[str, Any]]:
    data = record.declaration.data
    datasets = {data.windows, data.held_out} if data is not None else set()
    for path, file in sorted(record.files.items()):
        kind = guess_kind(path)
        row: dict[str, Any] = {
            "type": TYPES.get(kind, "file"),
            "bom-ref": f"file:{path}",
            "name": path,
            "hashes": _hashes(file.sha256),
            "properties": _properties({"jokbo:kind": kind, "jokbo:bytes": file.size}),
        }
        if row["type"] == "data":
            row["data"] = [{"type": "dataset" if path in datasets else "other", "name": path}]
        yield row


def _declarations(document: Mapping[str, Any]) -> dict[str, Any]:
    claims = []
    for row in document["checks"]:
        codes = ", ".join(reason["code"] for reason in row["reasons"])
        claims.append(
            {
                "bom-ref": f"check:{row['check']}",
                "target": MODEL,
                "predicate": f"{row['check']}: {row['outcome']}",
                "reasoning": codes or row["outcome"],
                "evidence": ["audit"],
            }
        )
    return {
        "claims": claims,
        "evidence": [
            {
                "bom-ref": "audit",
                "propertyName": "jokbo.record-audit/1",
                "description": f"Audit of the record: {document['verdict']['kind']}.",
                "data": [
                    {
                        "name": "digest of the audit (SHA-256)",
                        "contents": {"attachment": {"content": audit_digest(document)}},
                    }
                ],
            }
        ],
    }


def _hashes(sha256: str) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": sha256}]


def _properties(values: Mapping[str, object]) -> list[dict[str, str]]:
    return [{"name": name, "value": str(value)} for name, value in values.items() if value != ""]


def record_digest(document: Mapping[str, Any]) -> str:
    """The record that a document of ours is about; empty where it does not say."""
    metadata = document.get("metadata")
    rows = metadata.get("properties") if isinstance(metadata, Mapping) else None
    for row in rows if isinstance(rows, list) else []:
        if isinstance(row, Mapping) and row.get("name") == "jokbo:record:digest":
            return str(row.get("value", ""))
    return ""
