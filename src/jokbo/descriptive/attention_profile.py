"""The attention-deviation profile: how the spread of attention weights moves through the depth.

After Yoon et al. 2025 (arXiv 2507.03014): the standard deviation of the query, key, value and
output matrices of each layer, normalised over the layers to mean zero and deviation one, and the
correlation of two such profiles. Here from a few rows a matrix instead of all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from jokbo.architectures.base import Part, Role
from jokbo.descriptive.scores import Score, ScoreValue, mean, plain, reason
from jokbo.views.component import Reason
from jokbo.views.ledger import Ledger
from jokbo.views.rows import RowsWish

ROLES = (Role.ATTN_Q, Role.ATTN_K, Role.ATTN_V, Role.ATTN_OUTPUT)
ROWS = 32
MIN_ROWS = 4
MIN_LAYERS = 3
"""Below three layers a correlation of profiles is always -1 or 1."""


@dataclass(frozen=True, slots=True)
class RoleProfile:
    """One projection's profile in both models.

    Attributes
    ----------
    reference, candidate : tuple of float, or None
        Normalised standard deviation, one a layer; None where it does not vary or was not read.
    correlation : float or None
        Pearson correlation of the two, layers paired in order.
    reason : Reason or None
        Why there is no correlation.
    """

    role: str
    reference: tuple[float | None, ...] | None = None
    candidate: tuple[float | None, ...] | None = None
    correlation: float | None = None
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class AttentionProfile:
    """The profiles of one tower.

    Attributes
    ----------
    rows : int
        Neighbouring rows read of each matrix at most; fewer where the budget was near its end.
    profiles : tuple of RoleProfile
        In the order query, key, value, output.
    mean_correlation : float or None
        Over the projections that have one.
    reason : Reason or None
        Why nothing was read.
    """

    tower: str
    rows: int = 0
    profiles: tuple[RoleProfile, ...] = ()
    mean_correlation: float | None = None
    reason: Reason | None = None

    def scores(self) -> tuple[ScoreValue, ...]:
        """The number that stands beside reference values."""
        why_not = self.reason
        if why_not is None and self.mean_correlation is None:
            why_not = next(profile.reason for profile in self.profiles if profile.reason is not None)
        return (ScoreValue(Score.ATTENTION_PROFILE, self.tower, self.mean_correlation, why_not),)


def attention_profile(
    reference: Ledger, candidate: Ledger, tower: str, *, rng: np.random.Generator, rows: int = ROWS
) -> AttentionProfile:
    """Sample both models' attention matrices and compare their profiles.

    Parameters
    ----------
    reference, candidate : Ledger
    tower : str
    rng : Generator
        Draws where the rows of each projection start, at one relative place in both models.
    rows : int
        Rows a matrix; halved, down to four, until both budgets cover them. 0 reads nothing.

    Raises
    ------
    WeightsError
        A sampled weight is NaN or infinite.
    SourceError
        The bytes could not be read.
    """
    starts = {role: float(rng.random()) for role in ROLES}
    pair = (reference, candidate)
    found = [{role: _parts(ledger, tower, role) for role in ROLES} for ledger in pair]
    if not any(found[0][role] and found[1][role] for role in ROLES):
        return AttentionProfile(tower, reason=reason("no_attention", {"tower": tower}))
    if rows == 0:
        return AttentionProfile(tower, reason=reason("not_read", {"tower": tower}))
    count = _affordable(pair, found, starts, rows)
    if count == 0:
        return AttentionProfile(tower, reason=reason("budget", {"tower": tower}))
    profiles = tuple(
        _compare(
            role,
            *(
                _deviations(ledger, parts[role], starts[role], count)
                for ledger, parts in zip(pair, found, strict=True)
            ),
        )
        for role in ROLES
    )
    return AttentionProfile(tower, count, profiles, mean(profile.correlation for profile in profiles))


def _parts(ledger: Ledger, tower: str, role: Role) -> list[Part]:
    parts = [p for p in ledger.model.anatomy.select(tower, role) if p.layer is not None and len(p.shape) == 2]
    return sorted(parts, key=lambda part: part.layer or 0)


def _window(part: Part, start: float, count: int) -> Int[np.ndarray, " rows"]:
    """Neighbouring rows: one range a matrix."""
    length = min(count, part.shape[0])
    first = int(start * (part.shape[0] - length + 1))
    return np.arange(first, first + length)


def _affordable(
    pair: Sequence[Ledger], found: Sequence[dict[Role, list[Part]]], starts: dict[Role, float], rows: int
) -> int:
    """The most rows a matrix that both budgets cover, halving from `rows`; 0 when not even four."""
    count = rows
    while count >= min(MIN_ROWS, rows):
        wishes = [
            [RowsWish(part, _window(part, starts[role], count)) for role in ROLES for part in parts[role]]
            for parts in found
        ]
        if all(ledger.affords(mine) for ledger, mine in zip(pair, wishes, strict=True)):
            return count
        count //= 2
    return 0


def _deviations(
    ledger: Ledger, parts: Sequence[Part], start: float, count: int
) -> Float[np.ndarray, " layers"]:
    """Standard deviation of the rows read, one a layer."""
    arrays = ledger.fetch([RowsWish(part, _window(part, start, count)) for part in parts]) if parts else []
    return np.array([np.std(array, dtype=np.float64) for array in arrays])


def _compare(
    role: Role, reference: Float[np.ndarray, " layers"], candidate: Float[np.ndarray, " depth"]
) -> RoleProfile:
    name = str(role)
    mine, theirs = _normalised(reference), _normalised(candidate)
    if len(reference) == 0 or len(candidate) == 0:
        why_not = reason("role_absent", {"role": name})
    elif len(reference) != len(candidate):
        why_not = reason(
            "depths_differ", {"role": name, "reference": len(reference), "candidate": len(candidate)}
        )
    elif len(reference) < MIN_LAYERS:
        why_not = reason("too_few_layers", {"role": name, "layers": len(reference), "needed": MIN_LAYERS})
    elif mine is None or theirs is None:
        why_not = reason("constant_profile", {"role": name})
    else:
        correlation = plain(float(np.clip(np.mean(mine * theirs), -1.0, 1.0)))
        return RoleProfile(name, _plain(mine), _plain(theirs), correlation)
    return RoleProfile(name, _plain(mine), _plain(theirs), reason=why_not)


def _normalised(deviations: Float[np.ndarray, " layers"]) -> Float[np.ndarray, " layers"] | None:
    """Mean zero, deviation one over the layers; None where the layers do not vary."""
    if len(deviations) == 0 or np.ptp(deviations) == 0:
        return None
    normalised: np.ndarray = (deviations - deviations.mean()) / deviations.std()
    return normalised


def _plain(profile: Float[np.ndarray, " layers"] | None) -> tuple[float | None, ...] | None:
    return None if profile is None else tuple(plain(value) for value in profile)
