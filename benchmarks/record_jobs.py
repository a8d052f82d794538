"""One record to make and audit: what `record_experiments` runs in its worker processes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parent.parent
SEED = 20261126
WEIGHT_CHECKS = (
    "init_law",
    "init_spectrum",
    "init_regeneration",
    "step_bound",
    "unused_rows",
    "init_imprint",
    "neuron_identity",
    "geometry",
)
OTHER_WEIGHT_CHECKS = ("bytes", "duplicates", "foreign_lineage", "optimizer_state")
UNTOUCHED = ("log-", "totals-", "order-", "data-", "chain-")
"""Forgeries that leave weights as they were: what only looks at weights sees an honest run, and is left out."""

LOG_CHECKS = (
    *("continuity", "arithmetic", "clock", "compute", "number_grid", "residual_noise"),
    *("borrowed_noise", "curve_law", "first_loss"),
)
SAME_LOG = ("start-", "interpolated-", "swap-", "padding", "published-", "known-model", "state-")
"""Forgeries that leave the log as it was: what only looks at logs sees an honest run, and is left out."""

FINDERS = {
    **dict.fromkeys(("start-", "interpolated-", "swap-", "rates-halved"), "step_bound"),
    **dict.fromkeys(("log-recycled", "log-spliced"), "borrowed_noise"),
    "totals-inflated-throughout": "compute",  # before its shorter namesake
    **dict.fromkeys(("rates-edited", "totals-inflated"), "arithmetic"),
    "published-": "bytes",
    "padding": "duplicates",
    "known-model": "foreign_lineage",
    "log-cut": "continuity",
    "state-": "optimizer_state",
    "chain-": "precedence",
}
"""Of most forgeries made by arithmetic, a check that finds them: further instances are shown to it alone first."""

REPLAY_CHECKS = ("re_evaluation", "batch_echo", "memorisation", "palimpsest", "replay")


@dataclass(frozen=True, slots=True)
class Job:
    """A record and how it is audited.

    Attributes
    ----------
    group : str
        ``"honest"``, ``"cheap"``, ``"trained"`` or ``"sweep"``.
    name : str
        Kind of run, or of forgery.
    number : int
    replay : bool
        Whether the checks that run the model run.
    n_plants : int
        1 where only violations count: a forgery needs no power.
    option : str
        What a sweep varies.
    alone : bool
        Shown to the check of :data:`FINDERS` alone, and to all others only where that finds nothing.
    """

    group: str
    name: str
    number: int
    replay: bool = False
    n_plants: int = 1
    option: str = ""
    alone: bool = False

    @property
    def key(self) -> str:
        """File name of its result."""
        kind = "replay" if self.replay else "plain"
        option = f"-{self.option}" if self.option else ""
        alone = "-alone" if self.alone else ""
        return f"{self.group}-{self.name}-{self.number}{option}-{kind}-{self.n_plants}{alone}"


def kept_file(job: Job, work: Path) -> Path:
    """Where a job's result is kept under the present code."""
    return work / "results" / code_digest() / f"{job.key}.json"


def run(job: Job, work: Path) -> dict[str, Any]:
    """Make the record, audit it, keep what was found; a result that is there under the same code is taken."""
    kept = kept_file(job, work)
    if kept.exists():
        found: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
        return found
    began = time.perf_counter()
    pack, against = make(job, work)
    result = audited(job, pack, against)
    result["seconds"] = round(time.perf_counter() - began, 1)
    kept.parent.mkdir(parents=True, exist_ok=True)
    part = kept.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps(result, sort_keys=True), encoding="utf-8")
    part.rename(kept)
    if job.group == "cheap":
        shutil.rmtree(pack)  # made again in a tenth of a second
    return result


