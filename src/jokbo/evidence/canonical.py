"""Canonical JSON: the same document gives the same bytes, everywhere and later.

Keys sorted, no spaces, UTF-8, no NaN; floats are rounded before they come here, so that
their shortest representation does not depend on the machine. Follows the spirit of
RFC 8785 for the values that evidence uses.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

LOG_DECIMALS = 3
"""Decimals of log10 e-values: machines differ in the last bits of a sum, never in these."""

EFFECT_DECIMALS = 4
"""Decimals of cosines, correlations and shares."""


def canonical_bytes(document: Any) -> bytes:
    """Serialise a document of dicts, lists, strings, integers, booleans, None and finite floats.

    Raises
    ------
    ValueError
        A float is NaN or infinite.

    Examples
    --------
    >>> canonical_bytes({"b": 1, "a": [0.5, None]})
    b'{"a":[0.5,null],"b":1}'
    """
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def digest(document: Any) -> str:
    """SHA-256 of the canonical bytes."""
    return hashlib.sha256(canonical_bytes(document)).hexdigest()


def log10(natural_log: float) -> float:
    """A natural log as a rounded log10; adds zero so that -0.0 never appears."""
    return round(float(natural_log) / math.log(10), LOG_DECIMALS) + 0.0


def effect(value: float) -> float:
    """A rounded effect size."""
    return round(float(value), EFFECT_DECIMALS) + 0.0
