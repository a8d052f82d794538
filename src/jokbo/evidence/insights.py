"""What is said beside the exact tests: where, which way round, and what only a population calibrates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from jokbo.evidence.findings import DEPENDENT, Finding, Status, Verdict
from jokbo.independence.calibrated import CalibratedResult, Population, calibrated_tests
from jokbo.independence.direction import Mark, direction_of, find_marks
from jokbo.independence.examine import Examination
from jokbo.independence.localise import Localisation, Ruling, localise
from jokbo.views.component import Reason


@dataclass(frozen=True, slots=True)
class Insights:
    """Nothing here can make an accusation; all of it is in the evidence.

    Attributes
    ----------
    marks : tuple of Mark
        Traces of one-way edits.
    calibrated : tuple of CalibratedResult
        Ranks among known-independent models.
    location : Localisation or None
        None where there is no dependence to place.
    """

    marks: tuple[Mark, ...] = ()
    calibrated: tuple[CalibratedResult, ...] = ()
    location: Localisation | None = None
    sections: Mapping[str, Any] = field(default_factory=dict)

    @property
    def direction(self) -> str:
        """``"candidate_from_reference"``, ``"reference_from_candidate"`` or ``"undetermined"``."""
        return direction_of(self.marks)

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Why a clean result is not called clean."""
        return tuple(result.reason for result in self.calibrated if result.reason is not None)


def _ruling(finding: Finding) -> Ruling:
    """What the map may not go beyond; a vouched order lifts the floor, as it lifts the guard."""
    level = finding.relabelling_level
    passed = level is not None and (finding.effect_size or 0.0) >= level
    return Ruling(str(finding.status), level if passed and level is not None else 0.0)


def gather(
    found: Examination,
    verdict: Verdict,
    *,
    population: Population | None = None,
    tell: Callable[[str, str], None],
) -> Insights:
    """Look for marks where there is dependence, and for what exact tests cannot reach where there is none."""
    if found.bench.methods < 2:
        return Insights()
    from jokbo.descriptive.tokenizers import tokenizer_lineage

    dependent = {f.component for f in verdict.findings if f.status in DEPENDENT}
    doubtful = {f.component for f in verdict.findings if f.status is Status.INCONCLUSIVE}
    marks: tuple[Mark, ...] = ()
    location = None
    if dependent and not found.bench.private:  # marks and the map are read off rows
        tell("direction", "")
        marks = find_marks(found, dependent)
        location = localise(found, dependent, rulings={f.component: _ruling(f) for f in verdict.findings})
    calibrated: tuple[CalibratedResult, ...] = ()
    if not dependent and not found.bench.sampled:
        tell("calibrated", "")
        calibrated = calibrated_tests(found, doubtful, population=population)
    models = [ledger.model for ledger in found.bench.ledgers]
    # A fingerprint holds some tokens, and their share says nothing of the tokenizers.
    whole = not found.bench.sampled
    tokenizer = tokenizer_lineage(models[0].vocabulary, models[1].vocabulary) if whole else None
    return Insights(
        marks,
        calibrated,
        location,
        {
            "calibrated": [result.to_document() for result in calibrated] if not dependent else None,
            "map": None if location is None else location.to_document(),
            "direction": {"marks": [mark.to_document() for mark in marks]} if dependent else None,
            "tokenizer": None if tokenizer is None else tokenizer.to_document(),
        },
    )
