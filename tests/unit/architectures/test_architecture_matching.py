from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest
from architecture_catalogs import CONFIG, catalog, llama
from hypothesis import given, settings
from hypothesis import strategies as st

import jokbo.architectures
from jokbo.architectures import Kind, Role, families, match
from jokbo.architectures.schema import by_model_type
from jokbo.errors import ArchitectureError


def test_every_tensor_has_a_place() -> None:
    anatomy = match(catalog(llama()), CONFIG)
    assert anatomy.family == anatomy.model_type == "llama"
    assert anatomy.unrecognised == anatomy.missing == anatomy.notes == ()
    assert not anatomy.tied_output
    value = anatomy.find("text", Role.ATTN_V, layer=1)
    assert value is not None
    assert (value.shape, value.axes) == ((4, 8), ("v", "hidden"))
    assert value.name == "model.layers.1.self_attn.v_proj.weight"
    tower = anatomy.towers["text"]
    assert (tower.num_heads, tower.num_kv_heads, tower.head_dim, tower.v_head_dim) == (2, 1, 4, 4)
    assert (tower.norm, tower.gated, tower.activation, tower.rope, tower.rotary_dim) == (
        "rms", True, "silu", "half", 4,
    )  # fmt: skip


@pytest.mark.parametrize(("prefix", "head"), [("model.", "lm_head.weight"), ("", "lm_head.weight"), ("", "")])
def test_prefixes_are_found(prefix: str, head: str) -> None:
    anatomy = match(catalog(llama(prefix, head)), {**CONFIG, "tie_word_embeddings": not head})
    assert anatomy.unrecognised == anatomy.missing == ()
    assert anatomy.tied_output is not bool(head)


def test_a_contradicted_shape_is_an_error() -> None:
    shapes = llama() | {"model.layers.1.mlp.up_proj.weight": (13, 8)}
    expected = (
        r"'model\.layers\.1\.mlp\.up_proj\.weight' in model\.safetensors has shape \[13, 8\]; "
        r"the configuration implies \[12, 8\]\. Use the config\.json"
    )
    with pytest.raises(ArchitectureError, match=expected):
        match(catalog(shapes), CONFIG)


def test_missing_and_unrecognised_are_listed() -> None:
    shapes = llama()
    del shapes["model.layers.0.self_attn.k_proj.weight"]
    shapes["model.layers.0.self_attn.extra.weight"] = (8, 8)
    shapes["model.layers.2.mlp.up_proj.weight"] = (12, 8)
    anatomy = match(catalog(shapes), CONFIG)
    assert anatomy.missing == ("model.layers.0.self_attn.k_proj.weight",)
    assert anatomy.unrecognised == (
        "model.layers.0.self_attn.extra.weight",
        "model.layers.2.mlp.up_proj.weight",
    )


def test_old_rotary_tables_are_buffers_and_may_be_absent() -> None:
    shapes = llama() | {"model.layers.0.self_attn.rotary_emb.inv_freq": (2,)}
    anatomy = match(catalog(shapes, inv_freq="F32"), CONFIG)
    assert anatomy.unrecognised == anatomy.missing == ()
    assert [part.entry.name for part in anatomy.parts if part.kind is Kind.BUFFER] == [
        "model.layers.0.self_attn.rotary_emb.inv_freq"
    ]


def test_a_stored_head_that_is_tied_is_noted() -> None:
    anatomy = match(catalog(llama()), {**CONFIG, "tie_word_embeddings": True})
    assert anatomy.tied_output
    assert anatomy.unrecognised == ()
    assert "tied to the embedding; the stored lm_head.weight repeats it" in anatomy.notes[0]


def test_packed_integers_are_not_read_as_weights() -> None:
    shapes = llama() | {"model.layers.0.mlp.up_proj.weight": (12, 4)}
    anatomy = match(catalog(shapes, up_proj__weight="U8", **{"layers.0.mlp.up_proj.weight": "U8"}), CONFIG)
    assert anatomy.unrecognised == ("model.layers.0.mlp.up_proj.weight",)
    assert "packed integer type" in anatomy.notes[0]
    assert anatomy.missing == ()


def test_integers_without_a_scale_are_given_up() -> None:
    anatomy = match(catalog(llama(), **{"layers.0.mlp.up_proj.weight": "I8"}), CONFIG)
    assert anatomy.unrecognised == ("model.layers.0.mlp.up_proj.weight",)
    assert "without a scale" in anatomy.notes[0]


def test_text_tower_of_another_family() -> None:
    shapes = llama("language_model.model.", "language_model.lm_head.weight")
    config = {
        "model_type": "llava",
        "text_config": CONFIG,
        "vision_config": {"model_type": "clip_vision_model"},
    }
    anatomy = match(catalog(shapes), config)
    assert anatomy.family == "llava"
    assert anatomy.find("text", Role.FFN_UP, layer=0) is not None
    assert anatomy.unrecognised == ()
    assert any(name.startswith("vision_tower.") for name in anatomy.missing)


def test_unknown_tower_falls_back_whole() -> None:
    config = {"model_type": "llava", "text_config": {"model_type": "of-tomorrow"}}
    anatomy = match(catalog(llama("language_model.model.")), config)
    assert anatomy.family == "unknown"
    assert (
        "config.json, text_config: model_type 'of-tomorrow' is not among the known families"
        in anatomy.notes[0]
    )


