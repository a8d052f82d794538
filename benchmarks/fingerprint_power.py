"""What a fingerprint costs and what it loses: ``python -m benchmarks.fingerprint_power [--quick] [--write]``.

Three questions: how large it is and what making it reads (shapes of 8B to 1T, their weights made up as they are
read); what a comparison of two fingerprints finds of the power and attack grids, beside a comparison of the models
themselves; and whether independent models stay unaccused, at least 10,000 simulated pairs and all of the zoo.
Exit status 1 where a bar is missed.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
import time
import tomllib
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from benchmarks.fingerprint_page import JSON_FILE, write_pages
from benchmarks.grid import ZOO, Zoo
from benchmarks.grid_cases import Case, cases, make_candidate
from benchmarks.null_pairs import _by_test
from benchmarks.tally import Tally, failures, summarise
from jokbo.evidence.compare import _cases
from jokbo.evidence.findings import DEPENDENCE
from jokbo.evidence.policy import Policy
from jokbo.evidence.verdict import decide
from jokbo.independence.betting import average, combine_clusters
from jokbo.independence.examine import examine
from jokbo.lineage import sampled_rows
from jokbo.lineage.fingerprint import SUFFIX, make_fingerprint, read_sketch
from jokbo.lineage.pairs import compare_pair
from jokbo.sources.base import Read, Source
from jokbo.sources.local import LocalSource
from jokbo.sources.memory import MemorySource
from jokbo.sources.plan import merge_reads
from jokbo.sources.remote import MAX_GAP_BYTES, MAX_REQUEST_BYTES
from jokbo.testing.builders import gpt2, llama, mixtral
from jokbo.testing.checkpoint import Checkpoint
from jokbo.testing.sparse import sparse_checkpoint
from jokbo.testing.tables import TensorTable, llama_table, moe_table
from jokbo.views.model import Model, open_model

SEED = 20261126
LOG10 = math.log(10)
MAX_BYTES, MAX_SKETCH, MAX_SHARE = 32_000_000, 256_000, 0.01


@dataclass(frozen=True, slots=True)
class Size:
    """What the fingerprint of one shape takes."""

    shape: str
    parameters: int
    data_bytes: int
    file_bytes: int
    sketch_bytes: int
    read_bytes: int
    sent_bytes: int
    requests: int
    layers_held: int
    layers: int
    plan: dict[str, int]
    seconds: float

    @property
    def share(self) -> float:
        """Of the weights, what a server sent to make it."""
        return self.sent_bytes / self.data_bytes


@dataclass(frozen=True, slots=True)
class Found:
    """One case of the grids: what the models and what their fingerprints show.

    `dated` is with a date that puts the reference first, which is the fair comparison: without one, rows that
    could be foreseen have to clear a higher bar, and what does not is a lead. `least` is with as few rows a layer
    as fingerprints of the largest models hold, dated.
    """

    group: str
    label: str
    truth: str
    reference: str
    candidate: str
    full_relation: str
    full_log10: float | None
    dated_relation: str
    relation: str
    log10: float | None
    least_relation: str
    least_log10: float | None


class MadeUpSource(Source):
    """Headers of a real folder and weights made up as they are read, as a remote source would fetch them."""

    def __init__(self, folder: Path) -> None:
        self._source = LocalSource(folder)
        self.identity, self.files, self.stats = self._source.identity, self._source.files, self._source.stats
        self.sent = self.requests = 0
        self._starts = {
            name: 8 + int.from_bytes(self._source.read(name, 0, 8), "little")
            for name in self.files
            if name.endswith(".safetensors")
        }

    def read_many(self, reads: Sequence[Read]) -> list[bytes]:
        """Count the requests of a remote source; answer weights from a generator of their place."""
        weights = [r for r in reads if r.range.start >= self._starts.get(r.file, 1 << 62)]
        plan = merge_reads(weights, max_gap_bytes=MAX_GAP_BYTES, max_request_bytes=MAX_REQUEST_BYTES)
        self.requests += len(plan)
        self.sent += sum(request.range.size for request in plan)
        return [self._answer(read) for read in reads]

    def _answer(self, read: Read) -> bytes:
        if read.range.start < self._starts.get(read.file, 1 << 62):
            return self._source.read(read.file, *read.range)
        rng = np.random.default_rng([zlib.crc32(read.file.encode()), read.range.start])
        codes = rng.integers(0x3C00, 0x3CFF, (read.range.size + 1) // 2, dtype=np.uint16)
        codes |= rng.integers(0, 2, codes.size, dtype=np.uint16) << np.uint16(15)
        return codes.tobytes()[: read.range.size]

    def close(self) -> None:
        """Close the folder."""
        self._source.close()


def shapes() -> dict[str, TensorTable]:
    """The shapes measured."""
    wide = {"num_kv_heads": 8, "vocab_size": 128256}
    return {
        "8B dense": llama_table(intermediate_size=14336, **wide),
        "70B dense": llama_table(
            hidden_size=8192, num_layers=80, intermediate_size=28672, num_heads=64, **wide
        ),
        "405B dense": llama_table(
            hidden_size=16384, num_layers=126, intermediate_size=53248, num_heads=128, **wide
        ),
        "100B MoE": moe_table(),
        "1T MoE": moe_table(
            hidden_size=7168, num_layers=61, moe_intermediate_size=2048, num_experts=384, vocab_size=163840
        ),
    }


def measure_size(shape: str, table: TensorTable) -> Size:
    """Make the fingerprint of a shape."""
    with tempfile.TemporaryDirectory() as folder:
        sparse_checkpoint(folder, table.shapes, config=table.config, dtypes=table.dtypes)
        tokens = {
            "model": {"vocab": {f"token{k}": k for k in range(next(iter(table.shapes.values()))[0])}},
            "added_tokens": [],
        }
        (Path(folder) / "tokenizer.json").write_text(json.dumps(tokens))
        source = MadeUpSource(Path(folder))
        start = time.perf_counter()
        made = make_fingerprint(source)
        seconds = time.perf_counter() - start
        source.close()
    header = made.header
    return Size(
        shape=shape,
        parameters=header.parameters,
        data_bytes=header.data_bytes,
        file_bytes=len(made.data),
        sketch_bytes=len(read_sketch(made.data) or b""),
        read_bytes=header.read_bytes,
        sent_bytes=source.sent,
        requests=source.requests,
        layers_held=len(header.layers["text"]),
        layers=header.num_layers,
        plan=dict(header.plan),
        seconds=round(seconds, 1),
    )


@contextmanager
def fewest_rows() -> Iterator[None]:
    """Fingerprints made meanwhile hold as few rows a layer as those of the largest models."""
    ladder = sampled_rows.LADDER
    sampled_rows.LADDER = ladder[-1:]  # type: ignore[assignment]
    try:
        yield
    finally:
        sampled_rows.LADDER = ladder


def least_of(case: Case, zoo: Zoo) -> tuple[str, float | None]:
    """Relation and evidence of a case, with the fewest rows."""
    candidate = make_candidate(case, zoo.load).to_source(name=case.model)
    with fewest_rows():
        sources = held(zoo.path(case.reference), case.reference), held(candidate, case.model)
    found = compare_pair(*sources, reference_first=True)
    return found["relation"], found["log10_evalue"]


def held(model: Source | Path, name: str) -> MemorySource:
    """The fingerprint of a model, as a source."""
    return MemorySource({f"{name}{SUFFIX}": make_fingerprint(model).data}, name=name)


def chosen_cases(*, quick: bool) -> list[Case]:
    """Every edit and disguise of one fine-tune, the cases apart from these, and one independent model's."""
    alone = ("embx0", "sameinit0", "mixtral-0-sft", "mixtral-1", "tower-b", "tower-c")
    found = [
        c for c in cases() if c.model in alone or (c.model in ("sft0", "base1") and c.reference == "base0")
    ]
    labels = {"as trained", "keep units 0.6", "rotate"}
    return [c for c in found if not quick or c.label in labels]


