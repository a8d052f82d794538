"""Words and numbers in the reader's language.

Every code that evidence can hold has a text in every language, in a file of ``locales/<lang>/``; a code
without one is an error, never an empty cell. Names of models are foreign text: control
characters are spelled out, and each name stands between Unicode isolates so that it cannot
turn the sentence around it.
"""

from __future__ import annotations

import math
import string
import tomllib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

from jokbo.errors import EvidenceError, UsageError

LANGUAGES = ("en", "ko")
NAME_OPENS, NAME_CLOSES = "\u2068", "\u2069"
"""First strong isolate and pop directional isolate, around each name in a sentence."""

MAX_NAME = 120
MAX_LISTED = 12
"""Entries of a list that stands in a sentence."""

LEAST_SHARE = 0.00001
MAX_POWER = 100
"""Above this power of ten a figure says only that chance is no explanation."""


def detect_language(option: str | None, environ: Mapping[str, str]) -> str:
    """Language of a report.

    Parameters
    ----------
    option : str or None
        What the user asked for, such as ``"ko"``.
    environ : mapping
        The environment; ``LC_ALL``, ``LC_MESSAGES`` and ``LANG`` are read, in that order.

    Returns
    -------
    str
        ``"en"`` or ``"ko"``; English for any other locale.

    Raises
    ------
    UsageError
        `option` names another language.

    Examples
    --------
    >>> detect_language(None, {"LANG": "ko_KR.UTF-8"})
    'ko'
    """
    if option is not None:
        if option not in LANGUAGES:
            raise UsageError(f"language {option!r} is not available; expected {' or '.join(LANGUAGES)}.")
        return option
    locale = next((environ[key] for key in ("LC_ALL", "LC_MESSAGES", "LANG") if environ.get(key)), "")
    return "ko" if locale.partition(".")[0].partition("_")[0].lower() == "ko" else "en"


class MissingTextError(Exception):
    """The package itself asks for a text that a catalogue lacks."""


@cache
def catalogue(lang: str) -> Mapping[str, str]:
    """Every text of a language by dotted key.

    Raises
    ------
    UsageError
        The language is not available.
    """
    if lang not in LANGUAGES:
        raise UsageError(f"language {lang!r} is not available; expected {' or '.join(LANGUAGES)}.")
    found: dict[str, str] = {}
    files = resources.files("jokbo.report").joinpath(f"locales/{lang}").iterdir()
    for file in sorted((file for file in files if file.name.endswith(".toml")), key=lambda file: file.name):
        found.update(_flatten(tomllib.loads(file.read_text(encoding="utf-8")), ""))
    return found


