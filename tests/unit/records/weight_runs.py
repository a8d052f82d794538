"""Trainings that several tests use, made once."""

from __future__ import annotations

from functools import cache

from jokbo.records.checks.base import Check, CheckContext, CheckResult, Observation
from jokbo.records.declaration import Optimizer
from jokbo.records.record import Record
from jokbo.testing.trainings import ADAMW, LION, MUON, SGD, Training, train

OPTIMIZERS = {"adamw": ADAMW, "sgd": SGD, "lion": LION, "muon": MUON}
HOLDS, VIOLATED, UNKNOWN = Observation.HOLDS, Observation.VIOLATED, Observation.UNKNOWN


@cache
def _trained(seed: int, optimizer: str, steps: int) -> Training:
    rule: Optimizer = OPTIMIZERS[optimizer]
    if steps == 60:
        return train(seed, optimizer=rule)
    return train(seed, optimizer=rule, steps=steps, kept=tuple(range(0, steps + 1, steps // 12)))


def trained(seed: int = 0, optimizer: str = "adamw", steps: int = 60) -> Training:
    """A training whose tables may be changed."""
    run = _trained(seed, optimizer, steps)
    weights = {k: {n: v.copy() for n, v in w.items()} for k, w in run.weights.items()}
    states = {k: {n: v.copy() for n, v in w.items()} for k, w in run.states.items()}
    return Training(run.optimizer, run.schedule, run.seed, weights, states, run.rates)


def see(check: Check, record: Record, *, plants: int = 3) -> CheckResult:
    """Run a check with few plants."""
    return check.run(record, CheckContext(seed=0, n_plants=plants))


def codes(result: CheckResult) -> list[str]:
    """Codes of a result's reasons."""
    return [reason.code for reason in result.reasons]
