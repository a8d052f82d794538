"""Training records without files, for tests: a log made in code, and a declaration around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jokbo.records.declaration import (
    BatchPhase,
    Declaration,
    Event,
    LogEntry,
    Schedule,
)
from jokbo.records.record import Record
from jokbo.records.schedule import scheduled_rates
from jokbo.records.series import Column, Log, Segment


def make_log(
    steps: Sequence[int] | np.ndarray,
    *,
    times: Sequence[float] | np.ndarray | None = None,
    runtimes: Sequence[float] | np.ndarray | None = None,
    columns: Mapping[str, Sequence[float] | np.ndarray] | None = None,
    segments: Sequence[Segment] | None = None,
) -> Log:
    """A log of these rows; one segment of the made-up file ``log.jsonl`` unless told otherwise.

    Examples
    --------
    >>> make_log([1, 2], columns={"loss": [3.0, 2.5]}).series("loss").values.tolist()
    [3.0, 2.5]
    """
    n = len(steps)
    empty = np.full(n, np.nan)
    return Log(
        steps=np.asarray(steps, dtype=np.int64),
        times=empty if times is None else np.asarray(times, dtype=np.float64),
        runtimes=empty if runtimes is None else np.asarray(runtimes, dtype=np.float64),
        columns={k: Column(k, np.asarray(v, dtype=np.float64)) for k, v in (columns or {}).items()},
        segments=tuple(segments or (Segment("log.jsonl", "jsonl", 0, n),)),
    )


def make_record(log: Log | None, *, steps: int, digest: str = "0" * 64, **declared: Any) -> Record:
    """A record with that log and no files; `declared` are fields of ``Declaration``."""
    entries = (LogEntry("log.jsonl"),) if log is not None else ()
    record = Record(Path("."), Declaration("made", steps, log=entries, **declared), {}, digest)
    record.__dict__["log"] = log
    return record


def honest_losses(
    steps: int,
    rng: np.random.Generator,
    *,
    vocab: int = 512,
    floor: float = 2.0,
    noise: float = 0.6,
    tokens: np.ndarray | None = None,
    autocorrelation: float = 0.0,
) -> np.ndarray:
    """Losses of updates 1, 2, ...: a power law from ln V to `floor` and noise ``noise * 32 / sqrt(tokens)``.

    The noise has Student's tails (six degrees of freedom) and is an AR(1) of the given autocorrelation.
    """
    from scipy.signal import lfilter

    place = np.arange(1, steps + 1)
    curve = floor + (np.log(vocab) - floor) * (1 + (place - 1) / 20) ** -0.45
    size = noise * 32 / np.sqrt(np.full(steps, 1024) if tokens is None else tokens)
    shocks = rng.standard_t(6, steps) / np.sqrt(1.5) * np.sqrt(1 - autocorrelation**2)
    return np.asarray(curve + size * 0.1 * lfilter([1.0], [1.0, -autocorrelation], shocks))


def honest_record(
    steps: int = 300,
    *,
    seed: int = 0,
    every: int = 1,
    decimals: int | None = None,
    batch: Sequence[BatchPhase] = (BatchPhase(1, 16, 64),),
    events: Sequence[Event] = (),
    schedule: Schedule | None = None,
    seconds: float = 0.5,
    **declared: Any,
) -> Record:
    """A plain, honest run's record: losses, learning rates, tokens and times, logged every `every` updates.

    Parameters
    ----------
    steps : int
    every : int
    decimals : int, optional
        Losses are printed to so many places; float32 by default.
    seconds : float
        Mean time of an update; jittered.

    Examples
    --------
    >>> honest_record(100, every=10).log.n_rows
    10
    """
    rng = np.random.default_rng(seed)
    schedule = schedule or Schedule("cosine", 3e-3, warmup_steps=20, total_steps=steps, final=0.1)
    bare = Declaration("made", steps, batch=tuple(batch))
    tokens = Record(Path("."), bare, {}, "").batch_tokens()
    assert tokens is not None
    losses = honest_losses(steps, rng, tokens=tokens)
    losses = losses.astype(np.float32).astype(np.float64) if decimals is None else losses.round(decimals)
    kept = np.arange(every, steps + 1, every) - 1
    clock = np.cumsum(rng.gamma(50, seconds / 50, steps)) + 0.3
    rates = scheduled_rates(schedule, steps)
    columns = {"loss": losses[kept], "tokens": np.cumsum(tokens)[kept].astype(float)}
    if rates is not None:
        columns["learning_rate"] = rates[kept]
    log = make_log(kept + 1, times=1.7e9 + clock[kept], runtimes=clock[kept], columns=columns)
    return make_record(
        log, steps=steps, batch=tuple(batch), event=tuple(events), schedule=schedule, **declared
    )
