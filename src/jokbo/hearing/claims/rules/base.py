"""What a rule finds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from jokbo.hearing.claims.case import Case
from jokbo.hearing.claims.table import Row

Value = int | float | str
DIGITS = 6
MOST = 1e300
MAX_PLACES = 12


class Severity(StrEnum):
    """How much a finding weighs."""

    FAULT = "fault"
    """The claim does not show what it concludes, or contradicts itself."""
    MISSING = "missing"
    """Something is absent without which nobody can tell."""
    NOTE = "note"
    """Worth knowing; it changes nothing."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the files.

    Attributes
    ----------
    file : str
    line : int or None
    path : str
        Of a YAML file (``figures/1``); empty for rows of a table.
    """

    file: str
    line: int | None = None
    path: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a rule found.

    Attributes
    ----------
    code : str
        Name of the rule; its texts are ``claim.rule.<code>.{title,what,why}``.
    severity : Severity
    places : tuple of Place
    numbers : mapping
        What the text names, computed again; floats have six significant digits.
    variant : str
        Another text than the rule's usual one (``what_<variant>``); empty for that one.
    """

    code: str
    severity: Severity
    places: tuple[Place, ...]
    numbers: Mapping[str, Value] = field(default_factory=dict)
    variant: str = ""


def in_file(case: Case, *paths: str) -> tuple[Place, ...]:
    """Places in the claim's own file."""
    return tuple(Place(case.claim.file, case.claim.tree.line(path), path) for path in paths)


def in_table(case: Case, rows: Iterable[Row]) -> tuple[Place, ...]:
    """Places in the claim's table, the first dozen of them."""
    lines = sorted({row.line for row in rows})
    return tuple(Place(case.claim.table, line) for line in lines[:MAX_PLACES])


def rounded(value: float) -> float:
    """A float of six significant digits, so that the same claim gives the same bytes everywhere.

    Examples
    --------
    >>> rounded(2 / 3)
    0.666667
    """
    bounded = min(max(value, -MOST), MOST)  # a text may state what no float holds
    return float(f"{bounded:.{DIGITS}g}") + 0.0


def layers_text(rows: Iterable[Row]) -> str:
    """Layers of some rows for a sentence: ``10, 20, 30``; runs as ``0-47``."""
    numbers = sorted({layer for row in rows for layer in row.layers})
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}, {b}" if b == a + 1 else f"{a}-{b}" for a, b in runs)
