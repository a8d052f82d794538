"""Honest training records and forgeries, audited: ``python -m benchmarks.record_experiments``.

Also `make record-experiments`.
Trains the honest family and the forgeries that need training, makes the others by arithmetic, audits every
record, and writes what was found to ``docs/reference/record-experiments.md``, ``.ko.md`` and ``.json``. It goes
on where a stopped run was. Exit status 1 where an honest run is called inconsistent, an anchored forgery
consistent, or a forgery is missed that no report names as not excluded.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from zoo.record.honest import KINDS
from zoo.record.instances import CHEAP

from benchmarks.record_jobs import FINDERS, ROOT, SEED, Job, honest, kept_file, run
from benchmarks.record_page import failures, is_found, page
from benchmarks.record_sweep import options

PAGE = ROOT / "docs/reference/record-experiments.md"
INSTANCES = 59
WHOLE_INSTANCES = 5
TRAINED_INSTANCES = 10
HONEST_SEEDS = 2
POOL = 8


def counted(instances: int, trained: int, plants: int, whole: int) -> Iterator[Job]:
    """Every audit of the tables, honest ones first; of each cheap forgery the first `whole` by every check."""
    for kind in KINDS:
        for number in range(POOL if kind == "plain" else HONEST_SEEDS):
            yield Job("honest", kind, number)  # only alarms count here
    for number, option in enumerate(options()):
        yield Job("sweep", "honest", number, n_plants=plants, option=option)
    # Number by number, so that a stopped run has counts of every forgery.
    for number in range(instances):
        for name in CHEAP:
            if number < whole or any(name.startswith(known) for known in FINDERS):
                yield Job("cheap", name, number, alone=number >= whole)
        for name in trained_kinds():
            if number < trained or name == "anchored-100":
                yield Job("trained", name, number)


def costly(results: list[dict[str, Any]], replays: int, plants: int) -> Iterator[Job]:
    """Audits that run the model: one honest run of each kind, and forgeries that were missed without it."""
    if not replays:
        return
    yield Job("honest", "plain", 0, replay=True, n_plants=plants)
    missed: dict[tuple[str, str], list[int]] = {}
    for result in results:
        job = result["job"]
        if job["group"] in ("cheap", "trained") and not is_found(result):
            missed.setdefault((job["group"], job["name"]), []).append(job["number"])
    for number in range(replays):
        missed.setdefault(("trained", "anchored-100"), []).append(number)
    for (group, name), numbers in missed.items():
        for number in numbers[:replays]:
            yield Job(group, name, number, replay=True, n_plants=plants)
    for kind in list(KINDS)[1:]:
        yield Job("honest", kind, 0, replay=True, n_plants=plants)


def slim(result: dict[str, Any]) -> dict[str, Any]:
    """What the tables rest on: the plants of every check would make the file several times as long."""
    told = ("outcome", "observation", "log10_pvalue")
    checks = {name: {key: row[key] for key in told} for name, row in result["checks"].items()}
    return result | {"checks": checks}


def trained_kinds() -> tuple[str, ...]:
    """Forgeries that are trained."""
    from zoo.record.forge_train import KINDS as ANCHORED

    return (*ANCHORED, "untrained")


def _done(job: Job, work: Path) -> tuple[Job, dict[str, Any] | str]:
    try:
        return job, run(job, work)
    except Exception as error:
        # One record that cannot be made or read must not take the others' results along.
        return job, f"{type(error).__name__}: {error}"


def perform(jobs: list[Job], work: Path, workers: int) -> tuple[list[dict[str, Any]], list[str]]:
    """Run the jobs; results in their order, and what went wrong."""
    results: list[dict[str, Any]] = []
    broken: list[str] = []
    began = time.perf_counter()
    with ProcessPoolExecutor(workers) as pool:
        futures = [pool.submit(_done, job, work) for job in jobs]
        for count, future in enumerate(futures, start=1):
            job, found = future.result()
            if isinstance(found, str):
                broken.append(f"{job.key}: {found}")
                print(broken[-1], file=sys.stderr)
            else:
                results.append(found)
            if count % 50 == 0 or count == len(jobs):
                print(f"{count} of {len(jobs)} in {time.perf_counter() - began:.0f} s", file=sys.stderr)
    return results, broken


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=ROOT / ".cache/record-experiments")
    parser.add_argument("--markdown", type=Path, default=PAGE)
    parser.add_argument("--instances", type=int, default=INSTANCES)
    parser.add_argument("--trained", type=int, default=TRAINED_INSTANCES)
    parser.add_argument("--whole", type=int, default=WHOLE_INSTANCES, help="cheap instances for every check")
    parser.add_argument("--replays", type=int, default=2)
    parser.add_argument("--plants", type=int, default=INSTANCES)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kept", action="store_true", help="write the page from the results that are there")
    arguments = parser.parse_args()
    work = arguments.work
    (work / "packs").mkdir(parents=True, exist_ok=True)
    for number in range(POOL):
        honest("plain", number, work)
    wanted = (lambda job: kept_file(job, work).exists()) if arguments.kept else (lambda job: True)
    jobs = list(
        filter(wanted, counted(arguments.instances, arguments.trained, arguments.plants, arguments.whole))
    )
    results, broken = perform(jobs, work, arguments.workers)
    again = list(filter(wanted, costly(results, arguments.replays, arguments.plants)))
    full, broken_again = perform(again, work, arguments.workers)
    results, broken = [*results, *full], [*broken, *broken_again]
    problems = [*broken, *failures(results)]
    for language in ("en", "ko"):
        suffix = ".md" if language == "en" else ".ko.md"
        target = arguments.markdown.with_name(arguments.markdown.stem + suffix)
        target.write_text(page(results, problems, language), encoding="utf-8")
    table = arguments.markdown.with_suffix(".json")
    kept = json.dumps({"seed": SEED, "results": [slim(row) for row in results]}, sort_keys=True)
    table.write_text(kept + "\n", encoding="utf-8")
    print("\n".join(problems) or "no honest run is called inconsistent, and no forgery is missed in silence")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
