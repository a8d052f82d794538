"""An excerpt answers what it holds, and refuses what it does not hold; other files are names."""

from __future__ import annotations

import numpy as np
import pytest

from jokbo.errors import RangeError, RowsAbsentError, SourceError
from jokbo.sources.base import ByteRange, FileInfo, Read, SourceIdentity
from jokbo.sources.excerpt import ExcerptSource

SPANS = np.array([[10, 14], [20, 26]])
FILES = {"model.safetensors": FileInfo(1000)}


def excerpt(spans: np.ndarray = SPANS, data: bytes = b"abcdUVWXYZ") -> ExcerptSource:
    return ExcerptSource(SourceIdentity("fingerprint", "model"), FILES, "rows", 100, spans, data)


def read(start: int, stop: int, file: str = "rows") -> Read:
    return Read(file, ByteRange(start, stop))


def test_reads_are_cut_out_of_the_span_that_holds_them() -> None:
    source = excerpt()
    assert source.read_many([read(21, 23), read(10, 14), read(25, 26)]) == [b"VW", b"abcd", b"Z"]
    assert (source.stats.requests, source.stats.bytes_read) == (3, 7)


@pytest.mark.parametrize(
    ("start", "stop"),
    [(9, 11), (13, 15), (14, 20), (12, 22), (26, 27), (0, 5), (19, 26)],
    ids=["before", "after", "between", "across", "behind", "first", "one byte early"],
)
def test_what_is_not_held_is_refused(start: int, stop: int) -> None:
    source = excerpt()
    assert not source.holds([read(10, 11), read(start, stop)])
    with pytest.raises(RowsAbsentError, match="model: the fingerprint does not hold all the rows"):
        source.read_many([read(start, stop)])
    assert source.stats.bytes_read == 0


def test_other_files_are_known_and_not_held() -> None:
    source = excerpt()
    assert source.files["model.safetensors"].size == 1000
    assert not source.holds([read(0, 1, "model.safetensors")])
    with pytest.raises(RowsAbsentError):
        source.read("model.safetensors", 0, 1)


def test_beyond_the_file_and_unknown_files_are_errors_of_their_own() -> None:
    with pytest.raises(RangeError):
        excerpt().read("rows", 20, 101)
    with pytest.raises(SourceError):
        excerpt().read("nothing", 0, 1)


def test_nothing_held_holds_nothing() -> None:
    source = excerpt(np.empty((0, 2), dtype=np.int64), b"")
    assert source.holds([])
    assert source.held_bytes == 0
    assert not source.holds([read(0, 1)])


def test_two_spans_side_by_side_are_not_one() -> None:
    """A reader asks for what one matrix holds; joining would let a read run on into the next one."""
    source = excerpt(np.array([[10, 14], [14, 20]]), b"abcdUVWXYZ")
    assert not source.holds([read(12, 16)])
