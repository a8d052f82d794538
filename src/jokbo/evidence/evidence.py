"""Evidence: what was found and all it takes to find it again.

A document of plain JSON values under a versioned schema (``schemas/evidence-2.json``). It
names both models by digest and commit, every byte range read and a digest over those
bytes, the seed, the plan, the policy, and every number, rounded as
:mod:`jokbo.evidence.canonical` documents. Two runs on one machine give the same bytes;
the ``software`` section is left out of the digest, so another machine gives the same digest.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from jokbo.errors import EvidenceError
from jokbo.evidence.canonical import canonical_bytes, digest, effect, log10
from jokbo.evidence.findings import Finding, Verdict
from jokbo.evidence.schema import SCHEMA, SCHEMAS, check
from jokbo.formats.strict_json import strict_loads
from jokbo.independence.base import IndependenceResult
from jokbo.independence.combine import NO_EVALUE
from jokbo.independence.examine import Examination
from jokbo.independence.exams.base import ExamRecord
from jokbo.views.component import Component, Reason
from jokbo.views.ledger import Ledger
from jokbo.views.model import Model

SECTIONS = ("calibrated", "map", "direction", "tokenizer")
MAX_EVIDENCE_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class Evidence:
    """An evidence document.

    Attributes
    ----------
    document : mapping
        Valid under the schema that it names.
    """

    document: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical document without its ``software`` section."""
        return digest({key: value for key, value in self.document.items() if key != "software"})

    def to_json(self) -> bytes:
        """Canonical JSON with a final newline."""
        return canonical_bytes(dict(self.document)) + b"\n"


def parse_evidence(data: bytes, *, where: str = "evidence") -> Evidence:
    """Read an evidence document that somebody else wrote.

    Raises
    ------
    EvidenceError
        It is not JSON, names another schema, or does not follow it.
    """
    if len(data) > MAX_EVIDENCE_BYTES:
        raise EvidenceError(f"{where} is {len(data):,} bytes; evidence has at most {MAX_EVIDENCE_BYTES:,}.")
    try:
        document = strict_loads(data)
        canonical_bytes(document)  # refuses infinities and lone surrogates, which no output can hold
    except (ValueError, RecursionError) as error:  # JSON errors, and integers of absurd length
        raise EvidenceError(
            f"{where} is not JSON ({error}). Write it again with `jokbo compare --json`."
        ) from None
    found = document.get("schema") if isinstance(document, dict) else None
    if not isinstance(found, str) or found not in SCHEMAS:
        raise EvidenceError(
            f"{where}: expected the schema {SCHEMA!r} or an older one, found {str(found)[:40]!r}. "
            "Use the version of Jokbo that wrote it."
        )
    check(document, where=where)
    return Evidence(document)


def build_evidence(
    found: Examination,
    verdict: Verdict,
    *,
    seed: int,
    declared: Sequence[str],
    reference_first: bool,
    among: int = 1,
    bounds: Mapping[Component, Sequence[Any]],
    descriptive: Mapping[str, Any] | None,
    sections: Mapping[str, Any] = MappingProxyType({}),
) -> Evidence:
    """Write down an examination and its verdict.

    Parameters
    ----------
    sections : mapping
        What schema 2 holds beside schema 1, as plain values: ``calibrated``, ``map``, ``direction``,
        ``tokenizer``. An older set of tests writes the schema of its time, without them.
    """
    from jokbo import __version__

    newest = found.bench.methods >= 2
    findings = {finding.component: finding for finding in verdict.findings}
    document = {
        "schema": SCHEMA if newest else "jokbo.evidence/1",
        "jokbo": __version__,
        "question": "independence",
        "parameters": {
            **({"methods": found.bench.methods} if newest else {}),
            "seed": seed,
            "budget": found.bench.budget.text,
            "plan": asdict(found.bench.plan),
            "declared": sorted(declared),
            "reference_first": reference_first,
            **({"among": among} if among > 1 else {}),
            **({"salt": found.bench.lot.salt} if found.bench.sampled else {}),
        },
        "reference": _model(found.bench.reference),
        "candidate": _model(found.bench.candidate),
        "stages": list(found.stages),
        "components": [_component(found, f, bounds.get(c, ())) for c, f in findings.items()],
        "learning": {
            tower: {
                "norm_correlation": None if s.norm_correlation is None else effect(s.norm_correlation),
                "subspace_overlap": None if s.subspace_overlap is None else effect(s.subspace_overlap),
                "shared": bool(s.shared),
            }
            for tower, s in sorted(found.learning.items())
        },
        "descriptive": descriptive,
        **({key: sections.get(key) for key in SECTIONS} if newest else {}),
        "verdict": _verdict(verdict),
        "software": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "machine": platform.machine(),
        },
    }
    # Through JSON once, so that evidence just made equals the same evidence read from a file.
    return Evidence(json.loads(canonical_bytes(document)))


