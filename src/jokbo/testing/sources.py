"""What every source must do, as a suite to subclass; and sources that are slow or break.

A source of your own is conformant when a subclass of :class:`SourceConformance`
with an ``open`` method passes::

    class TestMySource(SourceConformance):
        @contextmanager
        def open(self, files):
            yield MySource(files)
"""

# ruff: noqa: D102 - the name of each law says what it holds
from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager

from jokbo.errors import NotFoundError, RangeError, SourceError, TransferError
from jokbo.sources.base import ByteRange, Read, Source

_WEIGHTS = bytes(range(256)) * 2048

FILES: Mapping[str, bytes] = {
    "config.json": b'{"hidden_size": 8}',
    "empty.txt": b"",
    "model.safetensors": _WEIGHTS,
}
"""What a source under test holds: a small file, an empty one, and half a mebibyte of weights."""


class SourceConformance:
    """Tests that any :class:`~jokbo.sources.base.Source` passes; subclass and define :meth:`open`."""

    def open(self, files: Mapping[str, bytes]) -> AbstractContextManager[Source]:
        """A context in which a source of exactly these files is open."""
        raise NotImplementedError("a subclass opens its source")

    def test_lists_every_file_with_its_size(self) -> None:
        with self.open(FILES) as source:
            assert {file: info.size for file, info in source.files.items()} == {
                file: len(data) for file, data in FILES.items()
            }

    def test_digests_are_right_where_known(self) -> None:
        import hashlib

        with self.open(FILES) as source:
            for file, info in source.files.items():
                assert info.sha256 in (None, hashlib.sha256(FILES[file]).hexdigest())

    def test_identity_names_kind_and_model(self) -> None:
        with self.open(FILES) as source:
            assert source.identity.kind
            assert source.identity.name

    def test_reads_exactly_the_range(self) -> None:
        with self.open(FILES) as source:
            assert source.read("model.safetensors", 255, 300) == _WEIGHTS[255:300]
            assert source.read("config.json", 1, 4) == FILES["config.json"][1:4]

    def test_reads_first_and_last_byte(self) -> None:
        size = len(_WEIGHTS)
        with self.open(FILES) as source:
            assert source.read("model.safetensors", 0, 1) == _WEIGHTS[:1]
            assert source.read("model.safetensors", size - 1, size) == _WEIGHTS[-1:]

    def test_reads_a_whole_file(self) -> None:
        with self.open(FILES) as source:
            assert source.read("model.safetensors", 0, len(_WEIGHTS)) == _WEIGHTS
            assert source.read_file("config.json", max_bytes=100) == FILES["config.json"]

    def test_reads_nothing(self) -> None:
        with self.open(FILES) as source:
            assert source.read("model.safetensors", 7, 7) == b""
            assert source.read("empty.txt", 0, 0) == b""
            assert source.read_many([]) == []

    def test_answers_in_the_order_asked(self) -> None:
        wishes = [(400_000, 400_100), (0, 10), (5, 20), (400_050, 400_060), (0, 10), (300_000, 300_001)]
        reads = [Read("model.safetensors", ByteRange(*wish)) for wish in wishes]
        reads.insert(3, Read("config.json", ByteRange(0, 5)))
        with self.open(FILES) as source:
            assert source.read_many(reads) == [FILES[file][start:stop] for file, (start, stop) in reads]

    def test_reads_again_what_was_read(self) -> None:
        with self.open(FILES) as source:
            first = source.read("model.safetensors", 1000, 3000)
            assert source.read("model.safetensors", 1000, 3000) == first == _WEIGHTS[1000:3000]
            assert source.read("model.safetensors", 1500, 1600) == _WEIGHTS[1500:1600]

    def test_refuses_a_range_outside(self) -> None:
        size = len(_WEIGHTS)
        with self.open(FILES) as source:
            for start, stop in ((0, size + 1), (-1, 4), (9, 5), (size + 1, size + 2)):
                error = self._error(source, "model.safetensors", start, stop)
                assert isinstance(error, RangeError)
                assert "model.safetensors" in str(error)
                assert f"{size:,}" in str(error)

    def test_refuses_a_file_that_is_not_there(self) -> None:
        with self.open(FILES) as source:
            for file in ("absent.safetensors", "../config.json", ""):
                error = self._error(source, file, 0, 1)
                assert isinstance(error, NotFoundError)
                assert repr(file) in str(error)

    def test_counts_what_it_reads(self) -> None:
        with self.open(FILES) as source:
            source.read("model.safetensors", 0, 5000)
            stats = source.stats
            assert stats.bytes_read + stats.bytes_from_cache >= 5000

    def test_serves_several_threads(self) -> None:
        failures: list[object] = []

        def read(start: int) -> None:
            for offset in range(start, start + 200_000, 20_000):
                if source.read("model.safetensors", offset, offset + 333) != _WEIGHTS[offset : offset + 333]:
                    failures.append(offset)

        with self.open(FILES) as source:
            threads = [threading.Thread(target=read, args=(start,)) for start in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert not failures

    def test_close_is_repeatable(self) -> None:
        with self.open(FILES) as source:
            source.read("config.json", 0, 1)
            source.close()
            source.close()

    @staticmethod
    def _error(source: Source, file: str, start: int, stop: int) -> Exception:
        try:
            source.read(file, start, stop)
        except SourceError as error:
            return error
        raise AssertionError(f"reading {file!r} from {start} to {stop} was answered")


class LatencySource(Source):
    """Another source, slower: waits before every batch of reads.

    Parameters
    ----------
    source : Source
        What is read.
    latency_seconds : float
        Waited once a batch, as a source with enough connections would.
    bytes_per_second : float, optional
        Waited besides, for the bytes.
    """

    def __init__(
        self, source: Source, *, latency_seconds: float, bytes_per_second: float | None = None
    ) -> None:
        self._source = source
        self._latency_seconds = latency_seconds
        self._bytes_per_second = bytes_per_second
        self.identity, self.files, self.stats = source.identity, source.files, source.stats

    def read_many(self, reads: Sequence[Read]) -> list[bytes]:
        """Wait, then read."""
        seconds = self._latency_seconds
        if self._bytes_per_second is not None:
            seconds += sum(read.range.size for read in reads) / self._bytes_per_second
        time.sleep(seconds)
        return self._source.read_many(reads)

    def close(self) -> None:
        """Close the source."""
        self._source.close()


class BrokenSource(Source):
    """Another source that fails after some batches of reads.

    Parameters
    ----------
    source : Source
        What is read until then.
    after : int
        Batches that succeed.
    error : SourceError, optional
        What is raised from then on.
    """

    def __init__(self, source: Source, *, after: int = 0, error: SourceError | None = None) -> None:
        self._source = source
        self._left = after
        self._lock = threading.Lock()
        self._error = error or TransferError(
            f"{source.identity.name}: the connection broke; expected an answer. It breaks on purpose."
        )
        self.identity, self.files, self.stats = source.identity, source.files, source.stats

    def read_many(self, reads: Sequence[Read]) -> list[bytes]:
        """Read, or fail."""
        with self._lock:
            self._left -= 1
            broken = self._left < 0
        if broken:
            raise self._error
        return self._source.read_many(reads)

    def close(self) -> None:
        """Close the source."""
        self._source.close()
