"""The facts that decide accusations: one row a fact, the axis it opens or closes."""

from __future__ import annotations

import pytest

from jokbo.architectures.base import Kind, Layout, Part, Role
from jokbo.architectures.expressions import Scope
from jokbo.architectures.schema import SymmetryRule, TowerRule
from jokbo.architectures.symmetries import build_tower, with_scales
from jokbo.errors import ArchitectureError
from jokbo.formats.base import TensorEntry
from jokbo.formats.dtypes import DType
from jokbo.sources.base import ByteRange

SIZES = {"hidden_size": 256, "num_layers": 1, "num_heads": 4, "num_kv_heads": 2, "head_dim": 64}
FACTS = {
    "norm": "'rms'",
    "mlp": "'gated'",
    "activation": "'silu'",
    "positions": "'rotary'",
    "rope": "'half'",
    "rotary_dim": "head_dim",
}


def holding(**facts: str) -> set[str]:
    tower = build_tower(
        "text", TowerRule(facts={**FACTS, **facts}), Scope("config.json", {}, {}, sizes=dict(SIZES))
    )
    assert all(symmetry.reason for symmetry in tower.symmetries.values())
    return {axis for axis, symmetry in tower.symmetries.items() if symmetry.holds}


ALL = {"unit_permutation", "unit_sign", "value_sign", "rotary_sign", "channel_permutation", "channel_sign"}


@pytest.mark.parametrize(
    ("facts", "lost"),
    [
        ({}, set()),
        ({"mlp": "'plain'"}, {"unit_sign"}),
        ({"mlp": "'shifted'"}, {"unit_sign"}),
        ({"mlp": "'none'"}, {"unit_sign", "unit_permutation"}),
        ({"norm": "'layer'"}, {"channel_sign"}),
        ({"positions": "'fixed'"}, {"channel_permutation", "channel_sign"}),
        ({"positions": "'learned'"}, set()),
        ({"positions": "'alibi'", "rope": "'none'"}, set()),
        ({"qk_norm": "'layer'"}, {"rotary_sign"}),
        ({"qk_norm": "'rms'"}, set()),
        ({"rope": "'interleaved'"}, set()),
    ],
)
def test_each_fact_closes_its_axes(facts: dict[str, str], lost: set[str]) -> None:
    assert holding(**facts) == ALL - lost


def test_a_shifted_mlp_is_not_called_gated() -> None:
    scope = Scope("config.json", {}, {}, sizes=dict(SIZES))
    assert build_tower("text", TowerRule(facts=FACTS), scope).gated
    assert not build_tower("text", TowerRule(facts={**FACTS, "mlp": "'shifted'"}), scope).gated


def test_no_attention_no_attention_signs() -> None:
    scope = Scope("config.json", {}, {}, sizes={**SIZES, "num_heads": 0})
    symmetries = build_tower("projector", TowerRule(facts=FACTS), scope).symmetries
    assert not symmetries["value_sign"].holds
    assert not symmetries["rotary_sign"].holds


def test_without_facts_the_careful_answer_is_taken() -> None:
    tower = build_tower("text", TowerRule(), Scope("config.json", {}, {}, sizes=dict(SIZES)))
    assert {axis for axis, symmetry in tower.symmetries.items() if symmetry.holds} == {
        "value_sign", "rotary_sign", "channel_permutation",
    }  # fmt: skip
    assert tower.rotary_dim == 0


def test_a_family_may_state_an_axis() -> None:
    rule = TowerRule(facts=FACTS, symmetries={"value_sign": SymmetryRule(False, "values pass a LayerNorm")})
    stated = build_tower("text", rule, Scope("config.json", {}, {}, sizes=dict(SIZES))).symmetries[
        "value_sign"
    ]
    assert (stated.holds, stated.reason) == (False, "values pass a LayerNorm")


def test_an_unknown_fact_is_an_error() -> None:
    with pytest.raises(ArchitectureError, match="one of rms, layer"):
        holding(norm="'batch'")


def quantised(
    role: Role, axes: tuple[str, str], block: tuple[int, int] | None, layout: Layout | None = None
) -> Part:
    shape = (512, 256) if axes[0] == "ffn" else (256, 512)
    entry = TensorEntry("w", DType.F8_E4M3, shape, "f", ByteRange(0, 512 * 256))
    layout = layout or Layout(0, *shape, 0, shape[0], shape[0])
    return Part("text", role, Kind.WEIGHT, 0, None, entry, shape, axes, layout, 0.0, entry, block)


UP, DOWN = (Role.FFN_UP, ("ffn", "hidden")), (Role.FFN_DOWN, ("hidden", "ffn"))


@pytest.mark.parametrize(
    ("place", "block", "units", "channels"),
    [
        (UP, (128, 128), 128, 128),
        (DOWN, (128, 128), 128, 128),
        (UP, (1, 256), None, None),
        (DOWN, (1, 512), None, None),
        (UP, (512, 256), None, None),
        (UP, (1, 128), None, 128),
        (DOWN, (1, 64), 64, None),
        (UP, None, None, None),
    ],
)
def test_blocks_close_the_axes_they_run_along(
    place: tuple[Role, tuple[str, str]],
    block: tuple[int, int] | None,
    units: int | None,
    channels: int | None,
) -> None:
    tower = build_tower("text", TowerRule(facts=FACTS), Scope("config.json", {}, {}, sizes=dict(SIZES)))
    after = with_scales(tower, [quantised(*place, block)]).symmetries
    for axis, expected in (("unit_permutation", units), ("channel_permutation", channels)):
        assert after[axis].holds is (expected is None)
        assert after[axis].block == (expected or 0)
    assert all(after[axis].holds for axis in ("unit_sign", "value_sign", "rotary_sign", "channel_sign"))


def test_blocks_of_several_tensors_leave_what_all_allow() -> None:
    tower = build_tower("text", TowerRule(facts=FACTS), Scope("config.json", {}, {}, sizes=dict(SIZES)))
    after = with_scales(tower, [quantised(*UP, (128, 256)), quantised(*DOWN, (1, 32))])
    assert after.symmetries["unit_permutation"].block == 32


def test_alternating_rows_leave_no_local_form() -> None:
    tower = build_tower("text", TowerRule(facts=FACTS), Scope("config.json", {}, {}, sizes=dict(SIZES)))
    alternating = quantised(*UP, (128, 256), Layout(0, 1024, 256, 1, 1, 2))
    symmetry = with_scales(tower, [alternating]).symmetries["unit_permutation"]
    assert (symmetry.holds, symmetry.block) == (False, 0)
