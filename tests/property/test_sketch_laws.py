"""Laws of sketches: what is written is read back, nothing else is believed, and fewer rows open more."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from jokbo.errors import FormatError
from jokbo.lineage.prefilter_bounds import needed_score, smallest_cosine
from jokbo.lineage.prefilter_scores import differing
from jokbo.lineage.sketch import gram_signs
from jokbo.lineage.sketch_format import (
    TIERS,
    Section,
    block_bytes,
    parse_sketch,
    rows_kept,
    tiers_of,
    write_sketch,
)

SEEDS = st.integers(0, 2**32 - 1)


@given(kind=st.sampled_from(sorted(TIERS)), width=st.integers(1, 600), rows=st.integers(1, 64), seed=SEEDS)
def test_sections_of_rows_are_read_back(kind: str, width: int, rows: int, seed: int):
    rng = np.random.default_rng(seed)
    key, rows = f"ax{rows}x{width}", rows_kept(kind, rows)
    size = block_bytes(kind, key, rows)
    data = rng.integers(0, 256, (2, size), dtype=np.uint8)
    section = Section(kind, "text", key, 4, ((0, -1), (3, 2)), rows, data)
    found = parse_sketch(write_sketch("salt", [section])).sections
    assert [(s.kind, s.key, s.places, s.rows) for s in found] == [(kind, key, section.places, rows)]
    assert (found[0].data == data).all()


@given(data=st.binary(max_size=400))
def test_no_bytes_do_more_than_be_refused(data: bytes):
    for given_bytes in (data, b"jokbosk1" + data):
        try:
            parse_sketch(given_bytes)
        except FormatError:
            continue
        assert given_bytes.startswith(b"jokbosk1")


@given(
    kind=st.sampled_from(sorted(TIERS)), a=st.integers(1, 64), b=st.integers(1, 64), width=st.integers(1, 400)
)
def test_tiers_of_fewer_rows_open_those_of_more(kind: str, a: int, b: int, width: int):
    few, many = sorted((rows_kept(kind, a), rows_kept(kind, b)))
    first = tiers_of(kind, width, few)
    if few >= TIERS[kind][0][0]:
        assert tiers_of(kind, width, many)[: len(first)] == first


@given(rows=st.integers(3, 24), width=st.integers(8, 80), seed=SEEDS)
def test_gram_signs_do_not_see_the_sign_or_the_size_of_the_residual_axis(rows: int, width: int, seed: int):
    rng = np.random.default_rng(seed)
    given_rows = rng.standard_normal((rows, width)).astype(np.float32)
    flipped = given_rows[:, rng.permutation(width)] * rng.choice([-1.0, 1.0], width).astype(np.float32)
    assert (gram_signs(given_rows) == gram_signs(flipped)).all()


@given(words=st.integers(1, 40), blocks=st.integers(1, 30), seed=SEEDS)
def test_differing_counts_bits(words: int, blocks: int, seed: int):
    rng = np.random.default_rng(seed)
    data = rng.integers(0, 2**63, (blocks, words), dtype=np.uint64)
    size = int(rng.integers(1, 8 * words + 1))
    plain = np.unpackbits((data ^ data[0]).view(np.uint8), axis=1)
    assert (differing(data[0], data) == plain.sum(axis=1)).all()
    assert (differing(data[0], data, size=size) == plain[:, : 8 * size].sum(axis=1)).all()


@given(bits=st.integers(100, 10**6), tests=st.integers(1, 20))
def test_more_signs_never_need_a_higher_cosine(bits: int, tests: int):
    score = needed_score(tests)
    one, more = (smallest_cosine(n, score=score) for n in (bits, 2 * bits))
    assert more is not None or one is None
    assert one is None or (more is not None and more <= one)
