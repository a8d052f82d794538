"""Krippendorff's alpha against evalica's."""

from __future__ import annotations

import numpy as np
import pytest

from jokbo.league.statistics.agreement import krippendorff_alpha

pytestmark = pytest.mark.torch  # evalica belongs to the full environment


@pytest.mark.parametrize("metric", ["interval", "ordinal"])
@pytest.mark.parametrize("seed", range(6))
def test_alpha_is_evalicas(metric: str, seed: int) -> None:
    import evalica
    import pandas as pd

    rng = np.random.default_rng(seed)
    ratings = np.round(rng.normal(0, 2, (1, 12)) + rng.normal(0, 1, (8, 12)))
    ratings[rng.random(ratings.shape) < 0.2] = np.nan
    theirs = evalica.alpha(pd.DataFrame(ratings), distance=metric).alpha
    assert krippendorff_alpha(ratings, metric=metric).alpha == pytest.approx(theirs, abs=1e-9)
