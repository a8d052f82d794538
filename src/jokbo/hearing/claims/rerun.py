"""Running again what can be run again: rows from their vectors, evidence read and checked, models opened.

Vectors and evidence lie beside the claim and are always used. Models are opened only where the caller asks for it,
because a claim is written by somebody else and names whatever it likes.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np

from jokbo.errors import FormatError
from jokbo.hearing.claims.case import Case, Mismatch, OpenedModels
from jokbo.hearing.claims.claim import Claim, ModelRef
from jokbo.hearing.claims.numbers import step_of
from jokbo.hearing.claims.table import Row
from jokbo.hearing.claims.vectors import Again, Vectors, cosine, measure_again, parse_vectors, pearson

if TYPE_CHECKING:
    from jokbo.sources.base import OpenOptions
    from jokbo.views.model import Model

NORMS_BUDGET_BYTES = 64 << 20

_MEASURED: Mapping[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "cosine": cosine,
    "centred_cosine": pearson,
    "pearson": pearson,
}


def run_again(
    claim: Claim,
    *,
    open_models: bool = False,
    options: OpenOptions | None = None,
    progress: Callable[[str, str], None] | None = None,
) -> Case:
    """Everything that can be computed for a claim without believing it.

    Parameters
    ----------
    claim : Claim
    open_models : bool
        Also open both models, check their digests and compare their norm gains.
    options : OpenOptions, optional
        How to reach and cache remote models.
    progress : callable, optional
        Called with (stage, what).

    Raises
    ------
    InputError
        A file beside the claim, or a model, cannot be read or believed.
    """
    again: Again | None = None
    mismatches: tuple[Mismatch, ...] = ()
    repeated = 0
    if claim.vectors:
        vectors = parse_vectors(claim.files[claim.vectors], where=claim.vectors)
        mismatches, repeated = _repeat_rows(claim, vectors)
        again = _headline_again(Case(claim), vectors)
    return Case(
        claim,
        again=again,
        mismatches=mismatches,
        repeated=repeated,
        evidence=_evidence(claim),
        models=_models(claim, options, progress) if open_models else None,
    )


def _evidence(claim: Claim) -> Mapping[str, Any] | None:
    if not claim.evidence:
        return None
    from jokbo.evidence.evidence import parse_evidence

    return parse_evidence(claim.files[claim.evidence], where=claim.evidence).document


def _pair(row: Row, vectors: Vectors, claim: Claim) -> tuple[np.ndarray, np.ndarray]:
    found = []
    for name in (row.reference_vector, row.candidate_vector):
        if name not in vectors:
            raise FormatError(
                f"{claim.table}:{row.line}: the vector {name[:60]!r} is not in {claim.vectors}. Correct the name."
            )
        found.append(vectors[name])
    a, b = found
    if a.size != b.size:
        raise FormatError(
            f"{claim.table}:{row.line}: its vectors have {a.size:,} and {b.size:,} entries; expected as many."
        )
    return a, b


def _has_vectors(row: Row) -> bool:
    return bool(row.reference_vector and row.candidate_vector and row.count == 1)


def _repeat_rows(claim: Claim, vectors: Vectors) -> tuple[tuple[Mismatch, ...], int]:
    found, repeated = [], 0
    for row in claim.rows:
        measured = _MEASURED.get(row.measure or claim.measure.name)
        # A shuffled row depends on the order drawn, which nobody can draw again.
        if measured is None or row.role == "shuffled" or not _has_vectors(row):
            continue
        repeated += 1
        value = measured(*_pair(row, vectors, claim))
        if abs(value - row.value) > step_of(row.value) / 2 + 1e-6:
            found.append(Mismatch(row, value))
    return tuple(found), repeated


def _headline_again(case: Case, vectors: Vectors) -> Again | None:
    rows = [row for row in case.headline if _has_vectors(row)]
    if not rows:
        return None
    pairs = [_pair(row, vectors, case.claim) for row in rows]
    return measure_again(pairs, digest=hashlib.sha256(case.claim.files[case.claim.vectors]).hexdigest())


def _models(
    claim: Claim, options: OpenOptions | None, progress: Callable[[str, str], None] | None
) -> OpenedModels:
    """Open both models; their norms are read where the claim is about norms."""
    from jokbo.views.model import open_model

    with ExitStack() as stack:
        opened = []
        for label in (claim.reference, claim.candidate):
            if progress is not None:
                progress("open", label)
            model = open_model(_spec(claim.models[label], claim), options)
            stack.callback(model.close)
            opened.append(model)
        reference, candidate = opened
        digests = {claim.reference: reference.digest, claim.candidate: candidate.digest}
        parameters = sum(math.prod(entry.shape) for entry in candidate.catalog.values())
        if "norm" not in claim.tensors:
            return OpenedModels(digests, parameters)
        return _norms(reference, candidate, digests, parameters)


def _spec(model: ModelRef, claim: Claim) -> str:
    if not model.repository:
        raise FormatError(
            f"{claim.file} (models/{model.label}): no repository; expected one to open the model by."
        )
    if model.repository.startswith("."):
        return str(claim.folder / model.repository)
    return f"{model.repository}@{model.commit}" if model.commit else model.repository


def _norms(reference: Model, candidate: Model, digests: Mapping[str, str], parameters: int) -> OpenedModels:
    from jokbo.descriptive.norm_cosine import Gains, fetch_gains, norm_cosines
    from jokbo.views.ledger import Ledger

    towers = [tower for tower in candidate.anatomy.towers if tower in reference.anatomy.towers]
    mine, theirs = (Ledger(model, budget_bytes=NORMS_BUDGET_BYTES) for model in (reference, candidate))
    seed = int(hashlib.sha256("|".join(sorted(digests.values())).encode()).hexdigest(), 16)
    rows: list[Any] = []
    entries = 0
    for tower in towers:
        gains = fetch_gains(mine, theirs, tower)
        if isinstance(gains, Gains):
            rows += norm_cosines(gains, rng=np.random.Generator(np.random.PCG64(seed))).rows
            entries += sum(vector.size for vector in gains.candidate.values())
    return OpenedModels(
        digests,
        parameters,
        norm_parameters=entries,
        pairs=len(rows),
        raw=_mean([row.raw for row in rows]),
        shuffled=_mean([row.shuffled for row in rows]),
        centred=_mean([row.centred for row in rows]),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None
