"""Plants among whole matrices: units matched by gate rows (E8), value heads by assignment (E10).

The matrices of the last stage are read once more, through ledgers of their own. The rotation is solved
anew for every cosine, from embeddings planted with that cosine: a body that is
derived while its embedding is not is beyond these two classes once it is rotated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int

from jokbo.architectures.base import Role
from jokbo.independence.alignment import procrustes
from jokbo.independence.base import Cluster
from jokbo.independence.betting import coin_bets
from jokbo.independence.bounds.base import COPY_COSINE, Axis, Clusters, Goal, Kind, clusters_of, combine_plants, strengths
from jokbo.independence.bounds.units import planted_cosine
from jokbo.independence.combine import STAGES
from jokbo.independence.exams.base import Rotation
from jokbo.independence.grams import normalise

Turn = Callable[[Kind, float], Rotation | None]
"""The rotation that the exam would solve for at this plant; None where it applies none."""


class Turns:
    """Rotations solved from planted embeddings.

    Parameters
    ----------
    reference, candidate : arrays (tokens, hidden)
        Rows that the exam solves the rotation from.
    """

    def __init__(self, reference: np.ndarray, candidate: np.ndarray) -> None:
        self.reference = reference.astype(np.float64)
        self.sizes = np.linalg.norm(candidate.astype(np.float64), axis=1, keepdims=True)
        self.rows = normalise(reference), normalise(candidate)
        self.solve = lru_cache(maxsize=len(Kind) * 4)(self._solve)

    def __call__(self, kind: Kind, value: float) -> Rotation:
        """Solve for a plant; copied units come with a copied embedding."""
        return self.solve(value if kind is Kind.COSINE else COPY_COSINE)

    def _solve(self, cosine: float) -> Rotation:
        a, b = self.rows
        return procrustes(self.reference, self.sizes * normalise(cosine * a + math.sqrt(1 - cosine**2) * b))


def no_turn(kind: Kind, value: float) -> None:
    """Units are permuted, the residual stream is not rotated."""
    return None


@dataclass(frozen=True, slots=True)
class Pairing:
    """Cosines of one pair of whole matrices under one rotation.

    Attributes
    ----------
    cross : array (n_candidate, n_reference)
        Candidate rows with turned reference rows.
    base : array (n_candidate, n_reference)
        Reference rows with turned reference rows, row by row as they are planted.
    plain : array (n_candidate, n_reference)
        Candidate rows with reference rows as they are: what the length of a plant needs.
    """

    cross: Float[np.ndarray, "n m"]
    base: Float[np.ndarray, "n m"]
    plain: Float[np.ndarray, "n m"]


def pair_rows(
    reference: Float[np.ndarray, "m d"], candidate: Float[np.ndarray, "n d"], turn: Rotation | None
) -> Pairing:
    """Form the cosines of unit rows; candidate rows beyond the reference's count are never planted."""
    plain = candidate @ reference.T
    turned = reference if turn is None else reference @ turn
    base = np.zeros_like(plain)
    base[: len(reference)] = (reference @ turned.T)[: len(plain)]
    return Pairing(plain if turn is None else candidate @ turned.T, base, plain)


class GatePlants:
    """Plants into whole gate and up matrices: found by signs alone, matched by gate rows.

    Parameters
    ----------
    reference, candidate : sequence of mappings of Role to array (n, d)
        Unit rows, one mapping a block.
    clusters : sequence of Cluster
        One a block.
    turn : callable
    goal : Goal
    """

    def __init__(
        self,
        reference: Sequence[dict[Role, np.ndarray]],
        candidate: Sequence[dict[Role, np.ndarray]],
        clusters: Sequence[Cluster],
        *,
        turn: Turn,
        goal: Goal,
    ) -> None:
        self.rows = tuple(reference), tuple(candidate)
        self.turn = turn
        self.goal = goal
        pairs = np.repeat(np.arange(len(clusters))[:, None], 2, axis=1)
        _, self.clusters = clusters_of(pairs, clusters)
        self.pairings = lru_cache(maxsize=len(clusters))(self._pair)

    def _pair(self, block: int, kind: Kind, value: float) -> dict[Role, Pairing]:
        turn = self.turn(kind, value)
        a, b = (side[block] for side in self.rows)
        return {role: pair_rows(a[role], b[role], turn) for role in (Role.FFN_GATE, Role.FFN_UP)}

    def __call__(self, kind: Kind, value: float, plants: int, rng: np.random.Generator) -> np.ndarray:
        """Make plants; return which were found."""
        seed = int(rng.integers(2**63))
        clusters = len(self.clusters.sizes)
        logs = np.full((plants, len(self.clusters.number)), -np.inf)
        found = np.zeros(plants, dtype=bool)
        runs = rng.random((plants, 1))
        for k in range(clusters):
            left = np.flatnonzero(~found)
            if not len(left):
                break
            for block in np.flatnonzero(self.clusters.number == k):
                # Blocks of one cluster share their randomness, as they share that of the reference.
                mine = np.random.default_rng([seed, k])
                logs[left, block] = self._play(int(block), kind, value, left, runs, mine)
            total = combine_plants(self.clusters.average(logs[left])) + math.log(STAGES["tensors"])
            found[left] = self.goal.reached(total)
        return found

    def _play(
        self, block: int, kind: Kind, value: float, left: Int[np.ndarray, " left"], runs: np.ndarray, rng: np.random.Generator
    ) -> Float[np.ndarray, " left"]:
        pairing = self.pairings(block, _shared(kind), value if kind is Kind.COSINE else 0.0)
        n, m = pairing[Role.FFN_GATE].cross.shape
        coins = np.zeros((len(left), n))
        for row, plant in enumerate(left):
            labels, flips = rng.permutation(n), rng.choice(np.array([-1.0, 1.0], dtype=np.float32), size=n)
            c = _spread(kind, value, n, m, float(runs[plant, 0]), rng)
            coins[row] = _match(pairing, labels, flips, c)
        return coin_bets(coins)


