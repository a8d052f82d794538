"""Compare two models: examine, bound, describe, decide, and write the evidence."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jokbo.errors import UsageError
from jokbo.evidence.bounds_cache import BoundsCache
from jokbo.evidence.evidence import Evidence, build_evidence
from jokbo.evidence.findings import ComponentCase, Status, Verdict, VerdictKind
from jokbo.evidence.insights import Insights, gather
from jokbo.evidence.policy import Policy
from jokbo.evidence.verdict import decide
from jokbo.independence.base import METHODS
from jokbo.independence.calibrated import Population, read_population
from jokbo.independence.combine import BODY
from jokbo.independence.examine import Examination, examine, note_learning
from jokbo.independence.exams.channels import TableExam
from jokbo.independence.plan import Budget, Lot, parse_budget
from jokbo.sources.base import OpenOptions, Source
from jokbo.views.component import Component, ComponentKind, components
from jokbo.views.ledger import Ledger
from jokbo.views.model import Model, open_model

if TYPE_CHECKING:
    from jokbo.independence.bounds import Bound

ATTENTION_ROWS = 8
"""Rows a matrix for the attention profile: shown, never decisive, so it stays cheap."""

MAX_UNRECOGNISED_SHARE = 0.01
"""With more of a model's elements than this not recognised, a clean result says too little."""

ModelSpec = str | os.PathLike[str] | Source | Model


@dataclass(frozen=True, slots=True)
class Comparison:
    """What :func:`compare` returns.

    Attributes
    ----------
    verdict : Verdict
    evidence : Evidence
    bounds_seconds : float or None
        What measuring the limits cost; None where none were measured, 0 where they were kept from before.
    """

    verdict: Verdict
    evidence: Evidence
    bounds_seconds: float | None = None


def compare(
    reference: ModelSpec,
    candidate: ModelSpec,
    *,
    seed: int = 0,
    budget: str | None = None,
    declared: Sequence[str] = (),
    reference_first: bool = False,
    among: int = 1,
    bounds: bool = True,
    descriptive: bool = True,
    methods: int = METHODS,
    bounds_cache: str | os.PathLike[str] | None = None,
    population: Population | str | os.PathLike[str] | None = None,
    options: OpenOptions | None = None,
    progress: Callable[[str, str], None] | None = None,
) -> Comparison:
    """Decide from weights whether two models are independent.

    Parameters
    ----------
    reference, candidate : str, path, Source or Model
        A folder, a ``.safetensors`` file, a hub id ``org/name[@revision]`` or an address.
    seed : int
        With both digests, decides which rows are read. In a dispute, draw it after both
        models are fixed.
    budget : str, optional
        ``"screen"``, ``"full"``, a share such as ``"2%"`` or a size such as ``"500MB"``, of each model.
    declared : sequence of str
        Components whose dependence is declared, such as ``"text.embedding"``, or ``"all"``.
    reference_first : bool
        You vouch that the reference was public before the candidate, by a timestamp or an archive that
        neither side controls. It lifts the guard against references made to match, and enters the evidence.
    among : int
        Comparisons that are made in one search or tree: the threshold is multiplied by it, so that the chance
        of one false accusation among them all stays what the policy allows.
    bounds : bool
        Measure what a clean component would have shown.
    descriptive : bool
        Add the scores that do not decide.
    methods : int
        Which set of tests runs; an older one only to repeat older evidence.
    bounds_cache : path, optional
        Folder that keeps measured limits for the same rows of the same models.
    population : Population or path, optional
        Known-independent models that the calibrated tests rank the pair among; the zoo's by default.
    options : OpenOptions, optional
        How to reach and cache remote models.
    progress : callable, optional
        Called with (stage, component).

    Returns
    -------
    Comparison

    Raises
    ------
    JokboError
        An input cannot be read or believed; there is no verdict then.

    Examples
    --------
    >>> from jokbo.testing.builders import llama
    >>> import numpy as np
    >>> a, b = (llama(np.random.default_rng(k)).to_source(name=f"model{k}") for k in (0, 1))
    >>> compare(a, b, bounds=False).verdict.kind.value
    'no_evidence'
    """
    if type(seed) is not int or seed < 0:
        raise UsageError(f"seed is {seed!r}; expected a whole number from 0.")
    if type(among) is not int or among < 1:
        raise UsageError(f"among is {among!r}; expected the number of comparisons made, from 1.")
    choices = Choices(
        seed=seed,
        budget=parse_budget(budget),
        declared=tuple(declared),
        reference_first=reference_first,
        among=among,
        bounds=bounds,
        descriptive=descriptive,
        methods=methods,
        population=_read_population(population),
        cache=None if bounds_cache is None else BoundsCache(bounds_cache),
        progress=progress,
    )
    models: list[Model] = []
    try:
        models.append(open_model(reference, options))
        models.append(open_model(candidate, options))
        return _compare(models[0], models[1], choices)
    finally:
        for given, model in zip((reference, candidate), models, strict=False):
            if given is not model and not isinstance(given, Source):
                model.close()


