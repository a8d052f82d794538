"""Whether a passage shares text with what the zoo's models were trained on.

Every run of 64 bytes of the training text is hashed, at every offset, and so is every run of a passage. A passage
with one hash in common is not used. Equal text always has an equal hash, so that nothing seen gets through; two
different runs with one hash (2**-64 each) would only drop a passage for nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

RUN = 64
"""Bytes. Shorter runs are shared by any two texts of one language: `from __future__ import annotations`."""

SLICES = ("library_even", "idlelib")
"""What the entrants, the anchor and the gate's references were trained on (`zoo/truth.toml`), tokenizer included."""

BASE = np.uint64(1_099_511_628_211)


def run_hashes(text: bytes) -> np.ndarray:
    """Polynomial hashes modulo 2**64 of all runs of `RUN` bytes, shape (len(text) - RUN + 1,), uint64."""
    values = np.frombuffer(text, np.uint8).astype(np.uint64) + np.uint64(1)
    count = len(values) - RUN + 1
    if count <= 0:
        return np.empty(0, np.uint64)
    found = np.zeros(count, np.uint64)
    for offset in range(RUN):
        found *= BASE
        found += values[offset : offset + count]
    return found


class Seen:
    """The runs of a training text."""

    def __init__(self, documents: Iterable[str]) -> None:
        texts = [document.encode("utf-8") for document in documents]
        self.bytes = sum(map(len, texts))
        self.sha256 = hashlib.sha256(b"\0".join(texts)).hexdigest()
        self._runs = np.unique(np.concatenate([run_hashes(text) for text in texts]))

    def shares(self, passage: str) -> bool:
        """Whether any run of the passage is in the training text; a shorter passage has none to compare."""
        data = passage.encode("utf-8")
        if len(data) < RUN:
            raise ValueError(f"a passage of {len(data)} bytes; expected at least {RUN}")
        wanted = run_hashes(data)
        places = np.searchsorted(self._runs, wanted).clip(max=len(self._runs) - 1)
        return bool((self._runs[places] == wanted).any())


def training_text() -> Seen:
    """The text of `SLICES`, read from the interpreter that runs this (3.11.7 trained the zoo)."""
    from zoo.corpus import documents

    return Seen(document for name in SLICES for document in documents(name))
