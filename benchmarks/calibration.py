"""Size of every exact test: ``python -m benchmarks.calibration [--pairs N] [--markdown FILE]``.

Independent pairs, simulated and really trained, go through `examine` as a user's models
do. Ranks must be uniform, e-values must have mean at most one and reach 20 in at most
one pair of twenty, for each test and for the combination, and no pair may be accused. Exit status 1 where
anything fails. Nothing here is tuned: a failure is a fault of a test.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import tomllib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from benchmarks.null_pairs import measure, without_checks
from benchmarks.populations import BY_NAME, POPULATIONS, Population
from benchmarks.tally import Tally, failures, summarise
from jokbo.testing.builders import llama
from jokbo.testing.transforms import derive
from jokbo.views.model import open_model

ROOT = Path(__file__).resolve().parent.parent
SEED = 20260101
CHUNK = 20
UNCHECKED_PAIRS = 60
"""Structured pairs also examined as if E0 did not exist."""

STAGED = frozenset({"Gaussian", "heavy-tailed (t, 2.5 degrees of freedom)"})
"""Populations on which an analyst reads on only while unconvinced."""

DERIVED_PAIRS = 20
DERIVED_COSINE = 0.9


@dataclass(slots=True)
class Calibration:
    """All that a run found.

    Attributes
    ----------
    tallies : dict of str to Tally
        By population.
    unchecked : dict of str to Tally
        Structured populations as if E0 did not exist.
    zoo : Tally
        Independent pairs of really trained models; they share models, so no rate is bounded on them.
    derived : dict of str to list of float
        Natural log e-values of pairs derived at cosine .9: a null that holds must not mean a dead test.
    """

    tallies: dict[str, Tally] = field(default_factory=dict)
    unchecked: dict[str, Tally] = field(default_factory=dict)
    zoo: Tally = field(default_factory=Tally)
    derived: dict[str, list[float]] = field(default_factory=dict)
    seconds: float = 0.0

    def failures(self) -> list[str]:
        """Everything that breaks calibration."""
        found = []
        for name, tally in self.tallies.items():
            found += [f"{name}: {text}" for text in failures(tally, structured=BY_NAME[name].structured)]
        for name, logs in self.zoo.log_evalues.items():
            row = summarise(name, logs)
            if name.startswith(("component", "all")) and row.accusations:
                found.append(f"zoo: {name}: {row.accusations} pairs at E >= 1e6")
        if self.zoo.accused:
            found.append(f"zoo: {self.zoo.accused} independent pairs are called dependent")
        return found


def run_chunk(task: tuple[str, int, int, bool]) -> tuple[str, bool, Tally]:
    """Measure some neighbouring pairs of one population."""
    name, start, stop, unchecked = task
    tally = Tally()
    for number in range(start, stop):
        models = BY_NAME[name].pair(number, seed=SEED)
        staged = name in STAGED and number < BY_NAME[name].pairs // 3
        if unchecked:
            with without_checks():
                tally.add(measure(*models, seed=number))
        else:
            tally.add(measure(*models, seed=number, stages=staged))
    return name, unchecked, tally


def merge(into: Tally, other: Tally) -> None:
    """Add one tally to another."""
    into.pairs += other.pairs
    into.accused += other.accused
    for mine, theirs in (
        (into.log_evalues, other.log_evalues),
        (into.sup, other.sup),
        (into.checks, other.checks),
    ):
        for name, values in theirs.items():
            mine.setdefault(name, []).extend(values)
    for name, bins in other.ranks.items():
        into.ranks[name] = into.ranks.get(name, 0) + bins


def tasks(populations: tuple[Population, ...], share: float) -> Iterator[tuple[str, int, int, bool]]:
    """Chunks of pairs, each population scaled to its share of the run."""
    for population in populations:
        pairs = max(2, round(population.pairs * share))
        for start in range(0, pairs, CHUNK):
            yield population.name, start, min(start + CHUNK, pairs), False
        if population.structured:
            few = min(UNCHECKED_PAIRS, pairs)
            yield from ((population.name, s, min(s + CHUNK, few), True) for s in range(0, few, CHUNK))


def zoo_pairs(zoo: Path) -> Iterator[tuple[Path, Path]]:
    """Every pair of the zoo that its truth table calls independent, both ways round."""
    truth = zoo / "truth.toml"
    if not truth.exists():
        return
    for relation in tomllib.loads(truth.read_text(encoding="utf-8"))["relation"]:
        if relation["truth"] == "independent":
            first, second = zoo / "models" / relation["reference"], zoo / "models" / relation["candidate"]
            yield first, second
            yield second, first


def run_zoo(pair: tuple[Path, Path]) -> Tally:
    """Measure one pair of the zoo."""
    tally = Tally()
    tally.add(measure(open_model(pair[0]), open_model(pair[1]), seed=SEED))
    return tally


def run_derived(number: int) -> dict[str, float]:
    """Measure one pair derived at a row cosine of .9."""
    base = llama(np.random.default_rng([SEED, number, 0]), vocab_size=128, intermediate_size=128)
    child = derive(base, np.random.default_rng([SEED, number, 1]), cosine=DERIVED_COSINE)
    models = [open_model(m.to_source(name=f"derived {number}{k}")) for k, m in enumerate((base, child))]
    return measure(models[0], models[1], seed=number).log_evalues


def calibrate(*, pairs: int | None = None, workers: int = 2, zoo: Path = ROOT / "zoo") -> Calibration:
    """Run everything.

    Parameters
    ----------
    pairs : int, optional
        About how many simulated pairs in all; every population keeps its share.
    workers : int
        Processes. The result does not depend on it.
    zoo : Path
        Folder of the really trained models.
    """
    began = time.perf_counter()
    share = 1.0 if pairs is None else pairs / sum(p.pairs for p in POPULATIONS)
    found = Calibration()
    todo = list(tasks(POPULATIONS, share))
    with ProcessPoolExecutor(workers) as pool:
        for done, (name, unchecked, tally) in enumerate(pool.map(run_chunk, todo), start=1):
            group = found.unchecked if unchecked else found.tallies
            merge(group.setdefault(name, Tally()), tally)
            if sys.stderr.isatty() or done % 50 == 0 or done == len(todo):
                print(f"\r{done}/{len(todo)} {name:45}", end="", file=sys.stderr, flush=True)
        for tally in pool.map(run_zoo, zoo_pairs(zoo)):
            merge(found.zoo, tally)
        for logs in pool.map(run_derived, islice(range(DERIVED_PAIRS), DERIVED_PAIRS)):
            for name, value in logs.items():
                found.derived.setdefault(name, []).append(value)
    print(file=sys.stderr)
    found.seconds = time.perf_counter() - began
    return found


def main() -> int:
    """Run, print the table, write it where asked."""
    from benchmarks.calibration_table import markdown

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, help="about how many simulated pairs (default: all)")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--markdown", type=Path, help="write the table here, and in Korean beside it (.ko.md)"
    )
    options = parser.parse_args()
    found = calibrate(pairs=options.pairs, workers=options.workers)
    print(markdown(found, "en"))
    if options.markdown:
        options.markdown.parent.mkdir(parents=True, exist_ok=True)
        options.markdown.write_text(markdown(found, "en"), encoding="utf-8")
        options.markdown.with_suffix(".ko.md").write_text(markdown(found, "ko"), encoding="utf-8")
    for text in found.failures():
        print(f"FAILED {text}", file=sys.stderr)
    return 1 if found.failures() else 0


if __name__ == "__main__":
    sys.exit(main())
