"""Gram matrices of a private fingerprint: exact sums, one result everywhere, and what rotation leaves."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from jokbo.architectures.base import Role
from jokbo.independence.grams import normalise
from jokbo.testing.transforms import haar_rotation
from jokbo.views.component import Block
from jokbo.views.private_grams import SCALE, HeldGrams, make_grams, whole_rows
from jokbo.views.samples import UnitRows

GATE, UP, VALUE = Role.FFN_GATE, Role.FFN_UP, Role.ATTN_V


def rows(
    seed: int = 0, *, units: int = 12, width: int = 40, roles: tuple[Role, ...] = (GATE, UP)
) -> UnitRows:
    rng = np.random.default_rng(seed)
    stacks = {role: rng.normal(size=(1, units, width)).astype(np.float32) for role in roles}
    return UnitRows((Block(3),), np.arange(7, 7 + units), stacks)


def equal(a: HeldGrams, b: HeldGrams) -> bool:
    return a.data == b.data and a.start == b.start


finite = st.floats(-(2.0**100), 2.0**100, width=32, allow_nan=False, allow_subnormal=False)


@given(arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(1, 70)), elements=finite))
def test_products_of_whole_rows_are_exact_in_any_order(given_rows: np.ndarray):
    whole, powers = whole_rows(given_rows)
    exact = [
        [sum(Fraction(x) * Fraction(y) for x, y in zip(a, b, strict=True)) for b in whole] for a in whole
    ]
    for found in (whole @ whole.T, whole[:, ::-1] @ whole[:, ::-1].T, np.einsum("id,jd->ij", whole, whole)):
        assert [[Fraction(x) for x in row] for row in found] == exact
    back = np.ldexp(whole, -powers[:, None])
    largest = np.abs(given_rows.astype(float)).max(axis=1, keepdims=True)
    assert (np.abs(back - given_rows) <= largest * 2.0**-20).all()


def test_no_width_makes_a_sum_inexact():
    for width in (2, 3, 4096, 4097, 65_536):
        whole, _ = whole_rows(np.full((1, width), 1.9999999, dtype=np.float32))
        assert 2**50 < float((whole**2).sum()) <= 2**53 or width < 4


def test_steps_are_the_cosines_rounded():
    made = make_grams(rows())
    for role in (GATE, UP):
        unit = normalise(rows().rows[role][0])
        assert np.abs(made.grams[role] - SCALE * (unit @ unit.T)).max() < 0.51
        assert (np.diagonal(made.grams[role]) == SCALE).all()
    gate, up = (normalise(rows().rows[role][0]) for role in (GATE, UP))
    assert np.abs(made.cosines - SCALE * (gate * up).sum(axis=1)).max() < 0.51
    sizes = np.linalg.norm(rows().rows[UP][0].astype(float), axis=1)
    assert (made.ranks[1] == sizes.argsort().argsort()).all()
    assert made.start == 7
    assert made.count == 12


def test_a_correctly_rounded_sum_gives_the_same_bytes():
    """As another machine could compute it: every sum in another order, without rounding on the way."""
    given_rows = rows(4, width=300)
    made = make_grams(given_rows)
    for role, stack in given_rows.rows.items():
        whole, _ = whole_rows(stack[0])
        for i, a in enumerate(whole):
            for j, b in enumerate(whole):
                dot, mine, theirs = (math.fsum(x * y) for x, y in ((a, b), (a, a), (b, b)))
                assert made.grams[role][i, j] == np.rint(SCALE * (dot / math.sqrt(mine * theirs)))


def test_a_rotation_of_the_residual_stream_moves_a_step_at_most():
    turn = haar_rotation(40, rng=np.random.default_rng(1))
    turned = UnitRows(
        rows().blocks,
        rows().index,
        {role: (stack.astype(float) @ turn).astype(np.float32) for role, stack in rows().rows.items()},
    )
    a, b = make_grams(rows()), make_grams(turned)
    for role in (GATE, UP):
        assert np.abs(a.grams[role].astype(int) - b.grams[role]).max() <= 1
        assert (a.grams[role] != b.grams[role]).mean() < 0.01
    assert (a.ranks == b.ranks).all()


def test_relabelling_and_flips_act_on_gram_matrices_alone():
    """Rounding treats all rows alike, so the tests stay exact on what was rounded."""
    rng = np.random.default_rng(2)
    order, signs = rng.permutation(12), rng.choice([-1, 1], 12).astype(np.float32)
    moved = UnitRows(
        rows().blocks,
        rows().index,
        {
            role: stack[:, order] * (signs[order][:, None] if role is UP else 1)
            for role, stack in rows().rows.items()
        },
    )
    a, b = make_grams(rows()), make_grams(moved)
    assert (b.grams[GATE] == a.grams[GATE][order][:, order]).all()
    assert (b.grams[UP] == (a.grams[UP] * signs * signs[:, None])[order][:, order]).all()
    assert (b.cosines == (a.cosines * signs)[order]).all()
    assert (b.ranks == a.ranks[:, order]).all()


@pytest.mark.parametrize("what", ["zero", "constant", "repeated"])
def test_rows_without_identity_show_nothing(what: str):
    given_rows = rows()
    stack = given_rows.rows[UP][0]
    stack[4] = {"zero": 0.0, "constant": 0.7, "repeated": stack[9]}[what]
    made = make_grams(given_rows)
    bad = [4, 9] if what == "repeated" else [4]
    for gram in made.grams.values():
        assert not gram[bad].any()
        assert not gram[:, bad].any()
        assert (np.delete(np.diagonal(gram), bad) == SCALE).all()
    assert (made.ranks[:, bad] == -1).all()
    assert not made.cosines[bad].any()


def test_one_place_of_many_is_the_same_as_alone():
    many = UnitRows(
        (Block(0), Block(1)),
        np.arange(12),
        {role: np.concatenate([rows(5).rows[role], rows(6).rows[role]]) for role in (GATE, UP)},
    )
    alone = UnitRows((Block(1),), np.arange(12), rows(6).rows)
    assert equal(make_grams(many, 1), make_grams(alone))


def test_value_rows_have_neither_ranks_nor_cosines():
    made = make_grams(rows(roles=(VALUE,)))
    assert made.ranks.shape == (0, 12)
    assert made.cosines.shape == (0,)
    assert len(made.data) == 12 * 13
