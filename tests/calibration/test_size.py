"""Size: independent pairs are not accused, whatever their weights look like.

A smaller form of `make calibration`. Every bound is exact and can fail: `test_mutations.py`
shows that it does.
"""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.null_pairs import measure
from benchmarks.populations import POPULATIONS, Population
from benchmarks.tally import Tally, failures

SEED = 7
PAIRS = {False: 12, True: 4}
"""End-to-end pairs of each plain and of each structured population."""


def tally_of(population: Population, pairs: int) -> Tally:
    tally = Tally()
    for number in range(pairs):
        tally.add(measure(*population.pair(number, seed=SEED), seed=number))
    return tally


@pytest.mark.parametrize("population", POPULATIONS, ids=lambda p: p.name)
def test_population_keeps_its_size(population: Population) -> None:
    tally = tally_of(population, PAIRS[population.structured])
    assert tally.log_evalues["all components"]
    assert failures(tally, structured=population.structured) == []


def test_pairs_repeat() -> None:
    first, second = (tally_of(POPULATIONS[0], 1) for _ in range(2))
    assert first.log_evalues == second.log_evalues
    assert all(np.array_equal(first.ranks[name], second.ranks[name]) for name in first.ranks)
