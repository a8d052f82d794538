"""The ledger of a comparison: every byte range read, and a digest over all the bytes."""

from __future__ import annotations

import bisect
import hashlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32

from jokbo.sources.base import Read
from jokbo.views.model import Model
from jokbo.views.rows import ReadRecord, RowsWish, bytes_wanted, fetch_rows, joined, rows_held


class Ledger:
    """Fetches rows of one model and remembers what it read.

    Attributes
    ----------
    model : Model
    budget_bytes : int
        How much may be read in all; the reading plan asks before it reads.
    spent_bytes : int
        Weight bytes read so far.
    """

    def __init__(self, model: Model, *, budget_bytes: int) -> None:
        self.model = model
        self.budget_bytes = budget_bytes
        self.spent_bytes = 0
        self._reads: list[Read] = []
        self._hash = hashlib.sha256()

    def affords(self, wishes: Sequence[RowsWish]) -> bool:
        """Whether the budget still covers these rows, and a fingerprint holds them."""
        if not rows_held(self.model, wishes):
            return False
        return self.spent_bytes + bytes_wanted(wishes) <= self.budget_bytes

    def fetch(self, wishes: Sequence[RowsWish]) -> list[Float32[np.ndarray, "rows cols"]]:
        """Fetch rows and enter them."""
        return fetch_rows(self.model, wishes, observe=self._enter)

    def note(self, what: str, data: bytes) -> None:
        """Enter what was used without being read from a tensor: Gram matrices of a private fingerprint."""
        self._hash.update(f"{what}\0{len(data)}\0".encode())
        self._hash.update(data)
        self.spent_bytes += len(data)

    def _enter(self, reads: Sequence[Read], answers: Sequence[bytes]) -> None:
        for read, data in zip(reads, answers, strict=True):
            self._hash.update(f"{read.file}\0{read.range.start}\0{read.range.stop}\0".encode())
            self._hash.update(data)
            self.spent_bytes += len(data)
        self._reads.extend(reads)

    @property
    def rows_sha256(self) -> str:
        """Digest over every range read and its bytes, in the order read."""
        return self._hash.hexdigest()

    def records(self) -> tuple[ReadRecord, ...]:
        """What was read of each tensor, in catalog order."""
        by_file: dict[str, list[tuple[int, str]]] = {}
        for entry in self.model.catalog.stored:
            by_file.setdefault(entry.file, []).append((entry.span.start, entry.name))
        for starts in by_file.values():
            starts.sort()
        names = []
        for read in self._reads:
            starts = by_file[read.file]
            names.append(starts[bisect.bisect_right(starts, (read.range.start, chr(0x10FFFF))) - 1][1])
        return joined(self._reads, names)
