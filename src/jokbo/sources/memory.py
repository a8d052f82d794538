"""A source that lives in memory: for tests, for demos, for models made on the spot."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from jokbo.sources.base import FileInfo, Read, ReadStats, Source, SourceIdentity


class MemorySource(Source):
    """Files given as a mapping of names to bytes.

    Examples
    --------
    >>> MemorySource({"config.json": b"{}"}, name="tiny").read("config.json", 0, 2)
    b'{}'
    """

    def __init__(self, files: Mapping[str, bytes], *, name: str = "memory") -> None:
        self._contents = dict(files)
        self.identity = SourceIdentity(kind="memory", name=name)
        self.files = {
            file: FileInfo(len(data), hashlib.sha256(data).hexdigest())
            for file, data in self._contents.items()
        }
        self.stats = ReadStats()

    def read_many(self, reads: Sequence[Read]) -> list[bytes]:
        """Cut each range out of its file."""
        self.check_reads(reads)
        answers = []
        for file, (start, stop) in reads:
            answers.append(self._contents[file][start:stop])
        self.stats.add(requests=len(reads), bytes_read=sum(map(len, answers)))
        return answers
