from __future__ import annotations

import ast

import pytest

from jokbo.architectures import Kind, Role, families, schema
from jokbo.architectures.expressions import parse
from jokbo.architectures.schema import Family, TensorRule, TowerRule
from jokbo.errors import ArchitectureError

AXES = {
    "hidden", "vocab", "ffn", "q", "k", "v", "head_dim", "experts", "positions", "latent", "patch", "other",
}  # fmt: skip
SYMMETRIES = {
    "unit_permutation",
    "unit_sign",
    "value_sign",
    "rotary_sign",
    "channel_permutation",
    "channel_sign",
}
FACTS = {"norm", "mlp", "activation", "positions", "rope", "rotary_dim", "rotary_start", "qk_norm"}


def rules(tower: TowerRule) -> list[TensorRule]:
    nested = [tensors for options in tower.either.values() for tensors in options.values()]
    return [rule for tensors in (tower.tensors, *nested) for rule in tensors.values()]


@pytest.fixture(params=families())
def family(request: pytest.FixtureRequest) -> Family:
    return schema.load(request.param)


def test_file_and_name_agree(family: Family) -> None:
    assert family.name in families()
    assert family.about.endswith(".")
    assert family.model_types


def test_words_are_those_of_the_contract(family: Family) -> None:
    for tower in family.towers.values():
        assert set(tower.facts) <= FACTS
        assert set(tower.symmetries) <= SYMMETRIES
        for rule in rules(tower):
            Kind(rule.kind)
            for part in rule.parts or [rule]:
                assert part.role == "" or Role(part.role)
                assert {axis.partition(":")[0] for axis in part.axes} <= AXES


def test_every_expression_parses(family: Family) -> None:
    for tower in family.towers.values():
        texts = [
            *tower.sizes.values(),
            *tower.axes.values(),
            *tower.facts.values(),
            *tower.conditions.values(),
        ]
        texts += [tower.first_layer]
        for rule in rules(tower):
            texts += [rule.when, rule.required, rule.groups, *rule.stored]
            texts += [
                axis.partition(":")[2] for part in rule.parts or [rule] for axis in part.axes if ":" in axis
            ]
        for text in texts:
            assert isinstance(parse(text), ast.Expression)


def test_known_families_are_all_there() -> None:
    wanted = """
        llama mistral mixtral qwen2 qwen2_moe qwen3 qwen3_moe gemma2 gemma3 phi3 phimoe olmo2 glm glm4
        glm4_moe solar_open deepseek_v3 exaone4 falcon gpt2 gpt_neox bert llava
    """
    assert set(families()) >= set(wanted.split())


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"name": "x", "about": "x.", "model_types": [], "towers": {}, "rolls": 1}, "rolls"),
        ({"about": "x.", "model_types": [], "towers": {}}, "name"),
        (
            {
                "name": "x",
                "about": "x.",
                "model_types": [],
                "towers": {"text": {"tensors": {"w": {"rol": ""}}}},
            },
            "rol",
        ),
    ],
)
def test_unknown_or_missing_keys_are_errors(document: dict[str, object], message: str) -> None:
    with pytest.raises(ArchitectureError, match=rf"data/x\.toml: .*{message}.* Correct the file"):
        schema.structure(document, Family, "data/x.toml")


def test_a_child_replaces_rules_merges_tables_and_removes() -> None:
    base = {
        "model_types": ["a"],
        "towers": {
            "text": {
                "sizes": {"x": "1", "y": "2"},
                "tensors": {"w": {"role": "ffn_up", "when": "0"}, "v": {"role": "other"}},
            }
        },
    }  # fmt: skip
    child = {
        "model_types": ["b"],
        "towers": {"text": {"sizes": {"y": "3"}, "tensors": {"w": {"role": "ffn_up"}, "v": False}}},
    }
    assert schema._merge(base, child) == {
        "model_types": ["b"],
        "towers": {"text": {"sizes": {"x": "1", "y": "3"}, "tensors": {"w": {"role": "ffn_up"}}}},
    }


def test_a_chain_of_parents_that_never_ends_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "_document", lambda name: {"extends": name})
    schema._resolved.cache_clear()
    with pytest.raises(ArchitectureError, match="or itself"):
        schema._resolved("loop")
    schema._resolved.cache_clear()


def test_two_families_cannot_share_a_model_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "names", lambda: ("a", "b"))
    monkeypatch.setattr(schema, "_document", lambda name: {"model_types": ["same"]})
    schema.by_model_type.cache_clear()
    with pytest.raises(ArchitectureError, match="both claim model_type 'same'"):
        schema.by_model_type()
    schema.by_model_type.cache_clear()
