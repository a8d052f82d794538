"""Words that all parts of an audit's report share: names of checks, forgeries, disclosures; reasons; p-values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from jokbo.report.texts import Texts, power
from jokbo.report.wording import joined

Document = Mapping[str, Any]

MARKS: Mapping[str, str] = {"consistent": "○", "inconsistent": "●", "cannot_tell": "?"}
STYLE: Mapping[str, str] = {
    "consistent": "no_evidence",
    "inconsistent": "inherited",
    "cannot_tell": "inconclusive",
}
"""Class by outcome, with the colours of the component table."""

MAX_NEEDS = 3
"""Disclosures named at once: whoever is asked for more reads none of them."""


def check_text(name: str, field: str, t: Texts) -> str:
    """A text of a check: ``title``, ``what``, ``catches``, ``cannot`` or ``statistic``."""
    return t.code("record.check", f"{name}.{field}")


def forgery_title(code: str, t: Texts) -> str:
    """What a forgery is called."""
    return t.code("record.forgery", f"{code}.title")


def forgeries(codes: Sequence[str], t: Texts) -> str:
    """Forgeries as a list in a sentence."""
    return joined([forgery_title(code, t) for code in codes], t)


def needs(codes: Sequence[str], t: Texts) -> str:
    """Disclosures as a list in a sentence, the first few."""
    return joined([t.code("record.need", code) for code in codes[:MAX_NEEDS]], t)


def reasons(row: Mapping[str, Any], t: Texts) -> tuple[str, ...]:
    """Reasons of a check as sentences; those of the policy are the same for every check."""
    found = []
    for reason in row["reasons"]:
        shared = str(reason["code"]).startswith("policy.")
        found.append(t.reason(reason, group="record.reason" if shared else f"record.reason.{row['check']}"))
    return tuple(found)


def pvalue(log10: float) -> str:
    """A p-value of this power of ten: three decimals, or a power below a thousandth.

    Examples
    --------
    >>> pvalue(-0.301), pvalue(-41.3), pvalue(-5000.0)
    ('0.500', '5×10⁻⁴²', '10⁻⁵⁰⁰⁰')
    """
    if log10 > -3:
        return f"{10**log10:.3f}"
    whole = math.floor(log10)
    return power(round(log10)) if log10 < -1000 else f"{10 ** (log10 - whole):.2g}×{power(whole)}"
