"""C18, unused rows: input rows of tokens that were never seen only decay (exact).

Claim
    Tokens declared as unseen occur in no window, so their input rows get no gradient.
Statistic
    The largest ``|W_k - c W_0|`` over those rows and all later checkpoints, over what rounding allows. `c` is one
    number for all of them, between what the declared weight decay leaves and 1, the nearest: embeddings may be left
    out of decay, and updates that a loss scale or a guard skipped decay nothing.
Why it is valid
    A zero gradient gives zero moments, hence zero updates, under Adam, Lion and SGD alike; decay alone acts. Each
    update rounds once or twice, so the rounding allowed is 2 k + 4 units of the stored types' sum. Decay follows
    the declared rates to half a percent of itself and two updates' worth, or to half of itself where a log has
    holes and no formula fills them. Under SGD, decay passes through the momentum, which is followed step by step, as
    heavy ball or Nesterov's: the declaration does not say which, and either will do.
    Embeddings that are tied to the output head get gradients for every token, and L2 decay inside Adam does not
    follow a factor: nothing can be told then. Tokens that the disclosed windows do hold are left out.
What it catches
    A start that the weights do not come from; anchored training that pulls these rows too. The rows then
    often equal those of the true owner.
What fools it
    Copying those rows into the start, or sparing them: hence the second row of plants for anchored training.
Power
    59 of 59 for unrelated starts and swapped middles wherever one such row exists; honest runs of 13 kinds
    stay below .5 of the allowance (.06 in float32), a foreign start is 1e4 of it and more.

References
----------
Land and Bartolo (2024), Fishing for Magikarp: untrained token rows are identifiable.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from jokbo.records.checks.base import (
    Check,
    CheckContext,
    CheckKind,
    CheckResult,
    Observation,
    Planted,
    unknown,
)
from jokbo.records.declaration import Optimizer
from jokbo.records.forgeries import Forgery
from jokbo.records.motion import carried, decays, is_known, leg, rule_of, scale_of
from jokbo.records.plants import conclude, count
from jokbo.records.record import Record
from jokbo.records.statistics.ledger import SLACK
from jokbo.records.trajectory import Trajectory, trajectory
from jokbo.views.component import Reason

RATE_SLACK = 5e-3
HOLE_SLACK = 0.5
FLOAT32 = 2.0**-24


class UnusedRows(Check):
    """Follow the rows that nothing should have moved."""

    number = 18
    name = "unused_rows"
    kind = CheckKind.EXACT
    catches = (Forgery.UNRELATED_START, Forgery.SWAPPED_MIDDLE, Forgery.ANCHORED)
    needs = ("step0", "unseen_tokens", "optimizer_declared", "learning_rate")
    follows = True
    presumes = ((Forgery.ANCHORED, Forgery.PLANTED_START),)

    def run(self, record: Record, context: CheckContext) -> CheckResult:
        """Compare each later checkpoint's unused rows with those of step 0."""
        optimizer = record.declaration.optimizer
        if optimizer is None:
            return unknown("no_optimizer", missing=["optimizer_declared"])
        path = trajectory(record)
        if path.start is None or len(path) < 2:
            return unknown("no_start", missing=["step0"])
        unseen = record.data.unseen_tokens if record.data is not None else ()
        if not unseen:
            return unknown("no_tokens", missing=["unseen_tokens"])
        key = embedding_key(record, path)
        if key is None:
            return unknown("tied")
        if not is_known(optimizer):
            return unknown("unknown_optimizer", optimizer=optimizer.name)
        if rule_of(optimizer, path.tensors[key]) == "adam" and optimizer.weight_decay:
            return unknown("coupled_decay")
        tokens = truly_unseen(record, np.asarray(unseen, dtype=np.int64))
        places = np.flatnonzero(np.isin(path.tensors[key].rows, tokens))
        if not places.size:
            return unknown("not_read", missing=["checkpoints"])
        followed = _follow(record, optimizer, path, key, places)
        if followed is None:
            return unknown("no_rates", missing=["learning_rate"])
        return _judge(record, context, path, followed)


@dataclass(frozen=True, slots=True)
class _Followed:
    """Rows of the unused tokens at every state that has them, and what may be left of step 0 there."""

    states: tuple[int, ...]
    values: Float64[np.ndarray, "states rows cols"]
    factors: tuple[tuple[float, ...], ...]
    slacks: tuple[float, ...]

    def ratio(self, place: int, start: np.ndarray, values: np.ndarray) -> float:
        """Largest deviation of one state over what is allowed, under the factor that fits best."""
        allowed = self.slacks[place] * np.maximum(np.abs(start), np.abs(values)) + 1e-30
        c = self.nearest(place, start, values)
        return float(np.max(np.abs(values - c * start) / allowed))

    def nearest(self, place: int, start: np.ndarray, values: np.ndarray) -> float:
        """The factor, of those that decay may have left, that fits best."""
        size = float(np.vdot(start, start))
        found = float(np.vdot(start, values)) / size if size > 0 else 1.0
        return min(max(found, min(self.factors[place])), max(self.factors[place]))


