"""Gram matrices of strangers: every way in which their blocks can be wrong, one at a time."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from fingerprint_files import Parts, bytes_block, taken_apart

from jokbo.errors import FormatError
from jokbo.formats.dtypes import DType
from jokbo.formats.writer import RawTensor, TensorSpec
from jokbo.lineage.fingerprint import check_fingerprint, make_fingerprint
from jokbo.testing.builders import llama
from jokbo.views.private_grams import SCALE

WHERE = "tiny.fingerprint.safetensors"
UNITS, PAIRS = 64, 64 * 65 // 2


@cache
def sound() -> bytes:
    model = llama(np.random.default_rng(0), hidden_size=32, intermediate_size=80)
    return make_fingerprint(model.to_source(name="tiny"), private=True).data


def numbers_of(parts: Parts) -> np.ndarray:
    return np.frombuffer(parts.blocks["grams"].data, dtype="<i2").copy()


def with_numbers(parts: Parts, numbers: np.ndarray) -> None:
    parts.blocks["grams"] = RawTensor(TensorSpec(DType.I16, numbers.shape), numbers.astype("<i2").tobytes())


def place(i: int, j: int) -> int:
    """Where the first matrix's cosine of two rows stands."""
    upper = np.zeros((UNITS, UNITS), dtype=int)
    upper[np.triu_indices(UNITS)] = np.arange(PAIRS)
    return int(upper[i, j])


def change_number(at: int, value: int) -> Callable[[Parts], None]:
    def change(parts: Parts) -> None:
        numbers = numbers_of(parts)
        numbers[at] = value
        with_numbers(parts, numbers)

    return change


def change_index(edit: Callable[[dict[str, Any]], None]) -> Callable[[Parts], None]:
    def change(parts: Parts) -> None:
        document = json.loads(parts.blocks["gram_index"].data)
        edit(document)
        parts.blocks["gram_index"] = bytes_block(json.dumps(document).encode())

    return change


def first(position: int, value: Any) -> Callable[[Parts], None]:
    return change_index(lambda document: document["places"][0].__setitem__(position, value))


def cut(parts: Parts) -> None:
    with_numbers(parts, numbers_of(parts)[:-1])


def lengthened(parts: Parts) -> None:
    with_numbers(parts, np.append(numbers_of(parts), [0, 0]))


def impossible(parts: Parts) -> None:
    """Three rows, each opposite to both others."""
    numbers = numbers_of(parts)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        numbers[place(i, j)] = -SCALE
    with_numbers(parts, numbers)


def half_absent(parts: Parts) -> None:
    """A row without identity in the gate matrix alone."""
    numbers = numbers_of(parts)
    for k in range(UNITS):
        numbers[place(min(k, 5), max(k, 5))] = 0
    with_numbers(parts, numbers)


def as_floats(parts: Parts) -> None:
    numbers = numbers_of(parts)
    parts.blocks["grams"] = RawTensor(TensorSpec(DType.F16, numbers.shape), numbers.tobytes())


def with_rows(parts: Parts) -> None:
    parts.blocks["rows"] = bytes_block(b"secret")


def said_public(parts: Parts) -> None:
    parts.header["private"] = False


RANKS = 2 * PAIRS
COSINES = RANKS + 2 * UNITS