def _shared(kind: Kind) -> Kind:
    return Kind.COSINE if kind is Kind.COSINE else Kind.SCATTERED


def _spread(kind: Kind, value: float, n: int, m: int, place: float, rng: np.random.Generator) -> Float[np.ndarray, " n"]:
    """Cosine planted in each of `n` rows, none beyond the reference's `m`; all of them were read."""
    size = min(n, m)
    c = np.zeros(n, dtype=np.float32)
    if kind is Kind.COSINE:
        c[:size] = value
    elif kind is Kind.SCATTERED:
        c[:size] = COPY_COSINE * (rng.random(size) < value)
    else:
        run = max(1, round(value * size))
        start = int(place * (size - run + 1))
        c[start : start + run] = COPY_COSINE
    return c


def _match(
    pairing: dict[Role, Pairing], labels: Int[np.ndarray, " n"], flips: np.ndarray, c: np.ndarray
) -> Float[np.ndarray, " n"]:
    """Coins of the units that a plant matches by gate; zero, which bets nothing, for those without a match."""
    gate, up = pairing[Role.FFN_GATE], pairing[Role.FFN_UP]
    s = np.sqrt(1 - c**2)
    own = np.arange(min(gate.cross.shape))
    dots = np.zeros(len(c))
    dots[own] = gate.plain[labels[own], own]
    size = np.sqrt(np.maximum(1 + 2 * c * s * dots, 1e-12)).astype(np.float32)
    scores = gate.base * (c / size)[:, None]
    scores += gate.cross[labels] * (s / size)[:, None]
    best_a, best_b = scores.argmax(axis=1), scores.argmax(axis=0)
    mine = np.flatnonzero(best_b[best_a] == np.arange(len(c)))
    theirs = best_a[mine]
    dots[own] = up.plain[labels[own], own] * flips[own]
    planted = c[mine] * up.base[mine, theirs] + s[mine] * flips[mine] * up.cross[labels[mine], theirs]
    coins = np.zeros(len(c))
    coins[mine] = planted / np.sqrt(np.maximum(1 + 2 * c * s * dots, 1e-12))[mine]
    return coins


class HeadPlants:
    """Plants into whole value projections whose heads were permuted.

    Parameters
    ----------
    reference, candidate : arrays (pairs, heads, channels, d)
        Unit rows of each pair of layers.
    number : Clusters
    axis : Axis
    turn : callable
    goal : Goal
    """

    def __init__(
        self,
        reference: Float[np.ndarray, "pairs heads channels d"],
        candidate: Float[np.ndarray, "pairs heads channels d"],
        clusters: Clusters,
        *,
        turn: Turn,
        goal: Goal,
    ) -> None:
        self.rows = reference, candidate
        self.clusters, self.turn, self.goal = clusters, turn, goal
        self.plain = np.einsum("phcd,pgcd->phgc", candidate, reference)
        self.axis = Axis(reference.shape[1] * reference.shape[2], np.arange(reference.shape[1] * reference.shape[2]))
        self.cosines = lru_cache(maxsize=1)(self._cosines)

    def _cosines(self, kind: Kind, value: float) -> tuple[np.ndarray, np.ndarray]:
        turn = self.turn(kind, value)
        a, b = self.rows
        turned = a if turn is None else a @ turn
        return np.einsum("phcd,pgcd->phgc", b, turned), np.einsum("phcd,pgcd->phgc", a, turned)

    def __call__(self, kind: Kind, value: float, plants: int, rng: np.random.Generator) -> np.ndarray:
        """Make plants; return which were found."""
        from scipy.optimize import linear_sum_assignment

        cross, base = self.cosines(_shared(kind), value if kind is Kind.COSINE else 0.0)
        pairs, heads, _, channels = base.shape
        number, count = self.clusters.number, len(self.clusters.sizes)
        c = strengths(self.axis, kind, value, plants=plants, blocks=pairs, rng=rng)
        c = c.reshape(plants, pairs, heads, channels)
        labels = rng.permuted(np.broadcast_to(np.arange(heads), (plants, count, heads)), axis=2)[:, number]
        flips = rng.choice([-1.0, 1.0], size=(plants, count, heads, channels))[:, number]
        coins = np.empty((plants, pairs, heads * channels))
        own = np.arange(heads)
        for plant in range(plants):
            for pair in range(pairs):
                order, flip, strong = labels[plant, pair], flips[plant, pair], c[plant, pair]
                weak = np.sqrt(1 - strong**2)
                size = np.sqrt(np.maximum(1 + 2 * strong * weak * flip * self.plain[pair, order, own], 1e-12))
                planted = strong[:, None] * base[pair] + (weak * flip)[:, None] * cross[pair, order]
                planted /= size[:, None]
                mine, theirs = linear_sum_assignment(-np.abs(planted).mean(axis=2))
                coins[plant, pair] = planted[mine, theirs].reshape(-1)
        log_evalues = coin_bets(coins) + 0.0
        return self.goal.reached(math.log(STAGES["tensors"]) + combine_plants(self.clusters.average(log_evalues)))


__all__ = ["GatePlants", "HeadPlants", "Turns", "no_turn", "pair_rows", "planted_cosine"]
