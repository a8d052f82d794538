"""Figures that another machine's arithmetic may round the other way.

Sums of floating point numbers depend on the order of the terms, which a processor's library chooses. What differs is
below the twelfth digit, and figures are rounded at the sixth; so once in some hundred thousand figures the two lie on
either side of a rounding, and one unit of the last decimal apart. That is no other result, and is counted, not hidden.
"""

from __future__ import annotations

from typing import Any

from jokbo.league.numbers import DECIMALS

UNIT = 1.5 * 10.0**-DECIMALS
"""One unit of the last decimal, and half of one for the subtraction itself."""


def count_last_digits(claimed: Any, found: Any) -> int | None:
    """How many figures differ by one unit of the last decimal; None where anything differs by more.

    Examples
    --------
    >>> count_last_digits({"score": 70.600001, "team": "a"}, {"score": 70.6, "team": "a"})
    1
    >>> count_last_digits([1.0, 2], [1.0, 3]) is None
    True
    """
    if isinstance(claimed, dict) and isinstance(found, dict):
        if claimed.keys() != found.keys():
            return None
        return _sum(count_last_digits(claimed[key], found[key]) for key in claimed)
    if isinstance(claimed, list) and isinstance(found, list):
        if len(claimed) != len(found):
            return None
        return _sum(count_last_digits(a, b) for a, b in zip(claimed, found, strict=True))
    if claimed == found and type(claimed) is type(found):
        return 0
    numbers = all(isinstance(x, (int, float)) and not isinstance(x, bool) for x in (claimed, found))
    # A whole number is a count or a rank: none of those is ever rounded.
    whole = isinstance(claimed, int) and isinstance(found, int)
    return 1 if numbers and not whole and abs(claimed - found) <= UNIT else None


def _sum(counts: Any) -> int | None:
    total = 0
    for count in counts:
        if count is None:
            return None
        total += count
    return total
