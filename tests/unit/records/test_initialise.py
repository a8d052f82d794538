"""Step 0 from a seed: the law, the stream against the published generator, and the bits themselves."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtri
from scipy.stats import kstest

from jokbo.errors import UsageError
from jokbo.records.declaration import Initialisation
from jokbo.records.initialise import (
    initial_rows,
    initial_weights,
    inverse_normal,
    seed_from_beacon,
    stream_key,
)

LAW = Initialisation(law="normal", std=0.02, residual_std=0.005, residual=("*.down.weight",))
MASK = (1 << 64) - 1


def philox(counter: int, key: int) -> list[int]:
    """Philox 4x64-10 as its paper has it, in Python's integers."""
    words = [counter >> (64 * k) & MASK for k in range(4)]
    keys = [key & MASK, key >> 64]
    for _ in range(10):
        first, second = words[0] * 0xD2E7470EE14C6C93, words[2] * 0xCA5A826395121157
        words = [
            second >> 64 ^ words[1] ^ keys[0],
            second & MASK,
            first >> 64 ^ words[3] ^ keys[1],
            first & MASK,
        ]
        keys = [(keys[0] + 0x9E3779B97F4A7C15) & MASK, (keys[1] + 0xBB67AE8584CAA73B) & MASK]
    return words


def test_philox_of_the_test_is_the_published_one():
    # Known answers of Random123 for philox4x64-10, zeros and ones.
    assert philox(0, 0) == [0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B]
    assert philox((1 << 256) - 1, (1 << 128) - 1)[0] == 0x87B092C3013FE90B


def test_values_are_those_of_a_second_implementation():
    # Exact integers, and the inverse normal distribution of SciPy (Cephes) in place of AS 241.
    found = initial_weights({"layer.w": (5, 3)}, seed=77, law=Initialisation(law="normal", std=1.0))
    key = int.from_bytes(
        hashlib.sha256(
            b"".join(len(p).to_bytes(8, "little") + p for p in (b"jokbo-normal/1", b"77", b"layer.w"))
        ).digest()[:16],
        "little",
    )
    assert key == stream_key("layer.w", 77)
    words = [word for counter in range(1, 5) for word in philox(counter, key)][:15]
    expected = ndtri([((word >> 12) + 0.5) / 2**52 for word in words])
    np.testing.assert_allclose(found["layer.w"].ravel(), expected, rtol=1e-7)


def test_bits_are_pinned():
    # These bits have been published: a change makes every earlier run irreproducible.
    shapes = {"embed.weight": (64, 32), "a.down.weight": (32, 100), "norm.weight": (7,), "q.bias": (3,)}
    for stored, expected in (
        ("F32", "519af5f975c7abdd863661919a05ca26"),
        ("BF16", "d53cdc1d62d0b94664bb7c5d77f33d85"),
        ("F16", "dbcbc028d6ccf4ef37547166c2999369"),
    ):
        law = Initialisation(
            law="normal", std=0.02, residual_std=0.005, residual=("*.down.weight",), stored=stored
        )
        tensors = initial_weights(shapes, seed=20260102, law=law)
        digest = hashlib.sha256(b"".join(tensors[n].astype("<f4").tobytes() for n in sorted(tensors)))
        assert digest.hexdigest()[:32] == expected, stored


def test_inverse_normal_agrees_with_cephes_into_the_last_tail():
    rng = np.random.default_rng(0)
    words = rng.integers(0, 1 << 64, 200_000, dtype=np.uint64, endpoint=False)
    tails = np.array([1 << k for k in range(64)], dtype=np.uint64)
    words = np.concatenate([words, tails, ~tails, [np.uint64(0), np.uint64(MASK)]])
    probability = ((words >> np.uint64(12)).astype(float) + 0.5) / 2**52
    # The upper tail by symmetry: 1 - p is exact there, and Cephes is not symmetric to the last bit.
    upper = probability > 0.5
    expected = np.where(upper, -ndtri(1 - probability), ndtri(probability))
    np.testing.assert_allclose(inverse_normal(words), expected, rtol=3e-15, atol=1e-16)


@given(st.integers(0, MASK))
def test_inverse_normal_is_odd(word: int):
    pair = inverse_normal(np.array([word, ~word & MASK], dtype=np.uint64))
    assert pair[0] == -pair[1]


