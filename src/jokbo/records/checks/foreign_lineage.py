"""C16, foreign lineage: start, middle and end come from none of the models given (calibrated).

Claim
    The run began from its own initialisation and took nothing from the models that the auditor names.

Statistic
    Step 0, a state near the middle and the last training state (and the published weights) are each compared
    with every model given, as ``jokbo compare`` does: exact tests of independence, under its policy. The
    headline number is the largest log10 e-value of those pairs.

Why it is valid
    The mean e-value over a pair's components exceeds 1/p with probability at most p where the two are
    independent (Ville), whatever the components' dependence. Over N pairs ``min(1, N / E)`` of the largest is a
    p-value (Bonferroni). A pair counts only where the policy of the comparison calls it dependent: it knows
    what an accuser could reach by relabelling a model of its own, and then says "inconclusive", and so
    does this check.

What it catches
    Weights of a listed model at any of the states compared, also after further training, however disguised within
    the symmetries that the tests cover; a known model as step 0, in the middle, or at the end.

What fools it
    A model that nobody listed. A complete scramble (rotation, order and signs at once). A shared initialisation
    shows as dependence too: two teams with one seed need never have met.

Power
    Measured by the comparison's own bounds on the last state: 299 plants for each disguise and component. A pass
    excludes the listed models down to a row cosine of .5 in the same basis; smaller limits are in the details.

References
    ``methods.md`` of the project's design, sections 3 and 5; Vovk and Wang 2021, E-values: calibration,
    combination and applications, Annals of Statistics 49.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jokbo.evidence.compare import Comparison, compare
from jokbo.evidence.findings import DEPENDENCE, VerdictKind
from jokbo.independence.base import Alignment
from jokbo.records.checkpoints import OpenedCheckpoint
from jokbo.records.checks.base import (
    Check,
    CheckContext,
    CheckKind,
    CheckResult,
    Observation,
    Planted,
    unknown,
)
from jokbo.records.declaration import CheckpointRole
from jokbo.records.forgeries import Forgery
from jokbo.records.record import Record
from jokbo.sources.base import INDEX_SUFFIXES, WEIGHTS_SUFFIXES
from jokbo.views.component import Reason

PLANTED_COSINE = 0.5
"""Continued training leaves more of its ancestor's rows than this; a limit above it excludes too little."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One state beside one model, and what the comparison found."""

    model: str
    checkpoint: str
    found: Comparison

    @property
    def dependent(self) -> bool:
        """Whether the comparison's policy calls the pair dependent."""
        return self.found.verdict.kind in DEPENDENCE


class ForeignLineage(Check):
    """Whether any compared state depends on a listed model."""

    number = 16
    name = "foreign_lineage"
    kind = CheckKind.CALIBRATED
    catches = (Forgery.KNOWN_MODEL,)
    needs = ("checkpoints", "against")

    def run(self, record: Record, context: CheckContext) -> CheckResult:
        """Compare the states with every model that the auditor gave."""
        models = [spec for spec in context.against if is_model(spec)]
        if not models:
            return unknown("nothing_given", missing=["against"])
        states = compared_states(record)
        if not states:
            return unknown("no_weights", missing=["checkpoints"])
        pairs = [self._compare(record, context, spec, state) for spec in models for state in states]
        if len(states) < 3 or any(pair.found.verdict.kind is not VerdictKind.NO_EVIDENCE for pair in pairs):
            return _judge(pairs, [], complete=len(states) >= 3)
        # Limits cost seconds: they are measured where they matter, at the end of a run that looks clean.
        limits = [self._compare(record, context, spec, states[-1], bounds=True) for spec in models]
        return _judge(pairs, limits, complete=True)

    def _compare(
        self,
        record: Record,
        context: CheckContext,
        spec: str,
        state: OpenedCheckpoint,
        *,
        bounds: bool = False,
    ) -> Pair:
        context.tell(f"{self.name}: {state.entry.name}")
        lot = context.draw(record, self.name, f"{spec}|{state.entry.name}")
        assert state.model is not None
        found = compare(
            spec,
            state.model,
            seed=int(lot.integers(2**32)),
            bounds=bounds,
            descriptive=False,
            options=context.options,
        )
        return Pair(Path(spec).name, state.entry.name, found)


