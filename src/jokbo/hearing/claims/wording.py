"""What the linter found, in words: each finding a title, what was found, and why it matters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jokbo.report.texts import Texts, clean, name, power

MARKS: Mapping[str, str] = {"fault": "✗", "missing": "?", "note": "·"}
"""A mark beside each word, so that no colour says what a word does not."""

_WORDS = {
    "says": "says",
    "concluded": "concluded",
    "control": "control",
    "measure": "measure",
    "verdict": "verdict",
}  # fmt: skip
_PLAIN_POWERS = -4

EARLIER: Mapping[str, Mapping[str, str]] = {"pvalue_beyond_sample": {"log10_stated": "_logarithm"}}
"""Rule -> number that only an earlier version gave -> the sentence's key with which it goes.

A finding in a hearing is there for good, and is shown as it was found: with its own numbers, in its own sentence.
"""


@dataclass(frozen=True, slots=True)
class FindingText:
    """One finding in words.

    Attributes
    ----------
    severity : str
        Code; `word` is its word.
    mark, word, title, what, why : str
    places : tuple of str
        ``claim.yaml:12``.
    """

    severity: str
    mark: str
    word: str
    title: str
    what: str
    why: str
    places: tuple[str, ...]


def finding_text(finding: Mapping[str, Any], t: Texts) -> FindingText:
    """Put a finding of a result into words.

    Parameters
    ----------
    finding : mapping
        Of ``findings`` in a ``jokbo.claim-lint/1`` document.
    t : Texts

    Raises
    ------
    EvidenceError
        The finding has a code, or lacks a number, that this version does not explain.
    """
    code, variant = str(finding["code"]), str(finding["variant"])
    values = {key: _value(code, key, value, t) for key, value in finding["numbers"].items()}
    what = f"what_{variant}" if variant else "what"
    what += next((suffix for key, suffix in EARLIER.get(code, {}).items() if key in values), "")
    return FindingText(
        severity=finding["severity"],
        mark=MARKS[finding["severity"]],
        word=t.code("claim.severity", finding["severity"]),
        title=t.code("claim.rule", f"{code}.title"),
        what=t.code("claim.rule", f"{code}.{what}", **values),
        why=t.code("claim.rule", f"{code}.why"),
        places=tuple(_place(place) for place in finding["places"]),
    )


def _place(place: Mapping[str, Any]) -> str:
    line = "" if place["line"] is None else f":{place['line']}"
    return f"{clean(place['file'])}{line}"


def _value(code: str, key: str, value: Any, t: Texts) -> str:
    if isinstance(value, str):
        # In some rules a figure of the text goes by the key under which others have a word of ours.
        if key in _WORDS and t.has(f"claim.{_WORDS[key]}.{value}"):
            return t(f"claim.{_WORDS[key]}.{value}")
        return name(value)
    if key.startswith("log10_"):
        return power_text(value, t)
    if key == "share":
        return share_text(value, t)
    return t.significant(value) if isinstance(value, float) else t.number(value)


def power_text(log10: float, t: Texts) -> str:
    """A number by its logarithm: plain down to a ten-thousandth, else a power of ten.

    Examples
    --------
    >>> power_text(-12.63, Texts("en")), power_text(-1.845, Texts("en"))
    ('10⁻¹³', '0.01429')
    """
    return t.significant(10**log10) if log10 >= _PLAIN_POWERS else power(round(log10))


def share_text(share: float, t: Texts) -> str:
    """A share in percent with as many digits as it needs.

    Examples
    --------
    >>> share_text(0.000004, Texts("en")), share_text(0.25, Texts("en"))
    ('0.0004 %', '25 %')
    """
    return f"{t.significant(100 * share)} %"