def _flatten(tree: Mapping[str, Any], prefix: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for key, value in tree.items():
        if isinstance(value, Mapping):
            found += _flatten(value, f"{prefix}{key}.")
        else:
            found.append((f"{prefix}{key}", " ".join(value.split())))
    return found


def clean(text: object, *, limit: int = MAX_NAME) -> str:
    """Foreign text on one line: control, format and bidirectional characters spelled out, long text cut.

    Examples
    --------
    >>> clean("a\\u202eb")
    'a[U+202E]b'
    """
    shown = "".join(
        c if unicodedata.category(c)[0] not in "CZ" or c == " " else f"[U+{ord(c):04X}]" for c in str(text)
    )
    return shown if len(shown) <= limit else f"{shown[: limit // 2]}…{shown[-limit // 2 + 1 :]}"


def name(text: object) -> str:
    """Foreign text, cleaned and isolated from the direction of its sentence."""
    return f"{NAME_OPENS}{clean(text)}{NAME_CLOSES}"


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts and number formats of one language.

    Examples
    --------
    >>> Texts("en").number(1234567)
    '1,234,567'
    """

    lang: str

    def __call__(self, key: str, /, **values: object) -> str:
        """The text of a key that the code itself names, placeholders filled in.

        Raises
        ------
        MissingTextError
            The catalogue lacks the key: a fault of this package.
        """
        if not self.has(key):
            raise MissingTextError(f"locales/{self.lang}.toml has no text {key!r}.")
        return _Strict().vformat(catalogue(self.lang)[key], (), values)

    def has(self, key: str) -> bool:
        """Whether the catalogue has a key."""
        return key in catalogue(self.lang)

    def code(self, group: str, code: str, /, **values: object) -> str:
        """The text of a code that stands in a document.

        Raises
        ------
        EvidenceError
            The document holds a code, or lacks a value, that this version does not know.
        """
        key = f"{group}.{code}"
        if not self.has(key):
            raise EvidenceError(
                f"The evidence holds the {group} {clean(code)!r}, which this version does not explain. "
                "Show it with the version that wrote it."
            )
        try:
            return self(key, **values)
        except (KeyError, IndexError) as error:
            raise EvidenceError(
                f"The evidence gives the {group} {clean(code)!r} without its value {error}. "
                "The document is damaged."
            ) from None

    def reason(self, reason: Mapping[str, Any], *, group: str = "reason") -> str:
        """The sentence of ``{"code": ..., "values": {...}}``, its numbers formatted."""
        values = {
            key: self.bytes(value) if key == "bytes" else self.value(value)
            for key, value in reason["values"].items()
        }
        return self.code(group, str(reason["code"]), **values)

    def value(self, value: object) -> str:
        """A number formatted, a list joined, or foreign text cleaned."""
        if isinstance(value, list | tuple):
            return ", ".join(self.value(each) for each in value[:MAX_LISTED])
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return name(value)
        tiny = 0 < abs(value) < 0.0005
        return self.significant(value) if tiny or abs(value) >= 1e15 else self.number(value, digits=3)

    def significant(self, value: float) -> str:
        """A number with four significant digits, as a power of ten where it is very large or small."""
        if value == 0 or 1e-4 <= abs(value) < 1e12:
            digits = 0 if value == 0 else max(3 - math.floor(math.log10(abs(value))), 0)
            return self.number(value, digits=digits).replace("-", "\u2212")
        mantissa, _, exponent = f"{value:.2e}".partition("e")
        return f"{float(mantissa):g}×{power(int(exponent))}".replace("-", "\u2212")

    def number(self, value: float, *, digits: int = 0) -> str:
        """A number with at most `digits` decimals."""
        from babel.numbers import format_decimal

        return format_decimal(value, format="#,##0." + "#" * digits if digits else "#,##0", locale=self.lang)

    def fixed(self, value: float, digits: int) -> str:
        """A number with exactly `digits` decimals; a minus sign that lines up."""
        from babel.numbers import format_decimal

        text = format_decimal(value, format="#,##0." + "0" * digits if digits else "#,##0", locale=self.lang)
        return text.replace("-", "\u2212")

    def percent(self, share: float) -> str:
        """A share as a percentage: one decimal, three below one percent; 100 % only where it is exact."""
        from babel.numbers import format_percent

        if 0 < share < LEAST_SHARE:
            least = format_percent(LEAST_SHARE, format="#,##0.###%", locale=self.lang)
            return self("ui.under", value=least)
        digits = 1 if share >= 0.01 or share == 0 else 3
        step = 10.0 ** (digits + 2)
        # A share of .9998 is not 100 %.
        shown = min(round(share * step) / step, 1 - 1 / step) if share < 1 else share
        return format_percent(shown, format="#,##0." + "#" * digits + "%", locale=self.lang)

    def bytes(self, count: int) -> str:
        """A size in decimal units."""
        for unit, size in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
            if count >= size:
                return f"{self.number(count / size, digits=2)} {unit}"
        return f"{self.number(count)} B"

    def tries(self, log10: float) -> str:
        """``10 ** log10`` rounded down, as words a reader knows up to 10^15, as a power above."""
        from babel.numbers import format_compact_decimal

        if log10 >= 15:
            return power(min(math.floor(log10), MAX_POWER))
        whole = math.floor(log10)
        count = math.floor(10 ** (log10 - whole) + 1e-9) * 10**whole if whole >= 0 else 1
        if count < 10_000:
            return self.number(count)
        # Korean has one compact form; it writes 백만 as a plain word already.
        form: Literal["short", "long"] = "short" if self.lang == "ko" else "long"
        return format_compact_decimal(count, format_type=form, locale=self.lang, fraction_digits=1)

    def evalue(self, log10: float | None) -> str:
        """An e-value for a table: plain below ten thousand, else a power of ten."""
        if log10 is None:
            return self("ui.none")
        if log10 >= 4:
            return power(math.floor(log10))
        return self.fixed(10**log10, 2 if log10 < 1 else 0)


def power(exponent: int) -> str:
    """``10`` raised, in superscript digits."""
    return "10" + str(exponent).translate(str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻"))


class _Strict(string.Formatter):
    """Plain ``{name}`` only: a catalogue must not reach into objects."""

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> tuple[Any, str]:
        return kwargs[field_name], field_name