def is_model(spec: str) -> bool:
    """Whether what an auditor gave is to be compared as a model: not a log file, nor another pack.

    Whatever is neither a local file without weights nor a pack counts as a model, so that a misspelt
    place is an error of opening it and never a silent omission.
    """
    path = Path(spec)
    if path.is_dir():
        return not (path / "manifest.json").is_file() and any(
            file.name.endswith((*WEIGHTS_SUFFIXES, *INDEX_SUFFIXES)) for file in path.iterdir()
        )
    return not path.is_file() or path.name.endswith(WEIGHTS_SUFFIXES)


def compared_states(record: Record) -> list[OpenedCheckpoint]:
    """The first training state that is there, the one nearest the middle, the last, and what was published."""
    there = [member for member in record.checkpoints.members if member.model is not None]
    run = [member for member in there if member.entry.role is CheckpointRole.TRAINING]
    chosen: list[OpenedCheckpoint] = []
    if run:
        half = record.declaration.steps / 2
        middle = min(run, key=lambda member: (abs(member.entry.step - half), member.entry.step))
        chosen = [run[0], middle, run[-1]]
    chosen += [member for member in there if member.entry.role is CheckpointRole.PUBLISHED]
    return [member for k, member in enumerate(chosen) if member not in chosen[:k]]


def _judge(pairs: list[Pair], limits: list[Pair], *, complete: bool) -> CheckResult:
    dependent = [pair for pair in pairs if pair.dependent]
    unclear = [pair for pair in pairs if pair.found.verdict.kind is VerdictKind.INCONCLUSIVE]
    unread = [pair for pair in pairs if pair.found.verdict.kind is VerdictKind.UNTESTABLE]
    largest = max((_log_evalue(pair) for pair in pairs), default=0.0)
    details: dict[str, Any] = {
        "pairs": [
            {
                "model": pair.model,
                "checkpoint": pair.checkpoint,
                "verdict": str(pair.found.verdict.kind),
                "log10_evalue": _log_evalue(pair) / math.log(10),
            }
            for pair in pairs
        ]
    }
    statistic, planted = largest / math.log(10), _planted(limits)
    if dependent:
        log_pvalue = min(0.0, math.log(len(pairs)) - max(_log_evalue(pair) for pair in dependent))
        first = dependent[0]
        reasons = (
            Reason(
                "dependent", {"model": first.model, "checkpoint": first.checkpoint, "count": len(dependent)}
            ),
        )
        return CheckResult(
            Observation.VIOLATED, reasons, statistic, None, log_pvalue, planted, details=details
        )
    if unclear or unread:
        pair, code = (unclear[0], "unclear") if unclear else (unread[0], "not_comparable")
        reasons = (Reason(code, {"model": pair.model, "checkpoint": pair.checkpoint}),)
        return CheckResult(Observation.UNKNOWN, reasons, statistic, planted=planted, details=details)
    if not complete:
        reasons = (Reason("few_states", {}),)
        return CheckResult(
            Observation.UNKNOWN,
            reasons,
            statistic,
            planted=planted,
            missing=("checkpoints",),
            details=details,
        )
    # No pair is called dependent, so the honest null stands unrejected: the p-value says nothing against it.
    reasons = (Reason("clean", {"models": len({pair.model for pair in pairs})}),)
    return CheckResult(Observation.HOLDS, reasons, statistic, None, 0.0, planted, details=details)


def _log_evalue(pair: Pair) -> float:
    value = pair.found.verdict.log_evalue
    return 0.0 if value is None else float(value)


def _planted(pairs: list[Pair]) -> tuple[Planted, ...]:
    """Plants of the comparison's own bounds: dependence of one component, in the same basis, at most at the cosine.

    A model counts as covered where some body component of the pair has such a limit.
    """
    found: list[Planted] = []
    for model in dict.fromkeys(pair.model for pair in pairs):
        rows = [
            bound
            for pair in pairs
            if pair.model == model
            for component in pair.found.evidence.document["components"]
            for bound in component["bounds"]
            if bound["tested"]
            and bound["kind"] == "cosine"
            and bound["alignment"] == str(Alignment.SAME_BASIS)
        ]
        good = [row for row in rows if row["value"] is not None and row["value"] <= PLANTED_COSINE]
        best = min(good or rows, key=lambda row: row["value"] or 1.0, default=None)
        tried = 0 if best is None else int(best["n_plants"])
        hits = tried - int(best["misses"]) if best is not None and good else 0
        found.append(Planted(Forgery.KNOWN_MODEL, hits, tried, variant="listed"))
    return tuple(found)
