"""What a register of many models costs, from measured figures: ``python -m benchmarks.cluster_cost``.

One model with the tensor table of an 8B Llama (its weights are noise that is never held as a whole) is fingerprinted
over HTTP from a hub on this machine, and two such fingerprints are compared. Bytes and requests are counted by the
hub; seconds and memory are those of a process of its own. The rest is arithmetic, in :func:`costs`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from jokbo.evidence.canonical import canonical_bytes
from jokbo.formats.dtypes import DType
from jokbo.formats.writer import INDEX_FILE, TensorSpec, build_header, build_index, plan_shards
from jokbo.lineage.tasks import End, plan_tree
from jokbo.testing.hub import LocalHub
from jokbo.testing.serving import Content
from jokbo.testing.tables import llama_table

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    lang: ROOT / f"docs/how-to/run-on-many-machines{suffix}.md"
    for lang, suffix in (("en", ""), ("ko", ".ko"))
}
FIGURES = ROOT / "docs/reference/cluster-cost.json"
TEXTS = Path(__file__).with_name("cluster_cost_texts.toml")
BEGIN, END = "<!-- begin: benchmarks.cluster_cost -->", "<!-- end: benchmarks.cluster_cost -->"

MODELS = 10_000
WORKERS = 64
BITS_PER_SECOND = 1e9
ROUND_TRIP_SECONDS = 0.03
CONNECTIONS = 16
SHARD_BYTES = 5_000_000_000

WINDOW_SECONDS = 300.0
API_REQUESTS = 1_000
RESOLVER_REQUESTS = 5_000
"""What the Hugging Face hub allows a free account in a window, https://huggingface.co/docs/hub/rate-limits (2026)."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What one fingerprint and one pair cost here.

    Attributes
    ----------
    model_bytes, parameters : int
        Of the model.
    read_bytes : int
        Bytes of bodies that the hub sent, those of the tokenizer and other small files included.
    small_bytes : int
        Of these, the files that are not weights.
    api_requests, resolver_requests, content_requests : int
        To the hub's interface, to its addresses of files, and to the host of the weights.
    fingerprint_bytes : int
    result_bytes : int
        What a worker sends back of a pair.
    fingerprint_seconds, pair_seconds : float
        Of processor time.
    fingerprint_mb, pair_mb : float
        Peak memory of the process.
    plan_seconds_a_pair : float
    """

    model_bytes: int
    parameters: int
    read_bytes: int
    small_bytes: int
    api_requests: int
    resolver_requests: int
    content_requests: int
    fingerprint_bytes: int
    result_bytes: int
    fingerprint_seconds: float
    pair_seconds: float
    fingerprint_mb: float
    pair_mb: float
    plan_seconds_a_pair: float


@dataclass(frozen=True, slots=True)
class Costs:
    """What a register costs; seconds, bytes, counts.

    Attributes
    ----------
    bytes_all, bytes_whole : float
        Read for all fingerprints, and what whole models would be.
    disk_bytes : float
        All fingerprints.
    api, resolver, content : int
        Requests of all fingerprints.
    seconds_bandwidth, seconds_rounds, seconds_processors, seconds_api, seconds_resolver : float
        Time that each of these alone asks for: the line, round trips, processors, and the hub's two limits.
    seconds_all : float
        The largest of them: they overlap.
    search_pairs : int
    seconds_pairs_1000 : float
        All pairs of 1,000 on the workers.
    """

    bytes_all: float
    bytes_whole: float
    disk_bytes: float
    api: int
    resolver: int
    content: int
    seconds_bandwidth: float
    seconds_rounds: float
    seconds_processors: float
    seconds_api: float
    seconds_resolver: float
    seconds_all: float
    pairs_1000: int
    seconds_pairs_1000: float


def costs(
    one: Measured,
    *,
    models: int = MODELS,
    workers: int = WORKERS,
    bits_per_second: float = BITS_PER_SECOND,
) -> Costs:
    """From one model to many.

    Parameters
    ----------
    one : Measured
    models : int
    workers : int
        Processors of the cluster, each with one task.
    bits_per_second : float
        Of the line that all workers share.
    """
    rounds = one.api_requests + one.resolver_requests + one.content_requests / CONNECTIONS
    each = {
        "seconds_bandwidth": 8 * models * one.read_bytes / bits_per_second,
        "seconds_rounds": models * rounds * ROUND_TRIP_SECONDS / workers,
        "seconds_processors": models * one.fingerprint_seconds / workers,
        "seconds_api": models * one.api_requests / API_REQUESTS * WINDOW_SECONDS,
        "seconds_resolver": models * one.resolver_requests / RESOLVER_REQUESTS * WINDOW_SECONDS,
    }
    pairs = 1000 * 999 // 2
    return Costs(
        bytes_all=models * one.read_bytes,
        bytes_whole=models * one.model_bytes,
        disk_bytes=models * one.fingerprint_bytes,
        api=models * one.api_requests,
        resolver=models * one.resolver_requests,
        content=models * one.content_requests,
        **each,
        seconds_all=max(each.values()),
        pairs_1000=pairs,
        seconds_pairs_1000=pairs * one.pair_seconds / workers,
    )


class NoiseContent(Content):
    """A file of weights of any size: a header, and bfloat16 noise that repeats after a million numbers or so."""

    def __init__(self, header: bytes, size: int, seed: int) -> None:
        values = np.random.default_rng(seed).normal(0, 0.02, 1_000_003).astype(np.float32)
        self._tile = (values.view(np.uint32) >> 16).astype(np.uint16).tobytes()
        self._header = header
        self._seed = seed
        super().__init__(size)

    def read(self, start: int, stop: int) -> bytes:
        """Bytes of a range."""
        head = self._header[start:stop]
        low, high = max(start - len(self._header), 0), stop - len(self._header)
        if high <= low:
            return head
        at = low % len(self._tile)
        times = -(-(at + high - low) // len(self._tile))
        return head + (self._tile * times)[at : at + high - low]

    def _digest(self) -> str:
        import hashlib

        return hashlib.sha256(f"{self._seed} {self.size}".encode() + self._header).hexdigest()


def model_files(seed: int) -> dict[str, Content | bytes]:
    """The files of a model with the shapes of Llama 3 8B (Grattafiori et al. 2024), its tokenizer's size included."""
    table = llama_table(intermediate_size=14336, num_kv_heads=8, vocab_size=128_256)
    specs = {name: TensorSpec(DType.BF16, shape) for name, shape in table.shapes.items()}
    shards = plan_shards(specs, shard_bytes=SHARD_BYTES)
    files: dict[str, Content | bytes] = {
        "config.json": json.dumps(table.config).encode(),
        "tokenizer.json": tokenizer(128_256),
        "README.md": b"---\nlicense: mit\n---\n" + b"A model card of some length. " * 700,
        INDEX_FILE: build_index(shards, specs),
    }
    for number, (file, names) in enumerate(shards.items()):
        header = build_header({name: specs[name] for name in names}, {"format": "pt"})
        size = len(header) + sum(specs[name].data_bytes for name in names)
        files[file] = NoiseContent(header, size, 1000 * seed + number)
    return files


