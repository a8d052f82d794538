"""A register of 10,000, and what its prefilter loses: ``python -m benchmarks.register_search``.

Synthetic sketches (``synthetic_sketch``) are independent models: random signs in the sections of a real sketch. The
zoo and a sample have whole fingerprints; where a synthetic model is among those tested in full, one of the sample is
tested in its place. Three parts: seconds and memory of a search; full test and prefilter on planted derivations and
on the zoo with its transforms; all pairs of 1,000. Writes ``docs/reference/register-search.*``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.register_search_cases import power_rows, small_model, wide_model
from jokbo.lineage.fingerprint import make_fingerprint
from jokbo.lineage.prefilter import PASSES, score_sketch
from jokbo.lineage.register import Entry, Register, open_register
from jokbo.lineage.search import search
from jokbo.lineage.sketch_format import HASHED, TABLES, Section, Sketch, parse_sketch, write_sketch
from jokbo.lineage.sketch_index import build_index, cached_index
from jokbo.views.fingerprint import SUFFIX, read_sketch

ROOT = Path(__file__).resolve().parents[1]
SECONDS_BAR = 5.0
GIGABYTES_BAR = 3.0
MODELS = 10_000
SAMPLE = 8
RELATED_EVERY = 20
SIZES = (125, 250, 500, 1000)


def synthetic_sketch(rng: np.random.Generator, like: Sketch, *, tokens: bool = True) -> bytes:
    """A sketch of an independent model in the shape of another: every sign a fair coin."""
    sections = []
    for section in like.sections:
        if section.kind in (*TABLES, HASHED) and not tokens:
            continue
        data = rng.integers(0, 256, section.data.shape, dtype=np.uint8)
        sections.append(
            Section(
                section.kind,
                section.tower,
                section.key,
                section.depth,
                section.places,
                section.rows,
                data,
            )
        )
    return write_sketch(like.salt, sections)


class PaddedRegister(Register):
    """A real register with synthetic entries beside the real ones: they have sketches and no fingerprint."""

    def __init__(self, folder: Path, like: tuple[Sketch, ...], count: int) -> None:
        super().__init__(folder)
        self.like = like
        self.count = count
        self.real = super().entries()
        self.made = tuple(self._entry(k) for k in range(count - len(self.real)))

    def _entry(self, number: int) -> Entry:
        key = hashlib.sha256(f"synthetic {number}".encode()).hexdigest()
        first = self.real[0]
        values = {name: getattr(first, name) for name in first.__slots__}
        return Entry(**{**values, "key": key, "name": f"synthetic-{number}", "public_since": None})

    def entries(self) -> tuple[Entry, ...]:
        return tuple(sorted((*self.real, *self.made), key=lambda entry: entry.key))

    @property
    def digest(self) -> str:
        return hashlib.sha256(f"{super().digest} {self.count} {len(self.like)}".encode()).hexdigest()

    def path(self, entry: Entry) -> Path:
        if entry.name.startswith("synthetic"):
            wide = [real for real in self.real if real.name.startswith("wide")]
            entry = wide[int(entry.key[:8], 16) % len(wide)]
        return super().path(entry)

    def sketches(self, **given: Any) -> Iterator[tuple[str, bytes]]:
        real = dict(super().sketches(**given))
        for entry in self.entries():
            if entry.key in real:
                yield entry.key, real[entry.key]
            else:
                rng = np.random.default_rng(int(entry.key[:16], 16))
                yield entry.key, synthetic_sketch(rng, self.like[int(entry.key[16:18], 16) % len(self.like)])


def fill(folder: Path) -> Path:
    """A register with the zoo and a sample of wider models; returns the candidate's fingerprint."""
    register = open_register(folder / "register", create=True)
    for place in sorted((ROOT / "zoo" / "models").iterdir()):
        register.add(make_fingerprint(place))
    for number in range(SAMPLE):
        register.add(make_fingerprint(wide_model(number).to_source(name=f"wide{number}")))
    made = make_fingerprint(wide_model(SAMPLE).to_source(name="candidate"))
    made.write(folder / f"candidate{SUFFIX}")
    return folder / f"candidate{SUFFIX}"


def shapes(register: Register, one: bool) -> tuple[Sketch, ...]:
    """Sketches whose shapes the synthetic ones take: the candidate's alone, or those of all real models."""
    wide = [entry for entry in register.entries() if entry.name.startswith("wide")]
    others = [entry for entry in register.entries() if not entry.name.startswith("wide")]
    few = [read_sketch(register.path(entry)) for entry in ([wide[0]] if one else [wide[0], *others])]
    return tuple(parse_sketch(data) for data in few if data is not None)


def child(folder: Path, one: bool, measured: int, count: int) -> dict[str, Any]:
    """One search in a process of its own: seconds and peak memory."""
    from jokbo.lineage import work

    work._check_end = lambda *given: None  # the sample stands in for synthetic models
    base = open_register(folder / "register")
    register = PaddedRegister(folder / "register", shapes(base, one), count)
    begun = time.perf_counter()
    index = cached_index(
        register.folder / "sketches", register.sketches(), digest=register.digest, salt=register.salt
    )
    opened = time.perf_counter() - begun
    sketch = read_sketch(folder / f"candidate{SUFFIX}")
    assert sketch is not None
    begun = time.perf_counter()
    scored = score_sketch(parse_sketch(sketch), index)
    scoring = time.perf_counter() - begun
    begun, worked = time.perf_counter(), time.process_time()
    found = search(folder / f"candidate{SUFFIX}", register, measured=measured)
    return {
        "models": count,
        "one_shape": one,
        "bounds": bool(measured),
        "open_seconds": round(opened, 3),
        "score_seconds": round(scoring, 2),
        "search_seconds": round(time.perf_counter() - begun, 2),
        "search_cpu_seconds": round(time.process_time() - worked, 2),
        "load": round(os.getloadavg()[0], 1),
        "peak_gigabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
        "passed": len(scored.passed()),
        "tested": found.document["answer"]["tested"],
        "outcome": found.document["answer"]["outcome"],
        "comparable": found.document["answer"]["comparable"],
    }


