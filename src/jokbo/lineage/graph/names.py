"""Names of models in drawings that others' programs read: nothing in a name may act there."""

from __future__ import annotations

import unicodedata

MAX_LABEL = 80

_REPLACEMENT = "\ufffd"


def plain_label(name: str) -> str:
    """One line of visible characters, shortened; control, format and line characters become U+FFFD.

    Examples
    --------
    >>> plain_label("a\\n\\u202eb")
    'a\\ufffd\\ufffdb'
    """
    shown = "".join(
        _REPLACEMENT if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") else c
        for c in name[: MAX_LABEL + 1]
    )
    return shown if len(shown) <= MAX_LABEL else shown[: MAX_LABEL - 1] + "…"


def quoted_dot(name: str) -> str:
    """A label as a double-quoted DOT string.

    Inside one only the quote and the backslash act (the DOT language, graphviz.org/doc/info/lang.html).

    Examples
    --------
    >>> print(quoted_dot('a" -> b; \\\\N'))
    "a\\" -> b; \\\\N"
    """
    escaped = plain_label(name).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 -_./")


def quoted_mermaid(name: str) -> str:
    """A label as a quoted Mermaid string, all but letters, digits and a few signs as numeric entities.

    Mermaid takes ``#`` and a decimal number for a character ("Entity codes to escape characters" of its flowchart
    syntax), and renders labels as HTML or Markdown unless nothing in them is either.

    Examples
    --------
    >>> quoted_mermaid('x"]; click A "javascript:')
    '"x#34;#93;#59; click A #34;javascript#58;"'
    """
    escaped = "".join(
        c if c in _SAFE or (ord(c) > 127 and c.isalnum()) else f"#{ord(c)};" for c in plain_label(name)
    )
    return f'"{escaped}"'
