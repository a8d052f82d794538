from __future__ import annotations

import time

import pytest
from architecture_catalogs import catalog, llama

from jokbo.architectures import Anatomy, Expert, Role, match

SIGNS = ("unit_sign", "value_sign", "rotary_sign", "channel_permutation", "channel_sign")


def stack(up: str = "w1", gate: str = "w2", down: str = "w3") -> dict[str, tuple[int, ...]]:
    """A stack of two blocks of no known family."""
    shapes: dict[str, tuple[int, ...]] = {
        "tok_emb.weight": (20, 8),
        "lm_head.weight": (20, 8),
        "norm_f.weight": (8,),
    }
    for layer in range(2):
        stem = f"blocks.{layer}."
        shapes |= {f"{stem}norm1.weight": (8,), f"{stem}attn.Wq.weight": (8, 8), f"{stem}ssm.D": (16,)}
        shapes |= {f"{stem}mlp.{up}.weight": (12, 8), f"{stem}mlp.{down}.weight": (8, 12)}
        if gate:
            shapes[f"{stem}mlp.{gate}.weight"] = (12, 8)
    return shapes


def roles(anatomy: Anatomy) -> set[str]:
    return {part.role.value for part in anatomy.parts}


@pytest.mark.parametrize(
    ("up", "gate", "down"),
    [
        ("w1", "w2", "w3"),
        ("w3", "w1", "w2"),
        ("up_proj", "gate_proj", "down_proj"),
        ("fc1", "", "fc2"),
        ("c_fc", "", "c_proj"),
    ],
)
def test_mlps_are_recognised_by_name_and_shape(up: str, gate: str, down: str) -> None:
    shapes = stack(up, gate, down)
    anatomy = match(catalog(shapes), {"model_type": "of-tomorrow", "hidden_size": 12})
    assert anatomy.family == "unknown"
    assert anatomy.model_type == "of-tomorrow"
    tower = anatomy.towers["text"]
    assert (tower.hidden_size, tower.num_layers) == (8, 2)
    assert tower.symmetries["unit_permutation"].holds
    assert not any(tower.symmetries[axis].holds for axis in SIGNS)
    for layer in range(2):
        part = anatomy.find("text", Role.FFN_DOWN, layer=layer)
        assert part is not None
        assert (part.shape, part.axes) == ((8, 12), ("hidden", "ffn"))
    assert {part.entry.name for part in anatomy.parts} == set(shapes)
    assert "'of-tomorrow' is not among the known families" in anatomy.notes[0]
    assert "2 MLPs" in anatomy.notes[0]
    assert anatomy.find("text", Role.TOKEN_EMBD) is not None
    assert anatomy.find("text", Role.OUTPUT) is not None


def test_transposed_matrices_are_told_by_the_hidden_size() -> None:
    shapes = {
        name: shape[::-1] if ".mlp." in name else shape for name, shape in stack("c_fc", "", "c_proj").items()
    }
    part = match(catalog(shapes), None).find("text", Role.FFN_UP, layer=1)
    assert part is not None
    assert part.layout.transposed
    assert (part.shape, part.axes) == ((12, 8), ("ffn", "hidden"))


def test_a_stranger_along_the_units_closes_the_axis() -> None:
    shapes = stack() | {f"blocks.{layer}.mlp.shift.weight": (12,) for layer in range(2)}
    anatomy = match(catalog(shapes), None)
    assert not anatomy.towers["text"].symmetries["unit_permutation"].holds
    assert "0 MLPs" in anatomy.notes[0]


@pytest.mark.parametrize("change", [{"blocks.0.mlp.w3.weight": (8, 13)}, {"blocks.0.mlp.w1.weight": (12, 9)}])
def test_matrices_that_do_not_fit_are_left_alone(change: dict[str, tuple[int, ...]]) -> None:
    anatomy = match(catalog(stack() | change), None)
    assert anatomy.find("text", Role.FFN_DOWN, layer=0) is None
    assert anatomy.find("text", Role.FFN_DOWN, layer=1) is not None


def test_square_mlps_have_no_certain_units() -> None:
    shapes = {name: (8, 8) if ".mlp." in name else shape for name, shape in stack().items()}
    anatomy = match(catalog(shapes), None)
    assert roles(anatomy) == {"other", "token_embd", "output"}


def test_experts_keep_their_numbers() -> None:
    shapes = {
        name.replace("mlp.", f"moe.experts.{expert}."): shape
        for name, shape in stack().items()
        for expert in range(3)
    }
    anatomy = match(catalog(shapes), None)
    assert anatomy.find("text", Role.FFN_DOWN, layer=1, expert=Expert(2)) is not None
    assert anatomy.towers["text"].num_layers == 2


def test_a_second_stack_is_a_tower_of_its_own() -> None:
    small = {
        name.replace("blocks", "eyes.blocks"): tuple(6 if size == 8 else 10 for size in shape)
        for name, shape in stack("fc1", "", "fc2").items()
        if "mlp" in name or "norm1" in name
    }
    anatomy = match(catalog(stack() | small), None)
    assert set(anatomy.towers) == {"text", "eyes.blocks"}
    assert anatomy.towers["eyes.blocks"].hidden_size == 6


def test_quantised_integers_are_not_claimed() -> None:
    anatomy = match(catalog(stack(), **{"0.mlp.w1.weight": "U8"}), None)
    assert anatomy.find("text", Role.FFN_DOWN, layer=0) is None


def test_odd_catalogs_give_an_answer() -> None:
    for shapes in (
        {},
        {"x": ()},
        {"layers.0.x": (3,)},
        {"a.layers.99999.b": (1, 2, 3)},
        {"norm.weight": (0,)},
    ):
        anatomy = match(catalog(shapes), None)
        assert len(anatomy.parts) == len(shapes)


def test_llama_without_its_configuration() -> None:
    anatomy = match(catalog(llama()), None)
    assert anatomy.find("text", Role.FFN_GATE, layer=0) is not None
    assert "there is no config.json" in anatomy.notes[0]


def test_many_stacks_take_no_longer_than_many_layers() -> None:
    shapes = {f"stack{index}.layers.0.mlp.up_proj.weight": (4, 2) for index in range(20_000)}
    started = time.process_time()
    anatomy = match(catalog(shapes), None)
    assert len(anatomy.towers) == 20_000
    assert time.process_time() - started < 5.0