def run_case(case: Case, zoo: Zoo) -> Found:
    """Compare the models of a case and their fingerprints."""
    reference, candidate = zoo.path(case.reference), make_candidate(case, zoo.load).to_source(name=case.model)
    sources = held(reference, case.reference), held(candidate, case.model)
    dated = compare_pair(*sources, reference_first=True)
    plain = compare_pair(*sources)
    full: dict[str, Any] = {"relation": "", "log10_evalue": None}
    if case.truth != "independent":
        full = compare_pair(reference, candidate, reference_first=True)
    return Found(
        case.group, case.label, case.truth, case.reference, case.model,
        full["relation"], full["log10_evalue"], dated["relation"], plain["relation"], dated["log10_evalue"],
        *least_of(case, zoo),
    )  # fmt: skip


Maker = Callable[[np.random.Generator], Checkpoint]
SMALL: dict[str, Any] = {"hidden_size": 16, "num_layers": 1, "num_heads": 2, "vocab_size": 64}
NULLS: dict[str, tuple[int, Maker, Maker]] = {}
"""Population -> pairs of a full run, and how reference and candidate are drawn."""


def _drawn(builder: Callable[..., Checkpoint], **options: Any) -> Maker:
    return lambda rng: builder(rng, **SMALL | options)


def _dense(**options: Any) -> Maker:
    return _drawn(llama, **{"num_kv_heads": 1, "intermediate_size": 48} | options)


