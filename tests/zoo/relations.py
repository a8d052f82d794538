"""The truth table of the zoo, and what a verdict must say of each relation."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jokbo.evidence.compare import Comparison, compare
from jokbo.evidence.findings import Status
from jokbo.sources.base import Source

ZOO = Path(__file__).resolve().parents[2] / "zoo"
LOG_1E12 = 12 * math.log(10)


@dataclass(frozen=True, slots=True)
class Relation:
    """One row of ``zoo/truth.toml``."""

    reference: str
    candidate: str
    truth: str
    component: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.reference}-{self.candidate}"


@cache
def relations(*truths: str) -> tuple[Relation, ...]:
    """Every pair of one family whose truth is one of these."""
    rows = tomllib.loads((ZOO / "truth.toml").read_text(encoding="utf-8"))["relation"]
    found = (Relation(r["reference"], r["candidate"], r["truth"], tuple(r["component"])) for r in rows)
    return tuple(relation for relation in found if relation.truth in truths)


def run(reference: str | Source, candidate: str | Source) -> Comparison:
    """Compare at the default budget, tests alone; models of the zoo by name."""
    specs = [ZOO / "models" / spec if isinstance(spec, str) else spec for spec in (reference, candidate)]
    return compare(*specs, bounds=False, descriptive=False)


def statuses(found: Comparison) -> dict[str, str]:
    """Status by component."""
    return {str(f.component): str(f.status) for f in found.verdict.findings}


def dependent(found: Comparison) -> set[str]:
    """Components that are not independent by the policy."""
    said = (Status.INHERITED, Status.DEPENDENT, Status.SHARED_BASIS)
    return {str(f.component) for f in found.verdict.findings if f.status in said}


def reasons(found: Comparison) -> set[str]:
    """Every reason code of every finding."""
    return {reason.code for f in found.verdict.findings for reason in f.reasons}


def log10_evalue(found: Comparison) -> float:
    """Overall e-value."""
    assert found.verdict.log_evalue is not None
    return found.verdict.log_evalue / math.log(10)