@dataclass(frozen=True, slots=True)
class Choices:
    """What the caller chose, checked."""

    seed: int
    budget: Budget
    declared: tuple[str, ...]
    reference_first: bool
    among: int
    bounds: bool
    descriptive: bool
    methods: int
    population: Population | None
    cache: BoundsCache | None
    progress: Callable[[str, str], None] | None

    def tell(self, stage: str, component: str) -> None:
        """Say what is being done, to whom it concerns."""
        if self.progress is not None:
            self.progress(stage, component)


def _read_population(given: Population | str | os.PathLike[str] | None) -> Population | None:
    return given if given is None or isinstance(given, Population) else read_population(given)


def _compare(reference: Model, candidate: Model, choices: Choices) -> Comparison:
    policy = Policy()
    _check_declared(reference, candidate, choices.declared)

    def judge(found: Examination, insights: Insights) -> Verdict:
        note_learning(found)
        return decide(
            _cases(found, policy),
            policy=policy,
            learning=found.learning,
            reference_is_older=choices.reference_first,
            among=choices.among,
            identical=_identical(reference, candidate),
            declared=choices.declared,
            parameters=candidate.catalog.parameters,
            unread=_unread(reference, candidate),
            direction=insights.direction,
            calibrated=insights.reasons,
        )

    found = examine(
        reference,
        candidate,
        seed=choices.seed,
        budget=choices.budget,
        progress=choices.tell,
        settled=lambda found: _is_settled(judge(found, Insights())),
        methods=choices.methods,
    )
    insights = gather(found, judge(found, Insights()), population=choices.population, tell=choices.tell)
    verdict = judge(found, insights)
    started = time.perf_counter()
    measured = _bounds(found, verdict, policy, choices) if choices.bounds else {}
    seconds = time.perf_counter() - started if measured else None
    # The scores need rows that fingerprints do not hold.
    describes = choices.descriptive and not found.bench.sampled
    described = _describe(found, choices.seed, choices.tell) if describes else None
    evidence = build_evidence(
        found,
        verdict,
        seed=choices.seed,
        declared=choices.declared,
        reference_first=choices.reference_first,
        among=choices.among,
        bounds=measured,
        descriptive=described,
        sections=insights.sections,
    )
    return Comparison(verdict, evidence, seconds)


def _is_settled(verdict: Verdict) -> bool:
    """Whether whole matrices could change nothing: every body component that can be tested is inherited."""
    open_questions = [
        f
        for f in verdict.findings
        if f.component.kind in BODY
        and f.status is not Status.INHERITED
        and not (f.status is Status.NOT_COMPARABLE and f.reasons[0].code != "not_tested")
    ]
    return verdict.kind in (VerdictKind.IDENTICAL, VerdictKind.COMMON_LINEAGE) and not open_questions


def _cases(found: Examination, policy: Policy) -> list[ComponentCase]:
    sizes = found.parameters
    cases = []
    for component, exam in found.exams.items():
        overlap = exam.overlap if isinstance(exam, TableExam) else None
        cases.append(
            ComponentCase(
                component,
                (sizes[0].get(component, 0), sizes[1].get(component, 0)),
                exam.record.reason,
                found.evidence(component),
                tuple(exam.record.results),
                exam.record.signs_refused,
                exam.record.axes,
                None if overlap is None else overlap >= policy.min_subspace_overlap,
                _min_cosine(found, component, policy),
                getattr(exam, "source", None),
                exam.record.effective if found.bench.methods >= 2 else {},
            )
        )
    for component, reason in found.untested.items():
        cases.append(
            ComponentCase(component, (sizes[0].get(component, 0), sizes[1].get(component, 0)), reason)
        )
    return cases


