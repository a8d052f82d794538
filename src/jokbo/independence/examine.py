"""Examine two models: every component that both have, by every exact test that applies.

The order is fixed: norms, embedding and output head, then MLPs, experts and attention by
rows; whole matrices only where a body component is still undecided and the budget
allows. What could not be compared is kept with its reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from threadpoolctl import threadpool_limits

from jokbo.errors import RowsAbsentError, UsageError
from jokbo.independence.base import METHODS, Family
from jokbo.independence.combine import BODY, ComponentEvidence, combine_component
from jokbo.independence.exams.attention import AttentionExam
from jokbo.independence.exams.base import Bench, ExamRecord, Rotation
from jokbo.independence.exams.channels import NormExam, TableExam
from jokbo.independence.exams.private_units import PrivateUnitExam
from jokbo.independence.exams.private_values import PrivateValueExam
from jokbo.independence.exams.units import UnitExam
from jokbo.independence.learned import SharedLearning
from jokbo.independence.plan import Budget, Lot, ReadingPlan
from jokbo.views.component import Component, ComponentKind, Reason, components
from jokbo.views.ledger import Ledger
from jokbo.views.model import Model

BLAS_THREADS = 1
"""Fixed, so that sums are added in one order and the same input gives the same bits."""

LOG_CLEAR = math.log(1e8)
"""A body component with this much evidence needs no further reading."""

HELD_BYTES = 1 << 30
"""More than the exams read of a fingerprint together: no budget holds back what was fetched already."""

Exam = UnitExam | AttentionExam | TableExam | NormExam | PrivateUnitExam | PrivateValueExam
Progress = Callable[[str, str], None]


@dataclass(slots=True)
class Examination:
    """All that was found, before any verdict.

    Attributes
    ----------
    exams : dict of Component to Exam
    untested : dict of Component to Reason
        Components that no exact test covers, or that one model lacks.
    parameters : tuple of dict
        Parameters of each component, reference and candidate.
    learning : dict of str to SharedLearning
        By tower.
    stages : tuple of str
        Stages that were read.
    """

    bench: Bench
    exams: dict[Component, Exam] = field(default_factory=dict)
    untested: dict[Component, Reason] = field(default_factory=dict)
    parameters: tuple[dict[Component, int], dict[Component, int]] = field(default_factory=lambda: ({}, {}))
    learning: dict[str, SharedLearning] = field(default_factory=dict)
    rotations: dict[str, Rotation | None] = field(default_factory=dict)
    stages: tuple[str, ...] = ()

    def records(self) -> list[ExamRecord]:
        """Every exam's record, tested or not, in a fixed order."""
        return [self.exams[component].record for component in self.exams]

    def evidence(self, component: Component) -> ComponentEvidence | None:
        """Combined evidence of a tested component; None where nothing was tested."""
        record = self.exams[component].record
        if record.reason is not None or not record.results:
            return None
        return combine_component(component, record.results, local_only=record.local_only)


def examine(
    reference: Model,
    candidate: Model,
    *,
    seed: int = 0,
    budget: Budget | None = None,
    plan: ReadingPlan | None = None,
    progress: Progress | None = None,
    settled: Callable[[Examination], bool] | None = None,
    methods: int = METHODS,
) -> Examination:
    """Run every exact test that two models allow, within the budget.

    Parameters
    ----------
    reference, candidate : Model
    seed : int
        With both digests, decides what is read.
    budget : Budget, optional
    plan : ReadingPlan, optional
    progress : callable, optional
        Called with (stage, component) before each exam.
    settled : callable, optional
        Whether the rows read so far settle the question; whole matrices are read where they do not.
        Any rule keeps the error rate. By default every body component must have clear evidence.
    methods : int
        Which set of tests runs; an older one only to repeat older evidence.

    Returns
    -------
    Examination
    """
    budget = budget or Budget()
    salt, rows = common_rows(reference, candidate)
    if rows is not None:
        plan = rows
    bench = Bench(
        Ledger(reference, budget_bytes=_budget_bytes(reference, budget)),
        Ledger(candidate, budget_bytes=_budget_bytes(candidate, budget)),
        Lot(seed, reference.digest, candidate.digest, salt),
        plan or (ReadingPlan(tensor_layers=0) if budget.text == "full" else ReadingPlan()),
        budget,
        methods,
    )
    found = Examination(bench, parameters=(components(reference.anatomy), components(candidate.anatomy)))
    tell = progress or (lambda stage, component: None)
    with threadpool_limits(limits=BLAS_THREADS, user_api="blas"):
        _assign(found)
        first = "screen" if budget.last_stage == "screen" else "rows"
        _read_rows(found, first, tell)
        found.stages = (first,)
        if salt is not None:
            _note_unheld(found)
        elif first == "rows" and not (settled or _settled)(found):
            _read_tensors(found, tell)
            found.stages = ("rows", "tensors")
    note_learning(found)
    return found