@cache
def code_digest() -> str:
    """Names what gives the numbers: the audit, the runs and the forgeries."""
    records = ROOT / "src/jokbo/records"
    told = {"history.py", "document.py", "evidence.py"}  # how a result is written down changes no result
    audit = (file for file in records.rglob("*.py") if file.name not in told and file.parent.name != "attest")
    files = sorted([*audit, *(ROOT / "zoo/record").glob("*.py")])
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def audited(job: Job, pack: Path, against: Sequence[str]) -> dict[str, Any]:
    """Audit a pack; the part of the document that the tables need."""
    from jokbo.records.audit import audit
    from jokbo.records.checks.choose import CHECKS

    checks = None if job.replay else [name for name in CHECKS if name not in REPLAY_CHECKS]
    if job.group == "sweep":
        checks = list(WEIGHT_CHECKS)
    elif checks and job.name.startswith(UNTOUCHED):
        checks = [name for name in checks if name not in (*WEIGHT_CHECKS, *OTHER_WEIGHT_CHECKS)]
    elif checks and job.name.startswith(SAME_LOG):
        checks = [name for name in checks if name not in LOG_CHECKS]
    first = next((check for name, check in FINDERS.items() if job.name.startswith(name)), None)
    for chosen in ([first], checks) if job.alone and first else (checks,):
        document = audit(
            pack,
            seed=SEED + job.number,
            against=against,
            replay=job.replay,
            checks=chosen,
            n_plants=job.n_plants,
        ).document
        if document["verdict"]["kind"] == "inconsistent":
            break
    return {
        "job": asdict(job),
        "verdict": document["verdict"]["kind"],
        "violated": document["verdict"]["violated"],
        "excluded": document["verdict"]["excluded"],
        "not_excluded": document["verdict"]["not_excluded"],
        "checks": {
            row["check"]: {
                key: row[key]
                for key in (
                    "kind",
                    "outcome",
                    "observation",
                    "statistic",
                    "threshold",
                    "log10_pvalue",
                    "planted",
                )
            }
            | {"reasons": [reason["code"] for reason in row["reasons"]]}
            for row in document["checks"]
        },
    }


def make(job: Job, work: Path) -> tuple[Path, tuple[str, ...]]:
    """The pack of a job, and what it is held against."""
    out = work / "packs" / f"{job.group}-{job.name}-{job.number}{job.option}"
    out.parent.mkdir(parents=True, exist_ok=True)
    if job.group == "cheap":
        from zoo.record.instances import against, forge

        pool = honest_pool(work)
        return forge(job.name, job.number, pool=pool, out=out), against(job.name, job.number, pool=pool)
    if out.exists():
        return out, ()
    if job.group == "sweep":
        from benchmarks.record_sweep import make_sweep

        return make_sweep(job.option, work=work, out=out), ()
    from jokbo.records.pack import write_pack

    folder = trained(job, work) if job.group == "trained" else honest(job.name, job.number, work)
    write_pack(folder / "record.toml", out, copy=False)
    return out, ()


def honest_pool(work: Path) -> list[Path]:
    """The honest plain runs that forgers use."""
    return sorted((work / "runs").glob("plain-*"))


def honest(name: str, number: int, work: Path) -> Path:
    """An honest run, trained when it is not there."""
    from zoo.record import honest as family

    return family.make(f"{name}-{number}", work / "runs", cache=work / "windows.npz")


def trained(job: Job, work: Path) -> Path:
    """A forgery that is trained, each towards another honest run."""
    from zoo.record.forge_train import HEAVY, KINDS, anchored, untrained

    from benchmarks.record_sweep import heavy_run

    pool = honest_pool(work)
    theirs = pool[job.number % len(pool)]
    if job.name == HEAVY:
        theirs = heavy_run(KINDS[HEAVY].decay, work)
    if job.name == "untrained":
        return untrained(job.number, theirs=theirs, out=work / "runs", cache=work / "windows.npz")
    return anchored(job.name, job.number, theirs=theirs, out=work / "runs", cache=work / "windows.npz")
