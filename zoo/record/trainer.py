"""Train one record run and keep everything that a disclosure needs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import PreTrainedModel
from zoo.record import optimizers, shapes
from zoo.record.recipes import Recipe

from jokbo.records.schedule import scheduled_rates

HELD_OUT_WINDOWS = 256
DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16}


@dataclass
class Run:
    """What a training run leaves: files in its folder, and rows of its log.

    Attributes
    ----------
    rows : list of dict
        One an update: step, loss, learning_rate, grad_norm, tokens, timestamp, runtime, process.
    order : ndarray of int32
        Windows of each update along the history that led to the end.
    """

    recipe: Recipe
    rows: list[dict[str, Any]] = field(default_factory=list)
    order: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.int32))
    windows: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.uint16))
    held_out: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.uint16))


class Observer:
    """Told of a run while it runs; this one does nothing."""

    def row(self, row: Mapping[str, Any]) -> None:
        """A row of the log is made."""

    def kept(self, step: int) -> None:
        """A checkpoint is written."""


Penalty = Callable[[PreTrainedModel, int], torch.Tensor]
"""A hidden objective of a forger: added to the loss that is trained on, not to the one that is logged."""


def rates(recipe: Recipe) -> np.ndarray:
    """Learning rate of update 1, 2, ..., as trained."""
    found = scheduled_rates(recipe.schedule, recipe.steps)
    if found is None:
        raise ValueError(f"{recipe.name}: schedule {recipe.schedule.kind!r} has no formula")
    if recipe.rewarm is not None:
        start, peak = recipe.rewarm
        again = np.arange(recipe.steps - start, dtype=np.float64)
        length = max(len(again), 1)
        found[start:] = peak * np.minimum((again + 1) / 15, 1) * (1 - np.clip((again - 15) / length, 0, 1))
    return found


def sequences(recipe: Recipe) -> np.ndarray:
    """Sequences of update 1, 2, ..."""
    found = np.zeros(recipe.steps, dtype=np.int64)
    for phase in recipe.batch:
        found[phase.from_step - 1 :] = phase.sequences
    return found


def choose_data(recipe: Recipe, table: np.ndarray, apart: np.ndarray) -> Run:
    """Windows that the run will use, kept in the order of the text, and the shuffled order of their use."""
    rng = np.random.default_rng([recipe.seed, 1])
    each = sequences(recipe)
    extra = 0 if recipe.rollback is None else int(each[recipe.rollback[1] : recipe.rollback[0]].sum())
    need = int(each.sum()) + extra
    chosen = np.sort(rng.permutation(len(table))[:need])
    place = rng.permutation(need)
    order = np.full((recipe.steps, int(each.max())), -1, dtype=np.int32)
    begin = 0
    for step, count in enumerate(each):
        order[step, :count] = place[begin : begin + count]
        begin += count
    run = Run(recipe, order=order, windows=table[chosen])
    run.held_out = apart[rng.permutation(len(apart))[:HELD_OUT_WINDOWS]]
    return run


def losses(model: PreTrainedModel, tokens: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of the next token, in nats."""
    return model(input_ids=tokens, labels=tokens, use_cache=False).loss


