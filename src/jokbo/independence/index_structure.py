"""E0, the assumption itself: does one model's axis carry structure in its numbering?

Tests of order need every labelling of an axis to be equally likely. Tools that prune by
importance sort units; tensor-parallel initialisation may tile them. Two such models agree
in order without ever having met, so each model is tested alone, before its axis is used.

Method
    Features F (ranked row norms, ranked ``|cos(gate, up)|``) and the squared cosine Gram G^2,
    summed over layers; statistics: squared trend of F, squared block means of F,
    autocorrelation of F at several lags, G^2 at every lag and within blocks. The index
    is permuted jointly 999 times (99 where those already pass), each statistic is standardised
    over all draws, and the largest one ranked among its draws gives ``p0``. All are linear in ``F F^T``
    and ``G^2``, so a permutation costs one gather.
What a pass means
    Nothing is proven: structure of another kind may exist. That is why a verdict that rests on
    order also needs the local form or another family.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from jokbo.independence.grams import normalise, ranks

N_RESAMPLES = 999
MAX_PVALUE = 0.001
"""An axis fails at this p-value or below: the smallest that 999 permutations can give."""

EARLY_PVALUE = 0.05
"""After a tenth of the permutations, a larger p-value is final: the rest could not make the axis fail."""

SHORT_AXIS = 256
"""Up to this length every lag is tried."""

SIGN_ROWS = 128
"""Elements of each row on which signs of long axes are checked."""


@dataclass(frozen=True, slots=True)
class AxisCheck:
    """Outcome of E0 on one axis of one model.

    Attributes
    ----------
    model : str
        ``"reference"`` or ``"candidate"``.
    axis : str
        Such as ``"text.units"`` or ``"text.channels"``.
    pvalue : float
    statistic : str
        The one that stood out most.
    """

    model: str
    axis: str
    pvalue: float
    statistic: str

    @property
    def passed(self) -> bool:
        """Whether the axis may be used in full."""
        return self.pvalue > MAX_PVALUE


class RowProducts(NamedTuple):
    """Squared norms of each matrix's rows, and dot products of the first two matrices' rows."""

    squares: tuple[Float[np.ndarray, "blocks m"], ...]
    dots: Float[np.ndarray, "blocks m"] | None

    def cosines(self) -> Float[np.ndarray, "blocks m"]:
        """Cosines of rows with the same number in the first two matrices; 0 where there is one matrix."""
        if self.dots is None:
            return np.zeros_like(self.squares[0])
        return self.dots / np.sqrt(np.maximum(self.squares[0] * self.squares[1], 1e-300))


def row_products(matrices: Sequence[Float[np.ndarray, "blocks m d"]]) -> RowProducts:
    """Products of rows in float64, in one pass; one block at a time stays in the cache."""
    squares = [np.empty(matrix.shape[:2]) for matrix in matrices]
    dots = np.empty(matrices[0].shape[:2]) if len(matrices) > 1 else None
    for block in range(len(matrices[0])):
        wide = [np.asarray(matrix[block], dtype=np.float64) for matrix in matrices]
        for found, rows in zip(squares, wide, strict=True):
            found[block] = np.einsum("md,md->m", rows, rows)
        if dots is not None:
            dots[block] = np.einsum("md,md->m", wide[0], wide[1])
    return RowProducts(tuple(squares), dots)


def axis_features(products: RowProducts) -> list[Float[np.ndarray, "blocks m"]]:
    """Ranked row norms of each matrix, and ranked |cosine| of the first two."""
    features: list[np.ndarray] = list(products.squares)
    if products.dots is not None:
        features.append(np.abs(products.cosines()))
    return [ranks(np.round(f, 12)) - (f.shape[1] + 1) / 2 for f in features]


def index_structure(
    features: Sequence[Float[np.ndarray, "blocks m"]],
    grams: Float[np.ndarray, "blocks m m"],
    *,
    rng: np.random.Generator,
    n_resamples: int = N_RESAMPLES,
) -> tuple[float, str]:
    """Test one axis of one model for structure in its numbering.

    Parameters
    ----------
    features : sequence of arrays (blocks, m)
        Centred features of each index.
    grams : array (blocks, m, m)
        Cosine Gram matrices.

    Returns
    -------
    pvalue : float
        ``(1 + draws at least as extreme) / (1 + draws)``.
    statistic : str
        Name of the largest statistic.
    """
    m = grams.shape[1]
    squares = (grams**2).sum(axis=0)

    def statistics(draws: Int[np.ndarray, "draws m"]) -> dict[str, Float[np.ndarray, " draws"]]:
        found: dict[str, np.ndarray] = {}
        for k, feature in enumerate(features):
            found |= {
                f"feature {k}, {name}": values for name, values in _feature_sums(feature, draws).items()
            }
        return found | {f"gram, {name}": values for name, values in _gram_sums(squares, draws).items()}

    return _rank_identity(
        statistics, lambda count: rng.permuted(np.tile(np.arange(m), (count, 1)), axis=1), n_resamples
    )


def fine_structure(
    grams: Float[np.ndarray, "blocks m m"],
    index: Int[np.ndarray, " m"],
    *,
    block: int,
    rng: np.random.Generator,
    n_resamples: int = N_RESAMPLES,
) -> tuple[float, str]:
    """Test whether neighbours within a block can be told apart by their numbers.

    The local forms assume nothing but that. Statistics: G^2 at every lag within blocks, each
    lag alone; draws permute within blocks.

    Parameters
    ----------
    grams : array (blocks, m, m)
    index : array (m,)
        Position of each row on its axis, ascending.
    block : int
        Size of a neighbourhood.
    """
    matrix = (grams**2).sum(axis=0)
    labels = (index - index.min()) // block
    i, j = np.nonzero(np.triu(labels[:, None] == labels[None, :], 1))
    lags = index[j] - index[i]

    def statistics(draws: Int[np.ndarray, "draws m"]) -> dict[str, Float[np.ndarray, " draws"]]:
        cells = matrix[draws[:, i], draws[:, j]]
        return {
            f"gram, lag {lag} within blocks": cells[:, lags == lag].sum(axis=1) for lag in np.unique(lags)
        }

    return _rank_identity(
        statistics, lambda count: np.argsort(labels + rng.random((count, len(index))), axis=1), n_resamples
    )


def _rank_identity(
    statistics: Callable[[np.ndarray], dict[str, np.ndarray]],
    permutations: Callable[[int], np.ndarray],
    n_resamples: int,
) -> tuple[float, str]:
    """Rank the numbering as it is among random ones, by its largest standardised statistic.

    A tenth of the draws comes first; where they show that nothing stands out, their answer is
    final. The p-value stays valid: one no larger than :data:`EARLY_PVALUE` is given only after all draws.
    """
    pvalue, name = 1.0, "none"
    for count in (n_resamples // 10, n_resamples):
        draws = permutations(count)
        values = statistics(np.concatenate([np.arange(draws.shape[1])[None], draws]))
        if not values:
            break
        table = np.stack(list(values.values()), axis=1)
        spread = table.std(axis=0)
        scores = np.divide(table - table.mean(axis=0), spread, out=np.zeros_like(table), where=spread > 0)
        largest = np.round(scores.max(axis=1), 9)
        pvalue = float((largest >= largest[0]).sum() / len(largest))
        name = list(values)[int(scores[0].argmax())]
        if pvalue > EARLY_PVALUE:
            break
    return pvalue, name


def _feature_sums(
    feature: Float[np.ndarray, "blocks m"], draws: Int[np.ndarray, "draws m"]
) -> dict[str, Float[np.ndarray, " draws"]]:
    """Trend, block sums and autocorrelations of a permuted feature, summed over layers."""
    m = feature.shape[1]
    placed = feature[:, draws]
    found = {"trend": ((placed @ (np.arange(m) - (m - 1) / 2)) ** 2).sum(axis=0)}
    for lag in sorted({lag for lag in (1, 2, 4, *(m // k for k in (32, 16, 8, 4, 2))) if 1 <= lag < m}):
        found[f"lag {lag}"] = np.abs(np.einsum("bdi,bdi->d", placed[:, :, :-lag], placed[:, :, lag:]))
    sums = placed
    for size, starts in _ladder(m):
        sums = np.add.reduceat(sums, starts, axis=2)
        found[f"blocks of {size}"] = np.einsum("bdi,bdi->d", sums, sums)
    return found


def _gram_sums(
    matrix: Float[np.ndarray, "m m"], draws: Int[np.ndarray, "draws m"]
) -> dict[str, Float[np.ndarray, " draws"]]:
    """Sums of a permuted symmetric matrix at every lag and within blocks of neighbours."""
    m = len(matrix)
    lags, ladder = every_lag(m), _ladder(m)
    finest = np.repeat(np.eye(len(ladder[0][1])), ladder[0][0], axis=0)[:m]
    above = np.triu(np.ones((m, m)), 1)
    chunk = max(1, (1 << 16) // matrix.size)
    parts: list[dict[str, np.ndarray]] = []
    for start in range(0, len(draws), chunk):
        some = draws[start : start + chunk]
        placed = matrix[some[:, :, None], some[:, None, :]]
        sums = finest.T @ (placed @ finest)
        found = {}
        for size, starts in ladder:
            sums = (
                sums
                if size == ladder[0][0]
                else np.add.reduceat(np.add.reduceat(sums, starts, axis=2), starts, axis=1)
            )
            found[f"blocks of {size}"] = np.trace(sums, axis1=1, axis2=2)
        # Stepping m + 1 cells walks along a diagonal; past its end it meets zeros.
        upper = np.zeros((len(some), m * (m + 1)))
        np.multiply(placed, above, out=upper[:, : m * m].reshape(len(some), m, m))
        steps = (upper.strides[0], (m + 1) * upper.itemsize, upper.itemsize)
        walks = np.lib.stride_tricks.as_strided(upper, (len(some), m, m), steps, writeable=False)
        totals = walks.sum(axis=1)
        parts.append(found | {f"lag {lag}": totals[:, lag] for lag in lags})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _ladder(m: int) -> list[tuple[int, Int[np.ndarray, " blocks"]]]:
    """Sizes of blocks, each twice the last, and where each starts among the blocks of the last size."""
    finest = max(m // 16, 2)
    steps = [(finest, np.arange(0, m, finest))]
    count = len(steps[0][1])
    for factor in (2, 4, 8):
        if count > 2:
            steps.append((finest * factor, np.arange(0, count, 2)))
            count = len(steps[-1][1])
    return steps


def every_lag(m: int) -> list[int]:
    """Every lag with four pairs or more: a tile of any length repeats at its own; fewer tell nothing."""
    return list(range(1, m - 3))


def sign_balance(cosines: Float[np.ndarray, "blocks m"]) -> float:
    """E0(c): two-sided p-value of the coins ``cos(gate, up)`` of one model, ``2 exp(-z^2 / 2)``.

    If flipping a unit gives an equally likely model, these cosines are symmetric round zero.
    """
    total = float((cosines**2).sum())
    if total == 0:
        return 1.0
    return float(min(1.0, 2 * np.exp(-(cosines.sum() ** 2) / (2 * total))))


def sign_structure(rows: Float[np.ndarray, "blocks m d"], *, lags: Sequence[int] | None = None) -> float:
    """E0(c): p-value for signs that repeat along an axis, as in a tiled initialisation.

    If flipping one row gives an equally likely model, then at each lag the cosines of row
    `i` and row `i + lag` have independent random signs, and ``2 exp(-z^2 / 2)`` bounds
    the chance of their sum; the smallest bound is multiplied by the number of lags.

    Parameters
    ----------
    rows : array (blocks, m, d)
        Rows whose signs are invoked.
    lags : sequence of int, optional
        All of them where the axis is short, else those at which tools repeat themselves.

    Examples
    --------
    >>> rows = np.random.default_rng(0).normal(size=(1, 32, 20))
    >>> sign_structure(rows) > 0.01, sign_structure(np.concatenate([rows, rows], axis=1)) < 1e-4
    (True, True)
    """
    m = rows.shape[1]
    unit = normalise(rows) if m > SHORT_AXIS else None
    grams = np.stack([(wide := normalise(block)) @ wide.T for block in rows]) if unit is None else None
    return _repeats(unit, grams, m, lags)


def sign_repeats(grams: Float[np.ndarray, "blocks m m"]) -> float:
    """As :func:`sign_structure`, from cosine Gram matrices that are there already."""
    return _repeats(None, grams, grams.shape[1], None)


def _repeats(
    unit: Float[np.ndarray, "blocks m d"] | None,
    grams: Float[np.ndarray, "blocks m m"] | None,
    m: int,
    lags: Sequence[int] | None,
) -> float:
    smallest, tried = 1.0, 0
    for lag in _sign_lags(m) if lags is None else lags:
        if grams is not None:
            cosines = np.diagonal(grams, lag, axis1=1, axis2=2)
        else:
            assert unit is not None
            cosines = np.einsum("bmd,bmd->bm", unit[:, lag:], unit[:, : m - lag])
        total = float((cosines**2).sum())
        if total > 0:
            tried += 1
            smallest = min(smallest, float(2 * np.exp(-(cosines.sum() ** 2) / (2 * total))))
    return min(1.0, smallest * max(tried, 1))


def sign_checks(
    reference: Float[np.ndarray, "rows channels"], candidate: Float[np.ndarray, "rows channels"], *, axis: str
) -> list[AxisCheck]:
    """E0(c) on the residual channels of both models, from rows that read or write them."""
    return [
        AxisCheck(who, axis, sign_structure(rows[:SIGN_ROWS].T[None]), "repeats along the axis")
        for who, rows in (("reference", reference), ("candidate", candidate))
    ]


def _sign_lags(m: int) -> list[int]:
    if m <= SHORT_AXIS:
        return every_lag(m)
    return sorted(
        {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024} & set(range(1, m)) | {m // k for k in range(2, 65)}
    )
