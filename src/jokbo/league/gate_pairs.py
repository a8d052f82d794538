"""A team and one reference: which standing the evidence on these two models gives, and why.

Every kind of verdict has its rule in :data:`RULES`; one that is missing there is an error.

==================================  =====================================================================
verdict                             standing
==================================  =====================================================================
identical, derived, common lineage, *not eligible* where undeclared; *eligible* where declared, with all its
component reuse                     parts; *untestable* where another declaration could explain it, or the
                                    order of two teams cannot be told
shared initialisation or lineage    *untestable*: two teams that use one framework and its default seed
                                    begin alike and need never have met
shared basis                        *untestable*: channels are numbered alike, no part is shown to be taken
inconclusive, untestable            *untestable*
no evidence                         *eligible* down to the bound it states; *untestable* where it states none
==================================  =====================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from jokbo.errors import EvidenceError
from jokbo.evidence.findings import VerdictKind
from jokbo.league.gate_evidence import Exhibit
from jokbo.league.round import Ancestor, Round, Team
from jokbo.views.component import Reason


class Standing(StrEnum):
    """What the gate says of a team."""

    ELIGIBLE = "eligible"
    NOT_ELIGIBLE = "not_eligible"
    UNTESTABLE = "untestable"


_WORST = (Standing.NOT_ELIGIBLE, Standing.UNTESTABLE, Standing.ELIGIBLE)
_SPEAKS = (VerdictKind.INCONCLUSIVE, VerdictKind.NO_EVIDENCE, VerdictKind.UNTESTABLE)
"""Which of several documents without dependence counts: one that could not test says less than one that did."""

Outcome = tuple[Standing, tuple[Reason, ...]]


def worst(standings: Iterable[Standing]) -> Standing:
    """The standing of a team from its parts; eligible where there are none."""
    found = set(standings)
    return next((each for each in _WORST if each in found), Standing.ELIGIBLE)


def declared_parts(team: Team, digest: str) -> tuple[str, ...] | None:
    """Components of a model that a team declares; empty for all of it, None where it declares nothing of it."""
    found = next((each for each in team.declared_ancestors if each.digest == digest), None)
    return None if found is None else found.components


@dataclass(frozen=True, slots=True)
class Pair:
    """A team, a reference, and the evidence on their two models.

    Attributes
    ----------
    exhibits : tuple of Exhibit
        On these two models, in either role.
    others : tuple of Exhibit
        On other models; they may explain.
    """

    round: Round
    team: Team
    reference: Ancestor
    everything: Sequence[Exhibit]
    exhibits: tuple[Exhibit, ...] = field(init=False)
    others: tuple[Exhibit, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Sort the evidence."""
        both = frozenset((self.team.model.digest or "", self.reference.digest))
        object.__setattr__(self, "exhibits", tuple(e for e in self.everything if e.pair == both))
        object.__setattr__(self, "others", tuple(e for e in self.everything if e.pair != both))

    @property
    def other_team(self) -> Team | None:
        """The team whose entry the reference is."""
        return next((team for team in self.round.teams if team.id == self.reference.team), None)

    def reason(self, code: str, **values: int | float | str) -> Reason:
        """A reason that names the reference."""
        return Reason(code, {"reference": self.reference.name, **values})


def judge_pair(pair: Pair) -> Outcome:
    """The standing that the evidence on one pair gives.

    Dependence that one document found is not undone by another that did not find it; of several without, the one
    that could test the most speaks.
    """
    own = pair.team.model.digest
    if own is None:
        return Standing.UNTESTABLE, (pair.reason("no_digest"),)
    if own == pair.reference.digest:
        if declared_parts(pair.team, own) == ():
            return Standing.ELIGIBLE, (pair.reason("is_reference_declared"),)
        return Standing.NOT_ELIGIBLE, (pair.reason("is_reference"),)
    notes = tuple(
        pair.reason("did_not_verify", file=each.file.name) for each in pair.exhibits if each.verified is False
    )
    usable = [each for each in pair.exhibits if each.verified is not False]
    if not usable:
        return Standing.UNTESTABLE, (*notes, pair.reason("no_evidence_given"))
    dependent = [each for each in usable if each.depends]
    chosen = dependent or [min(usable, key=lambda each: (_SPEAKS.index(each.kind), each.bound is None))]
    outcomes = [_rule(each.kind)(pair, each) for each in chosen]
    standing, reasons = min(outcomes, key=lambda outcome: _WORST.index(outcome[0]))
    if any(each.headers_only for each in chosen):
        notes = (*notes, pair.reason("headers_only"))
    return standing, (*reasons, *notes)


def _no_evidence(pair: Pair, exhibit: Exhibit) -> Outcome:
    bound = exhibit.bound
    if bound is None:
        return Standing.UNTESTABLE, (pair.reason("no_bound"),)
    reasons = [pair.reason("no_evidence", cosine=bound.cosine, component=bound.component)]
    if bound.unbounded:
        reasons.append(pair.reason("bound_partial", components=", ".join(bound.unbounded)))
    return Standing.ELIGIBLE, tuple(reasons)


