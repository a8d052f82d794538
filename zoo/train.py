"""Train the zoo: `python zoo/train.py --out zoo/models [NAME ...]`. Missing parents are trained first."""

from __future__ import annotations

import os

# Before the tokenizer is imported: its threads would take the second core from the other worker.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

import architectures
import corpus
import lora
import towers
from recipes import ALL, BY_NAME, Recipe

BATCH_SIZE = 8
WARM_UP = 0.05
LAST_RATE = 0.05
WEIGHT_DECAY = 0.1
CLIP = 1.0
LORA_SEED = 1000
POOLING_SEED = 2000
# A copied encoder is trained on modestly beside its fresh decoder.
ENCODER_RATE = 0.3


@dataclass(frozen=True, slots=True)
class Task:
    """What a model learns from: endless batches, the loss of one batch, the loss on held-out data."""

    batches: Iterator[Any]
    loss: Callable[[PreTrainedModel, Any], torch.Tensor]
    held_out: Callable[[PreTrainedModel], float]


def text_loss(model: PreTrainedModel, batch: Any) -> torch.Tensor:
    """Cross-entropy of the next token, with the router's balance where the model has one."""
    tokens = torch.from_numpy(batch)
    return model(input_ids=tokens, labels=tokens, use_cache=False).loss


def distillation_loss(model: PreTrainedModel, batch: Any, *, teacher: PreTrainedModel) -> torch.Tensor:
    """Kullback-Leibler divergence from the teacher's next-token distribution to the model's, per token."""
    tokens = torch.from_numpy(batch)
    with torch.no_grad():
        target = teacher(input_ids=tokens, use_cache=False).logits.log_softmax(-1)
    found = model(input_ids=tokens, use_cache=False).logits.log_softmax(-1)
    return (target.exp() * (target - found)).sum(-1).mean()


@torch.no_grad()
def held_out_text_loss(model: PreTrainedModel, table: Any) -> float:
    """Mean next-token cross-entropy over the held-out windows, without auxiliary terms."""
    tokens = torch.from_numpy(table)
    scores = model(input_ids=tokens, use_cache=False).logits[:, :-1].flatten(0, 1)
    return torch.nn.functional.cross_entropy(scores, tokens[:, 1:].flatten()).item()


def task_of(recipe: Recipe, tokenizer: PreTrainedTokenizerFast, out: Path) -> Task:
    """The data and the loss of one recipe."""
    if recipe.family == "llava":
        return Task(*towers.task(tokenizer, order=recipe.order))
    training, held_out = corpus.windows(recipe.text, tokenizer)
    loss: Callable[[PreTrainedModel, Any], torch.Tensor] = text_loss
    if recipe.start == "distil":
        teacher = architectures.load(out / str(recipe.parent), recipe.family).eval()

        def loss(model: PreTrainedModel, batch: Any) -> torch.Tensor:
            return distillation_loss(model, batch, teacher=teacher)

    return Task(
        corpus.batches(training, size=BATCH_SIZE, order=recipe.order),
        loss,
        lambda model: held_out_text_loss(model, held_out),
    )


def starting_point(recipe: Recipe, out: Path) -> PreTrainedModel:
    """The model before its first step."""
    if recipe.start in ("fresh", "distil"):
        return architectures.build(recipe.family, seed=recipe.seed)
    parent = architectures.load(out / str(recipe.parent), recipe.family)
    if recipe.start == "weights":
        return parent
    if recipe.start == "lora":
        lora.adapt(parent, seed=LORA_SEED)
        return parent
    model = architectures.build(recipe.family, seed=recipe.seed)
    with torch.no_grad():
        if recipe.start == "embedding":
            model.get_input_embeddings().weight.copy_(parent.get_input_embeddings().weight)
            model.get_output_embeddings().weight.copy_(parent.get_output_embeddings().weight)
        elif recipe.start == "encoder":
            model.model.vision_tower.load_state_dict(parent.model.vision_tower.state_dict())
        else:
            raise ValueError(f"{recipe.name}: unknown start {recipe.start!r}")
    return model


