"""Evaluate zoo models: `python -m zoo.league.evaluate --out FOLDER --tasks network_bpb,... MODEL ...`.

Needs PyTorch and Transformers; scoring a round does not. One item at a time, in float32, on one thread, so that sums
keep one order. Written as lm-evaluation-harness writes it (`harness_files.py`).

- `*_bpb`: bits per byte of a passage, given the end-of-text token alone. Lower is better.
- `*_cloze`: the true continuation of a passage among four, chosen by log-likelihood (`acc`), or by log-likelihood a
  byte (`acc_norm`), as the harness's `multiple_choice` does. Context and continuation are tokenised apart.
"""

from __future__ import annotations

import os

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import argparse
import json
import math
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer
from zoo.league.harness_files import Sample, TaskRun, write_run

HERE = Path(__file__).resolve().parent
MODELS = HERE.parent / "models"
VERSION = "1.0"
END_OF_TEXT = 0
DECIMALS = 4


class Scorer:
    """A model that gives log-likelihoods."""

    def __init__(self, model: Path) -> None:
        self.tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
        self.model = transformers.AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()

    @torch.no_grad()
    def log_likelihood(self, context: str, text: str) -> tuple[float, bool]:
        """Natural log-likelihood of `text` after `context` (after the end-of-text token alone, if that is empty).

        Returns
        -------
        (float, bool)
            The log-likelihood, and whether every token was the likeliest one.
        """
        before = [END_OF_TEXT, *self.tokenizer.encode(context).ids]
        after = self.tokenizer.encode(text).ids
        tokens = torch.tensor([[*before, *after]])
        if tokens.shape[1] > self.model.config.max_position_embeddings:
            raise ValueError(f"an item of {tokens.shape[1]} tokens; the models read 256")
        scores = self.model(input_ids=tokens[:, :-1], use_cache=False).logits[0, len(before) - 1 :]
        wanted = tokens[0, len(before) :]
        found = scores.double().log_softmax(-1).gather(-1, wanted[:, None]).sum().item()
        return found, bool((scores.argmax(-1) == wanted).all())


def perplexity_sample(scorer: Scorer, item: dict[str, Any]) -> Sample:
    """Bits per byte of one passage."""
    found, _ = scorer.log_likelihood("", item["text"])
    bits = -found / math.log(2) / len(item["text"].encode("utf-8"))
    return Sample(doc_of(item), "", item["text"], [round(found, DECIMALS)], {"bpb": round(bits, 6)})


def choice_sample(scorer: Scorer, item: dict[str, Any]) -> Sample:
    """One choice among four."""
    found = [scorer.log_likelihood(item["text"], choice) for choice in item["choices"]]
    per_byte = [
        each[0] / len(choice.encode("utf-8")) for each, choice in zip(found, item["choices"], strict=True)
    ]
    gold = item["gold"]
    metrics = {
        "acc": float(max(range(len(found)), key=lambda k: found[k][0]) == gold),
        "acc_norm": float(max(range(len(found)), key=per_byte.__getitem__) == gold),
    }
    answers = [(round(likelihood, DECIMALS), greedy) for likelihood, greedy in found]
    return Sample(doc_of(item), item["text"], str(gold), answers, metrics)


def doc_of(item: dict[str, Any]) -> dict[str, Any]:
    """What identifies an item in public: its source, its group, and a digest of all of it."""
    import hashlib

    whole = hashlib.sha256(json.dumps(item, ensure_ascii=False, sort_keys=True).encode("utf-8")).hexdigest()
    return {"document": item["document"], "group": item["group"], "item": whole[:16]}


def run_task(scorer: Scorer, task: str, *, most: int | None = None) -> TaskRun:
    """Answer the items of one task; `most` stops early, for tests."""
    lines = (HERE / "texts" / f"{task}.jsonl").read_text(encoding="utf-8").splitlines()
    items = [json.loads(line) for line in lines[:most]]
    if task.endswith("_bpb"):
        samples = [perplexity_sample(scorer, item) for item in items]
        return TaskRun(task, VERSION, "loglikelihood_rolling", {"bpb": False}, samples)
    samples = [choice_sample(scorer, item) for item in items]
    return TaskRun(task, VERSION, "multiple_choice", {"acc": True, "acc_norm": True}, samples)


def evaluate(model: str, tasks: Sequence[str], folder: Path) -> None:
    """Evaluate one model and write its files."""
    torch.set_num_threads(1)
    scorer = Scorer(MODELS / model)
    runs = [run_task(scorer, task) for task in tasks]
    environment = {
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "threads": 1,
        "dtype": "float32",
        "device": "cpu",
    }
    time = datetime.now().isoformat(timespec="microseconds").replace(":", "-")
    write_run(folder, f"zoo/models/{model}", runs, time=time, environment=environment)


def main() -> None:
    """Parse the command line and evaluate."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder; every model gets one in it")
    parser.add_argument("--tasks", required=True, help="names of files in texts/, with commas between")
    parser.add_argument("models", nargs="+", metavar="MODEL")
    chosen = parser.parse_args()
    for model in chosen.models:
        evaluate(model, chosen.tasks.split(","), chosen.out / model)
        print(f"{model}: {chosen.tasks}", flush=True)


if __name__ == "__main__":
    main()