def _inconclusive(pair: Pair, exhibit: Exhibit) -> Outcome:
    return Standing.UNTESTABLE, (pair.reason("inconclusive"),)


def _untestable(pair: Pair, exhibit: Exhibit) -> Outcome:
    return Standing.UNTESTABLE, (pair.reason("untestable_pair"),)


def _shared_start(pair: Pair, exhibit: Exhibit) -> Outcome:
    if _covered(pair.team, pair.reference.digest, exhibit):
        return _declared(pair, exhibit)
    return Standing.UNTESTABLE, (pair.reason("shared_start", components=_names(exhibit.components)),)


def _shared_basis(pair: Pair, exhibit: Exhibit) -> Outcome:
    if declared_parts(pair.team, pair.reference.digest) is not None:
        return _declared(pair, exhibit)
    return Standing.UNTESTABLE, (pair.reason("shared_basis", components=_names(exhibit.basis)),)


def _dependence(pair: Pair, exhibit: Exhibit) -> Outcome:
    team, reference = pair.team, pair.reference
    if _covered(team, reference.digest, exhibit):
        return _declared(pair, exhibit)
    parts = declared_parts(team, reference.digest)
    if pair.other_team is not None:
        return _between_teams(pair, pair.other_team, exhibit)
    found = _names(exhibit.components)
    if exhibit.kind is VerdictKind.DERIVED and _put_first(pair, team.model.digest):
        return Standing.UNTESTABLE, (pair.reason("order_contradicts", components=found),)
    if parts is not None:
        beyond = _names(sorted(set(exhibit.components) - set(parts)) or exhibit.components)
        return Standing.NOT_ELIGIBLE, (pair.reason("beyond_declared", components=beyond),)
    through = _through(pair, exhibit)
    if through is not None:
        return Standing.UNTESTABLE, (pair.reason("through_declared", ancestor=through, components=found),)
    return Standing.NOT_ELIGIBLE, (pair.reason("undeclared", verdict=str(exhibit.kind), components=found),)


def _between_teams(pair: Pair, other: Team, exhibit: Exhibit) -> Outcome:
    """Two entries that depend on each other: only the later one can have drawn on the other."""
    own, found = pair.team.model.digest or "", _names(exhibit.components)
    if _covered(other, own, exhibit):
        return Standing.ELIGIBLE, (pair.reason("other_declared", components=found),)
    both_ways = _put_first(pair, own) and _put_first(pair, pair.reference.digest)
    if exhibit.kind is not VerdictKind.DERIVED or both_ways:
        return Standing.UNTESTABLE, (pair.reason("order_unknown", components=found),)
    if exhibit.reference == own:
        return Standing.ELIGIBLE, (pair.reason("came_first", components=found),)
    return Standing.NOT_ELIGIBLE, (pair.reason("derived_from_team", components=found),)


def _put_first(pair: Pair, digest: str | None) -> bool:
    """Whether some document that may be used says that this model came first; two may say opposite things."""
    return any(
        each.kind is VerdictKind.DERIVED and each.reference == digest and each.verified is not False
        for each in pair.exhibits
    )


def _covered(team: Team, digest: str, exhibit: Exhibit) -> bool:
    """Whether a team declared all the parts that a document found to depend on a model."""
    parts = declared_parts(team, digest)
    if parts is None:
        return False
    return not parts or (exhibit.kind is not VerdictKind.IDENTICAL and set(exhibit.components) <= set(parts))


def _declared(pair: Pair, exhibit: Exhibit) -> Outcome:
    return Standing.ELIGIBLE, (pair.reason("declared", components=_names(exhibit.components)),)


def _through(pair: Pair, exhibit: Exhibit) -> str | None:
    """A declared ancestor that itself depends on the reference in these parts: they may have come by it."""
    for ancestor in pair.team.declared_ancestors:
        both = frozenset((ancestor.digest, pair.reference.digest))
        for other in pair.others:
            if other.pair != both or not other.depends or other.verified is False:
                continue
            reach = (
                set(ancestor.components) & set(other.components)
                if ancestor.components
                else set(other.components)
            )
            if set(exhibit.components) <= reach:
                return ancestor.name
    return None


def _names(components: Sequence[str]) -> str:
    return ", ".join(components) or "-"


Rule = Callable[[Pair, Exhibit], Outcome]

RULES: Mapping[VerdictKind, Rule] = {
    VerdictKind.IDENTICAL: _dependence,
    VerdictKind.DERIVED: _dependence,
    VerdictKind.COMMON_LINEAGE: _dependence,
    VerdictKind.COMPONENT_REUSE: _dependence,
    VerdictKind.SHARED_INITIALISATION_OR_LINEAGE: _shared_start,
    VerdictKind.SHARED_BASIS: _shared_basis,
    VerdictKind.INCONCLUSIVE: _inconclusive,
    VerdictKind.UNTESTABLE: _untestable,
    VerdictKind.NO_EVIDENCE: _no_evidence,
}
"""What each kind of verdict means to a gate."""


def _rule(kind: VerdictKind) -> Rule:
    if kind not in RULES:
        raise EvidenceError(f"the gate has no rule for the verdict {kind}. Use a version that knows it.")
    return RULES[kind]
