"""Forgeries by number: which honest run is the forger's own, and which the stolen one.

``python -m zoo.record.instances --runs RUNS --out PACKS [--count N] [NAME ...]`` writes them as packs.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import zlib
from pathlib import Path

import numpy as np
from zoo.record.draft import Draft
from zoo.record.forge import WEIGHTS, Recipe
from zoo.record.forge_chain import CHAINS
from zoo.record.forge_logs import LOGS

from jokbo.records.forgeries import Forgery

CHEAP: dict[str, Recipe] = {recipe.name: recipe for recipe in (*WEIGHTS, *LOGS, *CHAINS)}
CHAINED = frozenset(recipe.name for recipe in CHAINS)
COMMITTED = Path(__file__).parent.parent / "records/small"


def pair(pool: list[Path], number: int) -> tuple[Path, Path]:
    """The forger's own run and the stolen one: each instance another pair while there are any."""
    own = number % len(pool)
    apart = 1 + (number // len(pool)) % (len(pool) - 1)
    return pool[own], pool[(own + apart) % len(pool)]


def against(name: str, number: int, *, pool: list[Path]) -> tuple[str, ...]:
    """What the auditor holds the record against: the stolen run, where the forgery needs it to be known."""
    if name in CHAINED:
        return ()
    forgery, (_, theirs) = CHEAP[name].forgery, pair(pool, number)
    if forgery is Forgery.KNOWN_MODEL:
        return (str(theirs / "published"),)
    return (str(theirs / "log.jsonl"),) if forgery in (Forgery.RECYCLED_LOG, Forgery.SPLICED_LOG) else ()


def _on_this_disk(record: Path, copy: Path) -> Path:
    """A copy that can be linked from: the repository may lie on another disk."""
    if not copy.exists():
        part = copy.with_name(f"{copy.name}.{os.getpid()}")
        shutil.copytree(record, part)
        try:
            part.rename(copy)
        except OSError:
            shutil.rmtree(part)  # another process was first
    return copy


def forge(name: str, number: int, *, pool: list[Path], out: Path) -> Path:
    """Write one instance of a forgery as a pack; its name and number decide every choice."""
    recipe = CHEAP[name]
    own, theirs = pair(pool, number)
    if name in CHAINED:
        own = _on_this_disk(COMMITTED, pool[0].parent / ".committed")
    rng = np.random.default_rng([zlib.crc32(name.encode()), number])
    out.parent.mkdir(parents=True, exist_ok=True)
    desk = Path(tempfile.mkdtemp(prefix=f".{name}-{number}-", dir=out.parent))
    try:
        draft = Draft.of(own, desk / "draft")
        recipe.make(draft, theirs, rng)
        return draft.pack(out)
    finally:
        shutil.rmtree(desk, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("names", nargs="*", default=list(CHEAP))
    arguments = parser.parse_args()
    pool = sorted(arguments.runs.glob("plain-*"))
    for name in arguments.names:
        for number in range(arguments.count):
            print(forge(name, number, pool=pool, out=arguments.out / f"forged-{name}-{number}"))


if __name__ == "__main__":
    main()
