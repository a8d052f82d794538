"""Forgeries of logs, data, totals and optimizer states; the weights are the run's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.signal import lfilter
from zoo.record.draft import Draft, read_rows
from zoo.record.forge import Make, Recipe

from jokbo.records.declaration import Data
from jokbo.records.forgeries import Forgery

PULSES = ("loss", "grad_norm")
"""What another run's rows bring with them; steps, times and totals stay the forger's."""


def invented(kind: str) -> Make:
    """Losses that no run printed: a power law, and noise as white, or as correlated, as the honest one's."""

    def make(draft: Draft, theirs: Path, rng: np.random.Generator) -> None:
        rows = draft.rows()
        losses = np.array([row["loss"] for row in rows])
        smooth = _smooth(losses)
        noise = rng.standard_normal(len(rows))
        if kind == "correlated":
            noise = lfilter([1.0], [1.0, -0.3], noise)
        size = float(np.std(losses[50:] - smooth[50:])) * (0.2 if kind == "smooth" else 1.0)
        for row, mean, drawn in zip(rows, smooth, noise, strict=True):
            row["loss"] = (
                float(np.float32(mean + size * drawn)) if kind != "grid" else round(mean + size * drawn, 6)
            )
        draft.put_rows(rows)

    return make


def _smooth(losses: np.ndarray) -> np.ndarray:
    """A mean curve in the logarithm of the step: what a forger fits to any run."""
    place = np.log(np.arange(1, len(losses) + 1) + 5.0)
    return np.polynomial.Polynomial.fit(place, losses, 6)(place)


def recycled(change: Callable[[np.ndarray, np.random.Generator], np.ndarray]) -> Make:
    """Another run's losses, as they are or changed."""

    def make(draft: Draft, theirs: Path, rng: np.random.Generator) -> None:
        rows, other = draft.rows(), read_rows(theirs)
        changed = change(np.array([row["loss"] for row in other]), rng)
        for row, source, loss in zip(rows, other, changed, strict=True):
            row.update({key: source[key] for key in PULSES if key in source}, loss=float(loss))
        draft.put_rows(rows)

    return make


