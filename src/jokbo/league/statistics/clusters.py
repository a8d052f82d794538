"""Item scores by cluster: the mean, what each cluster changes in it, and how far its standard error can be believed."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from jokbo.errors import FormatError
from jokbo.league.measured import ItemScores


@dataclass(frozen=True, slots=True)
class Clustered:
    """What resampling takes.

    Attributes
    ----------
    value : numpy.ndarray, shape (entrants,)
        Mean over items, or over groups of the means over their items.
    influence : numpy.ndarray, shape (clusters, entrants)
        `value` less what it is without that cluster.
    sizes : tuple of int
        Clusters of each stratum.
    degrees : float, or numpy.ndarray of shape (entrants, entrants)
        Degrees of freedom of the standard error; with several strata, of a difference, and on the diagonal of a value.
    naive_error : numpy.ndarray, shape (entrants,)
        As if items were independent.
    per_item : float
        Variance of `value` where that of a single item is 1, under the correlation within clusters that is seen.
    """

    value: np.ndarray
    influence: np.ndarray
    sizes: tuple[int, ...]
    degrees: float | np.ndarray
    naive_error: np.ndarray
    per_item: float


def by_cluster(measured: ItemScores, *, average: str) -> Clustered:
    """Reduce items to clusters.

    A ratio estimator, sum of scores over number of items, in each stratum: the whole event, or each group where groups
    count the same. The influence of a cluster of n_c of the N items is z_c / (N - n_c) with z_c = sum of its
    scores - n_c mean, the delete-one jackknife, which big clusters do not shrink (Bell and McCaffrey 2002; MacKinnon,
    Nielsen and Webb 2023, J. Econometrics 232, 272-299).

    Raises
    ------
    FormatError
        A stratum has one cluster, or a cluster lies in two groups.
    """
    clusters, inverse = np.unique(measured.clusters, return_inverse=True)
    groups = measured.groups if average == "groups" else np.zeros(len(measured.items), np.int64)
    stratum = np.full(len(clusters), -1, np.int64)
    stratum[inverse] = groups
    if (stratum[inverse] != groups).any():
        where = int(np.flatnonzero(stratum[inverse] != groups)[0])
        raise FormatError(
            f"event {measured.event}: cluster {_name(measured.cluster_names, measured.clusters[where])} lies in more "
            "than one group; with `average: groups` a cluster has to lie in one. Use `average: items`, or name the "
            "clusters by group."
        )
    order = np.argsort(stratum, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    inverse = rank[inverse]
    strata, sizes = np.unique(stratum, return_counts=True)
    _refuse_single(measured, average, strata, sizes)
    items = np.bincount(inverse, minlength=len(clusters)).astype(np.float64)
    sums = np.stack(
        [np.bincount(inverse, weights=row, minlength=len(clusters)) for row in measured.scores], axis=1
    )
    bounds = np.cumsum([0, *sizes])
    means, influence = [], np.empty_like(sums)
    for a, b in pairwise(bounds.tolist()):
        whole = items[a:b].sum()
        means.append(sums[a:b].sum(0) / whole)
        residual = sums[a:b] - items[a:b, None] * means[-1]
        influence[a:b] = residual / (whole - items[a:b, None]) / len(sizes)
    own = np.searchsorted(strata, groups)
    correlation = _correlation(measured.scores, inverse, items)
    sum_variance = items * (1 + (items - 1) * correlation)
    counts = tuple(int(n) for n in sizes)
    return Clustered(
        value=np.mean(means, axis=0),
        influence=influence,
        sizes=counts,
        degrees=_of_differences(influence, items, counts, sum_variance),
        naive_error=_naive(measured.scores, own, len(sizes)),
        per_item=sum(
            float(sum_variance[a:b].sum() / items[a:b].sum() ** 2) for a, b in pairwise(bounds.tolist())
        )
        / len(sizes) ** 2,
    )


def _name(names: tuple[str, ...], index: int) -> str:
    return names[index] if index < len(names) else str(index)


def _refuse_single(measured: ItemScores, average: str, strata: np.ndarray, sizes: np.ndarray) -> None:
    """One cluster shows no spread, and a standard error of 0 would be a lie."""
    alone = strata[sizes < 2]
    if not alone.size:
        return
    place = f"group {_name(measured.group_names, int(alone[0]))}" if average == "groups" else "all items"
    raise FormatError(
        f"event {measured.event}: {place} form one cluster ({len(alone)} such in all), so nothing is known of its "
        "spread; expected two or more clusters. Declare a finer cluster, or leave the event out."
        if average != "groups"
        else f"event {measured.event}: {place} has one cluster ({len(alone)} such in all), so nothing is known of its "
        "spread; expected two or more a group. Use `average: items`, or declare finer clusters or wider groups."
    )


def _naive(scores: np.ndarray, own: np.ndarray, groups: int) -> np.ndarray:
    """Standard error as if every item stood alone, within groups where those are fixed."""
    count = np.bincount(own, minlength=groups).astype(np.float64)
    if count.min() < 2:
        return np.full(len(scores), np.nan)
    mean = np.stack([np.bincount(own, weights=row, minlength=groups) for row in scores]) / count
    square = np.stack(
        [
            np.bincount(own, weights=(row - m[own]) ** 2, minlength=groups)
            for row, m in zip(scores, mean, strict=True)
        ]
    )
    return np.sqrt((square / (count - 1) / count).sum(1)) / groups


def _correlation(scores: np.ndarray, inverse: np.ndarray, items: np.ndarray) -> float:
    """Correlation of two items of a cluster, between 0 and 1.

    Analysis of variance, pooled over entrants: the larger of that of scores and that of their differences from the
    mean of all entrants. Only degrees of freedom are taken from it.
    """
    clusters, total = len(items), float(items.sum())
    if total <= clusters:
        return 0.0
    typical = (total - float((items**2).sum()) / total) / (clusters - 1)
    found = 0.0
    for rows in (scores, scores - scores.mean(0)):
        centred = rows - rows.mean(1, keepdims=True)
        sums = np.stack([np.bincount(inverse, weights=row, minlength=clusters) for row in centred])
        between = float((sums**2 / items).sum())
        within = max(float((centred**2).sum()) - between, 0.0) / (total - clusters)
        excess = max(between / (clusters - 1) - within, 0.0) / typical
        if excess + within > 0:
            found = max(found, excess / (excess + within))
    return found


def _of_differences(
    influence: np.ndarray, items: np.ndarray, sizes: tuple[int, ...], model: np.ndarray
) -> float | np.ndarray:
    """Degrees of freedom, of differences where several strata are joined.

    A stratum in which the entrants do not differ adds to their values' errors and nothing to those of differences; what
    all differ by is pooled, for that of two of them alone in a stratum of two clusters would often be small by chance.
    """
    own = _degrees(influence, items, sizes, model)
    entrants = influence.shape[1]
    if len(sizes) == 1 or entrants < 2:
        return own
    apart = _degrees(influence - influence.mean(1, keepdims=True), items, sizes, model)
    return np.where(np.eye(entrants, dtype=bool), own, apart)


def _degrees(influence: np.ndarray, items: np.ndarray, sizes: tuple[int, ...], model: np.ndarray) -> float:
    """Degrees of freedom of the standard error, at least 1.

    Each stratum's by Bell and McCaffrey (2002, Survey Methodology 28, 169-181), under variances n_c (1 + (n_c - 1) r)
    of the clusters' sums; strata joined as Satterthwaite does, weighed by the variance that each adds.
    """
    bounds = np.cumsum([0, *sizes])
    variance, per_degree = 0.0, 0.0
    for a, b in pairwise(bounds.tolist()):
        part = float((influence[a:b] ** 2).sum())
        variance += part
        per_degree += part**2 / bell_mccaffrey(items[a:b], model[a:b])
    if variance == 0:
        return float(sum(sizes) - len(sizes))
    return max(variance**2 / per_degree, 1.0)


def bell_mccaffrey(items: np.ndarray, variance: np.ndarray) -> float:
    """Degrees of freedom of the jackknife variance of a ratio.

    With independent sums of these variances, the jackknife variance is a quadratic form; its degrees of freedom are
    twice its squared mean over its variance, tr(K)^2 / tr(K^2), for the covariance K of the centred influences.
    K is a diagonal and two rank-one terms, so nothing of size clusters x clusters is formed.

    Examples
    --------
    >>> round(bell_mccaffrey(np.full(8, 5.0), np.full(8, 1.0)), 6)
    7.0
    """
    n, whole = len(items), items.sum()
    scale = 1 / (whole - items)
    diagonal = scale**2 * variance
    u, a, s = scale * variance, scale * items / whole, variance.sum()
    # K = D - u a' - a u' + s a a', before centring.
    rows = diagonal - u * a.sum() - a * u.sum() + s * a * a.sum()
    own = -2 * u * a + s * a**2
    uu, aa, ua = u @ u, a @ a, u @ a
    square = (diagonal**2).sum() + 2 * diagonal @ own
    square += 2 * uu * aa + 2 * ua**2 - 4 * s * ua * aa + s**2 * aa**2
    whole_sum = rows.sum()
    trace = diagonal.sum() + own.sum() - whole_sum / n
    square += -2 * (rows @ rows) / n + (whole_sum / n) ** 2
    return float(trace**2 / square)
