"""Equal texts among many spans of bytes get equal numbers: metric names, a hash at a time."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64, UInt8, UInt64


def hash_spans(
    data: UInt8[np.ndarray, " bytes"], starts: Int64[np.ndarray, " k"], stops: Int64[np.ndarray, " k"]
) -> UInt64[np.ndarray, " k"]:
    """A number for each span of bytes, equal for equal spans; eight bytes at a time."""
    words = np.ndarray((len(data) - 7,), np.dtype("<u8"), data, 0, (1,))
    length = stops - starts
    mixed = length.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    live, at = np.arange(len(starts)), 0
    while live.size:
        rest = length[live] - at
        live = live[rest > 0]
        rest = np.minimum(rest[rest > 0], 8)
        keep = np.uint64(0xFFFFFFFFFFFFFFFF) >> ((8 - rest) * 8).astype(np.uint64)
        word = (mixed[live] ^ (words[starts[live] + at] & keep)) * np.uint64(0xBF58476D1CE4E5B9)
        mixed[live] = word ^ (word >> np.uint64(29))
        at += 8
    return mixed


class SpanTable:
    """Numbers for the different texts among many spans: metric names, in the order of first appearance."""

    def __init__(self, *, max_texts: int, max_bytes: int = 1024) -> None:
        self.texts: list[bytes] = []
        self._numbers: dict[bytes, int] = {}
        self._hashes = np.zeros(0, dtype=np.uint64)
        self._of_hash = np.zeros(0, dtype=np.int64)
        self._max = (max_texts, max_bytes)

    def number(self, text: bytes) -> int:
        """The number of one text.

        Raises
        ------
        ValueError
            There are too many texts, or this one is too long.
        """
        found = self._numbers.get(text)
        if found is None:
            if len(self.texts) >= self._max[0]:
                raise ValueError(f"more than {self._max[0]:,} metrics")
            if len(text) > self._max[1]:
                raise ValueError(f"a name of {len(text):,} bytes; at most {self._max[1]:,} are read")
            found = self._numbers[text] = len(self.texts)
            self.texts.append(text)
        return found

    def numbers(
        self,
        data: UInt8[np.ndarray, " bytes"],
        starts: Int64[np.ndarray, " k"],
        stops: Int64[np.ndarray, " k"],
    ) -> Int64[np.ndarray, " k"]:
        """The number of each span's text.

        Raises
        ------
        ValueError
            There are too many texts, or one is too long.
        """
        mixed = hash_spans(data, starts, stops)
        place = self._places(mixed)
        new = np.flatnonzero(place < 0)
        if new.size:
            hashes, first = np.unique(mixed[new], return_index=True)
            numbers = [
                self.number(data[starts[k] : min(stops[k], starts[k] + self._max[1] + 1)].tobytes())
                for k in new[np.sort(first)].tolist()
            ]
            order = np.argsort(np.argsort(first))
            self._hashes = np.concatenate([self._hashes, hashes])
            self._of_hash = np.concatenate([self._of_hash, np.array(numbers, dtype=np.int64)[order]])
            by_hash = np.argsort(self._hashes)
            self._hashes, self._of_hash = self._hashes[by_hash], self._of_hash[by_hash]
            place = self._places(mixed)
        return self._of_hash[place]

    def _places(self, mixed: UInt64[np.ndarray, " k"]) -> Int64[np.ndarray, " k"]:
        """Where each hash stands in the table; -1 where it is new."""
        if not self._hashes.size:
            return np.full(len(mixed), -1, dtype=np.int64)
        place = np.minimum(np.searchsorted(self._hashes, mixed), len(self._hashes) - 1)
        return np.where(self._hashes[place] == mixed, place, -1).astype(np.int64)
