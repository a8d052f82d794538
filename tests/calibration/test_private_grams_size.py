"""Size of every test that private fingerprints allow, on 2,400 independent pairs, rounded as in the file."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.tally import summarise
from calibration_rows import DRAWS, LAYERS, MLP, UNITS, make_units
from scipy.stats import binom

from jokbo.architectures.base import Role
from jokbo.independence.anchored_signs import anchored_coin_bets, anchored_signs
from jokbo.independence.base import Cluster, Family, IndependenceResult
from jokbo.independence.betting import coin_bets, combine_clusters
from jokbo.independence.combine import combine_component
from jokbo.independence.gram_grid import gram_grid
from jokbo.independence.grams import AxisGrams, normalise
from jokbo.independence.rank_betting import rank_betting
from jokbo.views.component import Block
from jokbo.views.private_grams import SCALE, make_grams
from jokbo.views.samples import UnitRows

PAIRS = 600
AT_ONCE = 100
GATE, UP = Role.FFN_GATE, Role.FFN_UP

Grams = dict[Role, np.ndarray]


def rounded(rows: np.ndarray) -> np.ndarray:
    unit = normalise(rows)
    return np.rint(SCALE * (unit @ unit.swapaxes(-1, -2))) / SCALE


def draw(name: str, rng: np.random.Generator) -> Grams:
    """Layers of many models, one after another; rows in single precision, as they are stored."""
    return {
        role: rounded(np.concatenate([DRAWS[name](rng).astype(np.float32) for _ in range(AT_ONCE)]))
        for role in (GATE, UP)
    }


def results(a: Grams, b: Grams, rng: np.random.Generator) -> list[IndependenceResult]:
    """As the exam of units runs them: all layers of all pairs at once, each a cluster of its own."""
    blocks = len(a[UP])
    clusters = tuple(Cluster(k) for k in range(blocks))
    one_to_one = np.repeat(np.arange(blocks)[:, None], 2, axis=1)
    order = rng.permutation(UNITS)
    grams = AxisGrams(np.arange(UNITS), one_to_one, clusters, None, a, b, frozenset({UP}))
    found = rank_betting(grams, component=MLP, stage="rows", order=order)
    signs = anchored_signs(
        a[UP], b[UP], one_to_one, clusters, component=MLP, stage="rows", order=order, family=Family.SIGNS
    )
    return [*found, signs]


def by_pair(found: list[IndependenceResult]) -> dict[str, list[float]]:
    """Log e-values of each pair, by test and of the component."""
    logs: dict[str, list[float]] = {}
    for pair in range(AT_ONCE):
        mine = range(pair * LAYERS, (pair + 1) * LAYERS)
        own = [
            IndependenceResult(
                r.test,
                r.version,
                MLP,
                r.family,
                r.alignment,
                r.stage,
                r.local,
                tuple(r.rows[k] for k in mine),
            )
            for r in found
        ]
        for r in own:
            value = combine_clusters([row.log_evalue for row in r.rows])
            logs.setdefault(f"{r.test} {'local' if r.local else ''}", []).append(value)
        logs.setdefault("component", []).append(combine_component(MLP, own, local_only=()).log_evalue)
    return logs


def check(test: str, logs: list[float]) -> None:
    """Mean E at most one within its error, and ``P(E >= 1 / alpha) <= alpha`` by exact binomial bounds."""
    row = summarise(test, logs)
    assert row.size_holds, row
    for alpha in (0.1, 0.05, 0.01, 0.001):
        assert (np.array(logs) >= -np.log(alpha)).sum() <= binom.isf(1e-6, len(logs), alpha), (test, alpha)


@pytest.mark.parametrize("name", DRAWS)
def test_independent_pairs_keep_their_size(name: str):
    rng = np.random.default_rng(31)
    found: dict[str, list[float]] = {}
    for _ in range(PAIRS // AT_ONCE):
        for test, logs in by_pair(results(draw(name, rng), draw(name, rng), rng)).items():
            found.setdefault(test, []).extend(logs)
    assert len(found) == 4
    for test, logs in found.items():
        assert len(logs) == PAIRS
        check(test, logs)


def test_the_grid_of_independent_layers_keeps_its_size():
    rng = np.random.default_rng(35)
    found: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(6):
        a, b = (draw("gaussian", rng)[GATE] for _ in range(2))
        for k in range(0, len(a), 4):
            numbers = range(4)
            grid = gram_grid(
                a[k : k + 4],
                b[k : k + 4],
                layers=(numbers, numbers),
                clusters=[Cluster(n) for n in numbers],
                component=MLP,
                stage="rows",
                index=np.arange(UNITS),
                order=rng.permutation(UNITS),
            )
            assert grid is not None
            for result in grid[1]:
                found[result.local].append(combine_clusters([row.log_evalue for row in result.rows]))
    for local, logs in found.items():
        assert len(logs) == 300
        check(f"grid, local {local}", logs)


def test_what_is_rounded_here_is_what_the_file_holds():
    units = make_units(DRAWS["gaussian"], np.random.default_rng(1))
    for layer in range(LAYERS):
        one = UnitRows(
            (Block(layer),), units.index, {r: rows[layer : layer + 1] for r, rows in units.rows.items()}
        )
        for role, gram in make_grams(one).grams.items():
            assert np.abs(gram / SCALE - rounded(units.rows[role][layer])).max() * SCALE <= 1.001


def test_an_evalue_that_never_pays_would_keep_any_size():
    """With few rows nothing is lost to tails, and the mean is one."""
    rng = np.random.default_rng(32)
    rows = rng.standard_normal((2, 2000, 4, 30))
    grams = rows @ rows.swapaxes(-1, -2)
    bets = np.exp(anchored_coin_bets(grams[0], grams[1], np.arange(4)))
    assert abs(bets.mean() - 1) < 4 * bets.std() / np.sqrt(2000)
    assert bets.std() > 0.3


def test_copied_layers_taken_as_eight_witnesses_are_noticed():
    rng = np.random.default_rng(33)
    rows = rng.standard_normal((2, 1500, 16, 24))
    grams = rows @ rows.swapaxes(-1, -2)
    once = anchored_coin_bets(grams[0], grams[1], np.arange(16))
    assert summarise("once", list(once)).size_holds
    assert not summarise("eight times", list(8 * once)).size_holds


def test_anchors_yet_to_come_are_noticed():
    """Summing over all others, not those visited, counts every agreement twice."""
    rng = np.random.default_rng(34)
    rows = rng.standard_normal((2, 6000, 12, 20))
    grams = rows @ rows.swapaxes(-1, -2)
    products = grams[0] * grams[1] * (1 - np.eye(12))
    assert not summarise("both ways", list(coin_bets(products.sum(axis=-1)))).size_holds
    assert summarise("past", list(anchored_coin_bets(grams[0], grams[1], np.arange(12)))).size_holds
