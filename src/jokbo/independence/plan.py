"""What to read: windows and layers that nobody can foresee, within a budget.

Which rows are read follows from the seed and from the digests of both models, so a
maker cannot scramble just those; in a dispute the seed is drawn after both are fixed.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from jokbo.errors import UsageError

MIN_BUDGET_BYTES = 32 << 20
BUDGET_SHARE = 0.005
"""Default budget of a model: half a percent of its bytes, at least 32 MiB."""


@dataclass(frozen=True, slots=True)
class ReadingPlan:
    """How many rows of each kind to read; all of it enters the evidence.

    Attributes
    ----------
    units : int
        MLP units a layer.
    values, rotary : int
        Value rows, and query and key rows, a layer.
    tokens : int
        Embedding and output rows.
    channels : int
        Residual channels on which order is tested, in blocks of 16.
    experts : int
        Routed experts sampled a layer.
    screen_layers : int
        Layers of the first stage.
    tensor_layers : int
        Layers whose whole matrices the last stage reads; 0 for all.
    max_rotation_width : int
        Largest hidden size for which a rotation is solved for.
    """

    units: int = 64
    values: int = 32
    rotary: int = 16
    tokens: int = 512
    channels: int = 128
    experts: int = 1
    screen_layers: int = 6
    tensor_layers: int = 4
    max_rotation_width: int = 2048


@dataclass(frozen=True, slots=True)
class Budget:
    """How much may be read of each model.

    Attributes
    ----------
    text : str
        As the user gave it; ``"default"`` otherwise.
    last_stage : str
        ``"screen"`` stops after the first stage.
    """

    text: str = "default"
    share: float | None = None
    size: int | None = None
    last_stage: str = "tensors"

    def bytes_of(self, model_bytes: int) -> int:
        """Budget in bytes for a model of this size."""
        if self.size is not None:
            return self.size
        if self.share is not None:
            return max(int(self.share * model_bytes), 1)
        return max(MIN_BUDGET_BYTES, int(BUDGET_SHARE * model_bytes))

    @property
    def explicit(self) -> bool:
        """Whether the user asked for a size or a share, and so for more computing as well."""
        return self.share is not None or self.size is not None


def parse_budget(text: str | None) -> Budget:
    """Parse ``screen``, ``full``, a share such as ``2%``, or a size such as ``500MB``.

    Examples
    --------
    >>> parse_budget("2%").bytes_of(1000)
    20
    >>> parse_budget("64MB").size
    64000000
    """
    if text is None or text == "default":
        return Budget()
    if text == "full":
        return Budget(text, share=2.0)  # rows of several stages may be read twice
    if text == "screen":
        return Budget(text, last_stage="screen")
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(%|kB|KB|MB|GB|TB|KiB|MiB|GiB|B)?\s*", text)
    if found is None or float(found[1]) == 0:
        raise UsageError(
            f"--budget {text!r}: expected 'screen', 'full', a share such as 2%, or a size such as 500MB."
        )
    number, unit = float(found[1]), found[2] or "B"
    if unit == "%":
        return Budget(text, share=number / 100)
    powers = {
        "B": 1,
        "kB": 1e3,
        "KB": 1e3,
        "MB": 1e6,
        "GB": 1e9,
        "TB": 1e12,
        "KiB": 2**10,
        "MiB": 2**20,
        "GiB": 2**30,
    }
    return Budget(text, size=int(number * powers[unit]))


NOMINAL_ROWS = {"units": 64, "values": 32, "rotary": 16, "rows": 512}
"""Longest window of each purpose in fingerprints: shorter ones open the longer, so that two sizes share rows."""


@dataclass(frozen=True, slots=True)
class Lot:
    """The source of every random choice of a comparison: a seed and both digests.

    Attributes
    ----------
    salt : str or None
        Where one side is a fingerprint: what its rows were chosen by. *Which* rows, heads and experts are compared
        then follows from the salt and from the size of the axis alone; everything else is drawn as always.
    """

    seed: int
    reference_digest: str
    candidate_digest: str
    salt: str | None = None

    def draw(self, purpose: str) -> np.random.Generator:
        """A generator for one named purpose; the same in every run."""
        text = f"jokbo-1|{self.seed}|{self.reference_digest}|{self.candidate_digest}|{purpose}"
        return _generator(text)

    def window(self, purpose: str, size: int, length: int) -> Int[np.ndarray, " length"]:
        """`length` neighbouring indices of an axis of `size`: one request a matrix."""
        length = min(length, size)
        if self.salt is None:
            start = int(self.draw(purpose).integers(0, size - length + 1))
        else:
            # The same share of the axis in every model: pruned units that kept their order are still near.
            longest = min(max(NOMINAL_ROWS.get(purpose.rpartition("/")[2], 0), length), size)
            start = int(self._share(purpose) * (size - longest + 1))
        return np.arange(start, start + length)

    def pick(self, purpose: str, count: int) -> int:
        """One of `count`."""
        if self.salt is None:
            return int(self.draw(purpose).integers(count))
        return int(self._share(purpose) * count)

    def sample(self, purpose: str, count: int, few: int) -> list[int]:
        """`few` of `count`, without repetition, ascending."""
        rng = self.draw(purpose) if self.salt is None else self._fixed(purpose)
        return sorted(int(k) for k in rng.choice(count, few, replace=False))

    def layers(self, purpose: str, layers: list[int], count: int) -> list[int]:
        """`count` layers, one from each stretch of the depth."""
        if count >= len(layers):
            return layers
        edges = np.linspace(0, len(layers), count + 1).astype(int)
        rng = self.draw(purpose)
        return [layers[int(rng.integers(a, b))] for a, b in itertools.pairwise(edges)]

    def channel_blocks(self, purpose: str, size: int, count: int, block: int = 16) -> Int[np.ndarray, " m"]:
        """About `count` channels in whole blocks of neighbours, so that the local form has whom to compare."""
        blocks = size // block
        if count >= size or blocks == 0:
            return np.arange(size)
        chosen = np.sort(self.draw(purpose).choice(blocks, size=min(count // block, blocks), replace=False))
        return (chosen[:, None] * block + np.arange(block)[None, :]).reshape(-1)

    def _fixed(self, purpose: str) -> np.random.Generator:
        """By the salt and by tower and axis: a dense MLP and experts of one width give the same rows."""
        component, _, what = purpose.partition("/")
        return _generator(f"jokbo-fingerprint-1|{self.salt}|{component.partition('.')[0]}|{what}")

    def _share(self, purpose: str) -> float:
        return float(self._fixed(purpose).random())


def _generator(text: str) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")))
