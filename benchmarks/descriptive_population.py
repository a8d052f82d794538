"""What the zoo's pairs score on every descriptive score.

`python benchmarks/descriptive_population.py` writes src/jokbo/descriptive/zoo_population.json, which reports show
beside each score, and prints it as a Markdown table. Relations come from zoo/truth.toml; `--partial` takes them from
zoo/truth.py while the zoo is still in training, and uses the models that are there.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import sys
import tomllib
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np

from jokbo.descriptive.describe import Descriptions, describe
from jokbo.descriptive.scores import plain
from jokbo.views.ledger import Ledger
from jokbo.views.model import Model, open_model

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "src/jokbo/descriptive/zoo_population.json"
SEED = 0
BUDGET_BYTES = 1 << 30

Key = tuple[str, str, str]


def relations(zoo: Path, *, partial: bool) -> Iterator[tuple[str, str, str]]:
    """Reference, candidate and truth of every pair of one family."""
    if not partial:
        for row in tomllib.loads((zoo / "truth.toml").read_text(encoding="utf-8"))["relation"]:
            yield row["reference"], row["candidate"], row["truth"]
        return
    sys.path.insert(0, str(zoo))
    truth = importlib.import_module("truth")
    for first, second in combinations(truth.ALL, 2):
        complete = all(
            (zoo / "models" / recipe.name / "training.json").exists() for recipe in (first, second)
        )
        if complete and first.family == second.family:
            row = truth.relation(first, second)
            yield row["reference"], row["candidate"], row["truth"]


def compare(reference: Model, candidate: Model, number: int) -> Descriptions:
    """Describe one pair with random choices of its own."""
    ledgers = (Ledger(model, budget_bytes=BUDGET_BYTES) for model in (reference, candidate))
    return describe(*ledgers, rng=np.random.default_rng([SEED, number]))


def collect(zoo: Path, *, partial: bool) -> tuple[dict[str, str], dict[Key, list[float]]]:
    """Digests of the models used, and values by score, tower and truth."""
    models: dict[str, Model] = {}
    values: dict[Key, list[float]] = {}
    for number, (reference, candidate, truth) in enumerate(relations(zoo, partial=partial)):
        for name in (reference, candidate):
            if name not in models:
                models[name] = open_model(zoo / "models" / name)
        for found in compare(models[reference], models[candidate], number).scores():
            if found.value is not None:
                values.setdefault((found.score, found.tower, truth), []).append(found.value)
    digests = {name: model.digest for name, model in sorted(models.items())}
    for model in models.values():
        model.close()
    return digests, values


def to_range(key: Key, values: list[float]) -> dict[str, object]:
    """One row of the population."""
    score, tower, truth = key
    centre = plain(math.fsum(values) / len(values))
    return {
        "score": str(score), "tower": tower, "truth": truth, "n": len(values),
        "low": min(values), "mean": min(max(centre, min(values)), max(values)), "high": max(values),
    }  # fmt: skip


def to_markdown(ranges: list[dict[str, object]]) -> str:
    """The population as a table."""
    lines = ["| score | tower | pairs | n | low | mean | high |", "|---|---|---|---|---|---|---|"]
    for row in ranges:
        numbers = " | ".join(f"{row[name]:.4f}" for name in ("low", "mean", "high"))
        lines.append(f"| {row['score']} | {row['tower'] or '-'} | {row['truth']} | {row['n']} | {numbers} |")
    return "\n".join(lines)


def main() -> None:
    """Compute, write and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--zoo", type=Path, default=ROOT / "zoo")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--partial", action="store_true", help="use the models that are trained so far")
    arguments = parser.parse_args()
    digests, values = collect(arguments.zoo, partial=arguments.partial)
    ranges = [to_range(key, values[key]) for key in sorted(values)]
    document = {"models": digests, "seed": SEED, "ranges": ranges}
    arguments.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(to_markdown(ranges))


if __name__ == "__main__":
    main()
