"""From evidence to a verdict: a named, versioned policy, applied by a pure function.

A rejection of independence needs, for one component, an e-value above the threshold
times the number of components tested; a second witness where it rests on the order of an
index; a passed flip check where it rests on signs; and more than residual channels alone.
Where the cosine is no higher than an accuser could reach by relabelling its own units,
somebody must vouch for the order of the two models as well. Nothing descriptive is asked.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import replace

from jokbo.evidence.findings import (
    DEPENDENT,
    ComponentCase,
    Finding,
    Status,
    Verdict,
    VerdictKind,
)
from jokbo.evidence.policy import Policy
from jokbo.independence.base import SMALL_GROUPS, Family
from jokbo.independence.betting import average
from jokbo.independence.combine import BODY, Agreement, strongest_alignment
from jokbo.independence.exams.base import AxisSize
from jokbo.independence.learned import SharedLearning
from jokbo.views.component import ComponentKind, Reason

_PINS = frozenset({ComponentKind.MLP, ComponentKind.EXPERTS, ComponentKind.EMBEDDING})
"""Kinds that can pin a residual basis; value rows have a free basis of their own."""

_NO_AXIS = AxisSize(0, 0)
"""Of no rows: whatever agrees on it could have been made."""


def decide(
    cases: Sequence[ComponentCase],
    *,
    policy: Policy,
    learning: dict[str, SharedLearning],
    reference_is_older: bool | None,
    among: int = 1,
    identical: bool = False,
    declared: Collection[str] = (),
    parameters: int,
    unread: Sequence[str] = (),
    direction: str = "undetermined",
    calibrated: Sequence[Reason] = (),
) -> Verdict:
    """Apply a policy.

    Parameters
    ----------
    cases : sequence of ComponentCase
    learning : dict of str to SharedLearning
        By tower.
    reference_is_older : bool or None
        Whether third-party dates put the reference first; None where there are none.
    among : int
        Comparisons of one search or tree, all of them paid for.
    identical : bool
        Every weight file has the same digest.
    declared : collection of str
        Components such as ``"text.embedding"``, or ``"all"``, whose dependence is declared.
    parameters : int
        All parameters of the candidate.
    unread : sequence of str
        What either model lacks or nobody recognised, in a few words each; with any of it there is no
        "no evidence".
    direction : str
        What marks in the weights say of which model came first. Whoever holds a model can stage a mark on
        another, so a verdict says "derived" only where somebody vouches for the order as well.
    calibrated : sequence of Reason
        Calibrated evidence of dependence: with any there is no "no evidence", and never more than that.
    """
    tested = [case for case in cases if case.evidence is not None]
    findings = _judge_all(cases, policy, len(tested) * among, reference_is_older)
    findings = _guard_basis(_settle_with_body(findings, learning, policy), policy, reference_is_older)
    kind = VerdictKind.IDENTICAL if identical else _overall(findings, learning)
    gaps = [*_gaps(findings), *_unshown(findings), *unread]
    if kind is VerdictKind.NO_EVIDENCE and (gaps or calibrated):
        kind = VerdictKind.INCONCLUSIVE
    if kind is VerdictKind.COMMON_LINEAGE and reference_is_older and direction == "candidate_from_reference":
        kind = VerdictKind.DERIVED
    if kind is VerdictKind.SHARED_INITIALISATION_OR_LINEAGE:
        findings = [
            replace(f, status=Status.DEPENDENT) if f.status is Status.INHERITED else f for f in findings
        ]
    logs = [case.evidence.log_evalue for case in tested if case.evidence is not None]
    return Verdict(
        policy=policy,
        kind=kind,
        findings=tuple(findings),
        log_evalue=average(logs) if logs else None,
        hypotheses=len(tested),
        inherited_share=_inherited_share(findings, kind, parameters),
        declared=_declared(findings, frozenset(declared), kind),
        direction=direction,
        reasons=(*calibrated, *((Reason("parts_not_compared", {"parts": ", ".join(gaps)}),) if gaps else ())),
    )


def _inherited_share(findings: Sequence[Finding], kind: VerdictKind, parameters: int) -> float | None:
    """Share of the candidate's parameters in inherited components; None where inheritance cannot be told."""
    if not parameters or kind is VerdictKind.SHARED_INITIALISATION_OR_LINEAGE:
        return None
    if kind is VerdictKind.IDENTICAL:
        return 1.0
    return sum(f.parameters[1] for f in findings if f.status is Status.INHERITED) / parameters


