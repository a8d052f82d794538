"""Laws of fingerprints: an excerpt is the bytes it was cut from, windows nest, and old draws stay as they were."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from jokbo.evidence.canonical import canonical_bytes
from jokbo.independence.plan import NOMINAL_ROWS, Lot
from jokbo.lineage.fingerprint import _spans
from jokbo.lineage.sampled_rows import in_turn
from jokbo.sources.base import ByteRange, Read, SourceIdentity
from jokbo.sources.excerpt import ExcerptSource
from jokbo.views.fingerprint_header import (
    Declared,
    FingerprintHeader,
    WeightFile,
    parse_fingerprint_header,
)
from jokbo.views.sampling import smallest_tokens

SIZES = st.integers(1, 3000)
SALTS = st.text("abcdef", min_size=1, max_size=4)
KINDS = st.sampled_from(sorted(NOMINAL_ROWS))


@st.composite
def cuts(draw: st.DrawFn) -> tuple[bytes, list[tuple[int, int]]]:
    """Bytes, and ranges of them that lie apart."""
    data = draw(st.binary(min_size=1, max_size=200))
    edges = sorted(draw(st.sets(st.integers(0, len(data)), max_size=20)))
    edges = edges[: len(edges) // 2 * 2]
    return data, list(zip(edges[::2], edges[1::2], strict=True))


def excerpt_of(data: bytes, spans: list[tuple[int, int]]) -> ExcerptSource:
    held = b"".join(data[a:b] for a, b in spans)
    array = np.array(spans, dtype=np.int64).reshape(-1, 2)
    return ExcerptSource(SourceIdentity("memory", "m"), {}, "f", len(data), array, held)


@given(cut=cuts(), asked=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 200)), max_size=8))
def test_an_excerpt_answers_as_the_bytes_do_or_not_at_all(
    cut: tuple[bytes, list[tuple[int, int]]], asked: list[tuple[int, int]]
) -> None:
    data, spans = cut
    source = excerpt_of(data, spans)
    for one, other in asked:
        start, stop = sorted((min(one, len(data)), min(other, len(data))))
        if start == stop:
            continue
        read = Read("f", ByteRange(start, stop))
        inside = any(a <= start and stop <= b for a, b in spans)
        assert source.holds([read]) == inside
        if inside:
            assert source.read_many([read]) == [data[start:stop]]


@given(data=st.binary(min_size=1, max_size=120), wanted=st.data())
def test_pieces_become_spans_that_hold_every_byte_of_them(data: bytes, wanted: st.DataObject) -> None:
    """Pieces may lie apart, touch, overlap and repeat: what comes out is ascending, apart, and complete."""
    count = wanted.draw(st.integers(0, 10))
    ranges = [sorted(wanted.draw(st.tuples(*[st.integers(0, len(data))] * 2))) for _ in range(count)]
    pieces: dict[int, bytes] = {}
    for start, stop in ranges:
        if start < stop:
            pieces[start] = max(pieces.get(start, b""), data[start:stop], key=len)
    made = _spans(pieces)
    spans = np.frombuffer(made["spans"].data, dtype="<i8").reshape(-1, 2)
    assert (np.diff(spans.reshape(-1)) > 0).all()
    source = excerpt_of(data, [(int(a), int(b)) for a, b in spans])
    for start, piece in pieces.items():
        assert source.read("f", start, start + len(piece)) == piece
    covered = {i for start, piece in pieces.items() for i in range(start, start + len(piece))}
    assert sum(b - a for a, b in spans.tolist()) == len(covered) == len(made["rows"].data)


@given(salt=SALTS, kind=KINDS, size=SIZES, lengths=st.tuples(st.integers(1, 600), st.integers(1, 600)))
def test_a_shorter_window_opens_the_longer_one(
    salt: str, kind: str, size: int, lengths: tuple[int, int]
) -> None:
    few, many = sorted(min(n, NOMINAL_ROWS[kind]) for n in lengths)
    lot = Lot(1, "a", "b", salt)
    short, long = (lot.window(f"text.mlp/{kind}", size, n) for n in (few, many))
    assert short.tolist() == long.tolist()[: len(short)]
    assert len(long) == min(many, size)
    assert 0 <= long[0] <= long[-1] < size


@given(salt=SALTS, kind=KINDS, sizes=st.tuples(SIZES, SIZES))
def test_windows_of_two_sizes_begin_at_the_same_share_of_the_axis(
    salt: str, kind: str, sizes: tuple[int, int]
) -> None:
    lot = Lot(1, "a", "b", salt)
    length = NOMINAL_ROWS[kind]
    shares = [lot.window(f"text.mlp/{kind}", n, length)[0] / (n - length + 1) for n in sizes if n >= length]
    if len(shares) == 2:
        least = min(n - length + 1 for n in sizes)
        assert abs(shares[0] - shares[1]) <= 1 / least


@given(salt=SALTS, seeds=st.tuples(st.integers(0, 99), st.integers(0, 99)), size=SIZES)
def test_rows_follow_from_the_salt_and_everything_else_from_seed_and_digests(
    salt: str, seeds: tuple[int, int], size: int
) -> None:
    one, other = Lot(seeds[0], "a", "b", salt), Lot(seeds[1], "c", "d", salt)
    assert (
        one.window("text.mlp/units", size, 64).tolist() == other.window("text.mlp/units", size, 64).tolist()
    )
    assert one.pick("text.attention/head", size) == other.pick("text.attention/head", size)
    few = min(3, size)
    assert one.sample("text.experts/experts", size, few) == other.sample("text.experts/experts", size, few)
    orders = [lot.draw("text.mlp/order").permutation(64).tolist() for lot in (one, other)]
    assert orders[0] != orders[1]


def _as_before(seed: int, reference: str, candidate: str, purpose: str) -> np.random.Generator:
    """How rows were drawn before there were fingerprints, written out again."""
    text = f"jokbo-1|{seed}|{reference}|{candidate}|{purpose}"
    return np.random.Generator(np.random.PCG64(int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")))


@given(seed=st.integers(0, 1 << 40), digests=st.tuples(SALTS, SALTS), size=SIZES, length=st.integers(1, 600))
def test_without_a_salt_everything_is_drawn_as_before(
    seed: int, digests: tuple[str, str], size: int, length: int
) -> None:
    lot = Lot(seed, *digests)
    n = min(length, size)
    start = int(_as_before(seed, *digests, "x/units").integers(0, size - n + 1))
    assert lot.window("x/units", size, length).tolist() == list(range(start, start + n))
    assert lot.pick("x/head", size) == int(_as_before(seed, *digests, "x/head").integers(size))
    few = _as_before(seed, *digests, "x/experts").choice(size, n, replace=False)
    assert lot.sample("x/experts", size, n) == sorted(int(k) for k in few)


@given(
    words=st.sets(st.text(max_size=6), max_size=60),
    more=st.sets(st.text(max_size=6), max_size=60),
    counts=st.tuples(st.integers(0, 40), st.integers(0, 40)),
    salt=SALTS,
)
def test_the_smallest_hashes_of_two_vocabularies_agree_on_what_both_have(
    words: set[str], more: set[str], counts: tuple[int, int], salt: str
) -> None:
    few, many = sorted(counts)
    mine = smallest_tokens(salt, words, many)
    assert smallest_tokens(salt, sorted(words), few) == mine[:few]
    both = smallest_tokens(salt, words | more, many)
    assert [text for text in both if text in words] == [text for text in mine if text in both]


@given(layers=st.lists(st.integers(0, 500), unique=True, max_size=130).map(sorted), count=st.integers(0, 130))
def test_layers_in_turn_are_all_of_them_and_lie_evenly(layers: list[int], count: int) -> None:
    order = in_turn(layers)
    assert sorted(order) == layers
    some = sorted(layers.index(n) for n in order[:count])
    if len(some) >= 2:
        gaps = np.diff([-1, *some, len(layers)])
        assert gaps.max() <= 2.7 * len(layers) / len(some) + 2


HEX = st.integers(0, 99).map(lambda n: hashlib.sha256(bytes([n])).hexdigest())
COUNTS = st.integers(0, 1 << 50)
WORDS = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=8)
FIELDS = {
    "name": WORDS,
    "kind": WORDS,
    "commit": st.none() | WORDS,
    "digest": HEX,
    "digest_covers": st.sampled_from(["weights", "headers"]),
    "family": WORDS,
    "model_type": WORDS,
    "parameters": COUNTS,
    "data_bytes": COUNTS,
    "hidden_size": COUNTS,
    "num_layers": COUNTS,
    "read_bytes": COUNTS,
    "salt": st.text("abc", min_size=1, max_size=20),
    "private": st.booleans(),
    "layers": st.dictionaries(WORDS, st.sets(st.integers(0, 200), max_size=5), max_size=3),
    "blocks": st.dictionaries(WORDS, HEX, max_size=4),
}


@settings(max_examples=40)
@given(
    fields=st.fixed_dictionaries(FIELDS),
    files=st.lists(st.tuples(WORDS, COUNTS, st.none() | HEX, HEX), max_size=3),
    declared=st.tuples(st.lists(WORDS, max_size=3), st.none() | WORDS, st.none() | WORDS),
    plan=st.tuples(*[st.integers(1, 512)] * 4),
    tokenizer=st.none() | st.tuples(COUNTS, COUNTS, COUNTS, HEX),
)
def test_a_header_is_read_as_it_was_written(
    fields: dict[str, Any], files: list[Any], declared: Any, plan: Any, tokenizer: Any
) -> None:
    header = FingerprintHeader(
        version=1,
        files=tuple(WeightFile(*row) for row in files),
        declared=Declared(tuple(declared[0]), *declared[1:]),
        plan=dict(zip(("units", "values", "rotary", "tokens"), plan, strict=True)),
        tokenizer={}
        if tokenizer is None
        else dict(zip(("size", "merges", "special", "sha256"), tokenizer, strict=True)),
        **fields | {"layers": {tower: tuple(sorted(n)) for tower, n in fields["layers"].items()}},
    )
    text = canonical_bytes(header.to_document()).decode()
    assert parse_fingerprint_header(text, where="x") == header
