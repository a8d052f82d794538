"""What a page of the league is made of: plain frozen data, every text already in the reader's language."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jokbo.report.figures.charts import Chart
from jokbo.report.tables import Table


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a grid.

    Attributes
    ----------
    text : str
    href : str
        Relative address of another page of the site; empty for plain text.
    note : str
        A smaller line below.
    sign : str
        A sign before the text that says the same without colour.
    tone : str
        ``"found"``, ``"clear"``, ``"open"`` or empty.
    """

    text: str
    href: str = ""
    note: str = ""
    sign: str = ""
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Grid:
    """A table that leads somewhere: the first cell of a row is its head.

    Attributes
    ----------
    numeric : tuple of int
        Columns that hold numbers.
    code : tuple of int
        Columns that hold digests and file names.
    stacked : bool
        On a phone each row becomes a block with its column heads beside the values.
    narrow : bool
        As wide as its contents: a few columns of small numbers.
    quiet : bool
        The caption is for screen readers alone, because a heading says the same.
    """

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    numeric: tuple[int, ...] = ()
    code: tuple[int, ...] = ()
    stacked: bool = True
    narrow: bool = False
    quiet: bool = False
    kind: Literal["grid"] = "grid"


@dataclass(frozen=True, slots=True)
class Prose:
    """A paragraph."""

    text: str
    kind: Literal["prose"] = "prose"


@dataclass(frozen=True, slots=True)
class Bullets:
    """A list; each item may lead to a page."""

    items: tuple[Cell, ...]
    kind: Literal["bullets"] = "bullets"


@dataclass(frozen=True, slots=True)
class Facts:
    """Labels with values."""

    items: tuple[tuple[str, str], ...]
    kind: Literal["facts"] = "facts"


@dataclass(frozen=True, slots=True)
class Legend:
    """Signs, words and what they mean."""

    items: tuple[tuple[str, str, str], ...]
    label: str
    kind: Literal["legend"] = "legend"


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure with its data."""

    chart: Chart
    kind: Literal["picture"] = "picture"


@dataclass(frozen=True, slots=True)
class Folded:
    """A table behind its caption."""

    table: Table
    kind: Literal["folded"] = "folded"


@dataclass(frozen=True, slots=True)
class Command:
    """What to type."""

    text: str
    kind: Literal["command"] = "command"


@dataclass(frozen=True, slots=True)
class Subhead:
    """A title within a part."""

    text: str
    kind: Literal["subhead"] = "subhead"


Block = Grid | Prose | Bullets | Facts | Legend | Picture | Folded | Command | Subhead


@dataclass(frozen=True, slots=True)
class Part:
    """A titled part of a page; `boxed` parts stand in a frame."""

    key: str
    title: str
    blocks: tuple[Block, ...]
    boxed: bool = False


@dataclass(frozen=True, slots=True)
class Figure:
    """One number with what it is and how to read it."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Head:
    """How a page begins.

    Attributes
    ----------
    sentence : str
        The first heading of the page.
    label, sign, tone : str
        Two or three words with their sign and colour class; empty on pages that decide nothing.
    lead : tuple of str
    numbers : tuple of Figure
    """

    sentence: str
    label: str = ""
    sign: str = ""
    tone: str = ""
    lead: tuple[str, ...] = ()
    numbers: tuple[Figure, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """One page.

    Attributes
    ----------
    file : str
        Its name in the language's folder.
    nav : str
        Which entry of the navigation it is; empty for none.
    title : str
        For the window; plain text.
    head : Head
    parts : tuple of Part
    """

    file: str
    nav: str
    title: str
    head: Head
    parts: tuple[Part, ...]