def _judge_all(
    cases: Sequence[ComponentCase], policy: Policy, hypotheses: int, older: bool | None
) -> list[Finding]:
    """Judge every component; what a free rotation could explain is judged again once the basis is pinned.

    An accuser has one rotation of its residual stream to spend. A component whose agreement no
    rotation reaches shows that it was not spent, so its tower's other components need not exceed it. An
    inherited MLP vouches for the attention of its tower, whose heads have free bases of their own.
    """

    def judge(case: ComponentCase, pinned: bool = False, vouched: bool = False) -> Finding:
        if case.evidence is None:
            reason = case.reason or Reason("not_tested")
            return Finding(case.component, case.parameters, Status.NOT_COMPARABLE, (reason,))
        return _judge(case, policy, hypotheses, older, pinned, vouched)

    findings = [judge(case) for case in cases]
    inherited = [f.component for f in findings if f.status is Status.INHERITED]
    pinned = {c.tower for c in inherited if c.kind in _PINS}
    vouched = {c.tower for c in inherited if c.kind in (ComponentKind.MLP, ComponentKind.EXPERTS)}
    return [
        judge(case, f.component.tower in pinned, f.component.tower in vouched)
        if f.status is Status.INCONCLUSIVE and f.component.tower in pinned
        else f
        for case, f in zip(cases, findings, strict=True)
    ]


def _judge(
    case: ComponentCase, policy: Policy, hypotheses: int, older: bool | None, pinned: bool, vouched: bool
) -> Finding:
    evidence = case.evidence
    assert evidence is not None
    threshold = policy.log_threshold(hypotheses)
    reasons: list[Reason] = []
    fired = [f for f, e in evidence.families.items() if e.log_evalue >= threshold]
    body = case.component.kind in BODY
    speaking = [f for f in fired if not (body and f is Family.CHANNELS)]
    believed = []
    for family in speaking:
        doubt = _doubt(family, case, policy) if body else None
        if doubt is None:
            believed.append(family)
        else:
            reasons.append(doubt)

    def finding(status: Status, seen: Agreement | None = None, level: float | None = None) -> Finding:
        return Finding(
            component=case.component,
            parameters=case.parameters,
            status=status,
            reasons=tuple(reasons),
            log_evalue=evidence.log_evalue,
            alignment=None if seen is None else seen.alignment,
            effect_size=None if seen is None else seen.effect_size,
            relabelling_level=level,
            learned=case.learned,
            source=case.source,
        )

    if not believed or evidence.log_evalue < threshold:
        if body and Family.CHANNELS in fired and not reasons:
            return finding(Status.SHARED_BASIS, *_in_channels(case, policy))
        if reasons or evidence.log_evalue >= math.log(policy.min_unclear):
            if not reasons:
                reasons.append(Reason("below_threshold"))
            return finding(Status.INCONCLUSIVE)
        return finding(Status.NO_EVIDENCE)
    seen = strongest_alignment(case.results, believed, log_threshold=math.log(policy.min_witness))
    if case.component.kind in (ComponentKind.NORMS, ComponentKind.ROUTER):
        return finding(Status.SHARED_BASIS, seen, 1.0)  # settled with their body, never alone
    if seen is None:
        if not older:
            reasons.append(Reason("agreement_not_seen"))
            return finding(Status.INCONCLUSIVE)
        return finding(Status.INHERITED)
    seen, axis = _what_could_be_made(case, seen, believed, policy, vouched)
    level = policy.relabelling_level(axis, clusters=seen.clusters, rotated=not pinned)
    if not body:
        if seen.effect_size < max(policy.relabelling_level(axis, rotated=False), policy.min_reuse_cosine):
            return finding(Status.SHARED_BASIS, seen, level)
        level = max(level, policy.min_reuse_cosine if pinned else case.min_cosine)
    if seen.effect_size < level and not older:
        reasons.append(_guard(seen.effect_size, level))
        return finding(Status.INCONCLUSIVE, seen, level)
    return finding(Status.INHERITED, seen, level)


