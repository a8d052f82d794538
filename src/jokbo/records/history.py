"""The history that a record shows, as small curves: what a reader sees, and no check decides by.

Curves are thinned by keeping the least and the greatest value of each stretch, so that a spike of
one step stays. Trends are running medians: a spike does not bend them. Numbers are rounded to five
significant digits, more than any figure shows and fewer than machines differ in.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64, Int64

from jokbo.records.schedule import scheduled_rates
from jokbo.records.statistics.grid import find_grid

if TYPE_CHECKING:
    from jokbo.records.checkpoints import CheckpointRows, TensorRows
    from jokbo.records.record import Record
    from jokbo.records.series import Log, Series

MAX_POINTS = 400
DIGITS = 5
LAST_VALUES = 12
MAX_SIZE = 1e15
"""Larger numbers are of no curve that could be drawn; they are shown where the checks speak of them."""

Curve = dict[str, list[Any]]


def history(record: Record) -> dict[str, Any]:
    """Curves of one record.

    Parameters
    ----------
    record : Record

    Returns
    -------
    dict
        ``loss``, ``learning_rate``, ``tokens``, ``updates`` and ``distance``, each None where it is not
        disclosed, and ``log``, the steps that each log covers. JSON values, as ``history`` of the schema
        ``jokbo.record-audit/1`` says.

    Raises
    ------
    InputError
        A file of the record cannot be read.
    """
    log = record.log
    disclosed = any(entry.path or entry.rows for entry in record.declaration.checkpoint)
    rows = record.rows if disclosed else None
    return {
        "loss": None if log is None else _loss(log),
        "learning_rate": _pair(_logged(log, "learning_rate"), _declared_rates(record)),
        "tokens": _pair(_logged(log, "tokens"), _declared_tokens(record)),
        "updates": None if rows is None else _updates(rows),
        "distance": None if rows is None else _distance(rows),
        "log": [] if log is None else _covered(log),
    }


def thin(values: Float64[np.ndarray, " n"], most: int = MAX_POINTS) -> Int64[np.ndarray, " kept"]:
    """Places to keep of a curve: first, last, and the least and greatest of each stretch.

    Examples
    --------
    >>> import numpy as np
    >>> thin(np.array([0.0, 1.0, 9.0, 1.0, 0.0, 0.0, -5.0, 0.0]), most=6)
    array([0, 2, 4, 6, 7])
    """
    count = len(values)
    if count <= most:
        return np.arange(count, dtype=np.int64)
    edges = np.linspace(0, count, (most - 2) // 2 + 1).astype(np.int64)
    kept = {0, count - 1}
    for first, last in itertools.pairwise(edges):
        part = values[first:last]
        kept |= {int(first + np.argmin(part)), int(first + np.argmax(part))}
    return np.array(sorted(kept), dtype=np.int64)


def running_median(values: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    """A trend that no single value bends: medians of windows that widen as a run goes on.

    A loss falls fast at first and slowly later, so windows are a tenth of what lies behind them, and at
    most a twentieth of all. Towards both ends they shrink and stay symmetric, since a lopsided window is
    biased where the curve is steep; at the very end, where it is flat, a few values before it count, so
    that the trend does not end in the noise of one. Between 400 places it is interpolated.
    """
    count = len(values)
    if count < 3:
        return values.copy()
    whole = np.linspace(0, count - 1, min(count, MAX_POINTS // 2))
    early = np.geomspace(1, count, min(count, MAX_POINTS // 2)) - 1
    places = np.unique(np.concatenate([whole, early]).astype(np.int64))
    half = np.maximum(2, np.minimum(places // 10, count // 40))
    after = np.minimum(half, np.minimum(places, count - 1 - places))
    ends = places > count // 2
    before = np.where(ends, np.maximum(after, np.minimum(half, LAST_VALUES)), after)
    trend = [np.median(values[k - b : k + a + 1]) for k, b, a in zip(places, before, after, strict=True)]
    return np.interp(np.arange(count), places, trend)


def significant(value: float) -> float:
    """A number with five significant digits, without a negative zero.

    Examples
    --------
    >>> significant(0.000123456789)
    0.00012346
    """
    return float(f"{float(value):.{DIGITS}g}") + 0.0


def _curve(steps: Int64[np.ndarray, " n"], values: Float64[np.ndarray, " n"]) -> Curve | None:
    drawn = np.isfinite(values) & (np.abs(values) <= MAX_SIZE)
    steps, values = steps[drawn], values[drawn]
    if len(values) == 0:
        return None
    kept = thin(values)
    return {"steps": [int(k) for k in steps[kept]], "values": [significant(v) for v in values[kept]]}


def _logged(log: Log | None, metric: str) -> Curve | None:
    series = log.effective(metric) if log is not None else None
    return None if series is None else _curve(series.steps, series.values)


def _pair(logged: Curve | None, declared: Curve | None) -> dict[str, Any] | None:
    return None if logged is None and declared is None else {"logged": logged, "declared": declared}


def _declared_rates(record: Record) -> Curve | None:
    rates = scheduled_rates(record.declaration.schedule, record.declaration.steps)
    return None if rates is None else _curve(np.arange(1, len(rates) + 1), rates)


def _declared_tokens(record: Record) -> Curve | None:
    tokens = record.batch_tokens()
    if tokens is None:
        return None
    return _curve(np.arange(1, len(tokens) + 1), np.cumsum(tokens, dtype=np.float64))


def _loss(log: Log) -> dict[str, Any] | None:
    kept = log.effective("loss")
    if kept is None:
        return None
    curve = _curve(kept.steps, kept.values)
    trend = running_median(kept.values)
    residuals = kept.values - trend
    return {
        "curve": curve,
        "trend": _curve(kept.steps, trend),
        "residuals": _curve(kept.steps, residuals),
        # The median of |x| over .6745 is the deviation of a normal law, whatever a few spikes do.
        "spread": significant(min(float(np.median(np.abs(residuals))) / 0.6745, MAX_SIZE)),
        "replaced": _replaced(log, kept),
    }


def _replaced(log: Log, kept: Series) -> Curve | None:
    """Losses of steps that were run again after a rollback: the branch that was given up.

    One run is often logged in several formats, each to its own precision: rows that say the same as those
    kept, to the coarser precision of the two, are no branch.
    """
    whole = log.series("loss")
    if whole is None:
        return None
    unit = find_grid(kept.values).unit(kept.values)
    given_up = ~np.isin(whole.rows, kept.rows) & (whole.steps >= 0) & np.isfinite(whole.values)
    for segment in log.segments:
        mine = given_up & (whole.rows >= segment.first_row) & (whole.rows < segment.last_row)
        place = np.flatnonzero(mine)
        if place.size == 0:
            continue
        values = whole.values[place]
        # Every step with a finite value is among those kept.
        other = np.searchsorted(kept.steps, whole.steps[place])
        coarser = np.maximum(unit[other], find_grid(values).unit(values))
        near = np.abs(values - kept.values[other]) <= 1.01 * coarser + 1e-6 * np.abs(values)
        given_up[place[near]] = False
    return _curve(whole.steps[given_up], whole.values[given_up])


def _covered(log: Log) -> list[dict[str, Any]]:
    found = []
    for segment in log.segments:
        steps = log.steps[segment.first_row : segment.last_row]
        steps = steps[steps >= 0]
        if steps.size:
            found.append(
                {"file": segment.file, "first_step": int(steps.min()), "last_step": int(steps.max())}
            )
    return found


def _updates(rows: CheckpointRows) -> list[dict[str, Any]] | None:
    """How far the weights read moved between neighbouring states of the run."""
    states, tensors = rows.training(), rows.tensors.values()
    found = []
    for a, b in itertools.pairwise(states):
        largest, squares, count = 0.0, 0.0, 0
        for before, after in _shared(tensors, a, b):
            moved = after.astype(np.float64) - before
            largest = max(largest, float(np.max(np.abs(moved))))
            squares, count = squares + float(np.sum(moved * moved)), count + moved.size
        if count and np.isfinite(squares) and largest <= MAX_SIZE:
            ends = {"from": rows.entries[a].step, "to": rows.entries[b].step}
            mean = float(np.sqrt(squares / count))
            found.append({**ends, "largest": significant(largest), "mean": significant(mean)})
    kept = thin(np.array([each["largest"] for each in found]))
    return [found[int(k)] for k in kept] or None


def _distance(rows: CheckpointRows) -> dict[str, Any] | None:
    """Relative Frobenius distances and cosines over the rows read, of the states of the run."""
    states, tensors = rows.training(), rows.tensors.values()
    if len(states) < 2:
        return None
    first = states[0]
    points = []
    for place, state in enumerate(states):
        far, cosine = _apart(tensors, first, state)
        near = _apart(tensors, states[place - 1], state)[0] if place else None
        step = rows.entries[state].step
        points.append({"step": step, "from_first": far, "cosine": cosine, "from_previous": near})
    kept = thin(np.array([point["from_previous"] or 0.0 for point in points]))
    return {"first_step": rows.entries[first].step, "points": [points[int(k)] for k in kept]}


def _apart(tensors: Any, a: int, b: int) -> tuple[float | None, float | None]:
    """``||W_b - W_a|| / ||W_a||`` and the cosine of the two, over tensors that both have."""
    squares = np.zeros(3)
    moved = 0.0
    for before, after in _shared(tensors, a, b):
        x, y = before.astype(np.float64).ravel(), after.astype(np.float64).ravel()
        squares += (x @ x, y @ y, x @ y)
        moved += float((y - x) @ (y - x))
    if not np.all(np.isfinite(squares)) or not squares[0] > 0 or not squares[1] > 0:
        return None, None
    far = min(float(np.sqrt(moved / squares[0])), MAX_SIZE)
    return significant(far), round(float(squares[2] / np.sqrt(squares[0] * squares[1])), 4) + 0.0


def _shared(tensors: Any, a: int, b: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Values of two checkpoints, tensor by tensor, where both have it."""
    found = []
    tensor: TensorRows
    for tensor in tensors:
        before, after = tensor.at(a), tensor.at(b)
        if before is not None and after is not None and before.size:
            found.append((before, after))
    return found
