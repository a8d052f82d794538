"""Numbers as people write them: how exact they claim to be, and where they stand in a text."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

_RAISED = str.maketrans(
    "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207b\u207a", "0123456789-+"
)
_HIGH = r"[\u207b\u207a]?[\u2070\u00b9\u00b2\u00b3\u2074-\u2079]{1,9}"
"""A raised power, as this tool itself writes them: 10 to the power of -9 in one word."""

_NUMBER = re.compile(
    rf"(?P<base>10\s*(?:(?:\^|\*\*)\s*(?P<power>[-\u2212]?[0-9]{{1,9}})|(?P<high>{_HIGH})))"
    r"|(?P<value>[-\u2212+]?(?:(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,18})(?:\.(?P<decimals>[0-9]{1,15}))?"
    # Statisticians leave the nought out: p < .001.
    r"|\.(?P<fraction>[0-9]{1,15})))"
    r"(?:\s*(?:[eE](?P<exponent>[-+\u2212]?[0-9]{1,9})"
    rf"|[x\u00d7\u00b7\u22c5]\s*10\s*(?:\^\s*(?P<times>[-\u2212]?[0-9]{{1,9}})|(?P<lifted>{_HIGH}))))?"
    r"(?P<percent>\s*%)?"
)
_STANDS_ALONE = re.compile(r"(?<![\w./^-])(?:" + _NUMBER.pattern + r")(?![0-9]|[A-Za-z_]|[.-]\w)")
SIGMA = re.compile(r"\bsigmas?\b|σ|시그마", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Stated:
    """A number in a text.

    Attributes
    ----------
    log10 : float
        Logarithm of its absolute value; what is left of numbers that no float holds.
    value : float
        0 or infinite where no float holds it.
    unit : float
        What the last digit written is worth: 0.001 for 0.989, .001 for 96.8 %.
    exact : bool
        A plain integer: a count, which is not rounded.
    text : str
    """

    log10: float
    value: float
    unit: float
    exact: bool
    text: str

    def agrees(self, low: float, high: float) -> bool:
        """Whether a value within `low` and `high` could have been written like this."""
        slack = self.unit * 0.5000001
        return low - slack <= self.value <= high + slack


def parse_stated(text: str) -> Stated | None:
    """The first number of a text such as ``p < 10^-1000`` or ``96.8 %``; None where there is none.

    Examples
    --------
    >>> found = parse_stated("96.8 %")
    >>> round(found.value, 4), round(found.unit, 4)
    (0.968, 0.001)
    >>> parse_stated("p < 10^-1000").log10
    -1000.0
    """
    found = _NUMBER.search(text)
    return None if found is None else _stated(found)


def numbers_in(text: str) -> Iterator[Stated]:
    """Numbers that stand alone in a text; those within names (``4.5-Air``), dates and words are none."""
    for found in _STANDS_ALONE.finditer(text):
        yield _stated(found)


def _stated(found: re.Match[str]) -> Stated:
    text = found[0].strip()
    if found["base"]:
        power = _power(found["power"], found["high"])
        return Stated(float(power), _ten(power), _ten(power), False, text)
    digits = found["value"].replace(",", "").replace("\u2212", "-")
    power = _power(found["exponent"] or found["times"], found["lifted"])
    shift = power - (2 if found["percent"] else 0)
    value = float(digits)
    # Numbers are read in decimal, so that 0.0004 % is the float that is nearest to it.
    shown = float(f"{digits}e{shift}") if -300 < shift < 290 else value * _ten(shift)
    decimals = len(found["decimals"] or found["fraction"] or "")
    log10 = math.log10(abs(value)) + shift if value else -math.inf
    plain = not (decimals or found["percent"] or power)
    return Stated(log10, shown, _ten(shift - decimals), plain, text)


def _power(plain: str | None, raised: str | None) -> int:
    return int((plain or (raised or "0").translate(_RAISED)).replace("\u2212", "-"))


def _ten(power: int) -> float:
    if power < -320:
        return 0.0
    return math.inf if power > 300 else float(f"1e{power}")


def step_of(value: float) -> float:
    """What the last decimal of a float's shortest form is worth: how exactly a table gives it.

    Examples
    --------
    >>> step_of(0.989), step_of(4.0)
    (0.001, 1.0)
    """
    mantissa, _, exponent = repr(float(value)).partition("e")
    decimals = len(mantissa.partition(".")[2].rstrip("0"))
    return _ten(int(exponent or 0) - decimals)