def embedding_key(record: Record, path: Trajectory) -> str | None:
    """Key of the input embedding, where it is not the output head as well."""
    for member in record.checkpoints.members:
        if member.model is not None and member.model.anatomy.tied_output:
            return None
    inputs = [
        k for k, t in path.tensors.items() if t.role == "token_embd" and k in path.states[path.start or 0]
    ]
    heads = [k for k, t in path.tensors.items() if t.role == "output"]
    if len(inputs) != 1 or not heads:
        return None
    last = path.states[-1]
    same = heads[0] in last and inputs[0] in last and np.array_equal(last[heads[0]], last[inputs[0]])
    return None if same else inputs[0]


def truly_unseen(record: Record, tokens: Int64[np.ndarray, " tokens"]) -> Int64[np.ndarray, " unseen"]:
    """Without tokens that the windows hold: whoever declared those erred, which is no contradiction in weights."""
    windows = record.windows
    if windows is None or windows.size > 1 << 27:
        return tokens
    return np.setdiff1d(tokens, np.unique(windows).astype(np.int64))


def _follow(
    record: Record, optimizer: Optimizer, path: Trajectory, key: str, places: np.ndarray
) -> _Followed | None:
    start, tensor = path.start or 0, path.tensors[key]
    states, factors, slacks = [], [], []
    holes = _has_holes(record)
    for k, step in enumerate(path.steps):
        if step == 0 or key not in path.states[k]:
            continue
        stretch = leg(record, 0, step)
        if stretch is None:
            return None
        left, other = (carried(optimizer, tensor, stretch, nesterov=each) for each in (False, True))
        rounding = (2 * step + 4) * FLOAT32 + 2 * (path.roundoff(key, start) + path.roundoff(key, k))
        unsure = (HOLE_SLACK if holes else RATE_SLACK) * (1 - left)
        if decays(optimizer, tensor):
            # Trainers log the rate before or after they advance the schedule, and count from 0 or 1.
            most = SLACK * float(stretch.upper.max(initial=0.0)) * scale_of(optimizer, tensor)
            sgd = rule_of(optimizer, tensor) == "sgd" and len(optimizer.betas) > 0
            unsure += optimizer.weight_decay * most / (1 - optimizer.betas[0] if sgd else 1)
        states.append(k)
        factors.append(tuple(dict.fromkeys((left, other, 1.0))) if decays(optimizer, tensor) else (1.0,))
        slacks.append(rounding + unsure)
    values = np.stack([path.states[k][key][places].astype(np.float64) for k in (start, *states)])
    return _Followed((start, *states), values, ((1.0,), *factors), (1.0, *slacks))


def _has_holes(record: Record) -> bool:
    """Whether some update's rate is neither logged nor given by a formula."""
    from jokbo.records.schedule import scheduled_rates

    if scheduled_rates(record.declaration.schedule, record.declaration.steps) is not None:
        return False
    logged = record.log.effective("learning_rate") if record.log is not None else None
    return logged is None or len(np.unique(logged.steps)) < record.declaration.steps


def _judge(record: Record, context: CheckContext, path: Trajectory, rows: _Followed) -> CheckResult:
    start = rows.values[0]
    ratios = [rows.ratio(place, start, rows.values[place]) for place in range(1, len(rows.states))]
    if not ratios:
        return unknown("no_later", missing=["checkpoints"])
    worst = int(np.argmax(ratios))
    scale = float(np.linalg.norm(start)) or 1.0
    value = rows.values[worst + 1]
    apart = float(np.linalg.norm(value - rows.nearest(worst + 1, start, value) * start)) / scale
    values = {
        "rows": start.shape[0],
        "step": path.steps[rows.states[worst + 1]],
        "distance": float(f"{apart:.3g}"),
    }
    if ratios[worst] > 1:
        return CheckResult(
            Observation.VIOLATED, (Reason("moved", values),), statistic=ratios[worst], threshold=1.0
        )
    planted = _plants(context.draw(record, UnusedRows.name, "plants"), context.n_plants, rows)
    return conclude(planted, reasons=(Reason("untouched", values),), statistic=ratios[worst], threshold=1.0)


def _plants(rng: np.random.Generator, tries: int, rows: _Followed) -> list[Planted]:
    """Rows of another model are those of the record, columns in another order and with random signs."""
    start, last = rows.values[0], len(rows.states) - 1

    def foreign(values: np.ndarray) -> np.ndarray:
        cols = values.shape[1]
        return np.asarray(values[:, rng.permutation(cols)] * rng.choice([-1.0, 1.0], cols))

    found: dict[str, list[bool]] = {"start": [], "middle": [], "pulled": [], "spared": []}
    for _ in range(tries):
        place = int(rng.integers(1, last + 1))
        value = rows.values[place]
        found["start"].append(rows.ratio(place, foreign(start), value) > 1)
        found["middle"].append(rows.ratio(place, start, foreign(value)) > 1)
        found["pulled"].append(rows.ratio(last, start, foreign(rows.values[last])) > 1)
        found["spared"].append(rows.ratio(last, start, rows.values[last]) > 1)
    return [
        count(Forgery.UNRELATED_START, found["start"], variant="unused_rows"),
        count(Forgery.SWAPPED_MIDDLE, found["middle"], variant="unused_rows"),
        count(Forgery.ANCHORED, found["pulled"], variant="unused_rows"),
        count(Forgery.ANCHORED, found["spared"], variant="rows_spared"),
    ]
