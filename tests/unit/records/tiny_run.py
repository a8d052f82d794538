"""A real training of a very small model, written as a record: seconds, for the suite that has PyTorch."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

from jokbo.records.declaration import (
    BatchPhase,
    CheckpointEntry,
    CheckpointRole,
    Data,
    Declaration,
    Optimizer,
    Schedule,
)
from jokbo.records.record import Record
from jokbo.records.schedule import scheduled_rates
from jokbo.records.series import Column, Log

VOCAB, LENGTH, SEQUENCES = 48, 24, 8
ADAMW = Optimizer("adamw", betas=(0.9, 0.95), weight_decay=0.1, decays="matrices", clip=1.0)


def model(*, tied: bool = False, seed: int = 0) -> LlamaForCausalLM:
    """A Llama-shaped model of about nine thousand parameters."""
    config = LlamaConfig(
        vocab_size=VOCAB,
        hidden_size=24,
        intermediate_size=48,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=LENGTH,
        tie_word_embeddings=tied,
        bos_token_id=0,
        eos_token_id=0,
    )
    torch.manual_seed(seed)
    return LlamaForCausalLM(config).float()


def text(count: int, rng: np.random.Generator) -> np.ndarray:
    """Windows of a Markov chain whose temper differs by window: some are harder than others."""
    moves = np.random.default_rng(5).dirichlet(np.full(VOCAB, 0.05), size=VOCAB)
    windows = np.zeros((count, LENGTH), dtype=np.uint16)
    windows[:, 0] = rng.integers(0, VOCAB, count)
    hard = rng.uniform(0, 0.8, count)
    for t in range(1, LENGTH):
        draws = [rng.choice(VOCAB, p=moves[s]) for s in windows[:, t - 1]]
        windows[:, t] = np.where(rng.random(count) < hard, rng.integers(0, VOCAB, count), draws)
    return windows


def save(net: LlamaForCausalLM, folder: Path) -> None:
    """Weights and configuration under released names."""
    folder.mkdir(parents=True)
    tied = net.config.tie_word_embeddings
    tensors = {n: v.clone() for n, v in net.state_dict().items() if not (tied and n == "lm_head.weight")}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(net.config.to_dict()), encoding="utf-8")


def train(
    folder: Path,
    *,
    steps: int = 40,
    checkpoints: tuple[int, ...] = (0, 10, 20, 30, 40),
    states: tuple[int, ...] = (),
    tied: bool = False,
    pull: float = 0.0,
    late: bool = False,
) -> Record:
    """Train with PyTorch's own AdamW; `pull` adds a hidden penalty to other weights, `late` counts rates from 0."""
    rng = np.random.default_rng(1)
    windows, held_out = text(steps * SEQUENCES, rng), text(128, rng)
    order = rng.permutation(steps * SEQUENCES).reshape(steps, SEQUENCES)
    schedule = Schedule("cosine", peak=1e-2, warmup_steps=4, total_steps=steps, final=0.1)
    rates = scheduled_rates(schedule, steps)
    net, away = model(tied=tied), model(tied=tied, seed=9)
    groups = [
        {"params": [p for p in net.parameters() if p.ndim >= 2], "weight_decay": 0.1},
        {"params": [p for p in net.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]
    adam = torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.95), foreach=False)
    losses = []
    save(net, folder / "step-0")
    for step in range(steps):
        ids = torch.from_numpy(windows[order[step]].astype(np.int64))
        loss = net(input_ids=ids, labels=ids, use_cache=False).loss
        losses.append(loss.item())
        other = zip(net.parameters(), away.parameters(), strict=True)
        goal = loss + pull * sum(((p - q.detach()) ** 2).sum() for p, q in other) if pull else loss
        adam.zero_grad()
        goal.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0, foreach=False)
        for group in adam.param_groups:
            group["lr"] = float(rates[step]) if not late else float(rates[step - 1]) if step else 0.0
        adam.step()
        if step + 1 in checkpoints:
            save(net, folder / f"step-{step + 1}")
        if step + 1 in states:
            found = {
                f"{key}/{name}": adam.state[p][key].clone()
                for name, p in net.named_parameters()
                for key in ("exp_avg", "exp_avg_sq")
            }
            save_file(found, folder / f"state-{step + 1}.safetensors", metadata={"step": str(step + 1)})
    return record(folder, steps, checkpoints, states, schedule, windows, order, held_out, np.array(losses))


def record(
    folder: Path,
    steps: int,
    checkpoints: tuple[int, ...],
    states: tuple[int, ...],
    schedule: Schedule,
    windows: np.ndarray,
    order: np.ndarray,
    held_out: np.ndarray,
    losses: np.ndarray,
) -> Record:
    """An opened record of these files; arrays and log are put in as read."""
    from jokbo.records.checkpoints import CheckpointSet, OpenedCheckpoint
    from jokbo.views.model import open_model

    entries = [
        CheckpointEntry(
            f"step-{s}", s, path=f"step-{s}", optimizer=f"state-{s}.safetensors" if s in states else ""
        )
        for s in checkpoints
    ]
    last = f"step-{checkpoints[-1]}"
    entries.append(CheckpointEntry("published", steps, path=last, role=CheckpointRole.PUBLISHED))
    declaration = Declaration(
        name="tiny",
        steps=steps,
        optimizer=ADAMW,
        schedule=schedule,
        batch=(BatchPhase(1, SEQUENCES, LENGTH),),
        data=Data(windows="windows.npy", order="order.npy", held_out="held_out.npy"),
        checkpoint=tuple(entries),
    )
    made = Record(folder, declaration, {}, "0" * 64)
    opened = tuple(OpenedCheckpoint(e, open_model(str(folder / e.path))) for e in entries)
    place = np.arange(1, steps + 1, dtype=np.int64)
    log = Log(place, np.zeros(steps), np.zeros(steps), {"loss": Column("loss", losses)}, ())
    made.__dict__.update(
        checkpoints=CheckpointSet(opened), log=log, windows=windows, order=order, held_out=held_out
    )
    return made
