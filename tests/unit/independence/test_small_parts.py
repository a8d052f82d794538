"""Grams, fixed points, norm patterns, ties between blocks, learned measures, alignment and the plan."""

from __future__ import annotations

import math

import numpy as np
import pytest

from jokbo.architectures.base import Kind, Role
from jokbo.errors import UsageError
from jokbo.independence.alignment import procrustes
from jokbo.independence.base import Cluster
from jokbo.independence.betting import calibrate_log_pvalue
from jokbo.independence.fixed_points import fixed_points
from jokbo.independence.grams import AxisGrams, normalise, ranks, unit_grams
from jokbo.independence.learned import SharedLearning, subspace_overlap
from jokbo.independence.norm_pattern import align_norms, centred_correlation, norm_pattern
from jokbo.independence.plan import MIN_BUDGET_BYTES, Budget, Lot, parse_budget
from jokbo.independence.self_dependence import join_ties, tie_blocks, tie_rows
from jokbo.views.component import Block, Component, ComponentKind
from jokbo.views.samples import NormVector, UnitRows

MLP = Component("text", ComponentKind.MLP)
NORMS = Component("text", ComponentKind.NORMS)


def units(rows: np.ndarray, *, first: int = 0) -> UnitRows:
    blocks = tuple(Block(first + k) for k in range(len(rows)))
    return UnitRows(blocks, np.arange(rows.shape[1]), {Role.FFN_UP: rows.astype(np.float32)})


def test_grams_are_cosines_of_paired_blocks() -> None:
    rng = np.random.default_rng(0)
    a, b = units(rng.normal(size=(2, 5, 7))), units(rng.normal(size=(2, 5, 7)))
    grams = unit_grams(a, b, clusters=None, signed=frozenset())
    assert grams.cross is not None
    for block, i, j in np.ndindex(2, 5, 5):
        x, y = a.rows[Role.FFN_UP][block, j].astype(float), b.rows[Role.FFN_UP][block, i].astype(float)
        expected = x @ y / np.linalg.norm(x) / np.linalg.norm(y)
        assert math.isclose(grams.cross[Role.FFN_UP][block, i, j], expected, abs_tol=1e-9)
    assert grams.clusters == (Cluster(0), Cluster(1))


def test_grids_and_other_widths() -> None:
    rng = np.random.default_rng(1)
    a = units(rng.normal(size=(2, 5, 7)))
    grid = unit_grams(a, units(rng.normal(size=(3, 5, 7))), clusters={0: 0, 1: 0}, signed=frozenset())
    assert grid.pairs.tolist() == [[i, j] for i in range(2) for j in range(3)]
    assert set(grid.clusters) == {Cluster(0)}
    reference, candidate = grid.gram_stacks()
    assert reference.shape == candidate.shape == (6, 5, 5)
    assert np.allclose(np.diagonal(candidate, axis1=1, axis2=2), 1)
    wide = unit_grams(a, units(rng.normal(size=(2, 5, 9))), clusters=None, signed=frozenset())
    assert wide.cross is None
    assert wide.direct_scores() is None


def test_flipped_roles_enter_by_size() -> None:
    rng = np.random.default_rng(2)
    a = units(rng.normal(size=(1, 6, 8)))
    hidden = units(a.rows[Role.FFN_UP] * rng.choice([-1, 1], (6, 1)))
    kinds = [unit_grams(a, b, clusters=None, signed=frozenset({Role.FFN_UP})) for b in (a, hidden)]
    assert np.allclose(kinds[0].direct_scores(), kinds[1].direct_scores())
    assert np.allclose(kinds[0].gram_stacks()[1], kinds[1].gram_stacks()[1])


def test_normalise_keeps_zero_rows_and_ranks_share_ties() -> None:
    assert normalise(np.zeros((2, 3))).tolist() == [[0, 0, 0], [0, 0, 0]]
    assert ranks(np.array([[10.0, 20.0, 10.0, 5.0]])).tolist() == [[2.5, 4.0, 2.5, 1.0]]


def square(scores: np.ndarray) -> AxisGrams:
    m, role = len(scores), Role.FFN_UP
    eye = {role: np.eye(m)[None]}
    return AxisGrams(np.arange(m), np.zeros((1, 2), dtype=int), (Cluster(0),), {role: scores[None]}, eye, eye)


