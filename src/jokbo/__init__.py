"""Jokbo, the family register of neural models.

Decide from weights alone whether two models are independent, and say so with an
e-value, an effect size, a table of components and a bound.

>>> import jokbo
>>> jokbo.compare  # doctest: +ELLIPSIS
<function compare at ...>

Names are resolved when first used: ``import jokbo`` imports nothing heavy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.5.0"

if TYPE_CHECKING:
    from jokbo.errors import InputError, JokboError, UsageError
    from jokbo.evidence.compare import Comparison, compare
    from jokbo.evidence.evidence import Evidence, parse_evidence
    from jokbo.evidence.findings import Finding, Status, Verdict, VerdictKind
    from jokbo.evidence.policy import Policy
    from jokbo.evidence.verify import Verification, verify
    from jokbo.sources.base import OpenOptions
    from jokbo.views.model import Model, open_model

_NAMES = {
    "Comparison": "jokbo.evidence.compare",
    "Evidence": "jokbo.evidence.evidence",
    "Finding": "jokbo.evidence.findings",
    "InputError": "jokbo.errors",
    "JokboError": "jokbo.errors",
    "Model": "jokbo.views.model",
    "OpenOptions": "jokbo.sources.base",
    "Policy": "jokbo.evidence.policy",
    "Status": "jokbo.evidence.findings",
    "UsageError": "jokbo.errors",
    "Verdict": "jokbo.evidence.findings",
    "VerdictKind": "jokbo.evidence.findings",
    "Verification": "jokbo.evidence.verify",
    "compare": "jokbo.evidence.compare",
    "open_model": "jokbo.views.model",
    "parse_evidence": "jokbo.evidence.evidence",
    "verify": "jokbo.evidence.verify",
}

__all__ = ["__version__", *_NAMES]


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module 'jokbo' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_NAMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