def _min_cosine(found: Examination, component: Component, policy: Policy) -> float:
    """What reuse of a table needs while the basis is free; output heads learn more from data alone."""
    tied = any(anatomy.tied_output for anatomy in found.bench.anatomies)
    if component.kind is ComponentKind.EMBEDDING and not tied:
        return policy.min_embedding_cosine
    return policy.min_output_cosine


def _check_declared(reference: Model, candidate: Model, declared: Sequence[str]) -> None:
    known = {str(c) for model in (reference, candidate) for c in components(model.anatomy)}
    for name in declared:
        if name != "all" and name not in known:
            raise UsageError(
                f"declared component {name!r} is in neither model; expected 'all' or one of "
                f"{', '.join(sorted(known))}."
            )


def _unread(reference: Model, candidate: Model) -> list[str]:
    """What is missing from either model, or was not recognised in it, if that is more than a trifle."""
    found = []
    for which, model in (("reference", reference), ("candidate", candidate)):
        anatomy = model.anatomy
        if anatomy.missing:
            found.append(f"{which}: {len(anatomy.missing)} x missing ({anatomy.missing[0]})")
        unknown = sum(model.catalog[name].size for name in anatomy.unrecognised)
        if unknown > MAX_UNRECOGNISED_SHARE * model.catalog.parameters:
            found.append(f"{which}: {len(anatomy.unrecognised)} x unrecognised ({anatomy.unrecognised[0]})")
    return found


def _identical(reference: Model, candidate: Model) -> bool:
    """Whether every weight file is known to be the same, by its own digest.

    The digests that a fingerprint names are somebody's word, and decide nothing.
    """
    if reference.sampling is not None or candidate.sampling is not None:
        return False
    return reference.digest_covers == candidate.digest_covers == "weights" and (
        sorted(_digests(reference)) == sorted(_digests(candidate))
    )


def _digests(model: Model) -> list[str]:
    return [str(model.source.files[file].sha256) for file in model.catalog.header_sha256]


def _bounds(
    found: Examination, verdict: Verdict, policy: Policy, choices: Choices
) -> Mapping[Component, tuple[Bound, ...]]:
    """Measure limits for every clean component, unless the verdict is that the models are the same."""
    wanted = [f.component for f in verdict.findings if f.status is Status.NO_EVIDENCE]
    if verdict.kind is VerdictKind.IDENTICAL or not wanted:
        return {}
    cache = choices.cache if choices.among == 1 else None  # what is kept answers to one threshold
    kept = cache.load(found, policy, wanted) if cache is not None else None
    if kept is not None:
        return kept
    from jokbo.independence.bounds import plant_bounds

    threshold = policy.log_threshold(verdict.hypotheses * choices.among)
    measured = {}
    for component in wanted:
        choices.tell("bounds", str(component))
        measured[component] = plant_bounds(found, component, log_threshold=threshold)
    if cache is not None:
        cache.keep(found, policy, measured)
    return measured


def _describe(found: Examination, seed: int, tell: Callable[[str, str], None]) -> dict[str, Any]:
    from jokbo.descriptive.describe import describe

    tell("descriptive", "")
    # Scores that do not decide read through ledgers of their own: they must not change what the tests read.
    a, b = found.bench.reference.model, found.bench.candidate.model
    ledgers = [
        Ledger(model, budget_bytes=ledger.budget_bytes)
        for model, ledger in ((a, found.bench.reference), (b, found.bench.candidate))
    ]
    rng = Lot(seed, a.digest, b.digest).draw("descriptive")
    # A screen has a budget of requests, and a profile costs one a matrix.
    rows = 0 if found.bench.budget.last_stage == "screen" else ATTENTION_ROWS
    return describe(ledgers[0], ledgers[1], rng=rng, attention_rows=rows).to_document()
