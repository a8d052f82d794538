from __future__ import annotations

import pytest
from architecture_catalogs import CONFIG, catalog, llama

from jokbo.architectures import Anatomy, Kind, Role, match
from jokbo.errors import ArchitectureError

UP = "model.layers.0.mlp.up_proj.weight"


def with_scale(suffix: str, shape: tuple[int, ...], block: list[int] | None = None) -> Anatomy:
    config = {**CONFIG, "quantization_config": {"weight_block_size": block}}
    return match(catalog(llama() | {UP + suffix: shape}, **{UP: "F8_E4M3"}), config)


@pytest.mark.parametrize(
    ("suffix", "shape", "block", "covered"),
    [
        ("_scale_inv", (3, 2), [4, 4], (4, 4)),
        ("_scale_inv", (3, 1), [5, 8], (5, 8)),
        ("_scale", (), None, (12, 8)),
        ("_scale", (1,), None, (12, 8)),
        ("_scale", (12, 1), None, (1, 8)),
        ("_scale", (12,), None, (1, 8)),
        ("_scale", (1, 8), None, (12, 1)),
    ],
)
def test_scale_is_tied_to_its_weight(
    suffix: str, shape: tuple[int, ...], block: list[int] | None, covered: tuple[int, int]
) -> None:
    anatomy = with_scale(suffix, shape, block)
    assert anatomy.unrecognised == anatomy.missing == ()
    weight = anatomy.find("text", Role.FFN_UP, layer=0)
    assert weight is not None
    assert weight.scale is not None
    assert weight.scale.name == UP + suffix
    assert weight.scale_block == covered
    scale = anatomy.find("text", Role.FFN_UP, layer=0, kind=Kind.SCALE)
    assert scale is not None
    assert scale.name == UP + suffix
    other = anatomy.find("text", Role.FFN_UP, layer=1)
    assert other is not None
    assert other.scale is None
    assert other.scale_block is None


def test_a_scale_that_fits_nothing_is_an_error() -> None:
    with pytest.raises(
        ArchitectureError, match=r"has shape \[5, 2\]; its weight \[12, 8\] takes \[3, 2\] \(blocks of"
    ):
        with_scale("_scale_inv", (5, 2), [4, 4])
    with pytest.raises(ArchitectureError, match=r"takes \[12, 1\] or one number"):
        with_scale("_scale_inv", (5, 2))


def test_scales_of_activations_are_buffers() -> None:
    stem = "model.layers.0.mlp.up_proj"
    anatomy = match(catalog(llama() | {f"{stem}.input_scale": ()}), CONFIG)
    assert anatomy.unrecognised == ()
    assert [part.kind for part in anatomy.parts if part.entry.name == f"{stem}.input_scale"] == [Kind.BUFFER]


def test_a_second_scale_is_not_guessed_at() -> None:
    config = {**CONFIG, "quantization_config": {"weight_block_size": [4, 4]}}
    shapes = llama() | {UP + "_scale": (12, 1), UP + "_scale_inv": (3, 2)}
    anatomy = match(catalog(shapes, **{UP: "F8_E4M3"}), config)
    assert len(anatomy.unrecognised) == 1


def test_a_scale_without_its_weight_is_not_recognised() -> None:
    anatomy = match(catalog(llama() | {"model.layers.9.mlp.up_proj.weight_scale": (1,)}), CONFIG)
    assert anatomy.unrecognised == ("model.layers.9.mlp.up_proj.weight_scale",)


def test_integers_with_row_scales_are_weights() -> None:
    anatomy = match(catalog(llama() | {UP + "_scale": (12, 1)}, **{UP: "I8"}), CONFIG)
    assert anatomy.unrecognised == ()
    assert anatomy.towers["text"].symmetries["unit_permutation"].holds
