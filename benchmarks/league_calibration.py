"""Calibration of the league: ``python -m benchmarks.league_calibration [--share S] [--jobs N] [--write]``.

Simulated rounds of known truth go through the league's own path. Rank sets must hold all true ranks in at least 95 % of
rounds of every kind, equal teams must stay unresolved in at least 95 %, and standard errors must be right within 10 %.
Exit status 1 where anything fails. Nothing here is tuned: a failure is a fault of a method.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from benchmarks.league_coverage import Outcome, run_round
from benchmarks.league_rounds import POWER, SCENARIOS

ROOT = Path(__file__).resolve().parent.parent
SEED = 20260818
DRAWS = 1000
CHUNK = 100
LEVEL = 0.95
POWER_ROUNDS = 500
ERRORS_OF = ("many_items_5", "many_clusters_5", "few_clusters_5", "unequal_40_5", "groups_5", "panel_10_5")
"""Rounds whose standard errors are held against the spread over rounds; within 10 % is asked of them."""

TOLERANCE = 0.10


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of round.

    Attributes
    ----------
    ranks, intervals : float
        Share of rounds in which all rank sets, and all intervals of differences, hold the truth.
    unresolved : float or None
        Share in which nothing is resolved; where all teams are equal.
    power : float or None
        Share of truly different pairs that are resolved; where some are.
    error, naive : float or None
        Root mean square standard error of a score, over its true spread between rounds; resampled, and as if items
        were independent.
    """

    id: str
    rounds: int
    ranks: float
    intervals: float
    unresolved: float | None
    power: float | None
    error: float | None
    naive: float | None


@dataclass(frozen=True, slots=True)
class PowerRow:
    """How often a team that is last by `gap` points is resolved as last."""

    id: str
    gap: float
    rounds: int
    last: float
    ranks: float


@dataclass(frozen=True, slots=True)
class Found:
    """All that a run found."""

    rows: tuple[Row, ...]
    power: tuple[PowerRow, ...]
    draws: int
    level: float

    def failures(self) -> list[str]:
        """Everything that breaks calibration."""
        out = []
        for row in self.rows:
            if row.ranks < LEVEL:
                out.append(f"{row.id}: rank sets hold in {row.ranks:.2%} of {row.rounds} rounds")
            if row.unresolved is not None and row.unresolved < LEVEL:
                out.append(f"{row.id}: equal teams unresolved in {row.unresolved:.2%} of {row.rounds} rounds")
            if row.error is not None and abs(row.error - 1) > TOLERANCE:
                out.append(f"{row.id}: standard errors are {row.error:.3f} of the truth")
        return out


def run_chunk(task: tuple[str, int, int, int]) -> tuple[str, list[Outcome]]:
    """Some neighbouring rounds of one kind."""
    name, number, start, stop = task
    make = POWER[number][2] if name == "power" else SCENARIOS[number].make
    key = number + (1000 if name == "power" else 0)
    rounds = (make(np.random.default_rng([SEED, key, n])) for n in range(start, stop))
    return f"{name} {number}", [run_round(each, seed=start + n, draws=DRAWS) for n, each in enumerate(rounds)]


def tasks(share: float, only: Sequence[str]) -> Iterator[tuple[str, int, int, int]]:
    """Chunks of rounds."""
    for number, scenario in enumerate(SCENARIOS):
        if only and scenario.id not in only:
            continue
        rounds = max(2, round(scenario.rounds * share))
        for start in range(0, rounds, CHUNK):
            yield "scenario", number, start, min(start + CHUNK, rounds)
    for number, (kind, _, _) in enumerate(POWER):
        if only and kind not in only:
            continue
        rounds = max(2, round(POWER_ROUNDS * share))
        for start in range(0, rounds, CHUNK):
            yield "power", number, start, min(start + CHUNK, rounds)


def measure(share: float, *, jobs: int, only: Sequence[str] = (), quiet: bool = True) -> Found:
    """Run everything."""
    outcomes: dict[str, list[Outcome]] = {}
    with ProcessPoolExecutor(jobs) as pool:
        for name, found in pool.map(run_chunk, list(tasks(share, only))):
            outcomes.setdefault(name, []).extend(found)
            if not quiet:
                print(f"\r{name}: {len(outcomes[name])}    ", end="", file=sys.stderr, flush=True)
    rows, power = [], []
    for key, found in outcomes.items():
        kind, number = key.split()
        if kind == "scenario":
            rows.append(summarise(int(number), found))
        else:
            name, gap, _ = POWER[int(number)]
            held = float(np.mean([o.ranks_held for o in found]))
            power.append(PowerRow(name, gap, len(found), float(np.mean([o.last for o in found])), held))
    return Found(tuple(rows), tuple(power), DRAWS, LEVEL)


def summarise(number: int, outcomes: Sequence[Outcome]) -> Row:
    """Rates of one kind of round."""
    scenario = SCENARIOS[number]
    error = naive = None
    if scenario.id in ERRORS_OF:
        truth = float(np.std([o.value for o in outcomes], ddof=1))
        error = float(np.sqrt(np.mean([o.error**2 for o in outcomes]))) / truth
        alone = [o.naive**2 for o in outcomes if np.isfinite(o.naive)]
        naive = float(np.sqrt(np.mean(alone))) / truth if alone else None
    return Row(
        id=scenario.id,
        rounds=len(outcomes),
        ranks=float(np.mean([o.ranks_held for o in outcomes])),
        intervals=float(np.mean([o.intervals_held for o in outcomes])),
        unresolved=float(np.mean([o.none_resolved for o in outcomes])) if scenario.equal else None,
        power=None if scenario.equal else float(np.mean([o.power for o in outcomes])),
        error=error,
        naive=naive,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="Of the rounds of a whole run.")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", nargs="*", default=())
    parser.add_argument(
        "--write",
        action="store_true",
        help="Write docs/reference/league-calibration.* and the figures of docs/explanation/league-uncertainty.",
    )
    options = parser.parse_args()
    from benchmarks.league_calibration_page import markdown, put_short

    started = time.perf_counter()
    found = measure(options.share, jobs=options.jobs, only=options.only, quiet=False)
    print(f"\n{time.perf_counter() - started:.0f} s", file=sys.stderr)
    print(markdown(found, "en"))
    if options.write:
        folder = ROOT / "docs" / "reference"
        for lang, suffix in (("en", ""), ("ko", ".ko")):
            page = folder / f"league-calibration{suffix}.md"
            page.write_text(markdown(found, lang), encoding="utf-8")
            words = ROOT / "docs" / "explanation" / f"league-uncertainty{suffix}.md"
            words.write_text(put_short(words.read_text(encoding="utf-8"), found, lang), encoding="utf-8")
        (folder / "league-calibration.json").write_text(
            json.dumps(asdict(found), indent=1) + "\n", encoding="utf-8"
        )
    sys.exit(bool(found.failures()))


if __name__ == "__main__":
    main()