def _what_could_be_made(
    case: ComponentCase, seen: Agreement, believed: Sequence[Family], policy: Policy, vouched: bool
) -> tuple[Agreement, AxisSize]:
    """The agreement to be judged, and the axis on which an accuser could have made it.

    Rows that fired are judged by their own effective width (``1 / mean cos^2`` over them), not by that of quiet
    layers which did not fire. Attention for which no MLP of its
    tower vouches is judged by its own: an accuser may give the values of its heads any basis, and
    where few channels carry the rows it fits them; its queries and keys it can only turn and scale
    by pairs, so these must agree as well.
    """
    axis = next((case.axes[f] for f in believed if f in case.axes and f not in SMALL_GROUPS), _NO_AXIS)
    widths = [case.effective[cluster] for cluster in seen.fired if cluster in case.effective]
    if widths:
        axis = replace(axis, effective=len(widths) / sum(1 / width for width in widths))
    if not axis.alone or vouched:
        return seen, axis
    log_witness = math.log(policy.min_witness)
    values, turned = (
        strongest_alignment(
            [r for r in case.results if (r.parameters.get("coins") == "rotary") is rotary],
            believed,
            log_threshold=log_witness,
        )
        for rotary in (False, True)
    )
    free = min(1.0, axis.basis * axis.d / axis.alone)
    if turned is not None and (values is None or values.alignment is turned.alignment):
        least = min([turned.effect_size, *([] if values is None else [values.effect_size])])
        return seen._replace(effect_size=least), replace(axis, effective=axis.alone, basis=0.0)
    return seen, replace(axis, effective=axis.alone, basis=free)


def _guard(effect: float, level: float) -> Reason:
    return Reason("relabelling_guard", {"effect": round(effect, 3), "level": round(level, 3)})


def _in_channels(case: ComponentCase, policy: Policy) -> tuple[Agreement | None, float | None]:
    """Mean cosine that the channel family saw, and the level that relabelling channels reaches."""
    axis = case.axes.get(Family.CHANNELS)
    seen = strongest_alignment(case.results, [Family.CHANNELS], log_threshold=-math.inf)
    return seen, None if axis is None else policy.relabelling_level(axis)


def _doubt(family: Family, case: ComponentCase, policy: Policy) -> Reason | None:
    """Why a family that fired is not believed alone; None when it is."""
    evidence = case.evidence
    assert evidence is not None
    if family in (Family.UNITS, Family.HEADS):
        others = [e.log_evalue for f, e in evidence.families.items() if f is not family]
        witnesses = [evidence.families[family].log_local, *others]
        return None if max(witnesses) >= math.log(policy.min_witness) else Reason("order_without_witness")
    if case.signs_refused:
        return Reason("signs_refused")
    return None


def _settle_with_body(
    findings: list[Finding], learning: dict[str, SharedLearning], policy: Policy
) -> list[Finding]:
    """Norms and routers that agree in a tower whose body is inherited are inherited with it, never alone."""
    bodies = {
        f.component.tower for f in findings if f.status is Status.INHERITED and f.component.kind in BODY
    }
    settled = []
    for f in findings:
        agree = f.effect_size or 0.0
        if f.component.kind is ComponentKind.NORMS:
            agree = learning.get(f.component.tower, SharedLearning()).norm_correlation or 0.0
        if (
            f.component.kind in (ComponentKind.NORMS, ComponentKind.ROUTER)
            and f.status is Status.SHARED_BASIS
            and f.component.tower in bodies
            and agree >= policy.min_reuse_cosine
        ):
            f = replace(f, status=Status.INHERITED, reasons=(Reason("with_body"),), effect_size=agree)
        settled.append(f)
    return settled