def test_the_law_is_the_declared_one():
    tensors = initial_weights(
        {"w": (400, 300), "x.down.weight": (300, 300), "norm.weight": (9,), "q.bias": (4,)}, seed=5, law=LAW
    )
    assert kstest(tensors["w"].ravel() / 0.02, "norm").pvalue > 1e-3
    assert kstest(tensors["x.down.weight"].ravel() / 0.005, "norm").pvalue > 1e-3
    assert (tensors["norm.weight"] == 1).all()
    assert (tensors["q.bias"] == 0).all()


@pytest.mark.parametrize("stored", ["F32", "BF16", "F16"])
def test_stored_types_round_to_nearest_even(stored: str):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    plain = initial_weights({"w": (200, 50)}, seed=1, law=Initialisation(law="normal", std=0.02))["w"]
    law = Initialisation(law="normal", std=0.02, stored=stored)
    kind = {"F32": np.float32, "BF16": ml_dtypes.bfloat16, "F16": np.float16}[stored]
    np.testing.assert_array_equal(
        initial_weights({"w": (200, 50)}, seed=1, law=law)["w"], plain.astype(kind).astype(np.float32)
    )


@given(
    st.tuples(st.integers(1, 40), st.integers(1, 9)),
    st.sets(st.integers(0, 39), min_size=1),
    st.integers(0, (1 << 63) - 1),
)
def test_rows_are_those_of_the_whole(shape: tuple[int, int], chosen: set[int], seed: int):
    rows = sorted({row % shape[0] for row in chosen})
    whole = initial_weights({"w": shape}, seed=seed, law=LAW)["w"]
    np.testing.assert_array_equal(initial_rows("w", shape, rows, axes=2, seed=seed, law=LAW), whole[rows])


def test_blocks_change_no_bit(monkeypatch: pytest.MonkeyPatch):
    whole = initial_weights({"w": (100, 33)}, seed=2, law=LAW)["w"]
    monkeypatch.setattr("jokbo.records.initialise._BLOCK", 57)
    np.testing.assert_array_equal(initial_weights({"w": (100, 33)}, seed=2, law=LAW)["w"], whole)


def test_tensors_do_not_depend_on_each_other_and_seeds_share_nothing():
    one = initial_weights({"a": (50, 50), "b": (50, 50)}, seed=1, law=LAW)
    alone = initial_weights({"b": (50, 50)}, seed=1, law=LAW)
    other = initial_weights({"b": (50, 50)}, seed=2, law=LAW)
    np.testing.assert_array_equal(one["b"], alone["b"])
    for x, y in ((one["a"], one["b"]), (one["b"], other["b"])):
        assert abs(np.corrcoef(x.ravel(), y.ravel())[0, 1]) < 5 / math.sqrt(2500)


@pytest.mark.parametrize(
    ("law", "seed", "words"),
    [
        (Initialisation(law="uniform", std=1.0), 0, "normal law"),
        (Initialisation(law="normal"), 0, "above 0"),
        (Initialisation(law="normal", std=math.nan), 0, "above 0"),
        (Initialisation(law="normal", std=1.0, residual_std=0.5), 0, "names no tensors"),
        (Initialisation(law="normal", std=1.0, stored="F8"), 0, "stores F32, BF16 or F16"),
        (Initialisation(law="normal", std=1.0), -1, "the seed is -1"),
        (Initialisation(law="normal", std=1.0), 1 << 63, "0 to"),
    ],
)
def test_what_the_procedure_does_not_know_is_refused(law: Initialisation, seed: int, words: str):
    with pytest.raises(UsageError, match=words):
        initial_weights({"w": (2, 2)}, seed=seed, law=law)


def test_beacon_seeds_are_63_bits_and_separate_by_purpose():
    seeds = {seed_from_beacon(b"round %d" % k, purpose) for k in range(200) for purpose in ("a", "b")}
    assert len(seeds) == 400
    assert max(seeds) < 1 << 63
    assert max(seeds) > 1 << 62
    # Written out once more: what a stranger has to do to get the same seed.
    inner = hashlib.sha256(b"drand").digest()
    text = b"jokbo-seed/1\x00" + (14).to_bytes(8, "little") + b"initialisation" + inner
    expected = int.from_bytes(hashlib.sha256(text).digest()[:8], "big") // 2
    assert seed_from_beacon(b"drand", "initialisation") == expected
