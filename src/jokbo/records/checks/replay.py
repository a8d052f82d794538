"""C27, replay: segments trained again on the declared data end where the record says (calibrated, exact with states).

Claim
    Between two checkpoints nothing happened but the declared optimizer on the declared windows at the
    recorded rates.
Statistic
    For segments drawn after the record was fixed: cosine of the claimed displacement with that of a replay,
    set between replays on wrong data (0) and a simulated honest record (1); with a known optimizer state also the
    distance to the replay, in units of what repeating it with another batch split and rounding moves.
Why it is valid
    Training is a deterministic map up to arithmetic and storage, and both are simulated on the spot from
    this record's own checkpoints: weights rounded as stored, additions in another order, an optimizer
    state that is known less well. An honest record lies as near as the simulation. Granted beyond that: a tenth
    of the way to wrong data, for settings no declaration carries, and a relative distance of .01. Where rates
    change inside a segment they are also tried one or two updates late and one early, and the nearest replay
    counts: the Transformers Trainer begins its warm-up with an update at rate 0, which moved 7 updates .15 from
    their replay.
What it catches
    Hidden objectives, so anchored training of any weight decay; computed checkpoints; another model's
    weights from some step on; false data. One forged segment is found only where it was among those drawn, and the
    planted rows count it so.
What fools it
    Training genuinely performed, to whatever end: distillation, or a forgery prepared by real training
    whose objective is the declared loss. A declared rollback or change of data inside a segment excuses it.
Power
    Measured by plants in each segment drawn: wrong windows, a shuffled model as next checkpoint, a step on
    the straight line to the last, a hidden pull as strong as the gradient. On runs of 0.16M parameters and
    300 updates with AdamW the honest share is 1.000 from step 0 on, where the state is carried from replay to replay,
    and 11 of 11 segments tell every plant; SGD and Lion at high rates have power in 5 to 7 of them, where a
    state is disclosed. A run anchored to stolen weights had a share of -1.7.
References
    Jia et al. 2021, "Proof-of-learning"; Srivastava et al. 2024, "Optimistic verifiable training".
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from jokbo.records.checks.base import (
    FOUND_LOG_PVALUE,
    CheckContext,
    CheckKind,
    CheckResult,
    Observation,
    Planted,
)
from jokbo.records.forgeries import Forgery
from jokbo.records.record import Record
from jokbo.records.replay.gate import CannotRun, ReplayCheck
from jokbo.records.replay.material import collect, need_data
from jokbo.records.replay.walk import AGREES, Finding, Walk
from jokbo.views.component import Reason

SINGLE = (Forgery.INTERPOLATION, Forgery.SWAPPED_MIDDLE, Forgery.FALSE_DATA)
"""Forgeries that need touch one segment only: all segments count, replayed or not."""


WAYS = {
    Forgery.ANCHORED: ("pulled",),
    Forgery.INTERPOLATION: ("straight", "curved", "noisy"),
    Forgery.SWAPPED_MIDDLE: ("another_model",),
    Forgery.FALSE_DATA: ("other_data",),
}
"""Ways of each forgery that a plant stands for. Interpolation is planted straight, which lies nearest to what was
trained: a bend or noise only adds to a step what no gradient of the declared data gives."""


class Replay(ReplayCheck):
    """Train segments again and compare where they end."""

    number = 27
    name = "replay"
    kind = CheckKind.CALIBRATED
    catches = (Forgery.ANCHORED, *SINGLE)
    needs = ("checkpoints", "windows", "order", "learning_rate", "optimizer_declared")

    def measure(self, record: Record, context: CheckContext) -> CheckResult:
        """Replay as many segments as the budget allows."""
        need_data(record, "windows", "order")
        if record.declaration.optimizer is None:
            raise CannotRun("no_optimizer", missing=["optimizer_declared"])
        if record.rates is None:
            raise CannotRun("no_rates", missing=["learning_rate"])
        material = collect(record, at_least=2)
        walk = Walk(material, record.rates, context.draw(record, self.name))
        found = []
        for segment in walk.choose(context.flops):
            context.tell(f"replay {segment.start} to {segment.stop}")
            found.append(walk.find(segment))
        kept = [f for f in found if f is not None and _counts(f)]
        if not kept:
            raise CannotRun("no_power", missing=["optimizer_state"], segments=len(found))
        return _result(kept, found, len(walk.segments()))


def _counts(finding: Finding) -> bool:
    """False data would be told, something is known of the optimizer's state, and no declared event explains it away."""
    excused = bool(finding.events) and finding.claimed.log_pvalue < AGREES
    return finding.yardstick.powered and finding.state != "none" and not excused


def _result(kept: Sequence[Finding], found: Sequence[Finding | None], n_segments: int) -> CheckResult:
    worst = min(kept, key=lambda f: f.claimed.log_pvalue)
    log_pvalue = min(0.0, worst.claimed.log_pvalue + math.log(len(kept)))
    planted = _planted(kept, n_segments)
    values = {
        "segments": len(kept),
        "all": n_segments,
        "start": worst.segment.start,
        "stop": worst.segment.stop,
        "share": worst.claimed.share,
        "exact": sum(f.yardstick.exact for f in kept),
    }
    if log_pvalue <= FOUND_LOG_PVALUE:
        observation, code = Observation.VIOLATED, "differs"
    elif log_pvalue < AGREES:
        observation, code = Observation.UNKNOWN, "unclear"
    elif not any(p.powered for p in planted):
        observation, code = Observation.UNKNOWN, "no_power"
    else:
        observation, code = Observation.HOLDS, "agrees"
    return CheckResult(
        observation,
        (Reason(code, values),),
        statistic=worst.claimed.share,
        threshold=0.5,
        log_pvalue=log_pvalue,
        planted=planted,
        events=tuple(sorted({e for f in found if f is not None for e in f.events})),
        details={"segments": [_row(f) for f in found if f is not None]},
    )


def _planted(kept: Sequence[Finding], n_segments: int) -> tuple[Planted, ...]:
    rows = []
    for forgery in Replay.catches:
        hits = [f.plants[forgery].log_pvalue for f in kept if forgery in f.plants]
        found = sum(log + math.log(len(kept)) <= FOUND_LOG_PVALUE for log in hits)
        # Interpolation has nothing to plant in the last segment: its end is the straight line's own.
        last = forgery is Forgery.INTERPOLATION
        tried = len(hits) if forgery not in SINGLE else n_segments - last
        if tried > 0:
            rows += [Planted(forgery, min(found, tried), tried, True, way) for way in WAYS[forgery]]
    return tuple(rows)


def _row(finding: Finding) -> dict[str, object]:
    return {
        "start": finding.segment.start,
        "stop": finding.segment.stop,
        "state": finding.state,
        "cosine": finding.claimed.cosine,
        "honest": finding.yardstick.honest,
        "wrong": finding.yardstick.wrong,
        "distance": finding.claimed.distance,
        "noise": finding.yardstick.noise,
        "log_pvalue": finding.claimed.log_pvalue,
        "powered": finding.yardstick.powered,
        "plants": {f.value: c.cosine for f, c in finding.plants.items()},
    }
