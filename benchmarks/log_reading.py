"""Seconds and memory of reading a log of a million steps and twenty metrics: ``python -m benchmarks.log_reading``.

The log is written to a temporary folder in each format (a few minutes), then each is read by a process of its
own, start of Python included; processor time is given as well, for machines that do other things. Values are
those of a training: float32 losses, rates and norms as loggers print them, so that parsing costs what it costs
in practice; W&B's file has its summary records beside the history, as real ones do.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from jokbo.testing.logs import BLOCK, add_record, blocks, field, wandb_history, wandb_run

STEPS = 1_000_000
METRICS = 20
SECONDS_BAR = 10.0
MEGABYTES_BAR = 1000.0

READ = """
import json, resource, sys, time
start = time.perf_counter()
from pathlib import Path
from jokbo.records.declaration import Declaration, LogEntry
from jokbo.records.readers.choose import read_logs
from jokbo.records.record import PackFile, Record
path = Path(sys.argv[1])
files = {path.name: PackFile(path.stat().st_size, "")}
log = read_logs(Record(path.parent, Declaration("log", 1, log=(LogEntry(path.name),)), files, ""))
seconds = time.perf_counter() - start
usage = resource.getrusage(resource.RUSAGE_SELF)
cpu, peak = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
cells = sum(len(column.values) for column in log.columns.values())
print(json.dumps([log.segments[0].format, log.n_rows, cells, log.n_faults, seconds, cpu, peak]))
"""


@dataclass(frozen=True, slots=True)
class Reading:
    """One file read."""

    format: str
    reader: str
    rows: int
    cells: int
    megabytes: float
    seconds: float
    cpu_seconds: float
    peak_mb: float


def names(metrics: int) -> list[str]:
    """Metric names of a training."""
    return ["train/loss", "lr", "grad_norm", *(f"layers.{k}/update_rms" for k in range(metrics - 3))]


def rows(steps: int, metrics: int) -> Iterator[dict[str, float]]:
    """Rows of a training; the same for every format."""
    rng = random.Random(0)
    keys, single = names(metrics), struct.Struct("f")
    for step in range(steps):
        noise = rng.gauss(0.0, 0.01)
        values = struct.pack(f"{metrics}f", *((2.0 + noise) / (1 + k + step * 1e-6) for k in range(metrics)))
        row = {key: single.unpack_from(values, 4 * k)[0] for k, key in enumerate(keys)}
        yield {"_step": step, "_timestamp": 1.7e9 + 0.25 * step, **row}


def write_csv(path: Path, steps: int, metrics: int) -> None:
    with path.open("w", encoding="utf-8") as out:
        out.write(",".join(["_step", "_timestamp", *names(metrics)]) + "\n")
        for row in rows(steps, metrics):
            out.write(",".join(map(repr, row.values())) + "\n")


def write_jsonl(path: Path, steps: int, metrics: int) -> None:
    with path.open("w", encoding="utf-8") as out:
        for row in rows(steps, metrics):
            out.write(json.dumps(row) + "\n")


def write_wandb(path: Path, steps: int, metrics: int) -> None:
    """A run file, built a thousand rows at a time and continued at the same place of a block."""
    waiting = [field(21, b""), wandb_run()]
    out = bytearray(blocks([]))
    rng = random.Random(1)
    with path.open("wb") as opened:
        for row in rows(steps, metrics):
            items = list(row.items())
            rng.shuffle(items)  # as wandb 0.31 does
            waiting.append(field(3, b"".join(field(1, field(2, k) + field(16, repr(v))) for k, v in items)))
            waiting.append(wandb_history(dict(items), step=int(row["_step"])))
            if len(waiting) >= 1000:
                out = _append(opened.write, out, waiting)
                waiting = []
        opened.write(_append(opened.write, out, waiting))


def _append(write: Callable[[bytes], int], held: bytearray, records: Sequence[bytes]) -> bytearray:
    """Add records to what is held of the last block; whole blocks are written."""
    for record in records:
        add_record(held, record)
    whole = len(held) - len(held) % BLOCK
    write(bytes(held[:whole]))
    return held[whole:]


WRITERS: dict[str, Callable[[Path, int, int], None]] = {
    "csv": write_csv,
    "jsonl": write_jsonl,
    "wandb": write_wandb,
}


def measure(path: Path) -> Reading:
    """Read a file in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", READ, str(path)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"reading {path.name} ended with {done.returncode}: {done.stderr}")
    reader, n_rows, cells, _, seconds, cpu, peak = json.loads(done.stdout)
    return Reading(path.suffix[1:], reader, n_rows, cells, path.stat().st_size / 1e6, seconds, cpu, peak)


def to_markdown(readings: Sequence[Reading]) -> str:
    """A table with the bars beside the figures."""
    head = ["format", "reader", "rows", "cells", "MB", f"seconds (bar {SECONDS_BAR:g})", "of processor"]
    head += [f"peak MB (bar {MEGABYTES_BAR:g})", "met"]
    lines = [
        f"Reading a log, {platform.python_implementation()} {platform.python_version()}, start of Python included.",
        "",
        "| " + " | ".join(head) + " |",
        "|---|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    for r in readings:
        met = "yes" if r.seconds <= SECONDS_BAR and r.peak_mb <= MEGABYTES_BAR else "**no**"
        lines.append(
            f"| {r.format} | {r.reader} | {r.rows:,} | {r.cells:,} | {r.megabytes:,.0f} | {r.seconds:.1f} "
            f"| {r.cpu_seconds:.1f} | {r.peak_mb:,.0f} | {met} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--metrics", type=int, default=METRICS)
    parser.add_argument("--only", choices=sorted(WRITERS))
    parser.add_argument(
        "--keep", type=Path, help="Write the logs to this folder, or read those that are there."
    )
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    readings = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for suffix, write in WRITERS.items():
            path = folder / f"log-{options.steps}.{suffix}"
            if options.only in (None, suffix):
                started = time.perf_counter()
                if not path.exists():
                    write(path, options.steps, options.metrics)
                print(f"{path.name}: written in {time.perf_counter() - started:.0f} s", file=sys.stderr)
                readings.append(measure(path))
    print(to_markdown(readings))
    if options.markdown:
        options.markdown.write_text(to_markdown(readings), encoding="utf-8")
    if options.json:
        options.json.write_text(json.dumps([asdict(r) for r in readings], indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
