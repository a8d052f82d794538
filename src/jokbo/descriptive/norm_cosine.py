"""Norm cosines: how alike the norm gains of two models look, and how little that says.

The raw cosine of two gain vectors is dominated by their means: for gains with mean m and
standard deviation s around it, independent models score near ``1 / (1 + s**2 / m**2)``, which
is close to one whenever gains crowd around one value. A shuffled copy has the same mean
and the same deviation, so its cosine stays. Only the centred cosine (Pearson) asks whether
the *same* channels stand out, and even that is a description here: what it is worth
against chance is the business of :mod:`jokbo.independence.norm_pattern`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from jokbo.architectures.base import Kind, Role
from jokbo.descriptive.scores import Score, ScoreValue, mean, plain, reason
from jokbo.views.component import Reason
from jokbo.views.ledger import Ledger
from jokbo.views.rows import RowsWish
from jokbo.views.samples import fetch_norms

SHUFFLES = 20


@dataclass(frozen=True, slots=True)
class Gains:
    """Norm gains of one tower in both models, by role and layer; all vectors are equally long.

    Attributes
    ----------
    reference, candidate : dict of (Role, layer) to array (channels,)
        The layer is None for norms outside the layers.
    """

    tower: str
    reference: dict[tuple[Role, int | None], Float[np.ndarray, " channels"]]
    candidate: dict[tuple[Role, int | None], Float[np.ndarray, " channels"]]


@dataclass(frozen=True, slots=True)
class NormRow:
    """Cosines of one norm.

    Attributes
    ----------
    raw : float or None
        Cosine of the gains as they are; None where a gain vector is zero.
    shuffled : float or None
        The same with the candidate's channels in random order, mean over 20 orders.
    centred : float or None
        Pearson correlation; None where a gain vector is constant.
    """

    role: str
    layer: int | None
    raw: float | None
    shuffled: float | None
    centred: float | None


@dataclass(frozen=True, slots=True)
class NormCosines:
    """Norm cosines of one tower: norms of equal role and equal layer number, one a row.

    Attributes
    ----------
    shuffles : int
        Random orders behind each row's `shuffled`.
    mean_raw, mean_shuffled, mean_centred : float or None
        Means over the rows that have the value.
    reason : Reason or None
        Why there is no row.
    """

    tower: str
    rows: tuple[NormRow, ...] = ()
    shuffles: int = SHUFFLES
    mean_raw: float | None = None
    mean_shuffled: float | None = None
    mean_centred: float | None = None
    reason: Reason | None = None

    def scores(self) -> tuple[ScoreValue, ...]:
        """The numbers that stand beside reference values."""
        zero = reason("zero_gains") if self.mean_raw is None else None
        constant = reason("constant_gains") if self.mean_centred is None else None
        return (
            ScoreValue(Score.NORM_RAW, self.tower, self.mean_raw, self.reason or zero),
            ScoreValue(Score.NORM_SHUFFLED, self.tower, self.mean_shuffled, self.reason or zero),
            ScoreValue(Score.NORM_CENTRED, self.tower, self.mean_centred, self.reason or zero or constant),
        )


def fetch_gains(reference: Ledger, candidate: Ledger, tower: str) -> Gains | Reason:
    """Fetch the norm gains of a tower from both models, or say why they do not compare.

    Raises
    ------
    WeightsError
        A gain is NaN or infinite.
    SourceError
        The bytes could not be read.
    """
    pair = (reference, candidate)
    if tower not in reference.model.anatomy.towers:
        return reason("tower_only_in_candidate", {"tower": tower})
    if tower not in candidate.model.anatomy.towers:
        return reason("tower_only_in_reference", {"tower": tower})
    if not all(_wishes(ledger, tower) for ledger in pair):
        return reason("no_norms", {"tower": tower})
    a, b = (ledger.model.anatomy.towers[tower].hidden_size for ledger in pair)
    if a != b:
        return reason("widths_differ", {"tower": tower, "reference": a, "candidate": b})
    if not all(ledger.affords(_wishes(ledger, tower)) for ledger in pair):
        return reason("budget", {"tower": tower})
    mine, theirs = (_by_place(ledger, tower, a) for ledger in pair)
    return Gains(tower, mine, theirs) if mine and theirs else reason("no_norms", {"tower": tower})


def _wishes(ledger: Ledger, tower: str) -> list[RowsWish]:
    """No fewer vectors than :func:`fetch_norms` reads: what the budget is asked for."""
    kinds = (Kind.WEIGHT, Kind.BIAS)
    parts = [p for p in ledger.model.anatomy.parts if p.tower == tower and p.role.endswith("norm")]
    return [RowsWish(part) for part in parts if part.kind in kinds and len(part.shape) == 1]


def _by_place(ledger: Ledger, tower: str, channels: int) -> dict[tuple[Role, int | None], np.ndarray]:
    norms = fetch_norms(ledger, tower, channels=channels)
    return {(norm.role, norm.layer): norm.values for norm in norms if norm.kind is Kind.WEIGHT}


def norm_cosines(gains: Gains, *, rng: np.random.Generator) -> NormCosines:
    """Raw, shuffled and centred cosine of every norm that both models have.

    Parameters
    ----------
    gains : Gains
    rng : Generator
        Draws the shuffles, the same for all norms of the tower.
    """
    places = [place for place in gains.reference if place in gains.candidate]
    if not places:
        return NormCosines(gains.tower, reason=reason("no_shared_norms", {"tower": gains.tower}))
    a = np.stack([gains.reference[place] for place in places])
    b = np.stack([gains.candidate[place] for place in places])
    raw = row_cosines(a, b)
    orders = (rng.permutation(a.shape[1]) for _ in range(SHUFFLES))
    shuffled = np.mean([row_cosines(a, b[:, order]) for order in orders], axis=0)
    centred = row_cosines(centre(a), centre(b))
    rows = tuple(
        NormRow(str(role), layer, plain(raw[k]), plain(shuffled[k]), plain(centred[k]))
        for k, (role, layer) in enumerate(places)
    )
    return NormCosines(
        gains.tower,
        rows,
        SHUFFLES,
        mean(row.raw for row in rows),
        mean(row.shuffled for row in rows),
        mean(row.centred for row in rows),
    )


def centre(rows: Float[np.ndarray, "n channels"]) -> Float[np.ndarray, "n channels"]:
    """Subtract each row's mean; constant rows become exactly zero, whatever the rounding of their mean."""
    wide = np.asarray(rows, dtype=np.float64)
    constant = np.ptp(wide, axis=1, keepdims=True) == 0
    return np.where(constant, 0.0, wide - wide.mean(axis=1, keepdims=True))


def row_cosines(
    reference: Float[np.ndarray, "n channels"], candidate: Float[np.ndarray, "n channels"]
) -> Float[np.ndarray, " n"]:
    """Cosine of each pair of rows; NaN where one is zero.

    Examples
    --------
    >>> row_cosines(np.array([[1.0, 0.0]]), np.array([[3.0, 4.0]]))
    array([0.6])
    """
    dots = np.einsum("nc,nc->n", reference, candidate)
    return _divide(dots, _lengths(reference) * _lengths(candidate))


def all_cosines(
    reference: Float[np.ndarray, "n channels"], candidate: Float[np.ndarray, "m channels"]
) -> Float[np.ndarray, "n m"]:
    """Cosine of every row with every row; NaN where one is zero."""
    return _divide(reference @ candidate.T, np.outer(_lengths(reference), _lengths(candidate)))


def _lengths(rows: np.ndarray) -> np.ndarray:
    lengths: np.ndarray = np.sqrt(np.einsum("nc,nc->n", rows, rows))
    return lengths


def _divide(dots: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    cosines = np.divide(dots, lengths, out=np.full_like(dots, np.nan), where=lengths > 0)
    clipped: np.ndarray = np.clip(cosines, -1.0, 1.0)
    return clipped