def cost_rows(folder: Path, count: int) -> list[dict[str, Any]]:
    """Searches, each in a fresh process; the first of each register packs its sketches and is not counted."""
    fill(folder)
    rows = []
    for one in (True, False):
        for measured in (None, 0, 1):
            given = json.dumps([str(folder), one, measured or 0, count])
            begun = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.register_search", "--child", given],
                cwd=ROOT,
                capture_output=True,
                check=True,
                text=True,
            )
            row = json.loads(done.stdout)
            if measured is None:
                packing = round(time.perf_counter() - begun, 1)
                continue
            size = sum(file.stat().st_size for file in (folder / "register" / "sketches").iterdir())
            rows.append({**row, "packing_seconds": packing, "packed_megabytes": round(size / 1e6)})
            print(rows[-1], flush=True)
    return rows


def pairs_rows(folder: Path) -> dict[str, Any]:
    """All pairs of 1,000 small models, one in twenty a relative of the one before: prefilter, then full tests."""
    register = open_register(folder / "many", create=True)
    made, related = [], set()
    for number in range(SIZES[-1]):
        kin = number % RELATED_EVERY == RELATED_EVERY - 1
        entry = register.add(make_fingerprint(small_model(number, kin=kin).to_source(name=f"m{number}")))
        made.append(entry)
        if kin:
            related.add((number - 1, number))
    rows = [_all_pairs(register, made[:size], related, folder) for size in SIZES]
    slope = np.polyfit(
        [math.log(row["pairs"]) for row in rows], [math.log(row["seconds"]) for row in rows], 1
    )
    return {"rows": rows, "growth_exponent": round(float(slope[0]), 3)}


def _all_pairs(
    register: Register, entries: list[Entry], related: set[tuple[int, int]], folder: Path
) -> dict[str, Any]:
    from jokbo.lineage.pairs import DEPENDENCE, compare_pair

    numbers = {entry.key: k for k, entry in enumerate(entries)}
    keys = sorted(numbers)
    sketches = {key: data for key, data in register.sketches() if key in numbers}
    index = build_index(
        folder / "pairs", ((key, sketches[key]) for key in keys), digest="d", salt=register.salt
    )
    count, passed = len(entries) * (len(entries) - 1) // 2, set()
    begun = time.perf_counter()
    for position, key in enumerate(keys):
        scored = score_sketch(parse_sketch(sketches[key]), index)
        passed |= {(position, int(k)) for k in scored.passed() if k > position}
    filtering = time.perf_counter() - begun
    found = set()
    for a, b in passed:
        one, two = sorted((numbers[keys[a]], numbers[keys[b]]))
        places = [register.path(entries[k]) for k in (one, two)]
        pair = compare_pair(*places, among=count)
        if pair["relation"] in (*DEPENDENCE, "lead"):
            found.add((one, two))
    seconds = time.perf_counter() - begun
    known = {pair for pair in related if max(pair) < len(entries)}
    row = {
        "models": len(entries),
        "pairs": count,
        "prefilter_seconds": round(filtering, 2),
        "seconds": round(seconds, 2),
        "microseconds_a_pair": round(1e6 * seconds / count, 1),
        "passed": len(passed),
        "related": len(known),
        "related_found": len(known & found),
        "invented": len(found - known),
        "independent_passed_share": len(passed - _as_positions(known, numbers, keys)) / (count - len(known)),
    }
    print(row, flush=True)
    return row


def _as_positions(
    pairs: set[tuple[int, int]], numbers: dict[str, int], keys: list[str]
) -> set[tuple[int, int]]:
    place = {numbers[key]: position for position, key in enumerate(keys)}
    return {tuple(sorted((place[a], place[b]))) for a, b in pairs}  # type: ignore[misc]


def main() -> None:
    """Run all parts and write the pages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--models", type=int, default=MODELS)
    parser.add_argument("--only", choices=["cost", "power", "pairs"])
    given = parser.parse_args()
    if given.child:
        folder, one, measured, count = json.loads(given.child)
        print(json.dumps(child(Path(folder), one, measured, count)))
        return
    from benchmarks.register_search_page import read_results, write_pages

    results: dict[str, Any] = {}
    folder = Path(tempfile.mkdtemp(prefix="jokbo-register-"))
    try:
        if given.only in (None, "cost"):
            results["cost"] = cost_rows(folder, given.models)
        if given.only in (None, "power"):
            results["power"] = power_rows(folder, ROOT)
        if given.only in (None, "pairs"):
            results["pairs"] = pairs_rows(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    results["bars"] = {"seconds": SECONDS_BAR, "gigabytes": GIGABYTES_BAR, "passes": PASSES}
    write_pages(ROOT, read_results(ROOT) | results)  # parts may be run apart, and side by side


if __name__ == "__main__":
    main()