def tokenizer(size: int) -> bytes:
    """A tokenizer of 9 MB, as those of 128,000 tokens are."""
    rng = np.random.default_rng(0)
    letters = rng.integers(97, 123, (size, 8), dtype=np.uint8)
    words = [f"{row.tobytes().decode()}{k}" for k, row in enumerate(letters)]
    merges = [f"{words[k % size][:5]} {words[(7 * k) % size][:9]}" for k in range(280_147)]
    model = {"type": "BPE", "vocab": {word: k for k, word in enumerate(words)}, "merges": merges}
    return json.dumps({"version": "1.0", "model": model}, separators=(",", ":")).encode()


def measure() -> Measured:
    """Fingerprint two models over HTTP and compare them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = [model_files(seed) for seed in (1, 2)]
        with LocalHub({f"local/m{k}": each for k, each in enumerate(files)}) as hub:
            made = [_child("fingerprint", f"local/m{k}", folder / f"{k}", hub.endpoint) for k in range(2)]
            logs = [r for r in hub.requests if "m1" in r.path]
            sent = hub.bytes_sent
        pair = _child("pair", str(folder / "0"), str(folder / "1"), "")
    api = sum("/api/" in r.path for r in logs)
    content = sum(r.role == "content" for r in logs)
    small = sum(len(f) for n, f in files[1].items() if isinstance(f, bytes))
    started = time.process_time()
    planned = plan_tree([End.of_fingerprint(f"{k}", f"{k:064x}") for k in range(400)])
    plan_seconds = (time.process_time() - started) / len(planned)
    sizes = [f.size if isinstance(f, Content) else 0 for f in files[1].values()]
    return Measured(
        model_bytes=sum(sizes),
        parameters=made[1]["parameters"],
        read_bytes=sent // 2,
        small_bytes=small,
        api_requests=api,
        resolver_requests=len(logs) - api - content,
        content_requests=content,
        fingerprint_bytes=made[1]["bytes"],
        result_bytes=pair["bytes"],
        fingerprint_seconds=made[1]["seconds"],
        pair_seconds=pair["seconds"],
        fingerprint_mb=made[1]["peak_mb"],
        pair_mb=pair["peak_mb"],
        plan_seconds_a_pair=plan_seconds,
    )


def _child(*arguments: object) -> dict[str, float | int]:
    """One piece of work in a process of its own, with an empty cache and one BLAS thread."""
    with tempfile.TemporaryDirectory() as cache:
        environment = os.environ | {"JOKBO_CACHE": cache, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "benchmarks.cluster_cost", "--child", *map(str, arguments)]
        out = subprocess.run(command, env=environment, check=True, capture_output=True, cwd=ROOT).stdout
    found: dict[str, float | int] = json.loads(out)
    return found


def child(kind: str, first: str, second: str, endpoint: str) -> dict[str, float | int]:
    """What :func:`measure` runs in a process: a fingerprint, or ten pairs; seconds without the imports of Python."""
    from jokbo.lineage.fingerprint import SUFFIX, make_fingerprint
    from jokbo.lineage.pairs import compare_pair
    from jokbo.sources.base import OpenOptions

    started = time.process_time()
    if kind == "fingerprint":
        made = make_fingerprint(first, options=OpenOptions(endpoint=endpoint))
        made.write(f"{second}{SUFFIX}")
        found: dict[str, float | int] = {"bytes": len(made.data), "parameters": made.header.parameters}
        times = 1
    else:
        times = 10
        compare_pair(f"{first}{SUFFIX}", f"{second}{SUFFIX}")  # what is imported and set up once
        started = time.process_time()
        results = [compare_pair(f"{first}{SUFFIX}", f"{second}{SUFFIX}", seed=k) for k in range(times)]
        found = {"bytes": len(canonical_bytes(results[0]))}
    found["seconds"] = (time.process_time() - started) / times
    return found | {"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def table(one: Measured, lang: str) -> str:
    """The tables of the page: what was measured, and what follows."""
    from jokbo.report.task_line import duration
    from jokbo.report.texts import Texts

    t, words = Texts(lang), tomllib.loads(TEXTS.read_text(encoding="utf-8"))[lang]
    all_of = costs(one)
    values: Mapping[str, str] = {
        "model": t.bytes(one.model_bytes),
        "read": f"{t.bytes(one.read_bytes)} ({t.percent(one.read_bytes / one.model_bytes)})",
        "small": t.bytes(one.small_bytes),
        "requests": f"{one.api_requests} / {one.resolver_requests} / {one.content_requests}",
        "file": t.bytes(one.fingerprint_bytes),
        "fingerprint": f"{t.number(one.fingerprint_seconds, digits=1)} s, {t.number(one.fingerprint_mb)} MB",
        "pair": f"{t.number(one.pair_seconds, digits=2)} s, {t.number(one.pair_mb)} MB",
        "result": t.bytes(one.result_bytes),
        "plan": f"{t.number(1e6 * one.plan_seconds_a_pair)} µs",
        "all_read": f"{t.bytes(int(all_of.bytes_all))} ({t.bytes(int(all_of.bytes_whole))})",
        "all_disk": t.bytes(int(all_of.disk_bytes)),
        "all_requests": f"{t.number(all_of.api)} / {t.number(all_of.resolver)} / {t.number(all_of.content)}",
        "line": duration(all_of.seconds_bandwidth, t),
        "rounds": duration(all_of.seconds_rounds, t),
        "processors": duration(all_of.seconds_processors, t),
        "api": duration(all_of.seconds_api, t),
        "resolver": duration(all_of.seconds_resolver, t),
        "whole": duration(all_of.seconds_all, t),
        "tree": duration(all_of.seconds_pairs_1000, t),
    }
    lines = []
    for part in ("measured", "derived"):
        lines += ["", f"| {words[part]['title']} | |", "|---|---|"]
        lines += [f"| {words[part][key]} | {values[key]} |" for key in words[part] if key != "title"]
    return "\n".join(lines[1:])


def write_page(page: Path, text: str) -> None:
    """Put the tables between their marks."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, or only write the pages again from the figures that are kept."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cluster_cost", description=__doc__)
    parser.add_argument("--pages-only", action="store_true", help="from the figures of the last measurement")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        print(json.dumps(child(*options.child)))
        return
    if not options.pages_only:
        found = {
            "machine": f"{platform.machine()}, {os.cpu_count()} processors",
            "measured": asdict(measure()),
        }
        FIGURES.write_text(json.dumps(found, indent=2) + "\n")
    one = Measured(**json.loads(FIGURES.read_text())["measured"])
    for lang, page in PAGES.items():
        write_page(page, table(one, lang))


if __name__ == "__main__":
    main()
