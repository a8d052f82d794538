from __future__ import annotations

import pytest

from jokbo.architectures.expressions import MAX_LIST, Scope, evaluate, truth, whole, word
from jokbo.errors import ArchitectureError


def scope(**config: object) -> Scope:
    return Scope("config.json", config, {"tied": True, "inner": {"size": 7}})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2 + 3 * 4 - 1", 13),
        ("heads * dim", 12),
        ("heads // 2", 2),
        ("heads % 3", 1),
        ("nothing | heads", 4),
        ("empty | heads", 4),
        ("zero | heads", 0),
        ("nothing", None),
        ("nothing * 2", None),
        ("nothing * 2 | 5", 5),
        ("root.inner.size", 7),
        ("root.inner.other | 3", 3),
        ("heads.size", None),
        ("layers[1]", 8),
        ("count(layers)", 3),
        ("count(nothing) | 2", 2),
        ("'a' if flag else 'b'", "a"),
        ("heads > 3 and not zero", True),
        ("2 in layers", False),
        ("2 not in nothing", True),
        ("8 in layers", True),
        ("half * 10", 5.0),
        ("nothing > 3", False),
        ("name == 'silu'", True),
    ],
)
def test_value(text: str, value: object) -> None:
    names = scope(heads=4, dim=3, zero=0, empty=None, layers=[1, 8, 9], flag=True, half=0.5, name="silu")
    assert evaluate(text, names) == value


def test_sizes_hide_configuration_and_configuration_hides_defaults() -> None:
    names = Scope("config.json", {"a": 2, "b": 3}, {}, {"b": 4, "c": 5, "d": 6}, {"a": 1})
    assert [evaluate(name, names) for name in "abcd"] == [1, 3, 5, 6]
    assert evaluate("b", Scope("config.json", {"b": None}, {}, {"b": 4})) is None


def test_conditions_see_the_layer() -> None:
    names = Scope("config.json", {"first": 2}, {}, conditions={"sparse": "layer >= first"})
    assert [truth("sparse", names, layer=layer) for layer in range(4)] == [False, False, True, True]


@pytest.mark.parametrize("value", ["64", True, [64], {"a": 1}, float("nan"), float("inf"), -1, 1 << 60, None])
def test_a_size_must_be_a_possible_number(value: object) -> None:
    with pytest.raises(ArchitectureError, match=r"config\.json: 'hidden_size' gives .*; expected"):
        whole("hidden_size", scope(hidden_size=value))


@pytest.mark.parametrize("value", ["64", True, [64], {"a": 1}, float("nan"), 10**400])
def test_arithmetic_takes_numbers_only(value: object) -> None:
    with pytest.raises(ArchitectureError, match="expected"):
        evaluate("hidden_size * 2", scope(hidden_size=value))


def test_division_by_zero_names_the_expression() -> None:
    with pytest.raises(ArchitectureError, match="'hidden // heads' gives 'a division by 0'"):
        evaluate("hidden // heads", scope(hidden=8, heads=0))


def test_products_stay_bounded() -> None:
    with pytest.raises(ArchitectureError, match="a possible size"):
        evaluate("a * a * a", scope(a=1 << 50))


def test_long_lists_are_refused() -> None:
    with pytest.raises(ArchitectureError, match=r"a list of at most 4,096"):
        truth("1 in layers", scope(layers=[0] * (MAX_LIST + 1)))


def test_index_outside_a_list() -> None:
    with pytest.raises(ArchitectureError, match="a list with an item 3"):
        evaluate("layers[3]", scope(layers=[1]))


def test_words_come_from_the_choices() -> None:
    assert word("'rms'", scope(), choices=("rms", "layer")) == "rms"
    with pytest.raises(ArchitectureError, match="one of rms, layer"):
        word("norm", scope(norm="batch"), choices=("rms", "layer"))
    with pytest.raises(ArchitectureError, match="a short word"):
        word("norm", scope(norm="x" * 1000))


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os')",
        "count(layers, 2)",
        "2 ** 64",
        "1 << 99",
        "[x for x in layers]",
        "lambda: 1",
        "f'{heads}'",
        "1 < 2 < 3",
        "-heads",
        "1 +",
        "(yield)",
    ],
)
def test_nothing_else_is_evaluated(text: str) -> None:
    with pytest.raises(ArchitectureError, match="family file"):
        evaluate(text, scope(heads=1, layers=[1]))
