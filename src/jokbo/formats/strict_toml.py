"""TOML that somebody else wrote, in bounded time."""

from __future__ import annotations

import re
import tomllib
from typing import Any

MAX_DOTS = 200
"""In one line that is no comment. The parser's time grows with the square of a key's parts, and tables in tables
break whatever would show them."""

_LONG_NUMBER = re.compile(rb"0[xob][0-9a-fA-F_]{256}")
"""Python refuses to write an integer of thousands of digits, and reads one all the same in these bases."""


def strict_toml(data: bytes) -> dict[str, Any]:
    """Parse TOML that somebody else wrote.

    Raises
    ------
    ValueError
        It is no TOML, or a line could hold a key of absurdly many parts or an integer of absurdly many digits.
    RecursionError
        It is nested too deep.

    Examples
    --------
    >>> strict_toml(b"a.b = 1")
    {'a': {'b': 1}}
    >>> strict_toml(b"a" + b".a" * 10_000 + b" = 1")
    Traceback (most recent call last):
    ValueError: more than 200 dots in one line: break the line (at line 1)
    """
    for number, line in enumerate(data.split(b"\n"), start=1):
        if line.count(b".") > MAX_DOTS and not line.lstrip().startswith(b"#"):
            raise ValueError(f"more than {MAX_DOTS} dots in one line: break the line (at line {number})")
        if _LONG_NUMBER.search(line):
            raise ValueError(f"a number of absurd length (at line {number})")
    return tomllib.loads(data.decode())