def test_known_name_but_foreign_tensors_fall_back() -> None:
    anatomy = match(catalog({"blocks.0.weight": (4, 4)}), CONFIG)
    assert anatomy.family == "unknown"
    assert "no tensor has a name that family 'llama' uses" in anatomy.notes[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_size": "8"}, "'hidden_size' gives '8'; expected a number"),
        ({"hidden_size": [8]}, "'hidden_size' gives"),
        ({"hidden_size": -8}, "expected a whole number from 0"),
        ({"hidden_size": float("nan")}, "expected a finite number"),
        ({"hidden_size": 1e300}, "expected a possible size"),
        ({"hidden_size": None}, "expected a whole number"),
        ({"num_attention_heads": 0}, "a division by 0"),
        ({"num_hidden_layers": 10**9}, "expected a whole number from 0 to 4,096"),
        ({"num_hidden_layers": True}, "'num_layers | 0' gives True"),
        ({"partial_rotary_factor": 3}, "12 of a head's 4 dimensions rotate, from 0 on"),
        ({"partial_rotary_factor": 0.25}, "1 of a head's 4 dimensions rotate"),
        ({"hidden_act": 3}, "'hidden_act' gives 3; expected a word"),
        ({"quantization_config": {"weight_block_size": [0, 128]}}, "expected two whole numbers"),
        ({"quantization_config": {"weight_block_size": "128"}}, "expected two whole numbers"),
        ({"model_type": ["llama"]}, "model_type is"),
        ({"model_type": "x" * 5000}, "expected a short word"),
    ],
)
def test_hostile_configurations_are_refused_in_a_sentence(change: dict[str, object], message: str) -> None:
    with pytest.raises(ArchitectureError, match=re.escape(message)):
        match(catalog(llama()), {**CONFIG, **change})


def test_a_configuration_that_is_no_object() -> None:
    with pytest.raises(ArchitectureError, match="holds a list; expected an object"):
        match(catalog(llama()), [1])  # type: ignore[arg-type]
    with pytest.raises(ArchitectureError, match="text_config holds a list"):
        match(catalog(llama()), {"model_type": "llava", "text_config": []})


def test_too_many_experts_are_refused_before_any_name_is_made() -> None:
    config = {**CONFIG, "model_type": "mixtral", "num_hidden_layers": 4096, "num_local_experts": 65_536}
    with pytest.raises(ArchitectureError, match=r"4,096 layers of 65,536 experts imply more than 1,000,000"):
        match(catalog(llama()), config)


def test_heads_that_do_not_divide_are_refused() -> None:
    config = {"model_type": "gpt_neox", **{k: v for k, v in CONFIG.items() if k != "model_type"}}
    with pytest.raises(ArchitectureError, match="do not divide into 3 equal groups"):
        match(catalog({"gpt_neox.embed_in.weight": (20, 8)}), {**config, "num_attention_heads": 3})


def test_no_family_name_in_python() -> None:
    known = {name for name in (*families(), *by_model_type()) if len(name) > 3}
    folder = Path(jokbo.architectures.__file__).parent
    for path in folder.glob("*.py"):
        text = path.read_text(encoding="utf-8").lower()
        found = {name for name in known if re.search(rf"\b{re.escape(name.lower())}\b", text)}
        assert not found, f"{path.name} names {found}"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
KEYS = [
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "intermediate_size",
    "head_dim",
    "vocab_size",
    "text_config",
    "vision_config",
    "quantization_config",
    "hidden_act",
    "rope_parameters",
    "num_experts",
    "mlp_only_layers",
    "first_k_dense_replace",
    "tie_word_embeddings",
    "partial_rotary_factor",
    "n_routed_experts",
]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(by_model_type())), st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=4))
def test_any_configuration_gives_an_anatomy_or_a_sentence(model_type: str, junk: dict[str, object]) -> None:
    with contextlib.suppress(ArchitectureError):
        anatomy = match(catalog(llama()), {**CONFIG, "model_type": model_type, **junk})
        assert {part.entry.name for part in anatomy.parts} | set(anatomy.unrecognised) == set(llama())


def test_weights_in_a_packed_format_of_the_family_are_named() -> None:
    config = {"model_type": "gpt_oss", "num_hidden_layers": 1, "num_local_experts": 2}
    stem = "model.layers.0.mlp.experts."
    shapes = {
        f"{stem}{name}_{kind}": (2, 3)
        for name in ("gate_up_proj", "down_proj")
        for kind in ("blocks", "scales")
    }
    anatomy = match(catalog(shapes, _blocks="U8", _scales="U8"), config)
    assert len(anatomy.unrecognised) == 4
    assert "4 weights are stored in a packed integer type" in anatomy.notes[0]
    assert not any(stem + "gate_up_proj" == name for name in anatomy.missing)


def test_grouped_rows_of_a_family_that_no_library_carries() -> None:
    """Two KV heads of dim 2, two queries each: rows q q k v of head 0, then of head 1."""
    config = {
        "model_type": "internlm2",
        "hidden_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 12,
        "vocab_size": 20,
    }
    shapes = {
        "model.tok_embeddings.weight": (20, 8),
        "model.layers.0.attention_norm.weight": (8,),
        "model.layers.0.attention.wqkv.weight": (16, 8),
        "model.layers.0.attention.wo.weight": (8, 8),
        "model.layers.0.ffn_norm.weight": (8,),
        "model.layers.0.feed_forward.w1.weight": (12, 8),
        "model.layers.0.feed_forward.w2.weight": (8, 12),
        "model.layers.0.feed_forward.w3.weight": (12, 8),
        "model.norm.weight": (8,),
        "output.weight": (20, 8),
    }
    anatomy = match(catalog(shapes), config)
    assert anatomy.unrecognised == anatomy.missing == ()
    rows = {
        part.role.value: [part.layout.stored_index(row) for row in range(part.shape[0])]
        for part in anatomy.parts
        if "wqkv" in part.entry.name
    }
    assert rows == {
        "attn_q": [0, 1, 2, 3, 8, 9, 10, 11],
        "attn_k": [4, 5, 12, 13],
        "attn_v": [6, 7, 14, 15],
    }
