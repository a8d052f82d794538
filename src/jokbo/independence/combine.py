"""From results to one e-value a component: families, clusters, stages.

Within a component and family: the overlapping scores of a cluster are averaged; clusters,
whose randomness is independent, are combined by a mixture of products; stages are
averaged with fixed weights, a stage not read counting zero, so that reading more when the
evidence is not yet clear keeps the error rate. Between families e-values are averaged.
Channel evidence is kept apart for bodies: it says "shared basis" and nothing more.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from jokbo.independence.base import SMALL_GROUPS, Alignment, Cluster, Family, IndependenceResult
from jokbo.independence.betting import average, combine_clusters
from jokbo.views.component import Component, ComponentKind

STAGES: Mapping[str, float] = MappingProxyType({"screen": 0.1, "rows": 0.6, "tensors": 0.3})
"""Reading stages in order, with the weights that their e-values carry."""

BODY = frozenset({ComponentKind.ATTENTION, ComponentKind.MLP, ComponentKind.EXPERTS})

NO_EVALUE = -math.inf


@dataclass(frozen=True, slots=True)
class FamilyEvidence:
    """What one family says of one component.

    Attributes
    ----------
    log_evalue : float
        Natural log, over all stages.
    log_local : float
        The same from local forms alone; ``-inf`` where the family has none.
    clusters : mapping of Cluster to float
        Averaged log e-value of each cluster at the last stage that read it.
    """

    family: Family
    log_evalue: float
    log_local: float
    clusters: Mapping[Cluster, float]


@dataclass(frozen=True, slots=True)
class ComponentEvidence:
    """All families of one component.

    Attributes
    ----------
    log_evalue : float
        Mean over the families that can speak for the component itself.
    families : mapping of Family to FamilyEvidence
    """

    component: Component
    log_evalue: float
    families: Mapping[Family, FamilyEvidence]


def combine_component(
    component: Component, results: Sequence[IndependenceResult], *, local_only: Iterable[Family]
) -> ComponentEvidence:
    """Combine the results of one component.

    Parameters
    ----------
    results : sequence of IndependenceResult
        All of this component.
    local_only : iterable of Family
        Families whose axis failed E0: only their local forms count.
    """
    local_only = frozenset(local_only)
    families = {}
    for family in Family:
        mine = [result for result in results if result.family is family]
        if not mine:
            continue
        local = [result for result in mine if result.local]
        full = [result for result in mine if not result.local]
        counted = [*local, *(r for r in full if not r.rests_on_order)] if family in local_only else full
        if counted:
            families[family] = FamilyEvidence(
                family, _over_stages(counted), _over_stages(local), _last_clusters(counted)
            )
    speaking = [f for f in families.values() if component.kind not in BODY or f.family is not Family.CHANNELS]
    return ComponentEvidence(component, average([f.log_evalue for f in speaking]), MappingProxyType(families))


def _over_stages(results: Sequence[IndependenceResult]) -> float:
    terms = []
    for stage, weight in STAGES.items():
        clusters = _cluster_averages([result for result in results if result.stage == stage])
        if clusters:
            terms.append(math.log(weight) + combine_clusters(list(clusters.values())))
    return float(np.logaddexp.reduce(terms)) if terms else NO_EVALUE


def _cluster_averages(results: Sequence[IndependenceResult]) -> dict[Cluster, float]:
    scores: dict[Cluster, list[float]] = {}
    for result in results:
        for row in result.rows:
            scores.setdefault(row.cluster, []).append(row.log_evalue)
    # Every result of a stage scores the same clusters, so a mean over those present is a fixed-weight mean.
    return {cluster: average(values) for cluster, values in scores.items()}


def _last_clusters(results: Sequence[IndependenceResult]) -> Mapping[Cluster, float]:
    best: dict[Cluster, float] = {}
    for stage in STAGES:
        for cluster, value in _cluster_averages([r for r in results if r.stage == stage]).items():
            best[cluster] = max(value, best.get(cluster, -math.inf))
    return MappingProxyType(best)


class Agreement(NamedTuple):
    """How much the rows agree, in the plainest alignment that explains it.

    Attributes
    ----------
    effect_size : float
        Mean cosine over the clusters that count.
    clusters : int
        How many those are.
    fired : tuple of Cluster
        Which.
    """

    alignment: Alignment
    effect_size: float
    clusters: int
    fired: tuple[Cluster, ...] = ()


def strongest_alignment(
    results: Sequence[IndependenceResult], families: Iterable[Family], *, log_threshold: float
) -> Agreement | None:
    """The alignment class that fired and the mean cosine in it.

    Only clusters whose own evidence reaches `log_threshold` count: a single copied layer is
    judged by its own rows. Counts of fixed points are no cosines. What Gram matrices
    of units imply is none either: an accuser can order its units to make them agree, far beyond what the
    rows do. Heads, experts and unused tokens form groups small enough for an accuser to order outright.

    Returns
    -------
    Agreement or None
        The plainest class within a tenth of the largest effect; None where no aligned rows were seen.
    """
    wanted = frozenset(families)
    found: dict[Alignment, Agreement] = {}
    for result in results:
        implied = result.alignment is Alignment.ROTATED and (
            result.family is Family.UNITS or result.test == "anchored_signs"
        )
        if (
            result.family not in wanted
            or result.test == "fixed_points"
            or result.family in SMALL_GROUPS
            or implied
        ):
            continue
        fired = [row for row in result.rows if row.log_evalue >= log_threshold]
        if fired:
            mean = sum(row.n * row.effect_size for row in fired) / sum(row.n for row in fired)
            known = found.get(result.alignment)
            if known is None or mean > known.effect_size:
                found[result.alignment] = Agreement(
                    result.alignment, mean, len(fired), tuple(row.cluster for row in fired)
                )
    if not found:
        return None
    best = max(agreement.effect_size for agreement in found.values())
    near = [found[a] for a in Alignment if a in found and found[a].effect_size >= best - 0.1 * abs(best)]
    return near[0]