def _budget_bytes(model: Model, budget: Budget) -> int:
    """What may be read of a model: of a fingerprint all that it holds, as often as need be; it is here already."""
    size = budget.bytes_of(model.catalog.data_bytes)
    return size if model.sampling is None else max(size, HELD_BYTES)


def common_rows(reference: Model, candidate: Model) -> tuple[str | None, ReadingPlan | None]:
    """The salt and the plan by which fingerprints were made, where one of two models is one.

    Raises
    ------
    UsageError
        Both are, of different salts: they hold different rows.
    """
    held = [model.sampling for model in (reference, candidate) if model.sampling is not None]
    if not held:
        return None, None
    if len({sampling.salt for sampling in held}) > 1:
        raise UsageError(
            f"{reference.name} and {candidate.name} are fingerprints of different salts, which share no rows. "
            "Make both with the same --salt, or compare the models themselves."
        )
    plan = ReadingPlan(
        units=min(sampling.units for sampling in held),
        values=min(sampling.values for sampling in held),
        rotary=min(sampling.rotary for sampling in held),
        tokens=min(sampling.tokens for sampling in held),
    )
    return held[0].salt, plan


_ORDER = (
    ComponentKind.NORMS,
    ComponentKind.EMBEDDING,
    ComponentKind.OUTPUT,
    ComponentKind.ROUTER,
    ComponentKind.PROJECTOR,
    ComponentKind.MLP,
    ComponentKind.EXPERTS,
    ComponentKind.ATTENTION,
)


def _assign(found: Examination) -> None:
    """Give each component its exam, or the reason why there is none."""
    names = dict.fromkeys([*found.parameters[0], *found.parameters[1]])
    for component in sorted(names, key=lambda c: (c.tower, _rank(c.kind))):
        missing = [side for side, sizes in enumerate(found.parameters) if component not in sizes]
        source = _source(found, component) if found.bench.methods >= 2 else None
        if found.bench.private and (source is not None or not missing):
            _assign_private(found, component, source)
            continue
        if source is not None:
            found.exams[component] = UnitExam(found.bench, component, source)
        elif missing:
            found.untested[component] = Reason(f"absent_in_{('reference', 'candidate')[missing[0]]}")
        elif component.kind in (ComponentKind.MLP, ComponentKind.EXPERTS):
            found.exams[component] = UnitExam(found.bench, component)
        elif component.kind is ComponentKind.ATTENTION:
            found.exams[component] = AttentionExam(found.bench, component)
        elif component.kind is ComponentKind.NORMS:
            found.exams[component] = NormExam(found.bench, component)
        elif component.kind in _ORDER:
            found.exams[component] = TableExam(found.bench, component)
        else:
            found.untested[component] = Reason("no_exact_test")


def _assign_private(found: Examination, component: Component, source: Component | None) -> None:
    """Of models that show Gram matrices alone: MLPs, experts and attention, and nothing else."""
    if component.kind in (ComponentKind.MLP, ComponentKind.EXPERTS):
        found.exams[component] = PrivateUnitExam(found.bench, component, source)
    elif component.kind is ComponentKind.ATTENTION:
        found.exams[component] = PrivateValueExam(found.bench, component)
    else:
        found.untested[component] = Reason("private_fingerprint")


