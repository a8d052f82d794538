"""The vectors that were measured, in a file beside the claim, and what comes out when they are measured again.

CSV has a column a vector, JSON an object of lists, safetensors its tensors; the table's rows name them.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from jokbo.errors import FormatError
from jokbo.formats import strict_csv
from jokbo.formats.strict_json import strict_loads

MAX_VECTORS = 4_096
MAX_ENTRIES = 1 << 20
"""Of all vectors of a file together: each is shuffled a thousand times."""

SHUFFLES = 999

Vectors = Mapping[str, Float[np.ndarray, " entries"]]


def parse_vectors(data: bytes, *, where: str) -> Vectors:
    """Read vectors of numbers by name; the file's name says which format it is.

    Raises
    ------
    FormatError
        It cannot be read, or a vector is empty or holds what is no finite number.

    Examples
    --------
    >>> parse_vectors(b'{"a": [1, 2.5]}', where="norms.json")["a"]
    array([1. , 2.5])
    """
    ending = where.rpartition(".")[2].lower()
    if ending not in _READERS:
        raise FormatError(f"{where}: expected a name that ends in .csv, .json or .safetensors.")
    found = _READERS[ending](data, where)
    if not found or len(found) > MAX_VECTORS:
        raise FormatError(f"{where} holds {len(found):,} vectors; expected 1 to {MAX_VECTORS:,}.")
    if sum(vector.size for vector in found.values()) > MAX_ENTRIES:
        raise FormatError(
            f"{where} holds more than {MAX_ENTRIES:,} numbers. Keep the measured vectors alone."
        )
    for name, vector in found.items():
        if vector.size < 2 or not (np.abs(vector) <= strict_csv.MOST).all():
            raise FormatError(f"{where} ({name[:60]}): expected at least two numbers, all of them finite.")
    return found


def _of_csv(data: bytes, where: str) -> dict[str, np.ndarray]:
    header, rows, mark = strict_csv.read_csv(data, where=where)
    found = {}
    for k, name in enumerate(header):
        column = [
            strict_csv.number(cells[k], mark=mark, where=f"{where}:{line} ({name[:60]})")
            for line, cells in rows
        ]
        # Columns may differ in length; a hole in the middle is none of it.
        length = max((i + 1 for i, value in enumerate(column) if value is not None), default=0)
        if None in column[:length]:
            raise FormatError(
                f"{where}:{rows[column.index(None)][0]} ({name[:60]}) is empty; expected a number."
            )
        found[name] = np.array(column[:length], dtype=np.float64)
    return found


def _of_json(data: bytes, where: str) -> dict[str, np.ndarray]:
    try:
        document = strict_loads(data)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{where} is not JSON ({str(error)[:200]}). Correct it.") from None
    if not isinstance(document, dict) or not all(isinstance(value, list) for value in document.values()):
        raise FormatError(f"{where}: expected an object of lists, one a vector.")
    if sum(map(len, document.values())) > MAX_ENTRIES:
        raise FormatError(f"{where} holds more than {MAX_ENTRIES:,} numbers.")
    found = {}
    for name, values in document.items():
        if not all(isinstance(each, int | float) and not isinstance(each, bool) for each in values):
            raise FormatError(f"{where} ({name[:60]}): expected numbers and nothing else.")
        try:
            found[name] = np.array(values, dtype=np.float64)
        except OverflowError:
            raise FormatError(f"{where} ({name[:60]}) holds a number that is too large.") from None
    return found


def _of_safetensors(data: bytes, where: str) -> dict[str, np.ndarray]:
    from jokbo.formats.base import run_plan
    from jokbo.formats.choose import plan_catalog
    from jokbo.formats.dtypes import decode
    from jokbo.sources.memory import MemorySource

    source = MemorySource({where: data})
    catalog = run_plan(plan_catalog(source.files), source)
    found = {}
    for name, entry in catalog.items():
        if len(entry.shape) != 1 or not entry.dtype.is_weight:
            raise FormatError(
                f"{where}: {name[:60]} is no vector of floats. Keep the measured vectors alone."
            )
        block = source.read(entry.file, entry.span.start, entry.span.stop)
        found[name] = decode(block, entry.dtype).astype(np.float64)
    return found


_READERS = {"csv": _of_csv, "json": _of_json, "safetensors": _of_safetensors}


@dataclass(frozen=True, slots=True)
class Again:
    """Pairs of vectors measured again, all in one.

    Attributes
    ----------
    pairs : int
    raw, centred : float
        Means over the pairs of the cosine and of Pearson's correlation.
    shuffled, shuffled_sd : float
        Mean and standard deviation of the mean cosine over random orders, one order for all pairs of equal length.
    pvalue : float
        Share of orders, this one included, whose mean cosine is no less than the one seen.
    by_means : float
        What the vectors' means alone make of the cosine: the product of mean over root mean square.
    """

    pairs: int
    raw: float
    centred: float
    shuffled: float
    shuffled_sd: float
    pvalue: float
    by_means: float


def measure_again(pairs: Sequence[tuple[np.ndarray, np.ndarray]], *, digest: str) -> Again:
    """Cosine, centred cosine and shuffles of pairs of vectors.

    Parameters
    ----------
    pairs : sequence of (array, array)
        Of equal length within a pair.
    digest : str
        Of the claim: with it the orders are the same in every run, and known to nobody who writes the claim.
    """
    seed = int.from_bytes(hashlib.sha256(f"jokbo-claim-1|{digest}".encode()).digest(), "big")
    rng = np.random.Generator(np.random.PCG64(seed))
    raw = math.fsum(cosine(a, b) for a, b in pairs) / len(pairs)
    stacks = _stacks(pairs)
    drawn = []
    for _ in range(SHUFFLES):
        total = 0.0
        for length, (ones, others) in stacks.items():
            # Stacked with one entry a row, so that an order picks whole rows.
            total += float(np.einsum("ep,ep->", ones, others[rng.permutation(length)]))
        drawn.append(total / len(pairs))
    above = sum(value >= raw - 1e-12 for value in drawn)
    return Again(
        pairs=len(pairs),
        raw=raw,
        centred=math.fsum(pearson(a, b) for a, b in pairs) / len(pairs),
        shuffled=math.fsum(drawn) / SHUFFLES,
        shuffled_sd=float(np.std(drawn)),
        pvalue=(above + 1) / (SHUFFLES + 1),
        by_means=math.fsum(_by_means(a) * _by_means(b) for a, b in pairs) / len(pairs),
    )


def _stacks(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Pairs of each length as two arrays (entries, pairs) of columns of length one; zero vectors stay zero."""

    def unit(a: np.ndarray) -> np.ndarray:
        length = math.sqrt(float(a @ a))
        return a / length if length > 0 else a

    return {
        length: (
            np.stack([unit(a) for a, _ in pairs if a.size == length], axis=1),
            np.stack([unit(b) for a, b in pairs if a.size == length], axis=1),
        )
        for length in sorted({a.size for a, _ in pairs})
    }


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Cosine of two vectors; 0 where one is zero.

    Examples
    --------
    >>> cosine(np.array([1.0, 0.0]), np.array([3.0, 4.0]))
    0.6
    """
    length = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / length if length > 0 else 0.0


def pearson(a: np.ndarray, b: np.ndarray) -> float:
    """Cosine after subtracting each vector's mean; 0 where one is constant."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return cosine(a - a.mean(), b - b.mean())


def _by_means(a: np.ndarray) -> float:
    square = float(np.mean(a * a))
    return float(a.mean()) / math.sqrt(square) if square > 0 else 0.0
