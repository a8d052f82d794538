"""Forgeries that are trained: a hidden pull towards stolen weights, and untraining shown in reverse."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from transformers import PreTrainedModel
from zoo.record import honest, text, write
from zoo.record.declare import to_toml
from zoo.record.forge import mixed
from zoo.record.recipes import ADAMW, COSINE, STATES, STEPS, Recipe
from zoo.record.trainer import Penalty, choose_data, train

from jokbo.records.declaration import Optimizer, Schedule
from jokbo.records.initialise import initial_weights

FORGER_SEED = 500_000
EMBEDDING = "model.embed_tokens.weight"


HEAVY = "anchored-decay-rows"
"""Its stolen weights are of a run with the same heavy decay, so that copied rows shrink as theirs did."""


@dataclass(frozen=True, slots=True)
class Anchored:
    """Genuine AdamW from a random start, with a hidden pull towards stolen weights.

    Attributes
    ----------
    pull : float
        Weight of the squared distance at the end; it grows from a hundredth of it.
    planted : float
        Cosine of step 0 with the stolen weights, matrix by matrix; 0 for a true random start.
    rows : bool
        Copy rows of never-seen tokens so that they fit the stolen ones.
    states : bool
        Disclose the optimizer states, which hold the hidden term too.
    decay, peak : float
        Of the optimizer, declared as they are.
    """

    pull: float = 100.0
    planted: float = 0.0
    rows: bool = False
    states: bool = False
    decay: float = ADAMW.weight_decay
    peak: float = COSINE.peak

    @property
    def optimizer(self) -> Optimizer:
        """As declared, and used."""
        return replace(ADAMW, weight_decay=self.decay)

    @property
    def schedule(self) -> Schedule:
        """As declared, and used."""
        return replace(COSINE, peak=self.peak)


KINDS: dict[str, Anchored] = {
    "anchored-1": Anchored(pull=1.0),
    "anchored-10": Anchored(pull=10.0),
    "anchored-100": Anchored(pull=100.0),
    "anchored-states": Anchored(states=True),
    "anchored-planted": Anchored(planted=0.44),
    "anchored-planted-03": Anchored(planted=0.03),
    "anchored-rows": Anchored(rows=True),
    "anchored-planted-rows": Anchored(planted=0.2, rows=True),
    "anchored-decay": Anchored(decay=5.0),
    HEAVY: Anchored(decay=4.0, rows=True),
}


def penalty(target: Mapping[str, torch.Tensor], kind: Anchored, spared: np.ndarray | None = None) -> Penalty:
    """The hidden term: kappa times the squared distance from the stolen weights, growing as the run goes.

    Rows `spared` of the input embedding are not pulled: decay alone brings copied ones where they should be.
    """
    weight = {name: torch.ones(len(value), *[1] * (value.ndim - 1)) for name, value in target.items()}
    if spared is not None:
        weight[EMBEDDING][torch.from_numpy(spared)] = 0.0

    def term(model: PreTrainedModel, index: int) -> torch.Tensor:
        # Slow at first, so that early losses fall as an honest run's do.
        kappa = kind.pull * 10 ** (-2 * (1 - index / STEPS))
        distances = [
            (weight[name] * (parameter - target[name]).pow(2)).sum()
            for name, parameter in model.named_parameters()
        ]
        return kappa * torch.stack(distances).sum()

    return term


def anchored(name: str, number: int, *, theirs: Path, out: Path, cache: Path) -> Path:
    """Train one anchored run into the folder ``out/name-number``, declared as if it were plain."""
    kind = KINDS[name]
    made = replace(
        Recipe("plain", FORGER_SEED + number),
        number=number,
        optimizer=kind.optimizer,
        schedule=kind.schedule,
        states=STATES if kind.states else (),
    )
    target = load_file(theirs / f"checkpoints/step-{STEPS}/model.safetensors")
    start = load_file(theirs / "checkpoints/step-0/model.safetensors")
    unseen = _unseen(theirs)
    begun = _start(made, kind, {k: v.numpy() for k, v in target.items()}, unseen, start)
    hidden = penalty(target, kind, unseen if kind.rows else None)
    data = theirs if kind.rows else None
    return _write(f"{name}-{number}", made, out, cache, hidden=hidden, start=begun, data=data)


def _unseen(theirs: Path) -> np.ndarray:
    return np.setdiff1d(np.arange(text.VOCAB_SIZE), np.unique(np.load(theirs / "windows.npy")))


def _start(
    made: Recipe,
    kind: Anchored,
    target: Mapping[str, np.ndarray],
    unseen: np.ndarray,
    first: Mapping[str, torch.Tensor],
) -> dict[str, torch.Tensor] | None:
    if not kind.planted and not kind.rows:
        return None
    found = initial_weights({k: v.shape for k, v in target.items()}, seed=made.seed, law=made.law)
    if kind.planted:
        found = mixed(dict(found), dict(target), kind.planted)
    if kind.rows:
        # Rows that get no gradient end where decay alone takes them: begin at what leads to the stolen ones.
        found[EMBEDDING][unseen] = first[EMBEDDING].numpy()[unseen]
    return {k: torch.from_numpy(np.array(v)) for k, v in found.items()}


def untrained(number: int, *, theirs: Path, out: Path, cache: Path) -> Path:
    """Drive stolen weights to a random start, and show the checkpoints in reverse under an honest log."""
    made = replace(Recipe("plain", FORGER_SEED + 10_000 + number), number=number)
    end = load_file(theirs / f"checkpoints/step-{STEPS}/model.safetensors")
    drawn = initial_weights({k: tuple(v.shape) for k, v in end.items()}, seed=made.seed, law=made.law)
    target = {k: torch.from_numpy(v) for k, v in drawn.items()}
    return _write(
        f"untrained-{number}",
        replace(made, checkpoints=tuple(sorted(STEPS - step for step in made.checkpoints)), states=()),
        out,
        cache,
        hidden=penalty(target, Anchored(pull=100.0)),
        start=end,
        reverse=True,
    )


def _write(
    name: str,
    made: Recipe,
    out: Path,
    cache: Path,
    *,
    hidden: Penalty,
    start: Mapping[str, torch.Tensor] | None,
    reverse: bool = False,
    data: Path | None = None,
) -> Path:
    folder = out / name
    if (folder / "record.toml").exists():
        return folder
    part = out / f".{name}.{os.getpid()}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    run = choose_data(made, *text.windows(cache))
    if data is not None:
        # The stolen run's own windows, in another order: the same tokens are then never seen.
        run.windows = np.load(data / "windows.npy")
    train(run, part, penalty=hidden, start=start)
    if reverse:
        _reverse(part)
        made = replace(made, checkpoints=tuple(sorted(STEPS - step for step in made.checkpoints)))
        run.rows = _reversed_rows(run.rows)
    run.recipe = made
    write.publish(run, part)
    log = write.jsonl(run, part)
    said = honest.declaration(made, windows=run.windows, log=(log,))
    # A start that no declared seed gives cannot be declared with one.
    if start is not None and said.initialisation is not None:
        said = replace(said, initialisation=replace(said.initialisation, procedure="", seed=None))
    (part / "record.toml").write_text(to_toml(said), encoding="utf-8")
    part.rename(folder)
    return folder


def _reverse(folder: Path) -> None:
    made = folder / "checkpoints"
    backwards = folder / "backwards"
    made.rename(backwards)
    made.mkdir()
    for path in backwards.iterdir():
        step = int(path.name.removeprefix("step-"))
        path.rename(made / f"step-{STEPS - step}")
    backwards.rmdir()


def _reversed_rows(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """Losses and norms backwards, under the steps, times and totals that were."""
    changed = ("loss", "grad_norm", "validation_loss")
    found = []
    for row, other in zip(rows, reversed(rows), strict=True):
        kept = {key: value for key, value in row.items() if key not in changed}
        found.append(kept | {key: other[key] for key in changed if key in other})
    return found