def _source(found: Examination, component: Component) -> Component | None:
    """The reference's component of another name: a dense parent's MLP for experts, or the reverse."""
    other = {ComponentKind.EXPERTS: ComponentKind.MLP, ComponentKind.MLP: ComponentKind.EXPERTS}
    mine, theirs = found.parameters
    if component.kind not in other or component in mine or component not in theirs:
        return None
    source = Component(component.tower, other[component.kind])
    return source if source in mine else None


def _rank(kind: ComponentKind) -> int:
    return _ORDER.index(kind) if kind in _ORDER else len(_ORDER)


def _read_rows(found: Examination, stage: str, tell: Progress) -> None:
    for component, exam in found.exams.items():
        tell(stage, str(component))
        if isinstance(exam, AttentionExam | PrivateValueExam):
            exam.tied_layers = _tied_layers(found, component.tower)
        try:
            exam.read_rows(stage)
        except RowsAbsentError:  # fingerprints of models that differ in an unforeseen way
            exam.record.results.clear()
            exam.record.reason = Reason("fingerprint_holds_rows")


def _note_unheld(found: Examination) -> None:
    """Say of fingerprints what needed more than they hold: whole matrices, and parts of which no row was shared."""
    for component, exam in found.exams.items():
        record = exam.record
        if record.reason is None and not record.results:
            record.reason = Reason("fingerprint_holds_rows")
        elif component.kind in BODY and record.reason is None and not found.bench.private:
            record.notes.append(Reason("fingerprint_lacks_matrices"))


def _tied_layers(found: Examination, tower: str) -> dict[int, int]:
    """Layers whose MLPs depend on one another; their attention is tied as well."""
    exam = found.exams.get(Component(tower, ComponentKind.MLP)) or found.exams.get(
        Component(tower, ComponentKind.EXPERTS)
    )
    return (
        {b.layer: h.layer for b, h in exam.heads.items()}
        if isinstance(exam, UnitExam | PrivateUnitExam)
        else {}
    )


def _settled(found: Examination) -> bool:
    """Whether every body component is clear, and what was learned is seen in the norms."""
    note_learning(found)
    for component, exam in found.exams.items():
        if component.kind in BODY and exam.record.reason is None:
            evidence = found.evidence(component)
            if evidence is None or evidence.log_evalue < LOG_CLEAR:
                return False
    return any(learning.shared for learning in found.learning.values())


def _read_tensors(found: Examination, tell: Progress) -> None:
    bench = found.bench
    for component, exam in found.exams.items():
        if component.kind not in BODY or not isinstance(exam, UnitExam | AttentionExam):
            continue
        if component.tower not in found.rotations:
            found.rotations[component.tower] = _solve_rotation(found, component.tower)
        tell("tensors", str(component))
        exam.read_tensors(found.rotations[component.tower])
        if found.rotations[component.tower] is None and exam.record.reason is None:
            width = max(t.hidden_size for t in bench.towers(component.tower) or ())
            exam.record.notes.append(Reason("rotation_not_solved", {"width": width}))


def _solve_rotation(found: Examination, tower: str) -> Rotation | None:
    """Procrustes on the tower's embedding, where it is small enough or the user asked for more."""
    exam = found.exams.get(Component(tower, ComponentKind.EMBEDDING))
    towers = found.bench.towers(tower)
    if not isinstance(exam, TableExam) or towers is None or exam.record.reason is not None:
        return None
    width = towers[0].hidden_size
    if width > found.bench.plan.max_rotation_width and not found.bench.budget.explicit:
        return None
    return exam.rotation(width)


def note_learning(found: Examination) -> None:
    """Fill in what each tower shows of shared learning, from the exams run so far."""
    for tower in {component.tower for component in found.exams}:
        norms = found.exams.get(Component(tower, ComponentKind.NORMS))
        units = [
            exam.overlap
            for component, exam in found.exams.items()
            if component.tower == tower
            and isinstance(exam, UnitExam)
            and exam.overlap is not None
            # Where a few loud channels carry the rows, leading subspaces agree without learning.
            and 4 * exam.record.axes[Family.UNITS].effective >= max(exam.widths)
        ]
        found.learning[tower] = SharedLearning(
            norms.correlation if isinstance(norms, NormExam) else None, max(units) if units else None
        )
