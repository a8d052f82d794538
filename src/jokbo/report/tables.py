"""A table of texts: what a reader sees beside or behind a figure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Table:
    """A table.

    Attributes
    ----------
    caption : str
    head : tuple of str
        Column heads.
    rows : tuple of tuples of str
        The first cell of a row is its head.
    numeric : tuple of int
        Columns that hold numbers.
    code : tuple of int
        Columns that hold digests, tensor names and the like.
    prose : bool
        Holds sentences: on a phone each row is stacked.
    """

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[int, ...] = ()
    code: tuple[int, ...] = ()
    prose: bool = False