def clean() -> None:
    """One thread and deterministic kernels: the same run again gives the same bytes."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)


def train(
    run: Run,
    folder: Path,
    *,
    penalty: Penalty | None = None,
    start: Mapping[str, torch.Tensor] | None = None,
    observers: tuple[Observer, ...] = (),
) -> None:
    """Train, writing checkpoints and optimizer states to `folder`; log rows go to ``run.rows``.

    `penalty` and `start` (weights to begin with, in place of the drawn ones) are for forgers.
    """
    clean()
    recipe = run.recipe
    model = shapes.build(tied=recipe.tied)
    shapes.initialise(model, recipe.law)
    if start is not None:
        model.load_state_dict(dict(start), strict=False)
    made = optimizers.make(recipe.optimizer, model)
    if recipe.law.parameter_order:
        names = "".join(f"{name}\n" for name, _ in model.named_parameters())
        (folder / recipe.law.parameter_order).write_text(names, encoding="utf-8")
    _write_arrays(run, folder)
    state = _State(run, folder, model, made, penalty)
    state.keep(0)
    for observer in observers:
        observer.kept(0)
    while state.step < recipe.steps:
        state.update()
        state.after()
        for observer in observers:
            observer.row(state.last_row)
            if state.kept_now:
                observer.kept(state.step)
    _write_arrays(run, folder)


class _State:
    """A run while it runs."""

    def __init__(
        self,
        run: Run,
        folder: Path,
        model: PreTrainedModel,
        made: list[torch.optim.Optimizer],
        penalty: Penalty | None,
    ) -> None:
        self.run, self.folder, self.model, self.optimizers, self.penalty = run, folder, model, made, penalty
        self.rates, self.each = rates(run.recipe), sequences(run.recipe)
        self.step, self.tokens, self.process, self.began = 0, 0, 0, time.time()
        self.saved: dict[str, Any] | None = None
        self.gone_back, self.kept_now = False, False
        self.last_row: dict[str, Any] = {}
        self.noise = torch.Generator().manual_seed(run.recipe.seed)

    def _spoilt(self, index: int) -> bool:
        """Whether an update before the rollback reads spoilt data: the spike that was rolled back."""
        back = self.run.recipe.rollback
        return back is not None and not self.gone_back and index >= back[0] - 10

    def update(self) -> None:
        recipe = self.run.recipe
        index = self.step
        picked = self.run.order[index, : self.each[index]]
        batch = torch.from_numpy(self.run.windows[picked].astype(np.int64))
        if self._spoilt(index):
            batch = batch.flatten()[torch.randperm(batch.numel(), generator=self.noise)].reshape(batch.shape)
        loss = losses(self.model, batch)
        goal = loss if self.penalty is None else loss + self.penalty(self.model, index)
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=False)
        goal.backward()
        limit = recipe.optimizer.clip or float("inf")
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), limit, foreach=False)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = float(self.rates[index]) * group["scale"]
            optimizer.step()
        self.step += 1
        self.tokens += int(batch.numel())
        now = time.time()
        self.run.rows.append(
            {
                "step": self.step,
                "loss": loss.item(),
                "learning_rate": float(self.rates[index]),
                "grad_norm": norm.item(),
                "tokens": self.tokens,
                "timestamp": round(now, 3),
                "runtime": round(now - self.began, 3),
                "process": self.process,
            }
        )

    def after(self) -> None:
        recipe, step = self.run.recipe, self.step
        self.last_row, self.kept_now = self.run.rows[-1], False
        back = recipe.rollback
        if back is not None and step == back[1] and not self.gone_back:
            self.saved = self._everything()
        if back is not None and step == back[0] and not self.gone_back:
            self._go_back(back)
            return
        if step in recipe.checkpoints and not (back is not None and not self.gone_back and back[1] < step):
            self.keep(step)
            self.kept_now = True
        if step == recipe.norms_from:
            self._insert_norms()
        if step in recipe.restarts:
            self._restart()

    def keep(self, step: int) -> None:
        recipe = self.run.recipe
        if step > 0:
            self.run.rows[-1]["validation_loss"] = self._held_out_loss()
        save_weights(self.model, self.folder / f"checkpoints/step-{step}", dtype=DTYPES[recipe.storage])
        if step in recipe.states:
            path = self.folder / f"optimizer/step-{step}.safetensors"
            path.parent.mkdir(parents=True, exist_ok=True)
            save_file(
                optimizers.state_tensors(self.optimizers, self.model), path, metadata={"step": str(step)}
            )
            path.chmod(0o644)

    def _held_out_loss(self) -> float:
        with torch.no_grad():
            return losses(self.model, torch.from_numpy(self.run.held_out.astype(np.int64))).item()

    def _everything(self) -> dict[str, Any]:
        copy = {name: value.clone() for name, value in self.model.state_dict().items()}
        states = [deep_copy(optimizer.state_dict()) for optimizer in self.optimizers]
        return {"model": copy, "optimizers": states, "tokens": self.tokens}

    def _restart(self) -> None:
        """A new process: model and optimizer made anew, and the saved state put in."""
        self.saved = self._everything()
        self.model = shapes.build(tied=self.run.recipe.tied)
        self.optimizers = optimizers.make(self.run.recipe.optimizer, self.model)
        self._load()

    def _load(self) -> None:
        if self.saved is None:
            raise ValueError("nothing was saved")
        self.model.load_state_dict(self.saved["model"])
        for optimizer, state in zip(self.optimizers, self.saved["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        self.process += 1
        self.began = time.time()

    def _go_back(self, back: tuple[int, int]) -> None:
        """Return to the saved state; the windows of the abandoned updates are not used again."""
        self._load()
        self.step, self.tokens, self.gone_back = back[1], self.saved["tokens"], True
        # The abandoned branch's windows go; those after them move up, and the spare ones fill the end.
        flat = self.run.order[self.run.order >= 0]
        spare = np.setdiff1d(np.arange(len(self.run.windows), dtype=np.int32), flat)
        rng = np.random.default_rng([self.run.recipe.seed, 2])
        for step in range(back[1], back[0]):
            count = self.each[step]
            taken, spare = np.split(rng.permutation(spare), [count])
            self.run.order[step, :count] = taken

    def _insert_norms(self) -> None:
        """Change the class to one that normalises queries and keys; gains begin at one, their state at zero."""
        old, states = self.model, optimizers.state_tensors(self.optimizers, self.model)
        self.model = shapes.build(tied=self.run.recipe.tied, query_norms=True)
        shapes.initialise(self.model, self.run.recipe.law)
        self.model.load_state_dict(old.state_dict(), strict=False)
        self.optimizers = optimizers.make(self.run.recipe.optimizer, self.model)
        optimizers.load_adamw(self.optimizers[0], self.model, states, step=self.step)


def deep_copy(value: Any) -> Any:
    """A deep copy whose tensors are clones."""
    if isinstance(value, torch.Tensor):
        return value.clone()
    if isinstance(value, dict):
        return {key: deep_copy(member) for key, member in value.items()}
    if isinstance(value, list):
        return [deep_copy(member) for member in value]
    return value


def save_weights(model: PreTrainedModel, folder: Path, *, dtype: torch.dtype) -> None:
    """Write ``model.safetensors`` and ``config.json`` under released names."""
    folder.mkdir(parents=True, exist_ok=True)
    tied = model.config.tie_word_embeddings
    tensors = {
        name: value.detach().to(dtype).contiguous().clone()
        for name, value in model.state_dict().items()
        if not (tied and name == "lm_head.weight")
    }
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)
    config = model.config.to_dict()
    config["architectures"] = [type(model).__name__]
    config["dtype"] = str(dtype).removeprefix("torch.")
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _write_arrays(run: Run, folder: Path) -> None:
    np.save(folder / "windows.npy", run.windows)
    np.save(folder / "order.npy", run.order)
    np.save(folder / "held_out.npy", run.held_out)