@pytest.mark.parametrize("hits", [0, 1, 5, 12])
def test_fixed_points_count_best_matches(hits: int) -> None:
    scores = np.eye(12)[np.r_[:hits, np.roll(np.arange(hits, 12), 1)]]
    [found] = fixed_points(square(scores), component=MLP, stage="rows", rng=np.random.default_rng(0))
    expected = hits if hits < 11 else 12
    log_p = -math.lgamma(expected + 1) if expected else 0.0
    assert found.rows[0].log_evalue == pytest.approx(calibrate_log_pvalue(log_p), rel=1e-9)
    assert found.rows[0].effect_size == pytest.approx(expected / 12)


def test_fixed_points_break_ties_at_random() -> None:
    logs = [
        fixed_points(
            square(np.zeros((30, 30))), component=MLP, stage="rows", rng=np.random.default_rng(seed)
        )[0]
        for seed in range(200)
    ]
    assert sum(r.rows[0].effect_size for r in logs) / 200 == pytest.approx(1 / 30, abs=0.01)


def norm(layer: int | None, values: np.ndarray, role: Role = Role.FFN_NORM) -> NormVector:
    return NormVector(role, Kind.WEIGHT, layer, values)


def test_norms_pair_by_layer_or_by_role_and_leave_constants_out() -> None:
    rng = np.random.default_rng(3)
    a = [norm(0, rng.normal(size=8)), norm(1, np.ones(8)), norm(None, rng.normal(size=8), Role.OUTPUT_NORM)]
    b = [
        norm(0, rng.normal(size=8)),
        norm(1, rng.normal(size=8)),
        norm(None, rng.normal(size=8), Role.OUTPUT_NORM),
    ]
    first, second = align_norms(a, b)
    assert first.shape == second.shape == (2, 8)
    deeper = [*b, norm(2, rng.normal(size=8))]
    first, second = align_norms(a, deeper)
    assert len(first) == 2
    assert np.allclose(second[0], np.mean([b[0].values, b[1].values, deeper[-1].values], axis=0))
    assert align_norms([], [])[0].shape[0] == 0


