"""The head of a log, for strangers to keep: who holds one can tell later whether the log still contains it.

A log whose end is cut off, or that its host signs again from the first entry, looks whole to somebody who holds
nothing else. One digest on paper, in a newspaper or in a message is enough to see it.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import Any

from jokbo.errors import UsageError
from jokbo.hearing.case.entry import Entry

SCHEMA = "jokbo.hearing-head/1"
MIN_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Head:
    """The last entry of a log, as a witness keeps it.

    Attributes
    ----------
    case : str
        Digest of the first entry.
    sequence : int
    digest : str
        Of the last entry: it covers all before it.
    time : str
        By the host's clock.
    signature : bytes
        The host's, over the last entry's head.
    """

    case: str
    sequence: int
    digest: str
    time: str
    signature: bytes

    def to_document(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "schema": SCHEMA,
            "case": self.case,
            "sequence": self.sequence,
            "digest": self.digest,
            "time": self.time,
            "signature": base64.b64encode(self.signature).decode(),
        }


def make_head(case: str, last: Entry) -> Head:
    """The head after an entry."""
    return Head(case, last.sequence, last.digest, last.time, last.signature)


def spelled(digest: str) -> str:
    """A digest in groups of eight, as people read it out.

    Examples
    --------
    >>> spelled("ab" * 32)[:26]
    'abababab abababab abababab'
    """
    return " ".join(digest[k : k + 8] for k in range(0, len(digest), 8))


def parse_digest(text: str) -> str:
    """A digest as somebody typed it: in groups, in capitals, or only its first 16 digits or more.

    Raises
    ------
    UsageError
        It is no digest.

    Examples
    --------
    >>> parse_digest("ABABABAB abababab")
    'abababababababab'
    """
    found = "".join(text.split()).lower()
    if not re.fullmatch(rf"[0-9a-f]{{{MIN_DIGITS},64}}", found):
        raise UsageError(f"{text[:80]!r} is no digest; expected {MIN_DIGITS} to 64 hexadecimal digits.")
    return found
