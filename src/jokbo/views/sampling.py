"""Which rows of a model a fingerprint holds: the same rows of every model that is made alike.

Rows are chosen by a salt and by the size of their axis, never by the model: two fingerprints of one salt hold the
same unit numbers, and the rows of the same tokens, whatever else the models are.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

PUBLIC_SALT = "jokbo-1"
"""The salt of fingerprints that strangers exchange."""

MAX_SALT_LENGTH = 128


@dataclass(frozen=True, slots=True)
class Sampling:
    """What a fingerprint sampled.

    Attributes
    ----------
    salt : str
        Decides which rows.
    units, values, rotary, tokens : int
        Rows of each kind: see :class:`jokbo.independence.plan.ReadingPlan`.
    layers : mapping of str to tuple of int
        By tower: the layers whose rows are held.
    """

    salt: str = PUBLIC_SALT
    units: int = 64
    values: int = 32
    rotary: int = 16
    tokens: int = 512
    layers: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


def token_rank(salt: str, text: str) -> bytes:
    """Where a token stands among all texts: those of the smallest rank are sampled (bottom-k sampling).

    Broder, "On the resemblance and containment of documents" (1997): of two sets, the smallest hashes
    of both agree on what the sets share, whatever else is in them.
    """
    return hashlib.sha256(f"{salt}\0{text}".encode("utf-8", "surrogatepass")).digest()


def smallest_tokens(salt: str, texts: Iterable[str], count: int) -> list[str]:
    """The `count` texts of the smallest rank, in the order of their ranks.

    Examples
    --------
    >>> words = [f"token{k}" for k in range(1000)]
    >>> few = smallest_tokens("s", words, 10)
    >>> few == smallest_tokens("s", reversed(words), 10), set(few[:5]) <= set(smallest_tokens("s", words[::-1], 20))
    (True, True)
    """
    return heapq.nsmallest(count, texts, key=lambda text: (token_rank(salt, text), text))