def test_norm_pattern_sees_order_and_not_the_common_level() -> None:
    rng = np.random.default_rng(4)
    gains = 1 + 0.05 * rng.normal(size=(6, 64))
    order, channels = rng.permutation(64), np.arange(64)

    def test(other: np.ndarray, labels: np.ndarray | None = None) -> float:
        found = norm_pattern(
            gains, other, component=NORMS, stage="rows", channels=channels, order=order, labels=labels
        )
        assert found.local is (labels is not None)
        return found.rows[0].log_evalue

    fresh = 1 + 0.05 * rng.normal(size=(6, 64))
    # Raw cosine calls these two alike; centred ranks do not.
    raw = float((gains * fresh).sum() / np.linalg.norm(gains) / np.linalg.norm(fresh))
    assert raw > 0.99
    assert test(fresh) < math.log(20)
    assert test(3 * gains - 1) > math.log(1e60)
    assert math.log(1e9) < test(gains, channels // 16) <= math.lgamma(17)
    assert centred_correlation(gains, 3 * gains - 1) == pytest.approx(1)
    assert abs(centred_correlation(gains, fresh)) < 0.2


@pytest.mark.parametrize("cosine", [0.5, 0.9, 1.0])
def test_copied_blocks_are_tied(cosine: float) -> None:
    rng = np.random.default_rng(5)
    rows = rng.normal(size=(4, 16, 256))
    rows[2] = cosine * rows[0] + math.sqrt(1 - cosine**2) * rows[2]
    assert tie_blocks(units(rows), order=rng.permutation(16)) == {0: 0, 1: 1, 2: 0, 3: 3}
    assert tie_rows(rows) == ({0: 0, 1: 1, 2: 0, 3: 3})


def test_rotated_copies_are_tied_by_their_grams() -> None:
    rng = np.random.default_rng(6)
    rows = rng.normal(size=(2, 16, 16))
    turn, _ = np.linalg.qr(rng.normal(size=(16, 16)))
    rows[1] = rows[0] @ turn
    assert tie_blocks(units(rows), order=rng.permutation(16)) == {0: 0, 1: 0}


def test_unrelated_blocks_stay_apart_and_ties_join() -> None:
    rng = np.random.default_rng(7)
    assert tie_blocks(units(rng.normal(size=(5, 16, 64))), order=rng.permutation(16)) == {
        k: k for k in range(5)
    }
    assert tie_blocks(units(rng.normal(size=(1, 16, 64))), order=rng.permutation(16)) == {0: 0}
    assert tie_rows(rng.normal(size=(1, 8, 64))) == {0: 0}
    assert join_ties({0: 0, 1: 0, 2: 2, 3: 3}, {0: 0, 1: 1, 2: 1, 3: 3}) == {0: 0, 1: 0, 2: 0, 3: 3}
    assert join_ties() == {}


def test_subspaces_overlap_fully_partly_or_by_chance() -> None:
    rng = np.random.default_rng(8)
    strong = rng.normal(size=(100, 8)) @ (10 * np.linalg.qr(rng.normal(size=(64, 8)))[0].T)
    a = strong + 0.1 * rng.normal(size=(100, 64))
    assert subspace_overlap(a, a[::-1]) == pytest.approx(1)
    assert subspace_overlap(a, strong) > 0.95
    assert subspace_overlap(a, rng.normal(size=(90, 64))) == pytest.approx(8 / 64, abs=0.1)


def test_learning_is_shared_when_either_measure_says_so() -> None:
    assert not SharedLearning().shared
    assert not SharedLearning(0.07, 0.04).shared
    assert SharedLearning(0.87, None).shared
    assert SharedLearning(None, 0.64).shared


def test_procrustes_is_orthogonal_and_best() -> None:
    rng = np.random.default_rng(9)
    a, turn = rng.normal(size=(60, 6)), np.linalg.qr(rng.normal(size=(6, 6)))[0]
    b = a @ turn + 0.1 * rng.normal(size=(60, 6))
    found = procrustes(a, b)
    assert np.allclose(found @ found.T, np.eye(6))
    loss = np.linalg.norm(a @ found - b)
    others = [np.linalg.qr(rng.normal(size=(6, 6)))[0] for _ in range(50)]
    assert all(loss <= np.linalg.norm(a @ other - b) for other in (*others, turn))


@pytest.mark.parametrize(
    ("text", "size"), [("2%", 20_000), ("500MB", 500_000_000), ("1GiB", 2**30), ("7", 7), ("full", 2_000_000)]
)
def test_budgets(text: str, size: int) -> None:
    assert parse_budget(text).bytes_of(1_000_000) == size
    assert parse_budget(text).explicit


def test_default_budget_has_a_floor_and_screen_stops_early() -> None:
    assert parse_budget(None) == Budget()
    assert Budget().bytes_of(1000) == MIN_BUDGET_BYTES
    assert Budget().bytes_of(10**12) == 5 * 10**9
    assert parse_budget("screen").last_stage == "screen"


@pytest.mark.parametrize("text", ["", "0", "-3MB", "2 apples", "%", "0%", "1e5"])
def test_wrong_budgets_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--budget"):
        parse_budget(text)


def test_the_lot_depends_on_seed_digests_and_purpose() -> None:
    lot = Lot(0, "a", "b")
    assert lot.draw("x").integers(1 << 60) == Lot(0, "a", "b").draw("x").integers(1 << 60)
    others = [
        Lot(1, "a", "b").draw("x"),
        Lot(0, "c", "b").draw("x"),
        Lot(0, "a", "c").draw("x"),
        lot.draw("y"),
    ]
    assert len({int(rng.integers(1 << 60)) for rng in (lot.draw("x"), *others)}) == 5


def test_windows_layers_and_channel_blocks() -> None:
    lot = Lot(0, "a", "b")
    window = lot.window("w", 1000, 64)
    assert np.array_equal(window, window[0] + np.arange(64))
    assert window[-1] < 1000
    assert np.array_equal(lot.window("w", 10, 64), np.arange(10))
    assert lot.layers("l", [3, 5, 7], 5) == [3, 5, 7]
    chosen = lot.layers("l", list(range(32)), 4)
    assert [layer // 8 for layer in chosen] == [0, 1, 2, 3]
    channels = lot.channel_blocks("c", 4096, 128)
    assert len(channels) == 128
    assert all(set(range(b * 16, b * 16 + 16)) <= set(channels.tolist()) for b in set(channels // 16))
    assert np.array_equal(lot.channel_blocks("c", 100, 128), np.arange(100))
