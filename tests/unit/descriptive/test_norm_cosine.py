from __future__ import annotations

import numpy as np
import pytest

from jokbo.architectures.base import Role
from jokbo.descriptive.norm_cosine import Gains, NormCosines, all_cosines, centre, norm_cosines, row_cosines
from jokbo.descriptive.norm_heatmap import norm_heatmaps

CHANNELS = 4096
LAYERS = 6


def draw(seed: int, layers: int = LAYERS) -> dict[tuple[Role, int | None], np.ndarray]:
    """Gains as in the published control: mean 1, standard deviation 0.1."""
    rng = np.random.default_rng(seed)
    gains = {(Role.ATTN_NORM, layer): rng.normal(1.0, 0.1, CHANNELS) for layer in range(layers)}
    return {**gains, (Role.OUTPUT_NORM, None): rng.normal(1.0, 0.1, CHANNELS)}


def run(reference: dict, candidate: dict) -> NormCosines:
    return norm_cosines(Gains("text", reference, candidate), rng=np.random.default_rng(1))


def test_independent_gains_score_as_published_for_random_vectors() -> None:
    found = run(draw(0), draw(1))
    # 1 / (1 + 0.1 ** 2) = 0.990099; the published control says 0.9901.
    assert found.mean_raw == pytest.approx(0.9901, abs=5e-4)
    assert all(abs(row.centred) < 5 / np.sqrt(CHANNELS) for row in found.rows)


def test_shuffling_leaves_the_raw_cosine_where_its_closed_form_says() -> None:
    a, b = draw(0), draw(1)
    for row in run(a, b).rows:
        x, y = a[Role(row.role), row.layer], b[Role(row.role), row.layer]
        expected = x.sum() * y.sum() / (CHANNELS * np.linalg.norm(x) * np.linalg.norm(y))
        assert row.shuffled == pytest.approx(expected, abs=2e-4)
        assert row.raw == pytest.approx(row.shuffled, abs=1e-3)


def test_equal_gains_are_one_centred_and_less_when_shuffled() -> None:
    found = run(draw(0), draw(0))
    assert found.mean_raw == found.mean_centred == 1.0
    assert found.mean_shuffled == pytest.approx(0.9901, abs=5e-4)


def test_scale_changes_nothing() -> None:
    a, b = draw(0), draw(1)
    assert run(a, {place: 3.0 * values for place, values in b.items()}) == run(a, b)


def test_centred_is_numpys_correlation() -> None:
    a, b = draw(0), draw(1)
    row = run(a, b).rows[0]
    place = (Role.ATTN_NORM, 0)
    assert row.centred == pytest.approx(np.corrcoef(a[place], b[place])[0, 1], abs=1e-6)


@pytest.mark.parametrize("level", [1.0, 0.1, 1 / 3])
def test_constant_gains_have_a_raw_cosine_and_no_correlation(level: float) -> None:
    flat = {place: np.full(CHANNELS, level) for place in draw(0)}
    found = run(flat, draw(1))
    assert found.mean_raw == pytest.approx(1 / np.sqrt(1.01), abs=1e-3)
    assert found.mean_centred is None
    assert [row.centred for row in found.rows] == [None] * len(found.rows)
    assert found.scores()[2].reason.code == "reason.constant_gains"


def test_zero_gains_have_no_cosine_at_all() -> None:
    found = run({place: np.zeros(CHANNELS) for place in draw(0)}, draw(1))
    assert {(row.raw, row.shuffled, row.centred) for row in found.rows} == {(None, None, None)}
    assert {value.reason.code for value in found.scores()} == {"reason.zero_gains"}


def test_norms_pair_by_number_where_depths_differ() -> None:
    found = run(draw(0, layers=6), draw(1, layers=3))
    assert [row.layer for row in found.rows] == [0, 1, 2, None]


def test_no_norm_in_common_is_a_reason() -> None:
    found = run({(Role.ATTN_NORM, 0): np.ones(4)}, {(Role.FFN_NORM, 0): np.ones(4)})
    assert found.reason.code == "reason.no_shared_norms"
    assert found.rows == ()


def test_centre_leaves_no_rounding_behind_in_constant_rows() -> None:
    assert not centre(np.full((1, 7), 0.1)).any()


def test_all_cosines_holds_the_row_cosines_on_its_diagonal() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(2, 5, 32))
    np.testing.assert_allclose(np.diag(all_cosines(a, b)), row_cosines(a, b), atol=1e-12)


def test_heatmap_is_rectangular_and_shows_a_dropped_layer_as_a_shifted_diagonal() -> None:
    a = draw(0, layers=5)
    kept = [0, 1, 3, 4]
    b = {(Role.ATTN_NORM, new): a[Role.ATTN_NORM, old] for new, old in enumerate(kept)}
    (heatmap,) = norm_heatmaps(Gains("text", a, b))
    assert (heatmap.reference_layers, heatmap.candidate_layers) == ((0, 1, 2, 3, 4), (0, 1, 2, 3))
    assert np.argmax(np.array(heatmap.centred), axis=0).tolist() == kept
    assert np.array(heatmap.raw).min() > 0.98


def test_heatmap_needs_two_layers_in_both() -> None:
    assert norm_heatmaps(Gains("text", draw(0, layers=3), draw(1, layers=1))) == ()


def test_heatmap_has_no_number_for_a_constant_layer() -> None:
    a = draw(0, layers=2)
    a[Role.ATTN_NORM, 1] = np.full(CHANNELS, 0.7)
    (heatmap,) = norm_heatmaps(Gains("text", a, draw(1, layers=2)))
    assert heatmap.centred[1] == (None, None)
    assert None not in heatmap.raw[1]
