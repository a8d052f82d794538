"""C7, compute: the run fits into the machines and the time that are declared (exact).

Claim
    So many tokens went through a model of this size, on these machines, in the time that the log covers.
Statistic
    Model FLOPs utilisation: ``6 N D`` and attention, over devices x peak x time. ``N`` are the active
    parameters that multiply (an input embedding is looked up, unless it is the head as well), ``D`` the tokens
    between the first and last row of each process; attention is ``6`` x layers x heads x head size x length a token,
    half of it masked, and left out where the configuration has windows or other layers.
Why it is valid
    All of it is the least that the arithmetic needs: recomputation, padding and waiting come on top. The peak is
    the known dense peak of the declared device at the declared precision (``accelerators.toml``), the
    highest one where no precision is declared, and the declared peak only for devices that the table lacks. A
    process's time runs from its first row to its last, one logging interval longer. So a share above 1 cannot be.
What it catches
    More tokens, or a larger model, than the machines could have trained in that time.
What fools it
    Declaring more machines or a longer time. Above .65 a reason says so (few trainings on more than a few devices
    reach it), and nothing more: conventions move the share by a tenth.
Power
    Plants: batches, totals and log 10 to 100 times as large, consistently. At the honest share s an inflation by 1/s
    is the smallest that would be found; the details give it. A small model on a fast machine has no power.
References
    Kaplan et al. (2020), Scaling laws for neural language models, arXiv:2001.08361, section 2.1.
    Chowdhery et al. (2022), PaLM, arXiv:2204.02311, appendix B (the utilisation).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

import numpy as np

from jokbo.records.checks.base import Check, CheckContext, CheckKind, CheckResult, Observation, unknown
from jokbo.records.declaration import EventKind, Hardware
from jokbo.records.forgeries import Forgery
from jokbo.records.record import Record
from jokbo.records.series import Log
from jokbo.records.statistics.planting import plant, standing
from jokbo.records.statistics.processes import processes
from jokbo.records.statistics.sizes import Sizes, sizes
from jokbo.views.component import Reason

HIGH = 0.65
INFLATION = (10.0, 100.0)
MIN_SECONDS = 1.0
PRECISIONS: Mapping[str, tuple[str, ...]] = {
    "half": ("bf16", "bfloat16", "fp16", "f16", "float16", "half", "mixed"),
    "single": ("fp32", "f32", "float32", "tf32", "single"),
}


class Compute(Check):
    """Hold the declared run against the declared machines."""

    number = 7
    name = "compute"
    kind = CheckKind.EXACT
    catches = (Forgery.INFLATED_TOTALS,)
    needs = ("log", "timestamps", "batch", "hardware", "config")

    def run(self, record: Record, context: CheckContext) -> CheckResult:
        """Compute the share of the peak that the run would have used."""
        log, hardware = record.log, record.declaration.hardware
        if log is None:
            return unknown("no_log", missing=["log"])
        if record.batch_tokens() is None:
            return unknown("no_batch", missing=["batch"])
        if hardware is None or hardware.count < 1:
            return unknown("no_hardware", missing=["hardware"])
        peak, notes = usable_peak(hardware)
        if peak <= 0:
            return unknown("no_peak", missing=["hardware"])
        size = sizes(record)
        if size.parameters <= 0:
            return unknown("no_size", missing=["config"])
        edited = record.events(EventKind.LOG_EDIT)
        if edited:
            return replace(unknown("edited", missing=["timestamps"]), events=edited)
        work = worked(log, record)
        if work.seconds < MIN_SECONDS:
            return unknown("no_time", missing=["timestamps"])
        share = _flops(size, work) / (hardware.count * peak * work.seconds)
        usual = 6 * size.counted * work.tokens / (hardware.count * peak * work.seconds)
        details = {
            "flops": _flops(size, work), "seconds": work.seconds, "tokens": work.tokens, "peak": peak,
            "devices": hardware.count, "six_n_d_share": usual, "smallest_inflation": 1 / share if share > 0 else 0.0,
        }  # fmt: skip
        if share > 1:
            values = {"share": share, "days": work.seconds / 86400, "least": share * work.seconds / 86400}
            reasons = (Reason("impossible", values), *notes)
            return CheckResult(Observation.VIOLATED, reasons, share, 1.0, details=details)
        if share > HIGH:
            notes = (Reason("high", {"share": share}), *notes)
        rng = context.draw(record, self.name, "plant")
        planted = plant(
            Forgery.INFLATED_TOTALS,
            context.n_plants,
            rng,
            lambda r: share * float(np.exp(r.uniform(*np.log(INFLATION)))) > 1,
            variant="throughout",
        )
        seen, why = standing([planted], sampled=log.sampled, inflation=details["smallest_inflation"])
        return CheckResult(seen, (*why, *notes), share, 1.0, planted=(planted,), details=details)


@dataclass(frozen=True, slots=True)
class Work:
    """What the processes of a log did: tokens, the sum over them of each one's sequence length, and seconds."""

    tokens: float
    token_lengths: float
    seconds: float


