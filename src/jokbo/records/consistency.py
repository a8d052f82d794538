"""What a declaration must satisfy to be read at all: ranges of numbers, and parts that fit each other.

Only what would make the record unreadable is an error here. A claim that may be false (a repeated step,
too many tokens) is well formed, and a check's to judge.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jokbo.errors import FormatError
from jokbo.formats.dtypes import DType
from jokbo.records.declaration import CheckpointEntry, Declaration, Optimizer, Schedule
from jokbo.records.schedule import KINDS
from jokbo.records.structure import ADVICE, brief

MAX_STEPS = 10_000_000
"""Arrays over all steps are made (rates, batches): 80 MB each at this length. Larger runs are not known."""

MAX_EVENTS = 2000
"""Checks look at pairs of events. The most that is known of a run is some hundreds of interruptions."""

COUNT = 10**15
LEAST_STD = 1e-30
"""Weights over less than this pass what a float holds when they are squared."""

REAL = 1e30

Range = tuple[float, float]

RANGES: Mapping[str, Range] = {
    "Declaration.steps": (0, MAX_STEPS),
    "Event.step": (0, MAX_STEPS),
    "Event.to_step": (0, MAX_STEPS),
    "Model.parameters": (0, COUNT),
    "Model.active_parameters": (0, COUNT),
    "Model.vocab_size": (0, 10**9),
    "Optimizer.betas": (0, 1),
    "Optimizer.eps": (0, 1),
    "Optimizer.weight_decay": (0, 1e6),
    "Optimizer.clip": (0, REAL),
    "Optimizer.rate_scale": (0, 1e6),
    "Schedule.peak": (0, 1e6),
    "Schedule.warmup_steps": (0, MAX_STEPS),
    "Schedule.total_steps": (0, MAX_STEPS),
    "Schedule.decay_steps": (0, MAX_STEPS),
    "Schedule.final": (0, 100),
    "BatchPhase.from_step": (0, MAX_STEPS),
    "BatchPhase.sequences": (1, 10**7),
    "BatchPhase.sequence_length": (1, 10**8),
    "Initialisation.std": (0, 1e6),
    "Initialisation.residual_std": (0, 1e6),
    "Initialisation.norms": (-1e6, 1e6),
    "Initialisation.biases": (-1e6, 1e6),
    "Initialisation.seed": (-(1 << 63), (1 << 64) - 1),
    "Hardware.count": (0, 10**7),
    "Hardware.peak_flops": (0, 1e21),
    "Data.unseen_tokens": (0, 10**9),
    "Data.tokens": (0, 10**18),
    "Data.epochs": (0, 1e6),
    "CheckpointEntry.step": (0, MAX_STEPS),
    "CheckpointEntry.average_of": (0, MAX_STEPS),
}
"""Every number of a declaration, and between which values it may lie (both counted in; betas are below 1)."""

MAX_NAME = 200
DECAYS = ("all", "matrices", "none")
_DIGEST = re.compile(r"[0-9a-f]{64}")


def check_consistency(declaration: Declaration, *, where: str) -> None:
    """Raise where a number is out of its range, or two parts cannot both be meant.

    Raises
    ------
    FormatError
        Naming the field, what was expected and what was found.
    """
    found = next(_problems(declaration), None)
    if found is not None:
        raise FormatError(f"{where}: field {found[0]}: {found[1]}. {ADVICE}")


def _problems(declaration: Declaration) -> Iterator[tuple[str, str]]:
    yield from _ranges(declaration, "")
    if not _is_name(declaration.name):
        yield "name", f"expected 1 to {MAX_NAME} printable characters, found {brief(declaration.name)}"
    if declaration.optimizer is not None:
        yield from _optimizer(declaration.optimizer)
    if declaration.schedule is not None:
        yield from _schedule(declaration.schedule)
    yield from _batches(declaration)
    yield from _within_the_run(declaration)
    yield from _checkpoints(declaration)
    if len(declaration.event) > MAX_EVENTS:
        yield "event", f"expected at most {MAX_EVENTS:,} events, found {len(declaration.event):,}"
    stored = declaration.initialisation.stored if declaration.initialisation else ""
    if stored and stored not in DType.__members__:
        yield "initialisation.stored", f"expected an element type such as F32 or BF16, found {brief(stored)}"
    for name in ("std", "residual_std") if declaration.initialisation else ():
        std = getattr(declaration.initialisation, name)
        if 0 < std < LEAST_STD:
            yield f"initialisation.{name}", f"expected 0 or at least {LEAST_STD:g}, found {brief(std)}"
    for k, log in enumerate(declaration.log):
        if not log.path:
            yield f"log[{k}].path", "expected the log's file or folder, found nothing"


def _is_name(text: str) -> bool:
    return 0 < len(text) <= MAX_NAME and text.isprintable()


def _ranges(part: Any, path: str) -> Iterator[tuple[str, str]]:
    """Numbers out of their range, in every table of the declaration."""
    for field in dataclasses.fields(part):
        value, here = getattr(part, field.name), f"{path}{field.name}"
        members = value if isinstance(value, tuple) else (value,)
        for k, each in enumerate(members):
            place = f"{here}[{k}]" if isinstance(value, tuple) else here
            if dataclasses.is_dataclass(each):
                yield from _ranges(each, f"{place}.")
            elif isinstance(each, int | float) and not isinstance(each, bool):
                low, high = RANGES[f"{type(part).__name__}.{field.name}"]
                if not low <= each <= high:
                    yield place, f"expected a number from {low:,} to {high:,}, found {brief(each)}"


def _optimizer(optimizer: Optimizer) -> Iterator[tuple[str, str]]:
    if not _is_name(optimizer.name):
        yield "optimizer.name", f"expected a word such as adamw, found {brief(optimizer.name)}"
    if len(optimizer.betas) > 8:
        yield "optimizer.betas", f"expected at most 8 numbers, found {len(optimizer.betas):,}"
    for k, beta in enumerate(optimizer.betas):
        if beta >= 1:
            yield f"optimizer.betas[{k}]", f"expected a number from 0 to below 1, found {brief(beta)}"
    wanted = {"adam": 2, "adamw": 2, "lion": 2}.get(optimizer.name, 0)
    if wanted and len(optimizer.betas) != wanted:
        yield (
            "optimizer.betas",
            f"expected {wanted} numbers for {optimizer.name}, found {len(optimizer.betas)}",
        )
    if optimizer.decays not in DECAYS:
        yield "optimizer.decays", f"expected one of {', '.join(DECAYS)}, found {brief(optimizer.decays)}"


def _schedule(schedule: Schedule) -> Iterator[tuple[str, str]]:
    if schedule.kind not in KINDS:
        yield "schedule.kind", f"expected one of {', '.join(KINDS)}, found {brief(schedule.kind)}"
    if schedule.kind in ("linear", "cosine", "wsd") and schedule.total_steps <= schedule.warmup_steps:
        yield (
            "schedule.total_steps",
            f"expected more than the {schedule.warmup_steps:,} steps of warm-up, found {schedule.total_steps:,}",
        )
    if schedule.kind == "wsd" and schedule.warmup_steps + schedule.decay_steps > schedule.total_steps:
        room = schedule.total_steps - schedule.warmup_steps
        yield "schedule.decay_steps", f"expected at most {room:,}, found {schedule.decay_steps:,}"


def _batches(declaration: Declaration) -> Iterator[tuple[str, str]]:
    last = -1
    for k, phase in enumerate(declaration.batch):
        if k == 0 and phase.from_step > 1:
            yield "batch[0].from_step", f"expected 0 or 1 for the first batch size, found {phase.from_step:,}"
        if phase.from_step <= last:
            yield f"batch[{k}].from_step", f"expected more than {last:,}, found {phase.from_step:,}"
        last = phase.from_step


def _within_the_run(declaration: Declaration) -> Iterator[tuple[str, str]]:
    steps: list[tuple[str, int | None]] = []
    steps += [(f"checkpoint[{k}].step", c.step) for k, c in enumerate(declaration.checkpoint)]
    steps += [(f"batch[{k}].from_step", b.from_step) for k, b in enumerate(declaration.batch)]
    steps += [(f"event[{k}].step", e.step) for k, e in enumerate(declaration.event)]
    steps += [(f"event[{k}].to_step", e.to_step) for k, e in enumerate(declaration.event)]
    steps += [
        (f"checkpoint[{k}].average_of", step)
        for k, c in enumerate(declaration.checkpoint)
        for step in c.average_of
    ]
    for place, step in steps:
        if step is not None and step > declaration.steps:
            yield place, f"expected at most the run's {declaration.steps:,} steps, found {step:,}"


def _checkpoints(declaration: Declaration) -> Iterator[tuple[str, str]]:
    seen: dict[str, int] = {}
    for k, entry in enumerate(declaration.checkpoint):
        if not _is_name(entry.name):
            yield (
                f"checkpoint[{k}].name",
                f"expected 1 to {MAX_NAME} printable characters, found {brief(entry.name)}",
            )
        if entry.name in seen:
            yield (
                f"checkpoint[{k}].name",
                f"{brief(entry.name)} is the name of checkpoint[{seen[entry.name]}] too",
            )
        seen[entry.name] = k
        for problem in _CHECKPOINT_RULES:
            if message := problem(entry):
                yield f"checkpoint[{k}].{message[0]}", message[1]


def _has_a_valid_digest(entry: CheckpointEntry) -> tuple[str, str] | None:
    if entry.digest and _DIGEST.fullmatch(entry.digest) is None:
        return "digest", f"expected 64 hexadecimal digits in lower case, found {brief(entry.digest)}"
    return None


def _discloses_something(entry: CheckpointEntry) -> tuple[str, str] | None:
    if not (entry.path or entry.rows or entry.digest):
        return "path", "expected weights (path), sampled rows (rows) or a digest, found none of them"
    return None


def _has_one_form(entry: CheckpointEntry) -> tuple[str, str] | None:
    if entry.path and (entry.digest or entry.rows):
        return "path", "expected either the weights, or a digest and sampled rows in their place, found both"
    return None


Rule = Callable[[CheckpointEntry], "tuple[str, str] | None"]

_CHECKPOINT_RULES: tuple[Rule, ...] = (_has_a_valid_digest, _discloses_something, _has_one_form)
