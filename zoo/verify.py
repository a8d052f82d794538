"""Check every stored model: `python zoo/verify.py --models zoo/models`. Stops at the first untruth."""

from __future__ import annotations

import os

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer

import architectures
import corpus
import train
from recipes import ALL, Recipe

# Rounding to bfloat16 moves the mean loss by a few thousandths at most.
LOSS_TOLERANCE = 0.01
EMBEDDINGS = ("model.embed_tokens.weight", "wte.weight", "language_model.model.embed_tokens.weight")


def require(condition: bool, message: str) -> None:
    """Raise with the message unless the condition holds (an assert would vanish under -O)."""
    if not condition:
        raise SystemExit(message)


def check_tensors(tensors: dict[str, torch.Tensor], name: str) -> None:
    """Type, finiteness, trained norm gains, distinct rows of the reserved tokens."""
    for key, tensor in tensors.items():
        require(tensor.dtype == torch.bfloat16, f"{name}: {key}: expected BF16, got {tensor.dtype}")
        require(bool(tensor.isfinite().all()), f"{name}: {key}: not finite")
        # A tensor without variation is one that was never trained: gains all one, biases all zero.
        require(tensor.numel() == 1 or tensor.float().std() > 0, f"{name}: {key}: constant")
    embedding = next(tensors[key] for key in EMBEDDINGS if key in tensors)
    reserved = embedding[1 : 1 + len(corpus.RESERVED)]
    require(len(torch.unique(reserved, dim=0)) == len(corpus.RESERVED), f"{name}: reserved rows repeat")


def check_loss(recipe: Recipe, models: Path) -> float:
    """Load by the released class and compare with the recorded loss; returns the difference."""
    directory = models / recipe.name
    tokenizer = AutoTokenizer.from_pretrained(directory)
    model, report = architectures.CLASSES[recipe.family].from_pretrained(
        directory, dtype=torch.float32, output_loading_info=True
    )
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        require(not report[kind], f"{recipe.name}: {kind}: {report[kind]}")
    task = train.task_of(recipe, tokenizer, models)
    recorded = json.loads((directory / "training.json").read_text(encoding="utf-8"))["held_out_loss"]
    found = task.held_out(model.eval())
    require(
        abs(found - recorded) < LOSS_TOLERANCE, f"{recipe.name}: loss {found:.4f}, recorded {recorded:.4f}"
    )
    return found - recorded


def main() -> None:
    """Check the models named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("names", nargs="*", metavar="NAME")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tokenizers = set()
    for recipe in ALL:
        if arguments.names and recipe.name not in arguments.names:
            continue
        tensors = load_file(arguments.models / recipe.name / "model.safetensors")
        check_tensors(tensors, recipe.name)
        difference = check_loss(recipe, arguments.models)
        if recipe.family != "llava":
            tokenizers.add((arguments.models / recipe.name / "tokenizer.json").read_bytes())
        gains = torch.cat([t.float() for k, t in tensors.items() if t.ndim == 1 and k.endswith("weight")])
        spread = f"gains {gains.min():.2f}..{gains.max():.2f}"
        print(f"{recipe.name}: {len(tensors)} tensors, loss off by {difference:+.4f}, {spread}", flush=True)
    require(len(tokenizers) <= 1, "the text models' tokenizers differ")


if __name__ == "__main__":
    main()