def worked(log: Log, record: Record) -> Work:
    """Tokens and time between the first and last timed row of every process; of copies the first counts."""
    batches = record.batch_tokens()
    assert batches is not None
    lengths = np.zeros(len(batches))
    for phase in sorted(record.declaration.batch, key=lambda p: p.from_step):
        lengths[max(phase.from_step - 1, 0) :] = phase.sequence_length
    seen = np.concatenate([[0.0], np.cumsum(batches)])
    long = np.concatenate([[0.0], np.cumsum(batches * lengths)])
    total = np.zeros(3)
    formats: dict[str, float] = {}
    for part in processes(log):
        kind = log.segments[part.segment].format
        steps = log.steps[part.rows]
        clock = log.times[part.rows]
        if np.isfinite(clock).sum() < 2:
            clock = log.runtimes[part.rows]
        timed = np.flatnonzero(np.isfinite(clock) & (steps >= 0))
        if timed.size < 2 or (formats and kind not in formats):
            continue  # another format of the same run would count its work twice
        first, last = int(steps[timed[0]]), int(steps[timed[-1]])
        low, high = min(first, len(seen) - 1), min(last, len(seen) - 1)
        span = float(clock[timed[-1]] - clock[timed[0]])
        if high <= low or span <= 0:
            continue
        # One interval more: a row may be written a moment after what it tells of; and clocks of whole seconds.
        span = span * (1 + 1 / (timed.size - 1)) + 1.0
        formats[kind] = 1.0
        total += (seen[high] - seen[low], long[high] - long[low], span)
    return Work(*map(float, total))


def _flops(size: Sizes, work: Work) -> float:
    # Forward and backward, twice the multiplications, half of the scores masked: 6/2 of 2 x layers x width.
    return 6 * size.parameters * work.tokens + 3 * size.attention * work.token_lengths


def usable_peak(hardware: Hardware) -> tuple[float, tuple[Reason, ...]]:
    """The most that one declared device can do, in FLOP/s, and what is odd about the declared figure."""
    known = known_peaks(hardware.device)
    if known is None:
        notes = (Reason("unknown_device"),) if hardware.peak_flops > 0 else ()
        return hardware.peak_flops, notes
    word = hardware.precision.lower()
    kind = next((k for k, words in PRECISIONS.items() if any(w in word for w in words)), "")
    if re.search(r"(fp|float|int|f|e4m3|mx)_?8|e4m3", word) and known["eight"]:
        kind = "eight"
    peak = 1e12 * (known[kind] if kind else max(known.values()))
    if hardware.peak_flops > 1.02 * peak:
        return peak, (Reason("peak_above_known", {"declared": hardware.peak_flops, "known": peak}),)
    return peak, ()


def known_peaks(device: str) -> Mapping[str, float] | None:
    """Peaks of the longest known name inside a declared one, in 10^12 FLOP/s; None where there is none.

    Examples
    --------
    >>> known_peaks("NVIDIA H100 PCIe")["half"], known_peaks("NVIDIA A100-SXM4-80GB")["half"]
    (756.5, 312.0)
    >>> known_peaks("x86-64 core") is None
    True
    """
    words = [w for w in re.split(r"[^a-z0-9]+", device.lower()) if w]
    runs = {"".join(words[a:b]) for a in range(len(words)) for b in range(a + 1, min(a + 4, len(words)) + 1)}
    found = [name for name in _table() if name in runs]
    return _table()[max(found, key=len)] if found else None


@cache
def _table() -> Mapping[str, Mapping[str, float]]:
    data = tomllib.loads(files("jokbo.records.checks").joinpath("accelerators.toml").read_text("utf-8"))
    return {
        row["name"].lower(): {k: float(row[k]) for k in ("half", "eight", "single")}
        for maker in data.values()
        for row in maker["peaks"]
    }
