"""What the zoo's pairs score on every descriptive score.

`python benchmarks/descriptive_population.py` writes src/jokbo/descriptive/zoo_population.json, which
reports show beside each score, and puts the same numbers as a table into both languages of
docs/explanation/scores-that-do-not-decide. Relations come from zoo/truth.toml; `--partial` takes them
from zoo/truth.py while the zoo is still in training, and uses the models that are there.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import re
import sys
import tomllib
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np

from jokbo.descriptive.describe import Descriptions, describe
from jokbo.descriptive.references import ZooPopulation, ZooRange, read_zoo
from jokbo.descriptive.scores import Score, plain
from jokbo.views.ledger import Ledger
from jokbo.views.model import Model, open_model

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "src/jokbo/descriptive/zoo_population.json"
DOCS = tuple(ROOT / f"docs/explanation/scores-that-do-not-decide{end}" for end in (".md", ".ko.md"))
SEED = 0
BUDGET_BYTES = 1 << 30
COLUMNS = ("independent", "shared-init", "component-reuse", "derived")
TABLE = re.compile(r"(?<=<!-- zoo -->\n).*?(?=<!-- /zoo -->)", re.DOTALL)

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
    """Describe one pair; each reads rows of its own, as different users would."""
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
    low, high = min(values), max(values)
    # The rounded mean of equal values may lie a hair outside them.
    mean = min(max(plain(math.fsum(values) / len(values)), low), high)
    return {
        "score": str(score),
        "tower": tower,
        "truth": truth,
        "n": len(values),
        "low": low,
        "mean": mean,
        "high": high,
    }


def to_markdown(population: ZooPopulation) -> str:
    """One row a score and tower: mean, range and pairs."""
    lines = [
        "| score | tower | " + " | ".join(COLUMNS) + " |",
        "|---|---|" + "---|" * len(COLUMNS),
    ]
    rows: dict[tuple[Score, str], dict[str, ZooRange]] = {}
    for found in population.ranges:
        rows.setdefault((found.score, found.tower), {})[found.truth] = found
    for (score, tower), by_truth in rows.items():
        cells = [to_cell(by_truth.get(truth)) for truth in COLUMNS]
        lines.append(f"| `{score}` | {tower or 'whole model'} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def to_cell(found: ZooRange | None) -> str:
    """Mean, smallest to largest, number of pairs."""
    if found is None:
        return "none"
    return f"{found.mean:.3f} ({found.low:.3f} to {found.high:.3f}; n = {found.n})"


def main() -> None:
    """Compute, write and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--zoo", type=Path, default=ROOT / "zoo")
    parser.add_argument("--partial", action="store_true", help="use the models that are trained so far")
    arguments = parser.parse_args()
    digests, values = collect(arguments.zoo, partial=arguments.partial)
    ranges = [to_range(key, values[key]) for key in sorted(values)]
    document = {"models": digests, "seed": SEED, "ranges": ranges}
    text = json.dumps(document, indent=1) + "\n"
    table = to_markdown(read_zoo(text))
    OUT.write_text(text, encoding="utf-8")
    for page in DOCS:
        written = page.read_text(encoding="utf-8")
        page.write_text(TABLE.sub(lambda _: table, written), encoding="utf-8")
    print(table)


if __name__ == "__main__":
    main()
