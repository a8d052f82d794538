"""E8, E9 and E10: coins against closed forms and against a slow bettor."""

from __future__ import annotations

import math

import numpy as np
import pytest

from jokbo.architectures.base import Role, Tower
from jokbo.independence.attention_signs import (
    attention_signs,
    match_value_heads,
    pair_layers,
    rotary_coins,
    rotary_pairs,
    row_cosines,
)
from jokbo.independence.base import Alignment, Cluster, Family
from jokbo.independence.betting import COIN_STAKES, coin_bets
from jokbo.independence.channel_signs import channel_signs
from jokbo.independence.grams import unit_grams
from jokbo.independence.unit_signs import match_by_gate, unit_signs_by_gate, unit_signs_in_order
from jokbo.views.component import Block, Component, ComponentKind
from jokbo.views.samples import HeadRows, UnitRows

MLP = Component("text", ComponentKind.MLP)


def slow_coins(coins: list[float]) -> float:
    norm = math.sqrt(sum(t * t for t in coins))
    bettors = []
    for stake in COIN_STAKES:
        for side in (1, -1):
            wealth = 0.0
            for t in coins:
                x = side * stake * t / norm
                wealth += x - (abs(x) + math.log1p(math.exp(-2 * abs(x))) - math.log(2))
            bettors.append(wealth)
    top = max(bettors)
    return top + math.log(sum(math.exp(b - top) for b in bettors)) - math.log(len(bettors))


@pytest.mark.parametrize("n", [1, 2, 7, 100])
def test_coins_equal_the_slow_bettor(n: int) -> None:
    coins = np.random.default_rng(n).normal(size=n)
    assert math.isclose(float(coin_bets(coins)), slow_coins(list(coins)), rel_tol=1e-9, abs_tol=1e-12)


def test_zero_coins_say_nothing() -> None:
    assert float(coin_bets(np.zeros(5))) == pytest.approx(0, abs=1e-12)
    assert np.isfinite(coin_bets(np.array([1e-300, -1e-300])))


def units(rng: np.random.Generator, layers: int = 2) -> UnitRows:
    rows = {
        role: rng.normal(size=(layers, 40, 64)).astype(np.float32) for role in (Role.FFN_GATE, Role.FFN_UP)
    }
    return UnitRows(tuple(Block(k) for k in range(layers)), np.arange(40), rows)


def flipped(rows: UnitRows, signs: np.ndarray) -> UnitRows:
    return UnitRows(
        rows.blocks, rows.index, rows.rows | {Role.FFN_UP: rows.rows[Role.FFN_UP] * signs[:, None]}
    )


def test_unit_signs_see_a_copy_and_flips_erase_it() -> None:
    rng = np.random.default_rng(1)
    a = units(rng)
    signed = frozenset({Role.FFN_UP})
    copy = unit_signs_in_order(unit_grams(a, a, clusters=None, signed=signed), component=MLP, stage="rows")[0]
    assert [row.cluster for row in copy.rows] == [Cluster(0), Cluster(1)]
    # Forty coins of one size: (40 - log of the stakes tried) bits, less what the grid leaves.
    assert all(20 < row.log_evalue < 40 * math.log(2) for row in copy.rows)
    hidden = flipped(a, rng.choice([-1, 1], 40).astype(np.float32))
    gone = unit_signs_in_order(
        unit_grams(a, hidden, clusters=None, signed=signed), component=MLP, stage="rows"
    )[0]
    assert all(row.log_evalue < math.log(1e3) for row in gone.rows)


def test_unit_signs_need_a_gate_and_one_width() -> None:
    rng = np.random.default_rng(2)
    a = units(rng)
    bare = UnitRows(a.blocks, a.index, {Role.FFN_UP: a.rows[Role.FFN_UP]})
    assert (
        unit_signs_in_order(
            unit_grams(bare, bare, clusters=None, signed=frozenset()), component=MLP, stage="rows"
        )
        == []
    )
    narrow = UnitRows(a.blocks, a.index, {role: rows[:, :, :30] for role, rows in a.rows.items()})
    assert (
        unit_signs_in_order(
            unit_grams(a, narrow, clusters=None, signed=frozenset()), component=MLP, stage="rows"
        )
        == []
    )


def test_gate_matching_undoes_permutation_and_rotation() -> None:
    rng = np.random.default_rng(3)
    a = {role: rng.normal(size=(60, 32)).astype(np.float32) for role in (Role.FFN_GATE, Role.FFN_UP)}
    turn, _ = np.linalg.qr(rng.normal(size=(32, 32)))
    p = rng.permutation(60)[:50]
    b = {role: (rows @ turn)[p].astype(np.float32) for role, rows in a.items()}
    coins, gates = match_by_gate(a, b, rotation=turn)
    assert np.allclose(coins, 1, atol=1e-5)
    assert np.allclose(gates, 1, atol=1e-5)
    assert len(coins) == 50
    blind, _ = match_by_gate(a, b)
    assert np.abs(blind).max() < 0.9
    result = unit_signs_by_gate(
        [(Cluster(0), coins, gates), (Cluster(0), coins, gates)],
        component=MLP, alignment=Alignment.ROTATED_AND_PERMUTED, stage="tensors",
    )  # fmt: skip
    # Two partners of one block share its flips: averaged, not multiplied.
    assert len(result.rows) == 1
    assert math.isclose(result.rows[0].log_evalue, float(coin_bets(coins)), rel_tol=1e-9)


