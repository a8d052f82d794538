"""E11 and the grid of Gram matrices: exact means by enumeration, laws, power, and what erases them."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jokbo.independence.anchored_signs import anchored_coin_bets, anchored_signs, gram_agreement
from jokbo.independence.base import Alignment, Cluster, Family
from jokbo.independence.combine import strongest_alignment
from jokbo.independence.gram_grid import gram_grid, tie_grams
from jokbo.independence.grams import normalise
from jokbo.independence.unit_grid import MAX_CELLS
from jokbo.views.component import Component, ComponentKind

MLP = Component("text", ComponentKind.MLP)


def gram(rows: np.ndarray) -> np.ndarray:
    unit = normalise(rows)
    return unit @ unit.swapaxes(-1, -2)


def pair(seed: int, cosine: float, *, m: int = 32, width: int = 200) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.random.default_rng(seed).standard_normal((2, m, width))
    return gram(a), gram(cosine * a + math.sqrt(1 - cosine**2) * b)


@given(st.integers(0, 10_000), st.integers(2, 7))
def test_the_mean_over_all_flips_is_one(seed: int, m: int):
    """Given the sizes of everything, each of the 2^m choices of signs is as likely: enumerate them."""
    a, b = pair(seed, 0.7, m=m, width=9)
    order = np.random.default_rng(seed).permutation(m)
    signs = np.array(list(itertools.product([1.0, -1.0], repeat=m)))
    flipped = a * signs[:, :, None] * signs[:, None, :]
    values = np.exp(anchored_coin_bets(flipped, np.broadcast_to(b, flipped.shape), order))
    assert np.isclose(values.mean(), 1.0, rtol=1e-9)


@given(st.integers(0, 10_000))
def test_flips_of_all_rows_together_change_nothing(seed: int):
    a, b = pair(seed, 0.8, m=12)
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], 12)
    both = [side * signs * signs[:, None] for side in (a, b)]
    order = np.arange(12)
    assert np.isclose(anchored_coin_bets(a, b, order), anchored_coin_bets(*both, order))


def test_evidence_grows_with_agreement_and_stops_at_one_bit_a_row():
    logs = [
        float(anchored_coin_bets(*pair(3, c), np.arange(32))) / math.log(10) for c in (0.0, 0.5, 0.8, 0.99)
    ]
    assert logs == sorted(logs)
    assert logs[0] < 1
    assert 7 < logs[3] <= 31 * math.log10(2)


def test_zero_matrices_say_nothing():
    nothing = np.zeros((3, 8, 8))
    assert np.allclose(anchored_coin_bets(nothing, nothing, np.arange(8)), 0.0)


def test_results_name_their_clusters_and_no_cosine_is_taken_for_seen():
    a, b = (np.stack(side) for side in zip(pair(1, 0.95), pair(2, 0.0), strict=True))
    result = anchored_signs(
        a,
        b,
        np.array([[0, 0], [1, 1]]),
        [Cluster(0), Cluster(1)],
        component=MLP,
        stage="rows",
        order=np.arange(32),
        family=Family.SIGNS,
    )
    assert [row.cluster for row in result.rows] == [Cluster(0), Cluster(1)]
    assert result.rows[0].log_evalue > math.log(1e5) > result.rows[1].log_evalue
    assert result.rows[0].effect_size > 0.8
    assert result.alignment is Alignment.ROTATED
    assert not result.rests_on_order
    assert strongest_alignment([result], [Family.SIGNS], log_threshold=0.0) is None


def test_agreement_is_the_cosine_of_the_rows():
    a, b = pair(5, 0.8, m=200, width=400)
    assert abs(float(gram_agreement(a[None], b[None])[0]) - 0.8) < 0.02
    assert float(gram_agreement(a[None], np.zeros_like(b)[None])[0]) == 0.0


def test_copies_are_tied_by_order_or_by_sign():
    (a, b), noise = pair(6, 0.0), np.random.default_rng(7).normal(size=(32, 32)) * 0.01
    signs = np.random.default_rng(8).choice([-1.0, 1.0], 32)
    order = np.random.default_rng(9).permutation(32)
    near = a + noise + noise.T
    assert tie_grams(np.stack([a, b, near]), None) == {0: 0, 1: 1, 2: 0}
    assert tie_grams(None, np.stack([b, a, near])) == {0: 0, 1: 1, 2: 1}
    flipped, moved = near * signs * signs[:, None], near[order][:, order]
    assert tie_grams(np.stack([np.abs(a), np.abs(flipped)]), np.stack([a, flipped])) == {0: 0, 1: 0}
    assert tie_grams(None, np.stack([a, flipped])) == {0: 0, 1: 1}
    assert tie_grams(np.stack([a, moved]), None) == {0: 0, 1: 1}


def grid(a: np.ndarray, b: np.ndarray, clusters: list[Cluster] | None = None):
    return gram_grid(
        a,
        b,
        layers=(range(len(a)), range(10, 10 + len(b))),
        clusters=clusters or [Cluster(k) for k in range(len(a))],
        component=MLP,
        stage="rows",
        index=np.arange(a.shape[1]),
        order=np.random.default_rng(0).permutation(a.shape[1]),
    )


def test_a_layer_copied_elsewhere_is_placed_and_tied_layers_are_one_witness():
    first, second, third = (pair(seed, 0.95, m=48)[0] for seed in (1, 2, 3))
    a = np.stack([first, second, third])
    b = np.stack([pair(9, 0.0, m=48)[0], pair(2, 0.95, m=48)[1]])
    found = grid(a, b)
    assert found is not None
    picture, results = found
    assert picture.reference == (0, 1, 2)
    assert picture.candidate == (10, 11)
    assert np.unravel_index(picture.log_evalues.argmax(), (3, 2)) == (1, 1)
    assert picture.log_evalues[1, 1] > math.log(1e10)
    assert picture.effects[1, 1] > 0.8 > 0.5 > np.delete(picture.effects.reshape(-1), 3).max()
    assert [result.local for result in results] == [False, True]
    tied = grid(a, b, [Cluster(0), Cluster(0), Cluster(2)])
    assert tied is not None
    assert [row.cluster for row in tied[1][0].rows] == [Cluster(0), Cluster(2)]


@pytest.mark.parametrize("shape", [(1, 1), (MAX_CELLS, 2)])
def test_no_grid_of_one_layer_or_of_too_many(shape: tuple[int, int]):
    a, b = (np.broadcast_to(np.eye(2), (count, 2, 2)) for count in shape)
    assert grid(a, b) is None
