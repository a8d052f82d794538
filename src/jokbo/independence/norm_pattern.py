"""E4, norm pattern: do the gains of all norms rank the residual channels alike?

This is what is left of the norm-cosine accusation once its null is right. Gains are
positive and crowd round one value, so any two models have a raw cosine near one; whether
the *same channels* stand out in both is a question that a permutation null can answer.

Null
    H0, and one permutation of the residual channels, applied jointly to every tensor,
    gives an equally likely model.
Why the e-value is valid
    As E1: ranks of the true channel among unused ones are uniform. There is one channel
    axis a model, so all norms together give one score, never one a layer.
What fools it
    Fixed positional addition marks channels; the symmetry table refuses such models. A
    shared basis without derivation (a copied embedding) fires it rightly, which is why
    channel evidence alone never accuses a body.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from jokbo.independence.base import (
    Alignment,
    Cluster,
    ClusterRow,
    Family,
    IndependenceResult,
    IndependenceTest,
)
from jokbo.independence.betting import count_ranks, rank_bets
from jokbo.independence.grams import normalise, ranks
from jokbo.views.component import Component
from jokbo.views.samples import NormVector


class NormPattern(IndependenceTest):
    """Rank betting on ranked norm gains and biases."""

    name = "norm_pattern"
    code = "E4"
    family = Family.CHANNELS
    symmetry = "channel_permutation"
    survives = frozenset({Alignment.SAME_BASIS, Alignment.UNITS_PERMUTED})


def align_norms(
    reference: Sequence[NormVector], candidate: Sequence[NormVector]
) -> tuple[Float[np.ndarray, "norms channels"], Float[np.ndarray, "norms channels"]]:
    """Pair the norm vectors of two models by role and layer.

    Where the depths differ, the vectors of a role are averaged over its layers: one
    pattern a role. Vectors that are constant in either model say nothing and are left out.
    """
    a, b = _by_place(reference), _by_place(candidate)
    if set(a) != set(b):
        a, b = _by_role(reference), _by_role(candidate)
    shared = [key for key in a if key in b and np.ptp(a[key]) > 0 and np.ptp(b[key]) > 0]
    width = len(next(iter(a.values()))) if a else 0
    empty = np.empty((0, width))
    return (
        np.stack([a[key] for key in shared]) if shared else empty,
        np.stack([b[key] for key in shared]) if shared else empty,
    )


def _by_place(norms: Sequence[NormVector]) -> dict[tuple[str, ...], np.ndarray]:
    return {(norm.role, norm.kind, str(norm.layer)): norm.values for norm in norms}


def _by_role(norms: Sequence[NormVector]) -> dict[tuple[str, ...], np.ndarray]:
    groups: dict[tuple[str, ...], list[np.ndarray]] = {}
    for norm in norms:
        groups.setdefault((norm.role, norm.kind), []).append(norm.values)
    return {key: np.mean(values, axis=0) for key, values in groups.items()}


def norm_pattern(
    reference: Float[np.ndarray, "norms channels"],
    candidate: Float[np.ndarray, "norms channels"],
    *,
    component: Component,
    stage: str,
    channels: Int[np.ndarray, " m"],
    order: Int[np.ndarray, " m"],
    labels: Int[np.ndarray, " m"] | None = None,
) -> IndependenceResult:
    """Run E4 on paired norm vectors.

    Parameters
    ----------
    reference, candidate : arrays (norms, channels)
        From :func:`align_norms`.
    channels : array (m,)
        Channels to visit; ranks are taken over all of them first.
    order : array (m,)
    labels : array (m,), optional
        Compare only channels of equal label: the local form.
    """
    a = normalise(_centred_ranks(reference).T)[channels]
    b = normalise(_centred_ranks(candidate).T)[channels]
    blocks = None if labels is None else labels[order]
    log_evalue = float(rank_bets(*count_ranks((b @ a.T)[None], order, labels=labels), blocks=blocks)[0])
    row = ClusterRow(Cluster(0), log_evalue, centred_correlation(reference, candidate), len(channels))
    return IndependenceResult(
        test=NormPattern.name,
        version=NormPattern.version,
        component=component,
        family=Family.CHANNELS,
        alignment=Alignment.SAME_BASIS,
        stage=stage,
        local=labels is not None,
        rows=(row,),
        parameters={"norms": len(reference), "channels": len(channels)},
    )


def _centred_ranks(vectors: Float[np.ndarray, "norms channels"]) -> Float[np.ndarray, "norms channels"]:
    return ranks(vectors) - (vectors.shape[1] + 1) / 2


def centred_correlation(
    reference: Float[np.ndarray, "norms channels"], candidate: Float[np.ndarray, "norms channels"]
) -> float:
    """Mean Pearson correlation of paired norm vectors: what training, not initialisation, wrote."""
    a = normalise(reference - reference.mean(axis=1, keepdims=True))
    b = normalise(candidate - candidate.mean(axis=1, keepdims=True))
    return float(np.einsum("nc,nc->n", a, b).mean()) if len(a) else 0.0