def optimiser_of(model: PreTrainedModel, recipe: Recipe) -> torch.optim.AdamW:
    """AdamW; matrices decay, norm gains and biases do not."""
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            slow = recipe.start == "encoder" and ".vision_tower." in name
            rate = recipe.learning_rate * (ENCODER_RATE if slow else 1.0)
            decay = WEIGHT_DECAY if parameter.ndim >= 2 else 0.0
            groups.setdefault((rate, decay), []).append(parameter)
    return torch.optim.AdamW(
        [{"params": members, "lr": rate, "weight_decay": decay} for (rate, decay), members in groups.items()],
        betas=(0.9, 0.95),
    )


def rate_at(step: int, steps: int) -> float:
    """Linear warm-up, then a cosine down to LAST_RATE of the peak."""
    warm_up = max(1, round(WARM_UP * steps))
    if step < warm_up:
        return (step + 1) / warm_up
    progress = (step - warm_up) / max(1, steps - warm_up)
    return LAST_RATE + (1 - LAST_RATE) * 0.5 * (1 + math.cos(math.pi * progress))


def optimise(model: PreTrainedModel, task: Task, recipe: Recipe) -> list[tuple[int, float]]:
    """Run the recipe's steps; returns (step, mean training loss since the last entry)."""
    optimiser = optimiser_of(model, recipe)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rate_at(step, recipe.steps))
    curve: list[tuple[int, float]] = []
    recent: list[float] = []
    model.train()
    for step in range(1, recipe.steps + 1):
        loss = task.loss(model, next(task.batches))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimiser.step()
        schedule.step()
        recent.append(loss.item())
        if step % 100 == 0 or step == recipe.steps:
            curve.append((step, round(sum(recent) / len(recent), 4)))
            print(f"{recipe.name} step {step} loss {curve[-1][1]:.4f}", flush=True)
            recent.clear()
    model.eval()
    return curve


def train(recipe: Recipe, out: Path) -> None:
    """Train one model and write it with its record `training.json`."""
    began = time.monotonic()
    extra = architectures.TOWER_EXTRA if recipe.family == "llava" else ()
    tokenizer = corpus.train_tokenizer(extra)
    task = task_of(recipe, tokenizer, out)
    model = starting_point(recipe, out)
    first = task.held_out(model.eval())
    if recipe.family == "llava":
        towers.attach_pooling_head(model, seed=POOLING_SEED + recipe.seed)
    curve = optimise(model, task, recipe)
    if recipe.family == "llava":
        towers.detach_pooling_head(model)
    if recipe.start == "lora":
        lora.merge(model)
    last = task.held_out(model)
    architectures.save(model, tokenizer, out / recipe.name, family=recipe.family)
    record = {
        "name": recipe.name,
        "steps": recipe.steps,
        "held_out_loss_before": round(first, 4),
        "held_out_loss": round(last, 4),
        "training_loss": curve,
        "seconds": round(time.monotonic() - began),
    }
    (out / recipe.name / "training.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"{recipe.name} held-out loss {first:.4f} -> {last:.4f}, {record['seconds']} s", flush=True)


def with_parents(names: list[str], out: Path) -> list[Recipe]:
    """The recipes asked for, each after its parent; a parent already written is not trained again."""
    ordered: list[Recipe] = []

    def add(name: str, *, asked: bool) -> None:
        recipe = BY_NAME[name]
        if recipe in ordered or (not asked and (out / name / "training.json").exists()):
            return
        if recipe.parent is not None:
            add(recipe.parent, asked=recipe.parent in names)
        ordered.append(recipe)

    for name in names:
        add(name, asked=True)
    return ordered


def main() -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="directory for the models")
    parser.add_argument("names", nargs="*", metavar="NAME", help="models to train (default: all)")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - set(BY_NAME))
    if unknown:
        parser.error(f"unknown models: {', '.join(unknown)}; known: {', '.join(BY_NAME)}")
    # One thread a process: runs side by side do not disturb each other, and sums keep one order.
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for recipe in with_parents(arguments.names or [recipe.name for recipe in ALL], arguments.out):
        train(recipe, arguments.out)


if __name__ == "__main__":
    main()