CASES: dict[str, tuple[Callable[[Parts], None], str]] = {
    "numbers end early": (cut, "end inside text/values/1"),
    "numbers too many": (lengthened, "2 numbers more"),
    "stored as floats": (as_floats, "stored as F16; expected I16"),
    "a cosine above one": (change_number(place(0, 0), -SCALE - 1), "above one"),
    "a row that is not itself": (change_number(place(3, 3), SCALE - 5), "with itself below"),
    "a diagonal of one half": (change_number(place(3, 3), SCALE // 2), "with itself below"),
    "a row said to be absent has cosines": (change_number(place(2, 2), 0), "said to have none"),
    "absent in one matrix": (half_absent, "said to have none"),
    "no rows have these cosines": (impossible, "no rows of ffn_gate have these cosines"),
    "a rank below": (change_number(RANKS + 1, -1), "ranks are not those of rows"),
    "a rank left out": (change_number(RANKS + 1, 900), "ranks are not those of rows"),
    "a gate's cosine above one": (change_number(COSINES, -SCALE - 1), "not of the same rows"),
    "another scale": (change_index(lambda d: d.update(scale=SCALE + 1)), "no scale of 32767"),
    "no list": (change_index(lambda d: d.update(places={})), "no scale of 32767 and places"),
    "another field": (change_index(lambda d: d.update(more=1)), "no scale of 32767 and places"),
    "a place twice": (change_index(lambda d: d["places"].insert(1, d["places"][0])), "listed twice"),
    "too many places": (
        change_index(lambda d: d.update(places=d["places"] * 20_000)),
        "80,000 Gram matrices",
    ),
    "a place that is no list": (
        change_index(lambda d: d["places"].insert(0, 7)),
        "index of its Gram matrices holds 7",
    ),
    "an unknown axis": (first(1, "heads"), "index of its Gram matrices holds"),
    "a layer that is true": (first(2, True), "index of its Gram matrices holds"),
    "a layer below zero": (first(2, -1), "index of its Gram matrices holds"),
    "a layer that the model has not": (first(2, 40), r"said to have \[\] there"),
    "an expert that the model has not": (first(3, 0), r"said to have \[\] there"),
    "rows beyond the axis": (first(5, 79), "expected 1 to 256 of 80"),
    "no rows": (first(6, 0), "has 0 rows"),
    "a huge count": (first(6, 1 << 39), "expected 1 to 256 of 80"),
    "a count beyond all counts": (first(6, 1 << 70), "index of its Gram matrices holds"),
    "a count that is no number": (first(6, 64.0), "index of its Gram matrices holds"),
    "matrices that the model has not": (first(7, ["ffn_gate", "ffn_down"]), "name the matrices"),
    "matrices in another order": (first(7, ["ffn_up", "ffn_gate"]), "name the matrices"),
    "rows beside Gram matrices": (with_rows, "says that it is private, and it has a block 'rows'"),
    "Gram matrices that are said to be rows": (said_public, "block 'rows' is missing"),
    "no Gram matrices": (lambda parts: parts.blocks.pop("grams") and None, "block 'grams' is missing"),
    "an index that is no JSON": (lambda p: p.blocks.update(gram_index=bytes_block(b"{")), "not JSON"),
}


def test_the_sound_one_opens():
    assert check_fingerprint(sound(), where=WHERE).private
    assert taken_apart(sound()).joined() == sound() or check_fingerprint(
        taken_apart(sound()).joined(), where=WHERE
    )


@pytest.mark.parametrize("name", CASES)
def test_what_is_wrong_is_named(name: str):
    change, said = CASES[name]
    parts = taken_apart(sound())
    change(parts)
    with pytest.raises(FormatError, match=said) as raised:
        check_fingerprint(parts.joined(), where=WHERE)
    assert "tiny" in str(raised.value)


def test_rows_and_gram_matrices_are_not_held_together():
    parts = taken_apart(make_fingerprint(llama(np.random.default_rng(0)).to_source(name="tiny")).data)
    parts.blocks["grams"] = taken_apart(sound()).blocks["grams"]
    with pytest.raises(FormatError, match="says that it is not private, and it has a block 'grams'"):
        check_fingerprint(parts.joined(), where=WHERE)


def test_one_changed_number_is_seen_by_its_digest():
    parts = taken_apart(sound())
    change_number(place(0, 1), 77)(parts)
    with pytest.raises(FormatError, match="block 'grams' has the digest"):
        check_fingerprint(parts.built(), where=WHERE)
