"""JSON as every reader must see it: each field once, and no number that JSON has not."""

from __future__ import annotations

import json
from typing import Any


def strict_loads(data: bytes | str) -> Any:
    """Parse JSON that somebody else wrote.

    Python's own parser keeps the last of two fields of one name, and takes ``NaN`` and ``Infinity`` for numbers; other
    readers do otherwise, so that two of them would see two documents.

    Raises
    ------
    ValueError
        It is no JSON, names a field twice in one object, or holds such a number.
    RecursionError
        It is nested too deep.

    Examples
    --------
    >>> strict_loads('{"a": 1, "a": 2}')
    Traceback (most recent call last):
    ValueError: the field 'a' is named twice in one object
    """
    return json.loads(data, object_pairs_hook=_unique, parse_constant=_no_constant)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = ascii(next(name for k, name in enumerate(names) if name in names[:k]))
        raise ValueError(
            f"the field {twice if len(twice) <= 60 else twice[:57] + '...'} is named twice in one object"
        )
    return found


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")
