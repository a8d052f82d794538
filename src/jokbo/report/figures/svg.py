"""A few SVG elements, with every text escaped and every number short."""

from __future__ import annotations

import math
import unicodedata
from html import escape

FONT = 13.0
SMALL = 11.5


def number(value: float) -> str:
    """At most two decimals, no trailing zeros, no negative zero.

    Examples
    --------
    >>> number(1.50), number(-0.001)
    ('1.5', '0')
    """
    return f"{round(value, 2) + 0.0:.2f}".rstrip("0").rstrip(".")


def element(name: str, *content: str, **attributes: object) -> str:
    """One element; ``class_`` becomes ``class`` and underscores become hyphens."""
    shown = "".join(_attribute(key, value) for key, value in attributes.items() if value is not None)
    return f"<{name}{shown}>{''.join(content)}</{name}>" if content else f"<{name}{shown}/>"


def _attribute(key: str, value: object) -> str:
    words = number(value) if isinstance(value, float) else escape(str(value))
    return f' {key.rstrip("_").replace("_", "-")}="{words}"'


def text(
    words: str, x: float, y: float, *, anchor: str = "start", class_: str = "ink", **more: object
) -> str:
    """A line of text, its baseline at `y`."""
    return element("text", escape(words), x=float(x), y=float(y), text_anchor=anchor, class_=class_, **more)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> str:
    """A straight stroke."""
    return element("line", x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2), class_=class_)


def rect(x: float, y: float, width: float, height: float, class_: str, **more: object) -> str:
    """A rectangle."""
    return element(
        "rect", x=float(x), y=float(y), width=float(width), height=float(height), class_=class_, **more
    )


def mark(shape: str, x: float, y: float, size: float, class_: str) -> str:
    """A marker: ``circle``, ``square`` or ``diamond``, each of about the same area."""
    if shape == "circle":
        return element("circle", cx=float(x), cy=float(y), r=float(size), class_=class_)
    if shape == "square":
        side = size * 1.78
        return rect(x - side / 2, y - side / 2, side, side, class_)
    far = size * 1.35
    points = [(x, y - far), (x + far, y), (x, y + far), (x - far, y)]
    return element("polygon", points=" ".join(f"{number(a)},{number(b)}" for a, b in points), class_=class_)


def svg(width: float, height: float, *content: str, key: str, title: str, alt: str) -> str:
    """A whole figure with its title and description."""
    return element(
        "svg",
        element("title", escape(title), id=f"{key}-title"),
        element("desc", escape(alt), id=f"{key}-desc"),
        *content,
        role="img",
        aria_labelledby=f"{key}-title {key}-desc",
        viewBox=f"0 0 {number(width)} {number(height)}",
        width=number(width),
        height=number(height),
        xmlns="http://www.w3.org/2000/svg",
    )


def text_width(words: str, size: float = FONT) -> float:
    """A generous estimate of how wide a text is drawn; Hangul is as wide as it is high."""
    wide = sum(1.0 if unicodedata.east_asian_width(c) in "WF" else 0.58 for c in words)
    return wide * size


def ticks(low: float, high: float, *, count: int = 6) -> list[float]:
    """Round numbers that cover a range, about `count` of them.

    Examples
    --------
    >>> ticks(0, 10)
    [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    """
    span = (high - low) / max(count - 1, 1)
    power = 10.0 ** math.floor(math.log10(span)) if span > 0 else 1.0
    step = next((m * power for m in (1, 2, 5, 10) if m * power >= span * 0.999), 10 * power)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(k * step, 10) for k in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten in a range of positive numbers; twice and five times them where those alone are few.

    Examples
    --------
    >>> log_ticks(0.5, 30)
    [0.5, 1.0, 2.0, 5.0, 10.0, 20.0]
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    parts = (1, 2, 5) if math.log10(high / low) < 2.5 else (1,)
    skip = max(len(powers) // 8, 1)
    found = [float(f"{part}e{power}") for power in powers[::skip] for part in parts]
    return [tick for tick in found if low <= tick <= high]


def even_ticks(low: float, high: float, *, count: int = 6) -> list[float]:
    """Ticks of a logarithmic axis: powers of ten and parts of them, or round numbers where the range is too narrow.

    Examples
    --------
    >>> even_ticks(150.0, 260.0)
    [150.0, 200.0, 250.0]
    >>> even_ticks(1.0, 1e4)
    [1.0, 10.0, 100.0, 1000.0, 10000.0]
    """
    found = log_ticks(low, high)
    return found if len(found) > 2 else [tick for tick in ticks(low, high, count=count) if tick > 0]


def compact(value: float) -> str:
    """A number of an axis: thousands, millions and billions as K, M and B, very small ones as powers.

    Examples
    --------
    >>> compact(250000), compact(0.0003), compact(-2), compact(4e-7)
    ('250K', '0.0003', '\u22122', '4e\u22127')
    """
    size = abs(value)
    for unit, scale in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("K", 1e3)):
        if size >= 10 * scale or (size >= scale and unit != "K"):
            words = f"{value / scale:.6g}{unit}" if size < 1e18 else f"{value:.0e}"
            return words.replace("-", "\u2212")
    if 0 < size < 1e-4:
        mantissa, _, exponent = f"{value:.3g}".partition("e")
        return f"{mantissa}e{int(exponent or 0)}".replace("-", "\u2212")
    return f"{value:.6g}".replace("-", "\u2212")


def every(count: int, room: float, *, need: float) -> int:
    """How many places to skip so that labels `need` wide fit into `room`: 1, 2, 5, 10, ..."""
    most = max(room / need, 1)
    for step in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000):
        if count / step <= most:
            return step
    return count