def _model(ledger: Ledger) -> dict[str, Any]:
    model = ledger.model
    identity = model.source.identity
    return {
        "name": identity.name,
        "kind": identity.kind,
        "commit": identity.commit,
        "public_since": identity.public_since,
        "public_from": identity.public_from,
        "digest": model.digest,
        "digest_covers": model.digest_covers,
        "files": _files(model),
        "family": model.anatomy.family,
        "model_type": model.anatomy.model_type,
        "tensors": len(model.catalog),
        "parameters": model.catalog.parameters,
        "data_bytes": model.catalog.data_bytes,
        "unrecognised": list(model.anatomy.unrecognised),
        "notes": list(model.anatomy.notes),
        "read": {
            "bytes": ledger.spent_bytes,
            "budget_bytes": ledger.budget_bytes,
            "sha256": ledger.rows_sha256,
            "tensors": [
                {"file": r.file, "tensor": r.tensor, "ranges": [list(span) for span in r.ranges]}
                for r in ledger.records()
            ],
        },
    }


def _files(model: Model) -> list[dict[str, Any]]:
    return [
        {
            "file": file,
            "size": model.source.files[file].size,
            "sha256": model.source.files[file].sha256,
            "header_sha256": header,
        }
        for file, header in sorted(model.catalog.header_sha256.items())
    ]


def _reason(reason: Reason) -> dict[str, Any]:
    return {"code": reason.code, "values": dict(reason.values)}


def _component(found: Examination, finding: Finding, bounds: Sequence[Any]) -> dict[str, Any]:
    exam = found.exams.get(finding.component)
    record = exam.record if exam is not None else ExamRecord(finding.component)
    evidence = found.evidence(finding.component) if exam is not None else None
    return {
        "component": str(finding.component),
        "tower": finding.component.tower,
        "kind": str(finding.component.kind),
        "parameters": list(finding.parameters),
        **({"source": _source(finding)} if found.bench.methods >= 2 else {}),
        "status": str(finding.status),
        "reasons": [_reason(reason) for reason in finding.reasons],
        "notes": [_reason(note) for note in record.notes],
        "log10_evalue": None if evidence is None else log10(evidence.log_evalue),
        "families": {
            str(family): {
                "log10_evalue": log10(e.log_evalue),
                "log10_local": None if e.log_local == NO_EVALUE else log10(e.log_local),
                "clusters": [[c.layer, c.expert, log10(value)] for c, value in e.clusters.items()],
            }
            for family, e in sorted((evidence.families if evidence else {}).items())
        },
        "alignment": None if finding.alignment is None else str(finding.alignment),
        "effect_size": None if finding.effect_size is None else effect(finding.effect_size),
        "relabelling_level": None if finding.relabelling_level is None else effect(finding.relabelling_level),
        "learned": None if finding.learned is None else bool(finding.learned),
        "results": [_result(result) for result in record.results],
        "checks": [
            {
                "model": c.model,
                "axis": c.axis,
                "pvalue": round(c.pvalue, 6),
                "statistic": c.statistic,
                "passed": c.passed,
            }
            for c in record.checks
        ],
        "bounds": [_bound(bound) for bound in bounds],
    }


def _source(finding: Finding) -> str | None:
    return None if finding.source is None else str(finding.source)


def _result(result: IndependenceResult) -> dict[str, Any]:
    return {
        "test": result.test,
        "version": result.version,
        "family": str(result.family),
        "alignment": str(result.alignment),
        "stage": result.stage,
        "local": result.local,
        "tier": result.tier,
        "parameters": dict(result.parameters),
        "effect_size": effect(result.effect_size),
        "clusters": [
            [row.cluster.layer, row.cluster.expert, log10(row.log_evalue), effect(row.effect_size), row.n]
            for row in result.rows
        ],
    }


def _bound(bound: Any) -> dict[str, Any]:
    return {
        "alignment": str(bound.alignment),
        "kind": str(bound.kind),
        "value": bound.value,
        "tested": bound.tested,
        "reason": None if bound.reason is None else _reason(bound.reason),
        "n_plants": bound.n_plants,
        "misses": bound.misses,
    }


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "kind": str(verdict.kind),
        "direction": verdict.direction,
        "log10_evalue": None if verdict.log_evalue is None else log10(verdict.log_evalue),
        "components_tested": verdict.hypotheses,
        "inherited_share": None if verdict.inherited_share is None else effect(verdict.inherited_share),
        "declared": verdict.declared,
        "exit_status": verdict.exit_status,
        "reasons": [_reason(reason) for reason in verdict.reasons],
        "policy": asdict(verdict.policy),
    }
