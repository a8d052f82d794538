"""Honest runs at other settings: where do the checks on weights stop being able to tell?"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
from zoo.record.draft import Draft

from jokbo.records.declaration import CheckpointRole

DECAYS = (0.1, 1.0, 2.0, 4.0, 8.0)
DTYPES = ("F32", "BF16")
GAPS = {"12": None, "4": (0, 100, 200, 300), "2": (0, 300)}
"""Checkpoints that are disclosed, by their number."""


def options() -> tuple[str, ...]:
    """Every setting, as ``decay_dtype_checkpoints``."""
    return tuple(f"{decay:g}_{dtype}_{gap}" for decay in DECAYS for dtype in DTYPES for gap in GAPS)


def decay_sum(decay: float) -> float:
    """Weight decay times the sum of all rates."""
    from zoo.record.honest import KINDS
    from zoo.record.trainer import rates

    return float(decay * rates(KINDS["plain"]).sum())


def make_sweep(option: str, *, work: Path, out: Path) -> Path:
    """The pack of one setting: a run with that decay, its weights stored in that type, some checkpoints left out."""
    decay, dtype, gap = option.split("_")
    draft = Draft.of(heavy_run(float(decay), work), out.with_name(f".{out.name}.desk"))
    try:
        chosen = GAPS[gap]
        if chosen is not None:
            _keep(draft, set(chosen))
        if dtype == "BF16":
            _store_bf16(draft)
        return draft.pack(out)
    finally:
        shutil.rmtree(draft.folder, ignore_errors=True)


def heavy_run(decay: float, work: Path) -> Path:
    """An honest run with that weight decay, trained when it is not there."""
    from zoo.record import honest
    from zoo.record.recipes import ADAMW, Recipe

    made = Recipe(f"decay{decay:g}", 70_000 + int(10 * decay), optimizer=replace(ADAMW, weight_decay=decay))
    return honest.train_recipe(made, work / "runs", cache=work / "windows.npz")


def _keep(draft: Draft, steps: set[int]) -> None:
    draft.drop_states()
    entries = tuple(
        entry
        for entry in draft.declaration.checkpoint
        if entry.role is not CheckpointRole.TRAINING or entry.step in steps
    )
    draft.declaration = replace(draft.declaration, checkpoint=entries)


def _store_bf16(draft: Draft) -> None:
    import ml_dtypes

    law = draft.declaration.initialisation
    if law is not None:
        draft.declaration = replace(draft.declaration, initialisation=replace(law, stored="BF16"))
    for step in draft.steps:
        cast = {name: value.astype(ml_dtypes.bfloat16) for name, value in draft.weights(step).items()}
        draft.put_weights(step, {name: np.ascontiguousarray(value) for name, value in cast.items()})