def test_gate_matching_in_chunks_equals_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    a, b = (
        {role: rng.normal(size=(50, 16)).astype(np.float32) for role in (Role.FFN_GATE, Role.FFN_UP)}
        for _ in range(2)
    )
    whole = match_by_gate(a, b)
    monkeypatch.setattr("jokbo.independence.unit_signs.MATCH_CHUNK", 7)
    assert all(np.allclose(x, y) for x, y in zip(whole, match_by_gate(a, b), strict=True))


def test_channel_signs_equal_the_sum_over_rows() -> None:
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=(2, 30, 20))
    x, y = (r / np.linalg.norm(r, axis=1, keepdims=True) for r in (a, b))
    coins = [sum(x[i, k] * y[i, k] for i in range(30)) for k in range(20)]
    result = channel_signs(a, b, component=MLP, stage="rows", matching="text")
    assert math.isclose(result.rows[0].log_evalue, slow_coins(coins), rel_tol=1e-9)
    assert result.family is Family.CHANNELS
    erased = channel_signs(a, a * rng.choice([-1, 1], 20), component=MLP, stage="rows", matching="text")
    assert (
        erased.rows[0].log_evalue
        < math.log(1e3)
        < channel_signs(a, a, component=MLP, stage="rows", matching="text").rows[0].log_evalue
    )


def tower(rope: str, *, head: int = 8, heads: int = 4, kv: int = 2, part: int | None = None) -> Tower:
    facts = {"hidden_size": 32, "num_layers": 1, "num_heads": heads, "num_kv_heads": kv}
    facts |= {"head_dim": head, "v_head_dim": head, "rotary_dim": part or head, "rotary_start": 0}
    return Tower(name="text", norm="rms", gated=True, activation="silu", rope=rope, symmetries={}, **facts)


@pytest.mark.parametrize(
    ("rope", "together"), [("half", [(0, 4), (1, 5), (3, 7)]), ("interleaved", [(0, 1), (2, 3), (6, 7)])]
)
def test_rows_of_a_rotary_pair_flip_together(rope: str, together: list[tuple[int, int]]) -> None:
    numbers = rotary_pairs(tower(rope), np.arange(16))
    for a, b in together:
        assert numbers[a] == numbers[b]
        assert numbers[a] != numbers[a + 8]
    assert len(set(numbers.tolist())) == 8


def test_rows_without_rotation_flip_alone() -> None:
    assert len(set(rotary_pairs(tower("none"), np.arange(16)).tolist())) == 16
    assert len(set(rotary_pairs(tower("half", part=4), np.arange(8)).tolist())) == 6


def test_rotary_coins_average_query_and_key_rows_of_a_pair() -> None:
    rng = np.random.default_rng(6)
    index = 8 + np.arange(8)
    rows = [HeadRows((0,), index, rng.normal(size=(1, 8, 32)).astype(np.float32)) for _ in range(4)]
    # Key-value head 1 is served by query heads 2 and 3; its first query head starts at row 16.
    queries = tuple(HeadRows((0,), 16 + np.arange(8), side.rows) for side in rows[:2])
    keys = (rows[2], rows[3])
    layers = pair_layers([0], [0])
    coins = rotary_coins(queries, keys, layers, tower("half"))
    q, k = row_cosines(*queries, layers)[0], row_cosines(*keys, layers)[0]
    assert np.allclose(coins[0], [(q[i] + q[i + 4] + k[i] + k[i + 4]) / 4 for i in range(4)])


def test_layers_pair_one_to_one_or_as_a_grid() -> None:
    assert pair_layers([0, 2], [0, 2]).pairs.tolist() == [[0, 0], [1, 1]]
    grid = pair_layers([0, 1], [0, 1, 2], tied={1: 0})
    assert len(grid.pairs) == 6
    assert set(grid.clusters) == {Cluster(0)}


def test_heads_are_matched_before_their_signs_are_read() -> None:
    rng = np.random.default_rng(7)
    a = rng.normal(size=(4 * 8, 64))
    p = rng.permutation(4)
    b = a.reshape(4, 8, 64)[p].reshape(32, 64)
    assert np.allclose(match_value_heads(a, b, heads=4), 1)
    found = attention_signs(
        match_value_heads(a, b, heads=4)[None], None, pair_layers([0], [0]), component=MLP, stage="tensors"
    )
    assert len(found) == 1
    assert found[0].rows[0].log_evalue > math.log(1e5)
    assert attention_signs(None, None, pair_layers([0], [0]), component=MLP, stage="rows") == []
