"""Sketches that somebody else wrote: each way they can be wrong is one sentence, and nothing is allocated for it."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from jokbo.errors import FormatError
from jokbo.lineage.sketch_format import MAGIC, MAX_SKETCH_BYTES, Section, parse_sketch, write_sketch

Header = dict[str, Any]


def good() -> bytes:
    rng = np.random.default_rng(0)
    data = rng.integers(0, 256, (2, 256), dtype=np.uint8)
    gram = rng.integers(0, 256, (2, 15), dtype=np.uint8)
    table = rng.integers(0, 256, (1, 24), dtype=np.uint8)
    return write_sketch(
        "s",
        [
            Section("units", "text", "gatedx40x128", 2, ((0, -1), (1, -1)), 16, data),
            Section("unit_gram", "text", "gatedx40", 2, ((0, -1), (1, -1)), 16, gram),
            Section("token_embd", "text", "64", 0, ((5, -1), (6, -1), (9, -1)), 3, table),
        ],
    )


def changed(change: Callable[[Header], object]) -> bytes:
    data = good()
    start = len(MAGIC) + 4
    (length,) = struct.unpack_from("<I", data, len(MAGIC))
    header = json.loads(data[start : start + length])
    change(header)
    text = json.dumps(header).encode()
    return MAGIC + struct.pack("<I", len(text)) + text + data[start + length :]


def test_the_good_one_is_read():
    assert [s.rows for s in parse_sketch(good()).sections] == [16, 16, 3]


def test_every_truncation_is_refused():
    data = good()
    for length in range(len(data)):
        with pytest.raises(FormatError):
            parse_sketch(data[:length])


def test_bytes_too_many_are_refused():
    with pytest.raises(FormatError, match="bytes too many"):
        parse_sketch(good() + b"\0")


def test_the_same_section_twice_is_refused():
    section = Section("unit_gram", "text", "gatedx40", 1, ((0, -1),), 16, np.zeros((1, 15), dtype=np.uint8))
    with pytest.raises(FormatError, match="twice"):
        parse_sketch(write_sketch("s", [section, section]))


def test_a_huge_one_is_refused_unread():
    with pytest.raises(FormatError, match="no sketch"):
        parse_sketch(good().ljust(MAX_SKETCH_BYTES + 1, b"\0"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda h: h.update(version=2), "version 1"),
        (lambda h: h.update(extra=1), "version 1"),
        (lambda h: h.update(salt=""), "salt"),
        (lambda h: h.update(salt=7), "salt"),
        (lambda h: h.update(sections={}), "sections"),
        (lambda h: h.update(sections=h["sections"] * 30), "sections"),
        (lambda h: h["sections"][0].update(kind="other"), "no kind"),
        (lambda h: h["sections"][0].update(kind=["units"]), "no short text"),
        (lambda h: h["sections"][0].update(tower="t" * 65), "no short text"),
        (lambda h: h["sections"][0].update(key="40"), "names no units"),
        (lambda h: h["sections"][0].update(key="axbx0"), "ends in no size"),
        (lambda h: h["sections"][0].update(key="axbx-4"), "ends in no size"),
        (lambda h: h["sections"][0].update(key="axbx99999999999"), "ends in no size"),
        (lambda h: h["sections"][0].update(depth=-1), "no number"),
        (lambda h: h["sections"][0].update(depth=True), "no number"),
        (lambda h: h["sections"][0].update(rows=65), "rows"),
        (lambda h: h["sections"][0].update(rows=17), "fill no tier"),
        (lambda h: h["sections"][1].update(rows=1), "no pairs"),
        (lambda h: h["sections"][2].update(rows=2), "rows"),
        (lambda h: h["sections"][0].update(places=[]), "places"),
        (lambda h: h["sections"][0].update(places=[0, -1, 1]), "places"),
        (lambda h: h["sections"][0].update(places=[0, -1, 0, -1]), "a place twice"),
        (lambda h: h["sections"][0].update(places=[0, -1] * 200), "places"),
        (lambda h: h["sections"][0].update(places=[0, 1 << 40, 1, 0]), "no number"),
        (lambda h: h["sections"][0].update(more=1), "other fields"),
        (lambda h: h["sections"].pop(1), "too many"),
        (lambda h: h["sections"][0].update(rows=32), "inside its signs"),
    ],
)
def test_a_wrong_header_is_named(change: Callable[[Header], object], said: str):
    with pytest.raises(FormatError, match=said):
        parse_sketch(changed(change))


@pytest.mark.parametrize("text", [b"[" * 100_000, b"{}", b"[]", b"null", b'"x"', b"\xff", b"{" + b'"a":' * 9])
def test_a_header_that_is_none_is_refused(text: bytes):
    with pytest.raises(FormatError):
        parse_sketch(MAGIC + struct.pack("<I", len(text)) + text)
