"""Forgeries of a chain of commitments; the draft is a record that has one."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from zoo.record.draft import Draft
from zoo.record.forge import Recipe

from jokbo.records.forgeries import Forgery

CHAIN = "commitments/chain.jsonl"


def weights_after(draft: Draft, theirs: Path, rng: np.random.Generator) -> None:
    """A checkpoint that was committed to is changed afterwards in one row."""
    step = int(rng.choice(draft.steps[1:]))
    tensors = draft.weights(step)
    name = sorted(tensors)[int(rng.integers(len(tensors)))]
    tensors[name] = tensors[name].copy()
    tensors[name][int(rng.integers(len(tensors[name])))] *= np.float32(1.01)
    draft.put_weights(step, tensors)


def links_reordered(draft: Draft, theirs: Path, rng: np.random.Generator) -> None:
    """Two neighbouring links change places."""
    path = draft.folder / CHAIN
    lines = path.read_bytes().splitlines(keepends=True)
    first = int(rng.integers(1, len(lines) - 1))
    lines[first], lines[first + 1] = lines[first + 1], lines[first]
    path.unlink()
    path.write_bytes(b"".join(lines))


def link_dropped(draft: Draft, theirs: Path, rng: np.random.Generator) -> None:
    """A link of the middle is taken out."""
    path = draft.folder / CHAIN
    lines = path.read_bytes().splitlines(keepends=True)
    del lines[int(rng.integers(1, len(lines) - 1))]
    path.unlink()
    path.write_bytes(b"".join(lines))


def signed_afterwards(draft: Draft, theirs: Path, rng: np.random.Generator) -> None:
    """A whole chain signed in one go with another key, its stated times those that it should have had."""
    from jokbo.records.commit.keys import make_key
    from jokbo.records.commit.writer import commit

    shutil.rmtree(draft.folder / "commitments")
    (draft.folder / "key.pub").unlink()
    key = make_key(draft.folder.parent / "forger")
    shutil.copy(draft.folder.parent / "forger.pub", draft.folder / "key.pub")
    when = datetime(2026, 1, 2, tzinfo=UTC) + timedelta(minutes=int(rng.integers(60)))
    data = [draft.folder / f"{name}.npy" for name in ("windows", "order", "held_out")]
    beacon = draft.folder / "beacon.txt"
    commit(draft.folder, data, key=key, name=draft.declaration.name, beacon=beacon, step=0, now=when)
    for step in draft.steps:
        items = [draft.folder / f"checkpoints/step-{step}"]
        commit(draft.folder, items, key=key, step=step, now=when + timedelta(seconds=step))
    entries = tuple(replace(entry, optimizer="") for entry in draft.declaration.checkpoint)
    draft.declaration = replace(draft.declaration, checkpoint=entries)


CHAINS: tuple[Recipe, ...] = (
    Recipe("chain-weights-after", Forgery.BACKDATING, weights_after),
    Recipe("chain-reordered", Forgery.BACKDATING, links_reordered),
    Recipe("chain-link-dropped", Forgery.BACKDATING, link_dropped),
    Recipe("chain-signed-afterwards", Forgery.BACKDATING, signed_afterwards),
)