def _verbatim(losses: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return losses


def _rescaled(losses: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    factor, shift = rng.uniform(0.9, 1.1), rng.uniform(-0.1, 0.1)
    return losses[0] + factor * (losses - losses[0]) + shift * np.linspace(0, 1, len(losses))


def _rounded(losses: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.round(losses * rng.uniform(0.97, 1.03), 4)


def splice(draft: Draft, theirs: Path, step: int) -> None:
    """The draft's rows up to a step, and the other run's after it, times moved so that they follow on."""
    rows, other = draft.rows(), read_rows(theirs)
    first = [row for row in rows if row["step"] <= step]
    later = [dict(row) for row in other if row["step"] > step]
    at = next(row for row in other if row["step"] == step)
    for row in later:
        row["timestamp"] = round(row["timestamp"] - at["timestamp"] + first[-1]["timestamp"], 3)
        row["runtime"] = round(row["runtime"] - at["runtime"] + first[-1]["runtime"], 3)
    draft.put_rows(first + later)


def spliced(draft: Draft, theirs: Path, rng: np.random.Generator) -> None:
    """Two runs' logs joined somewhere in the middle."""
    splice(draft, theirs, int(rng.integers(80, 220)))


def cut(draft: Draft, theirs: Path, rng: np.random.Generator) -> None:
    """A stretch of steps left out, and nothing said of it."""
    begin = int(rng.integers(40, 240))
    end = begin + int(rng.integers(10, 40))
    draft.put_rows([row for row in draft.rows() if not begin <= row["step"] < end])


def rates_edited(draft: Draft, theirs: Path, rng: np.random.Generator) -> None:
    """The logged rates of a stretch are not those of the declared schedule."""
    rows = draft.rows()
    begin = int(rng.integers(30, 200))
    for row in rows[begin : begin + int(rng.integers(20, 80))]:
        row["learning_rate"] *= 0.97
    draft.put_rows(rows)


def rates_and_schedule_edited(draft: Draft, theirs: Path, rng: np.random.Generator) -> None:
    """Schedule and log both say half the rate that was used."""
    rows = draft.rows()
    for row in rows:
        row["learning_rate"] *= 0.5
    draft.put_rows(rows)
    schedule = draft.declaration.schedule
    if schedule is not None:
        draft.declaration = replace(draft.declaration, schedule=replace(schedule, peak=schedule.peak / 2))


def totals_inflated(draft: Draft, theirs: Path, rng: np.random.Generator) -> None:
    """The total of tokens is declared larger than batches and log make it."""
    factor = float(rng.uniform(1.5, 20))
    data = draft.declaration.data or Data()
    draft.declaration = replace(draft.declaration, data=replace(data, tokens=int(data.tokens * factor)))


def everything_inflated(draft: Draft, theirs: Path, rng: np.random.Generator) -> None:
    """Batches, log and total all say some hundred times the tokens: only the hardware could object."""
    factor = int(rng.integers(300, 1000))
    rows = draft.rows()
    for row in rows:
        row["tokens"] *= factor
    draft.put_rows(rows)
    batch = tuple(replace(phase, sequences=phase.sequences * factor) for phase in draft.declaration.batch)
    data = draft.declaration.data or Data()
    data = replace(data, tokens=data.tokens * factor, order="", windows="", held_out="", unseen_tokens=())
    draft.declaration = replace(draft.declaration, batch=batch, data=data)


def order_shuffled(draft: Draft, theirs: Path, rng: np.random.Generator) -> None:
    """The windows are right, and their claimed order is another."""
    draft.put_array(
        "order", rng.permutation(draft.array("order").ravel()).reshape(-1, draft.array("order").shape[1])
    )


def order_within(draft: Draft, theirs: Path, rng: np.random.Generator) -> None:
    """Only the updates of one stretch of 100 are in another order."""
    order = draft.array("order").copy()
    begin = int(rng.integers(20, len(order) - 110))
    order[begin : begin + 100] = rng.permutation(order[begin : begin + 100])
    draft.put_array("order", order)


def data_false(draft: Draft, theirs: Path, rng: np.random.Generator) -> None:
    """The windows claimed for the last third are another run's: the segment was trained on something else."""
    order, windows = draft.array("order").copy(), draft.array("windows").copy()
    used = np.unique(order[200:])
    used = used[used >= 0]
    other = np.load(theirs / "windows.npy")
    windows[used] = other[rng.choice(len(other), len(used), replace=False)]
    draft.put_array("windows", windows)
    data = draft.declaration.data or Data()
    unseen = np.setdiff1d(np.array(data.unseen_tokens), np.unique(windows))
    data = replace(data, unseen_tokens=tuple(int(token) for token in unseen))
    draft.declaration = replace(draft.declaration, data=data)


def states(draft: Draft) -> tuple[int, ...]:
    """Steps whose optimizer state is disclosed."""
    return tuple(sorted(entry.step for entry in draft.declaration.checkpoint if entry.optimizer))


def state_foreign(draft: Draft, theirs: Path, rng: np.random.Generator) -> None:
    """The later state of each neighbouring pair is the other run's."""
    pairs = {(8, 16), (284, 292)}
    for step in (later for first, later in pairs if {first, later} <= set(states(draft))):
        other = Draft(theirs, draft.declaration)
        draft.put_state(step, other.state(step))


def state_misplaced(draft: Draft, theirs: Path, rng: np.random.Generator) -> None:
    """The last pair's later state is the first that is disclosed, relabelled."""
    there = states(draft)
    draft.put_state(there[there.index(284) + 1], draft.state(there[0]))


def state_of_neighbour(draft: Draft, theirs: Path, rng: np.random.Generator) -> None:
    """The last pair's later state is its earlier one, relabelled."""
    there = states(draft)
    draft.put_state(there[there.index(284) + 1], draft.state(284))


def state_invented(draft: Draft, theirs: Path, rng: np.random.Generator) -> None:
    """States drawn at random, of the right sizes: signs and entries shuffled within each tensor."""
    for step in states(draft):
        made = {}
        for name, value in draft.state(step).items():
            made[name] = rng.permutation(value.ravel()).reshape(value.shape)
        draft.put_state(step, made)


def clock_invented(draft: Draft, theirs: Path, rng: np.random.Generator) -> None:
    """Times are computed: the same seconds for each update, whatever was saved or evaluated between."""
    rows = draft.rows()
    start, each = rows[0]["timestamp"], 0.02
    for index, row in enumerate(rows):
        row["timestamp"] = round(start + each * index, 3)
        row["runtime"] = round(each * (index + 1), 3)
    draft.put_rows(rows)


F = Forgery
LOGS: tuple[Recipe, ...] = (
    Recipe("log-invented-white", F.INVENTED_LOG, invented("white")),
    Recipe("log-invented-correlated", F.INVENTED_LOG, invented("correlated")),
    Recipe("log-invented-smooth", F.INVENTED_LOG, invented("smooth")),
    Recipe("log-invented-grid", F.INVENTED_LOG, invented("grid")),
    Recipe("log-clock-computed", F.INVENTED_LOG, clock_invented),
    Recipe("log-recycled", F.RECYCLED_LOG, recycled(_verbatim)),
    Recipe("log-recycled-rescaled", F.RECYCLED_LOG, recycled(_rescaled)),
    Recipe("log-recycled-rounded", F.RECYCLED_LOG, recycled(_rounded)),
    Recipe("log-spliced", F.SPLICED_LOG, spliced),
    Recipe("log-cut", F.SPLICED_LOG, cut),
    Recipe("rates-edited", F.INVENTED_LOG, rates_edited),
    Recipe("rates-halved", F.INVENTED_LOG, rates_and_schedule_edited),
    Recipe("totals-inflated", F.INFLATED_TOTALS, totals_inflated),
    Recipe("totals-inflated-throughout", F.INFLATED_TOTALS, everything_inflated),
    Recipe("order-shuffled", F.FALSE_ORDER, order_shuffled, needs_replay=True),
    Recipe("order-shuffled-within", F.FALSE_ORDER, order_within, needs_replay=True),
    Recipe("data-false", F.FALSE_DATA, data_false, needs_replay=True),
    Recipe("state-foreign", F.FAKE_OPTIMIZER_STATE, state_foreign),
    Recipe("state-misplaced", F.FAKE_OPTIMIZER_STATE, state_misplaced),
    Recipe("state-of-neighbour", F.FAKE_OPTIMIZER_STATE, state_of_neighbour),
    Recipe("state-shuffled", F.FAKE_OPTIMIZER_STATE, state_invented),
)