def _guard_basis(findings: list[Finding], policy: Policy, older: bool | None) -> list[Finding]:
    """Doubt a shared basis that an accuser could have made, reordering and flipping its own channels.

    It stands beside an inherited component of its tower, or with a date; by itself its
    cosine must be one that no relabelling reaches. Channels of trained embeddings are not
    random rows, so the level is never below the one that reuse needs. Gains can be moved into the rows that
    follow them and routers shifted, so norms and routers can be made equal outright and never stand alone.
    """
    towers = {f.component.tower for f in findings if f.status is Status.INHERITED}
    guarded = []
    for f in findings:
        if f.status is Status.SHARED_BASIS and f.component.tower not in towers and not older:
            effect, level = f.effect_size or 0.0, max(f.relabelling_level or 1.0, policy.min_reuse_cosine)
            if effect < level or f.component.kind in (ComponentKind.NORMS, ComponentKind.ROUTER):
                f = replace(f, status=Status.INCONCLUSIVE, reasons=(*f.reasons, _guard(effect, level)))
        guarded.append(f)
    return guarded


def _overall(findings: Sequence[Finding], learning: dict[str, SharedLearning]) -> VerdictKind:
    main = _main_tower(findings)
    inherited = [f for f in findings if f.status is Status.INHERITED]
    body = [f for f in inherited if f.component.tower == main and f.component.kind in BODY]
    if body:
        shared = learning.get(main, SharedLearning()).shared
        return VerdictKind.COMMON_LINEAGE if shared else VerdictKind.SHARED_INITIALISATION_OR_LINEAGE
    if inherited:
        learned = any(
            f.learned or learning.get(f.component.tower, SharedLearning()).shared for f in inherited
        )
        return VerdictKind.COMPONENT_REUSE if learned else VerdictKind.SHARED_INITIALISATION_OR_LINEAGE
    statuses = {f.status for f in findings}
    if Status.INCONCLUSIVE in statuses:
        return VerdictKind.INCONCLUSIVE
    if Status.SHARED_BASIS in statuses:
        return VerdictKind.SHARED_BASIS
    tested_body = any(f.component.kind in BODY and f.status is Status.NO_EVIDENCE for f in findings)
    return VerdictKind.NO_EVIDENCE if tested_body else VerdictKind.UNTESTABLE


def _gaps(findings: Sequence[Finding]) -> list[str]:
    """Body components of either model's main tower that were not compared.

    A dense parent's MLP that was compared with the candidate's experts was compared.
    """
    compared = {f.source for f in findings if f.source is not None}
    towers = {_main_tower(findings, side) for side in (0, 1)}
    return [
        str(f.component)
        for f in findings
        if f.component.tower in towers
        and f.component.kind in BODY
        and f.status is Status.NOT_COMPARABLE
        and f.component not in compared
    ]


def _unshown(findings: Sequence[Finding]) -> list[str]:
    """What a private fingerprint does not show, where that is the larger half of either model."""
    hidden = [f for f in findings if f.reasons and f.reasons[0].code == "private_fingerprint"]
    for side in (0, 1):
        if 2 * sum(f.parameters[side] for f in hidden) > sum(f.parameters[side] for f in findings):
            named = [str(f.component) for f in hidden]
            return [name for name in named if name not in _gaps(findings)]
    return []


def _main_tower(findings: Sequence[Finding], side: int = 1) -> str:
    """The tower that holds most of a model's body; of the candidate's by default."""
    sizes: dict[str, int] = {}
    for f in findings:
        if f.component.kind in BODY:
            sizes[f.component.tower] = sizes.get(f.component.tower, 0) + f.parameters[side]
    return max(sizes, key=lambda tower: sizes[tower]) if sizes else "text"


def _declared(findings: Sequence[Finding], declared: frozenset[str], kind: VerdictKind) -> str:
    if not declared:
        return "none"
    dependent = {str(f.component) for f in findings if f.status in DEPENDENT}
    if "all" in declared or (dependent <= declared and kind is not VerdictKind.IDENTICAL):
        return "exactly"
    return "exceeded"
