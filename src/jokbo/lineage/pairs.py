"""One pair of a search or of a tree: compared, and written down in brief.

The document keeps what ranks, draws and words a pair; all the rest is in the evidence whose digest it names,
and which the same call gives again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jokbo.errors import UsageError
from jokbo.evidence.compare import Comparison, ModelSpec, compare
from jokbo.evidence.evidence import Evidence
from jokbo.sources.base import OpenOptions
from jokbo.views.model import open_model

SCHEMA = "jokbo.pair/1"

RELATIONS = (
    "identical",
    "lineage",
    "shared_initialisation",
    "reuse",
    "shared_basis",
    "lead",
    "inconclusive",
    "no_evidence",
    "untestable",
)
"""From the strongest; the first five are dependence."""

DEPENDENCE = frozenset(RELATIONS[:5])

_RELATION_OF = {
    "identical": "identical",
    "derived": "lineage",
    "common_lineage": "lineage",
    "shared_initialisation_or_lineage": "shared_initialisation",
    "component_reuse": "reuse",
    "shared_basis": "shared_basis",
    "inconclusive": "inconclusive",
    "no_evidence": "no_evidence",
    "untestable": "untestable",
}

GUARDS = frozenset({"relabelling_guard", "agreement_not_seen"})
"""Reasons that hold back a finding above the threshold only because its rows could have been made to match."""


def compare_pair(
    reference: ModelSpec,
    candidate: ModelSpec,
    *,
    among: int = 1,
    reference_first: bool = False,
    seed: int = 0,
    bounds: bool = False,
    full: bool = False,
    options: OpenOptions | None = None,
    progress: Callable[[str, str], None] | None = None,
) -> dict[str, Any]:
    """Compare two models, fingerprints or whole ones, as one of many pairs.

    Parameters
    ----------
    reference, candidate : str, path, Source or Model
    among : int
        Pairs of the whole search or tree; the threshold is multiplied by it.
    reference_first : bool
        Somebody vouches that the reference was public before the candidate.
    seed : int
        Which rows of whole models are read, with their digests; of fingerprints, the order of betting alone.
    bounds : bool
        Measure what a clean component would have shown.
    full : bool
        The models themselves are compared; a fingerprint is refused.
    options : OpenOptions, optional
    progress : callable, optional

    Returns
    -------
    dict
        A document of the schema ``jokbo.pair/1``.

    Raises
    ------
    UsageError
        `full`, and one of the two is a fingerprint.

    Examples
    --------
    >>> import numpy as np
    >>> from jokbo.testing.builders import llama
    >>> a, b = (llama(np.random.default_rng(k)).to_source(name=f"model{k}") for k in (0, 1))
    >>> compare_pair(a, b, among=45)["relation"]
    'no_evidence'
    """
    models = []
    try:
        for spec in (reference, candidate):
            models.append(open_model(spec, options))
        sampled = [model.sampling is not None for model in models]
        if full and any(sampled):
            name = models[sampled.index(True)].name
            raise UsageError(f"{name} is a fingerprint; a full comparison needs the models themselves.")
        found = compare(
            models[0],
            models[1],
            seed=seed,
            among=among,
            reference_first=reference_first,
            bounds=bounds,
            descriptive=False,
            options=options,
            progress=progress,
        )
    finally:
        for given, model in zip((reference, candidate), models, strict=False):
            if given is not model:
                model.close()
    return pair_document(found, rows="fingerprint" if any(sampled) else "full")


def pair_document(found: Comparison, *, rows: str) -> dict[str, Any]:
    """What is kept of a comparison.

    Parameters
    ----------
    rows : str
        ``"fingerprint"`` or ``"full"``.
    """
    document = found.evidence.document
    parameters, verdict = document["parameters"], document["verdict"]
    components = [_component(row) for row in document["components"]]
    logs = [row["log10_evalue"] for row in components if row["log10_evalue"] is not None]
    return {
        "schema": SCHEMA,
        "reference": _side(document["reference"]),
        "candidate": _side(document["candidate"]),
        "rows": rows,
        "among": parameters.get("among", 1),
        "seed": parameters["seed"],
        "reference_first": parameters["reference_first"],
        "relation": relation_of(verdict["kind"], components, log10_threshold(found)),
        "kind": verdict["kind"],
        "direction": verdict["direction"],
        "marks": _marks(document),
        "log10_evalue": max(logs) if logs else None,
        "log10_threshold": log10_threshold(found),
        "inherited_share": verdict["inherited_share"],
        "components": components,
        "bounds": [
            {
                "component": row["component"],
                **{key: bound[key] for key in ("alignment", "kind", "value", "tested")},
            }
            for row in document["components"]
            for bound in row["bounds"]
        ],
        "evidence_sha256": Evidence(document).digest,
    }


def _marks(document: Mapping[str, Any]) -> list[str]:
    """Names of the marks that say which came first."""
    found = document.get("direction") or {"marks": []}
    return sorted({mark["mark"] for mark in found["marks"] if mark["direction"] != "undetermined"})


def log10_threshold(found: Comparison) -> float:
    """What one component had to reach, all components and all pairs paid for; log10."""
    from jokbo.evidence.canonical import log10

    among = found.evidence.document["parameters"].get("among", 1)
    verdict = found.verdict
    return log10(verdict.policy.log_threshold(verdict.hypotheses * among))


def relation_of(kind: str, components: list[dict[str, Any]], threshold: float) -> str:
    """The relation that a verdict amounts to; a lead is a finding that only a guard holds back.

    Examples
    --------
    >>> row = {"status": "inconclusive", "reasons": ["relabelling_guard"], "log10_evalue": 80.0}
    >>> relation_of("inconclusive", [row], 9.0), relation_of("inconclusive", [row], 90.0)
    ('lead', 'inconclusive')
    """
    if kind != "inconclusive":
        return _RELATION_OF[kind]
    held_back = any(
        row["status"] == "inconclusive"
        and GUARDS & set(row["reasons"])
        and row["log10_evalue"] is not None
        and row["log10_evalue"] >= threshold
        for row in components
    )
    return "lead" if held_back else "inconclusive"


def _side(side: Mapping[str, Any]) -> dict[str, Any]:
    return {key: side[key] for key in ("name", "commit", "digest", "digest_covers")}


def _component(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "component": row["component"],
        "status": row["status"],
        "reasons": [reason["code"] for reason in row["reasons"]],
        "log10_evalue": row["log10_evalue"],
        "effect_size": row["effect_size"],
        "alignment": row["alignment"],
        "level": row["relabelling_level"],
    }