NULLS["dense"] = (6000, _dense(), _dense())
NULLS["dense, reserved tokens"] = (
    800,
    _dense(vocab_size=128, reserved_tokens=64),
    _dense(vocab_size=128, reserved_tokens=64),
)
NULLS["heavy tails"] = (1000, _dense(heavy_tailed=2.5), _dense(heavy_tailed=2.5))
NULLS["massive channels"] = (400, _dense(massive_channels=2), _dense(massive_channels=2))
NULLS["units that differ in number"] = (600, _dense(intermediate_size=96), _dense(intermediate_size=64))
NULLS["depths that differ"] = (400, _dense(num_layers=2), _dense(num_layers=3))
FUSED = _drawn(gpt2, n_positions=16)
MIXED = _drawn(mixtral, num_kv_heads=1, intermediate_size=32, num_experts=8)
NULLS |= {"fused": (400, FUSED, FUSED), "experts": (600, MIXED, MIXED)}


def null_pair(population: str, number: int) -> tuple[Model, Model]:
    """Two independent models, opened from their fingerprints."""
    found = []
    for side, make in enumerate(NULLS[population][1:]):
        key = [SEED, zlib.crc32(population.encode()), number, side]
        name = f"{population} {number}{'ab'[side]}"
        checkpoint = make(np.random.default_rng(np.random.SeedSequence(key)))
        found.append(open_model(held(checkpoint.to_source(name=name), name)))
    return found[0], found[1]


def add_pair(tally: Tally, reference: Model, candidate: Model, *, seed: int) -> None:
    """Examine two fingerprints as a comparison does, and count what every test and component said."""
    found = examine(reference, candidate, seed=seed)
    for test, results in _by_test(found).items():
        log = average([combine_clusters([row.log_evalue for row in r.rows]) for r in results])
        tally.log_evalues.setdefault(test, []).append(log)
    logs = []
    for component, exam in found.exams.items():
        evidence = found.evidence(component)
        for check in exam.record.checks:
            tally.checks.setdefault(check.axis.rsplit(".", 1)[1], []).append(check.pvalue)
        if evidence is not None:
            tally.log_evalues.setdefault(f"component {component.kind}", []).append(evidence.log_evalue)
            logs.append(evidence.log_evalue)
    tally.log_evalues.setdefault("all components", []).append(average(logs))
    policy = Policy()
    verdict = decide(
        _cases(found, policy),
        policy=policy,
        learning=found.learning,
        reference_is_older=True,
        parameters=sum(found.parameters[1].values()),
    )
    tally.pairs += 1
    tally.accused += verdict.kind in DEPENDENCE


