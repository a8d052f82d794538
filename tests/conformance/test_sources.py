"""Every source passes the published suite."""

from __future__ import annotations

import itertools
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from jokbo.sources.base import Read
from jokbo.sources.cache import DiskCache
from jokbo.sources.cached import CachedSource
from jokbo.sources.cloud import CloudSource
from jokbo.sources.http import HttpSource
from jokbo.sources.hub import HubSource
from jokbo.sources.local import LocalSource
from jokbo.sources.memory import MemorySource
from jokbo.testing.hub import LocalHub
from jokbo.testing.sources import FILES, BrokenSource, LatencySource, SourceConformance

_numbers = itertools.count()


def _write(files, folder):
    for file, data in files.items():
        (Path(folder) / file).write_bytes(data)


class TestMemory(SourceConformance):
    @contextmanager
    def open(self, files):
        yield MemorySource(files)


class TestLatency(SourceConformance):
    @contextmanager
    def open(self, files):
        yield LatencySource(MemorySource(files), latency_seconds=0.0005, bytes_per_second=1e10)


class TestLocal(SourceConformance):
    @contextmanager
    def open(self, files):
        with tempfile.TemporaryDirectory() as folder:
            _write(files, folder)
            source = LocalSource(folder)
            yield source
            source.close()


class TestHub(SourceConformance):
    @contextmanager
    def open(self, files):
        with LocalHub({"org/tiny": files}) as hub:
            source = HubSource("org/tiny", endpoint=hub.endpoint)
            yield source
            source.close()


class TestHttp(SourceConformance):
    @contextmanager
    def open(self, files):
        renamed = {"empty.txt": "merges.txt"}
        with LocalHub({"org/tiny": {renamed.get(file, file): data for file, data in files.items()}}) as hub:
            source = _Renamed(HttpSource(f"{hub.endpoint}/org/tiny/resolve/main"), renamed)
            yield source
            source.close()


class _Renamed(LatencySource):
    """A folder over HTTP has only files of known names, so the suite's empty file goes by one of them."""

    def __init__(self, source, renamed):
        super().__init__(source, latency_seconds=0.0)
        self._renamed = renamed
        back = {new: old for old, new in renamed.items()}
        self.files = {back.get(file, file): info for file, info in source.files.items()}

    def read_many(self, reads):
        self.check_reads(reads)
        return self._source.read_many([Read(self._renamed.get(file, file), span) for file, span in reads])


class TestCached(SourceConformance):
    @contextmanager
    def open(self, files):
        with tempfile.TemporaryDirectory() as folder, LocalHub({"org/tiny": files}) as hub:
            source = CachedSource(HubSource("org/tiny", endpoint=hub.endpoint), DiskCache(folder))
            yield source
            source.close()


class TestCloud(SourceConformance):
    @contextmanager
    def open(self, files):
        import fsspec

        folder = f"/conformance-{next(_numbers)}"
        system = fsspec.filesystem("memory")
        for file, data in files.items():
            system.pipe_file(f"{folder}/{file}", data)
        yield CloudSource(f"memory:/{folder}")


def test_suite_notices_a_source_that_answers_other_bytes():
    class Off(MemorySource):
        def read_many(self, reads):
            return [answer[::-1] for answer in super().read_many(reads)]

    class Suite(SourceConformance):
        @contextmanager
        def open(self, files):
            yield Off(files)

    with pytest.raises(AssertionError):
        Suite().test_reads_exactly_the_range()


def test_broken_source_breaks_when_told():
    source = BrokenSource(MemorySource(FILES), after=1)
    assert source.read("config.json", 0, 1) == b"{"
    with pytest.raises(Exception, match="breaks on purpose"):
        source.read("config.json", 0, 1)
