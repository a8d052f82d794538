"""The honest family: every kind of run that section 8 of the specification names, declared as it was.

``python -m zoo.record.honest --out FOLDER [NAME ...]`` trains them.
"""

from __future__ import annotations

import argparse
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
from zoo.record import text
from zoo.record.declare import to_toml
from zoo.record.recipes import STEPS, TORCH_PROCEDURE, Recipe

from jokbo.records.declaration import (
    BatchPhase,
    CheckpointEntry,
    CheckpointRole,
    Data,
    Declaration,
    Event,
    EventKind,
    Hardware,
    LogEntry,
    Model,
    Optimizer,
    Schedule,
)

ADAM_DECAY = 0.1
MATRICES = "matrices"
SGD = Optimizer("sgd", betas=(0.9,), weight_decay=1e-3, decays=MATRICES, clip=1.0)
LION = Optimizer("lion", betas=(0.9, 0.99), weight_decay=1.0, decays=MATRICES, clip=1.0)
MUON = Optimizer(
    "muon", betas=(0.95,), weight_decay=0.1, decays=MATRICES, clip=1.0, vectors="adamw", rate_scale=5.0
)
RAMP = (BatchPhase(1, 8, 64), BatchPhase(101, 16, 64), BatchPhase(201, 32, 64))
COSINE = Schedule("cosine", peak=3e-3, warmup_steps=20, total_steps=STEPS, final=0.1)
WSD = Schedule("wsd", peak=3e-3, warmup_steps=20, total_steps=200, decay_steps=60, final=0.1)

KINDS: dict[str, Recipe] = {
    "plain": Recipe("plain", 0),
    "resume": Recipe(
        "resume",
        0,
        procedure=TORCH_PROCEDURE,
        restarts=(100, 200),
        events=(Event(EventKind.RESTART, 101), Event(EventKind.RESTART, 201)),
    ),
    "rollback": Recipe(
        "rollback", 0, rollback=(180, 150), events=(Event(EventKind.ROLLBACK, 180, 150, "loss spike"),)
    ),
    "ramp": Recipe(
        "ramp",
        0,
        batch=RAMP,
        events=(Event(EventKind.BATCH_CHANGE, 101), Event(EventKind.BATCH_CHANGE, 201)),
    ),
    "rewarm": Recipe(
        "rewarm", 0, schedule=WSD, rewarm=(200, 1.5e-3), events=(Event(EventKind.RATE_CHANGE, 201, STEPS),)
    ),
    "average": Recipe("average", 0, average=(284, 292, 300), events=(Event(EventKind.AVERAGE, 284, 300),)),
    "tied": Recipe("tied", 0, tied=True),
    "sgd": Recipe("sgd", 0, optimizer=SGD, schedule=replace(COSINE, peak=0.3)),
    "lion": Recipe("lion", 0, optimizer=LION, schedule=replace(COSINE, peak=1e-3)),
    "muon": Recipe("muon", 0, optimizer=MUON),
    "bf16": Recipe("bf16", 0, storage="BF16"),
    "missing": Recipe(
        "missing", 0, missing_log=(121, 160), events=(Event(EventKind.MISSING_LOG, 121, 160, "disk full"),)
    ),
    "norms": Recipe(
        "norms",
        0,
        norms_from=150,
        events=(Event(EventKind.BACKBONE_CHANGE, 151, note="queries and keys are normalised"),),
    ),
}


def recipe(name: str) -> Recipe:
    """A recipe by the folder's name, ``kind-number``; no two runs share a seed."""
    kind, _, number = name.rpartition("-")
    return replace(KINDS[kind], number=int(number), seed=1000 * list(KINDS).index(kind) + int(number))


def entries(made: Recipe) -> tuple[CheckpointEntry, ...]:
    """Every checkpoint that a run keeps, and what is published."""
    found = [
        CheckpointEntry(
            f"step-{step}",
            step,
            path=f"checkpoints/step-{step}",
            optimizer=f"optimizer/step-{step}.safetensors" if step in made.states and step else "",
        )
        for step in made.checkpoints
    ]
    parts = made.average
    if parts:
        average = CheckpointRole.AVERAGE
        found.append(
            CheckpointEntry("average", made.steps, path="checkpoints/average", role=average, average_of=parts)
        )
    role = CheckpointRole.PUBLISHED
    found.append(CheckpointEntry("published", made.steps, path="published", role=role, average_of=parts))
    return tuple(found)


def declaration(made: Recipe, *, windows: np.ndarray, log: tuple[LogEntry, ...]) -> Declaration:
    """What the maker says of an honest run: the truth."""
    unseen = np.setdiff1d(np.arange(text.VOCAB_SIZE), np.unique(windows))
    tokens = sum(
        phase.tokens * (end - phase.from_step)
        for phase, end in zip(
            made.batch, [*(p.from_step for p in made.batch[1:]), made.steps + 1], strict=True
        )
    )
    schedule = made.schedule if made.rewarm is None else Schedule("logged")
    return Declaration(
        name=made.name,
        steps=made.steps,
        model=Model(config="" if made.norms_from else "config.json", vocab_size=text.VOCAB_SIZE),
        optimizer=made.optimizer,
        schedule=schedule,
        batch=made.batch,
        initialisation=made.law,
        hardware=Hardware("x86-64 core", 1, 1.6e11, "F32"),
        data=Data(
            windows="windows.npy",
            order="order.npy",
            held_out="held_out.npy",
            unseen_tokens=tuple(int(token) for token in unseen),
            tokens=int(tokens),
        ),
        log=log,
        checkpoint=entries(made),
        event=made.events,
        environment={"python": "3.11", "torch": "2.13.0"},
    )


def make(name: str, out: Path, *, cache: Path) -> Path:
    """Train one honest run of the family into ``out/name``; a finished one is left as it is."""
    return train_recipe(recipe(name), out, cache=cache)


def train_recipe(made: Recipe, out: Path, *, cache: Path) -> Path:
    """Train any recipe honestly into the folder of its name."""
    from zoo.record import write
    from zoo.record.trainer import choose_data, train

    folder = out / made.name
    if (folder / "record.toml").exists():
        return folder
    part = out / f".{made.name}.{os.getpid()}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    run = choose_data(made, *text.windows(cache))
    train(run, part)
    write.publish(run, part)
    log = write.jsonl(run, part)
    said = declaration(made, windows=run.windows, log=(log,))
    (part / "record.toml").write_text(to_toml(said), encoding="utf-8")
    if not folder.exists():
        part.rename(folder)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("names", nargs="*", default=[f"{kind}-0" for kind in KINDS])
    arguments = parser.parse_args()
    for name in arguments.names:
        print(make(name, arguments.out, cache=arguments.out / ".cache/windows.npz"))


if __name__ == "__main__":
    main()