def independent_of_zoo() -> Iterator[tuple[str, str]]:
    """Independent pairs of the really trained models, both ways round."""
    rows = tomllib.loads((ZOO.parent / "truth.toml").read_text(encoding="utf-8"))["relation"]
    for row in rows:
        if row["truth"] == "independent":
            yield row["reference"], row["candidate"]
            yield row["candidate"], row["reference"]


def run_null(share: float) -> dict[str, Any]:
    """Simulated pairs and the zoo's: what every e-value did, and what broke a bound."""
    broken, rows, pairs, accused = [], [], 0, 0
    everything: list[float] = []
    for population, (count, *_) in NULLS.items():
        tally = Tally()
        for number in range(max(int(count * share), 2)):
            add_pair(tally, *null_pair(population, number), seed=number)
        broken += [f"{population}: {text}" for text in failures(tally, structured=False)]
        rows += [
            {"population": population, **asdict(summarise(name, logs))}
            for name, logs in sorted(tally.log_evalues.items())
        ]
        everything += tally.log_evalues["all components"]
        pairs, accused = pairs + tally.pairs, accused + tally.accused
        print(f"{population}: {tally.pairs} pairs", file=sys.stderr, flush=True)
    kept = {name: open_model(held(ZOO / name, name)) for name in {n for p in independent_of_zoo() for n in p}}
    zoo = Tally()
    for reference, candidate in independent_of_zoo():
        add_pair(zoo, kept[reference], kept[candidate], seed=0)
    if zoo.accused:
        broken.append(f"zoo: {zoo.accused} independent pairs are called dependent")
    return {
        "pairs": pairs,
        "accused": accused,
        "all": asdict(summarise("all components", everything)),
        "rows": rows,
        "zoo": {
            "pairs": zoo.pairs,
            "accused": zoo.accused,
            "largest": max(max(logs) for logs in zoo.log_evalues.values()) / LOG10,
        },
        "broken": broken,
    }


def missed_bars(document: dict[str, Any]) -> list[str]:
    """Every bar that is missed."""
    missed = list(document["null"]["broken"])
    for row in document["sizes"]:
        for key, most in (("file_bytes", MAX_BYTES), ("sketch_bytes", MAX_SKETCH), ("share", MAX_SHARE)):
            if row[key] > most:
                missed.append(f"{row['shape']}: {key} is {row[key]}; at most {most}")
    for row in document["power"]:
        for key in ("dated_relation", "least_relation"):
            if row["truth"] == "independent" and row[key] not in ("no_evidence", "inconclusive"):
                missed.append(f"{row['candidate']}, {row['label']}: independent, and called {row[key]}")
    return missed


def main() -> int:
    """Measure, and write the pages where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="A few cases, for a smoke test.")
    parser.add_argument(
        "--write", action="store_true", help="Write the pages and the JSON under docs/reference."
    )
    parser.add_argument(
        "--pages", action="store_true", help="Write the pages from the JSON, measuring nothing."
    )
    given = parser.parse_args()
    if given.pages:
        write_pages(json.loads(JSON_FILE.read_text(encoding="utf-8")))
        return 0
    start = time.process_time()
    sizes = [measure_size(*item) for item in list(shapes().items())[: 1 if given.quick else None]]
    power = [run_case(case, Zoo()) for case in chosen_cases(quick=given.quick)]
    print(f"{len(power)} cases", file=sys.stderr, flush=True)
    document: dict[str, Any] = {
        "sizes": [{**asdict(size), "share": size.share} for size in sizes],
        "power": [asdict(found) for found in power],
        "null": run_null(0.002 if given.quick else 1.0),
    }
    missed = missed_bars(document)
    document["missed"] = missed
    document["cpu_seconds"] = round(time.process_time() - start)
    if given.write:
        write_pages(document)
    print(json.dumps({k: document[k] for k in ("sizes", "missed", "cpu_seconds")}, indent=1))
    print("\n".join(missed) or "every bar is met", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
