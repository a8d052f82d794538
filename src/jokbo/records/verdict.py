"""The verdict on a record: a policy applied to what the checks saw. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from jokbo.records.checks.base import Check, CheckKind, CheckResult, Observation, Planted
from jokbo.records.forgeries import VARIANTS, Forgery
from jokbo.records.policy import DISCLOSURE_COST, RecordPolicy
from jokbo.views.component import Reason


class Outcome(StrEnum):
    """What a check, or the whole audit, comes to."""

    CONSISTENT = "consistent"
    INCONSISTENT = "inconsistent"
    CANNOT_TELL = "cannot_tell"


EXIT_STATUS: Mapping[Outcome, int] = {
    Outcome.CONSISTENT: 0,
    Outcome.INCONSISTENT: 10,
    Outcome.CANNOT_TELL: 11,
}


@dataclass(frozen=True, slots=True)
class JudgedCheck:
    """A check, what it saw, and what that comes to beside the others."""

    check: Check
    result: CheckResult
    outcome: Outcome
    reasons: tuple[Reason, ...]

    @property
    def excludes(self) -> frozenset[tuple[Forgery, str]]:
        """Forgeries and their variants that this pass excludes: those it would have found here."""
        return _powered(self.result.planted) if self.outcome is Outcome.CONSISTENT else frozenset()


@dataclass(frozen=True, slots=True)
class Coverage:
    """Whether one forgery is excluded.

    Attributes
    ----------
    variants : mapping of str to tuple of str
        Ways to make it, and the checks that exclude each.
    partial : tuple of (str, Planted)
        Checks that would have found some of it.
    would_need : tuple of str
        Disclosures that would let a check speak of it, cheapest first.
    """

    forgery: Forgery
    variants: Mapping[str, tuple[str, ...]]
    partial: tuple[tuple[str, Planted], ...]
    would_need: tuple[str, ...]

    @property
    def excluded(self) -> bool:
        """Whether every way to make it is excluded."""
        return all(self.variants.values())

    @property
    def by(self) -> tuple[str, ...]:
        """Checks that exclude it together; empty where it is not excluded."""
        return tuple(
            dict.fromkeys(name for names in self.variants.values() for name in names if self.excluded)
        )


@dataclass(frozen=True, slots=True)
class RecordVerdict:
    """The answer.

    Attributes
    ----------
    kind : Outcome
        ``inconsistent`` on any exact violation or Holm-significant calibrated one; ``consistent`` only where
        every forgery is excluded; else ``cannot_tell``.
    checks : tuple of JudgedCheck
    coverage : tuple of Coverage
        Every forgery of :class:`~jokbo.records.forgeries.Forgery`.
    next_disclosure : str or None
        The cheapest disclosure that would let a check speak of what is not excluded.
    """

    policy: RecordPolicy
    kind: Outcome
    checks: tuple[JudgedCheck, ...]
    coverage: tuple[Coverage, ...]
    next_disclosure: str | None

    @property
    def violated(self) -> tuple[str, ...]:
        """Names of the checks that the record contradicts."""
        return tuple(j.check.name for j in self.checks if j.outcome is Outcome.INCONSISTENT)

    @property
    def exit_status(self) -> int:
        """Exit status of the command line: 0, 10 or 11."""
        return EXIT_STATUS[self.kind]


def holm(log_pvalues: Mapping[str, float], alpha: float) -> frozenset[str]:
    """Names whose hypothesis Holm's step-down method rejects, the chance of any false one at most `alpha`.

    Valid whatever the dependence between the p-values (Holm 1979, Scandinavian Journal of Statistics 6).

    Examples
    --------
    >>> sorted(holm({"a": math.log(1e-4), "b": math.log(0.02), "c": math.log(0.5)}, 0.05))
    ['a', 'b']
    """
    rejected: set[str] = set()
    for k, (name, value) in enumerate(sorted(log_pvalues.items(), key=lambda row: (row[1], row[0]))):
        if value > math.log(alpha / (len(log_pvalues) - k)):
            break
        rejected.add(name)
    return frozenset(rejected)


def judge(rows: Sequence[tuple[Check, CheckResult]], policy: RecordPolicy | None = None) -> RecordVerdict:
    """Judge what all checks saw together.

    Parameters
    ----------
    rows : sequence of (Check, CheckResult)
        Of different checks.
    policy : RecordPolicy, optional
    """
    policy = policy or RecordPolicy()
    pvalues = {
        check.name: result.log_pvalue
        for check, result in rows
        if check.kind is CheckKind.CALIBRATED and result.log_pvalue is not None
    }
    rejected = holm(pvalues, policy.family_alpha)
    judged = tuple(_judge(check, result, check.name in rejected, policy) for check, result in rows)
    alone = {forgery: _coverage(forgery, judged, frozenset(Forgery)).excluded for forgery in Forgery}
    safe = frozenset(forgery for forgery, excluded in alone.items() if excluded)
    coverage = tuple(_coverage(forgery, judged, safe) for forgery in Forgery)
    if any(j.outcome is Outcome.INCONSISTENT for j in judged):
        kind = Outcome.INCONSISTENT
    elif all(c.excluded for c in coverage):
        kind = Outcome.CONSISTENT
    else:
        kind = Outcome.CANNOT_TELL
    wanted = [need for c in coverage if not c.excluded for need in c.would_need]
    return RecordVerdict(policy, kind, judged, coverage, min(wanted, key=_cost, default=None))


def _judge(check: Check, result: CheckResult, rejected: bool, policy: RecordPolicy) -> JudgedCheck:
    reasons = result.reasons
    outcome = Outcome.CANNOT_TELL
    if check.kind is CheckKind.CALIBRATED and result.log_pvalue is not None:
        if rejected:
            outcome = Outcome.INCONSISTENT
        elif result.log_pvalue < math.log(policy.min_clear_pvalue):
            reasons = (*reasons, Reason("policy.unclear", {"pvalue": math.exp(result.log_pvalue)}))
        elif result.observation is Observation.HOLDS:
            outcome = Outcome.CONSISTENT
    elif result.observation is Observation.HOLDS:
        outcome = Outcome.CONSISTENT
    elif result.observation is Observation.VIOLATED:
        if check.kind is CheckKind.EXACT:
            outcome = Outcome.INCONSISTENT
        else:
            reasons = (*reasons, Reason(f"policy.{check.kind}", {}))
    if outcome is Outcome.CONSISTENT and not _powered(result.planted):
        outcome, reasons = Outcome.CANNOT_TELL, (*reasons, Reason("policy.no_power", {}))
    return JudgedCheck(check, result, outcome, reasons)


def _powered(planted: Sequence[Planted]) -> frozenset[tuple[Forgery, str]]:
    """Variants of which every plant would have been found: rows of one variant are not averaged."""
    named = {(p.forgery, p.variant) for p in planted}
    return frozenset(named - {(p.forgery, p.variant) for p in planted if not p.powered})


def _coverage(forgery: Forgery, judged: Sequence[JudgedCheck], safe: frozenset[Forgery]) -> Coverage:
    """Of one forgery; `safe` are those that are excluded themselves, which some passes presume."""
    able = [j for j in judged if all(what in safe for of, what in j.check.presumes if of is forgery)]
    variants = {
        variant: tuple(j.check.name for j in able if (forgery, variant) in j.excludes)
        for variant in VARIANTS[forgery]
    }
    partial = tuple(
        (j.check.name, planted)
        for j in judged
        for planted in j.result.planted
        if planted.forgery is forgery and j.check.name not in variants.get(planted.variant, ())
    )
    needs = {
        need
        for j in judged
        if forgery in j.check.catches and j.outcome is Outcome.CANNOT_TELL
        for need in j.result.missing
    }
    excluded = all(variants.values())
    return Coverage(forgery, variants, partial, () if excluded else tuple(sorted(needs, key=_cost)))


def _cost(need: str) -> tuple[int, str]:
    return DISCLOSURE_COST.get(need, max(DISCLOSURE_COST.values()) + 1), need
