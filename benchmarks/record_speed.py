"""Seconds and memory of a whole audit of a log alone, a million steps long: ``python -m benchmarks.record_speed``.

The pack holds one log of twenty metrics, as :mod:`benchmarks.log_reading` writes it, and a declaration of
optimizer, schedule, batch, hardware and model sizes; it is audited by the command line, in a process of its
own, without the extra ``record-replay``. Floor: the log's bytes read once and parsed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.log_reading import METRICS, STEPS, WRITERS

SECONDS_BAR = 20.0
MEGABYTES_BAR = 1000.0

DECLARATION = """
name = "long-log"
steps = {steps}

[model]
parameters = 7_000_000_000
active_parameters = 7_000_000_000
vocab_size = 32000

[optimizer]
name = "adamw"
betas = [0.9, 0.95]
weight_decay = 0.1

[schedule]
kind = "logged"

[[batch]]
from_step = 1
sequences = 1024
sequence_length = 4096

[hardware]
device = "H100"
count = 1024
peak_flops = 989e12
precision = "BF16"

[[log]]
path = "log.{suffix}"
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """One pack audited.

    Attributes
    ----------
    exit_status : int
        Of the audit: 0, 10 or 11 are verdicts, anything else is a failure.
    """

    format: str
    megabytes: float
    seconds: float
    cpu_seconds: float
    peak_mb: float
    exit_status: int

    @property
    def met(self) -> bool:
        """Whether both bars are met by a run that gave a verdict."""
        verdict = self.exit_status in (0, 10, 11)
        return verdict and self.seconds <= SECONDS_BAR and self.peak_mb <= MEGABYTES_BAR


def make_pack(folder: Path, suffix: str, steps: int, kept: Path | None) -> Path:
    """A pack around one log, written unless `kept` has it."""
    from jokbo.records.pack import write_pack

    source = folder / "source"
    source.mkdir()
    log = source / f"log.{suffix}"
    held = None if kept is None else kept / f"log-{steps}.{suffix}"
    if held is not None and held.exists():
        shutil.copyfile(held, log)
    else:
        WRITERS[suffix](log, steps, METRICS)
    declared = source / "record.toml"
    declared.write_text(DECLARATION.format(steps=steps - 1, suffix=suffix), encoding="utf-8")
    write_pack(declared, folder / "pack")
    shutil.rmtree(source)
    return folder / "pack"


def measure(pack: Path, suffix: str) -> Cost:
    """Audit a pack by the command line; the process's own account of time and memory."""
    size = sum(file.stat().st_size for file in pack.rglob("*") if file.is_file()) / 1e6
    started = time.perf_counter()
    process = os.spawnv(
        os.P_NOWAIT,
        sys.executable,
        [sys.executable, "-m", "jokbo", "record", "audit", str(pack), "--no-replay", "--seed", "1", "-q"],
    )
    _, status, usage = os.wait4(process, 0)
    seconds = time.perf_counter() - started
    code = os.waitstatus_to_exitcode(status)
    return Cost(suffix, size, seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, code)


def to_markdown(costs: list[Cost]) -> str:
    """A table with the bars beside the figures."""
    lines = [
        "| log | MB | seconds (bar 20) | of processor | peak MB (bar 1000) | exit status | met |",
        "|---|---:|---:|---:|---:|---:|---|",
    ]
    lines += [
        f"| {c.format} | {c.megabytes:,.0f} | {c.seconds:.1f} | {c.cpu_seconds:.1f} | {c.peak_mb:,.0f} "
        f"| {c.exit_status} | {'yes' if c.met else '**no**'} |"
        for c in costs
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--only", choices=sorted(WRITERS))
    parser.add_argument("--logs", type=Path, help="Logs kept by `python -m benchmarks.log_reading --keep`.")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    costs = []
    for suffix in WRITERS:
        if options.only in (None, suffix):
            with tempfile.TemporaryDirectory() as temporary:
                costs.append(measure(make_pack(Path(temporary), suffix, options.steps, options.logs), suffix))
    print(to_markdown(costs))
    if options.json:
        options.json.write_text(json.dumps([asdict(cost) for cost in costs], indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
