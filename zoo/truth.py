"""Write the truth table from recipes and training records: `python zoo/truth.py --models zoo/models`."""

from __future__ import annotations

import argparse
import json
from itertools import combinations
from pathlib import Path

from recipes import ALL, BY_NAME, Recipe

HEADER = """\
# What is true of every model and of every pair of one family. Written by zoo/truth.py; do not edit.
#
# truth: derived (candidate from reference), common-lineage (both from one trained ancestor), shared-init (one
# initialisation, separate training), component-reuse (only the components listed), independent.
# Where `component` is not empty, every component it does not list is independent.
"""
COMPONENTS = {"embedding": ("token_embd", "output"), "encoder": ("vision_tower",)}


def ancestors(recipe: Recipe) -> list[Recipe]:
    """The model itself and all whose whole weights it continues, nearest first."""
    chain = [recipe]
    while chain[-1].start in ("weights", "lora"):
        chain.append(BY_NAME[str(chain[-1].parent)])
    return chain


def same_initialisation(first: Recipe, second: Recipe) -> bool:
    """Whether two models at the head of their lines were drawn from one seed."""
    return (first.family, first.seed) == (second.family, second.seed)


def reuse(borrower: Recipe, other: Recipe) -> tuple[str, tuple[str, ...], str] | None:
    """What `borrower` shares with `other` through a component copied from its parent, if anything."""
    if borrower.start not in COMPONENTS:
        return None
    source = ancestors(BY_NAME[str(borrower.parent)])[-1]
    target = ancestors(other)[-1]
    parts = COMPONENTS[borrower.start]
    if source is target:
        return "component-reuse", parts, f"copied from {source.name}'s trained weights, then trained on"
    if same_initialisation(source, target):
        return "shared-init", parts, f"copied from {source.name}, which began as {target.name} did"
    return None


def independence_note(first: Recipe, second: Recipe) -> str:
    """Why a pair is a hard negative, if it is one."""
    one, two = ancestors(first)[-1], ancestors(second)[-1]
    for student, other in ((one, two), (two, one)):
        if student.start == "distil" and ancestors(BY_NAME[str(student.parent)])[-1] is other:
            return f"{student.name} learned from {student.parent}'s logits alone; no weight was copied"
    if (one.text, one.order) == (two.text, two.order):
        return "other initialisation, the same first text in the same order"
    return "other initialisation, other text or order"


def relation(first: Recipe, second: Recipe) -> dict[str, object]:
    """The truth of one pair; where it has a direction, the reference is the older."""
    if first in ancestors(second)[1:]:
        return row(first, second, "derived", (), second.relation)
    if second in ancestors(first)[1:]:
        return row(second, first, "derived", (), first.relation)
    one, two = ancestors(first)[-1], ancestors(second)[-1]
    if one is two:
        return row(first, second, "common-lineage", (), f"both from {one.name}")
    for borrower, line, other in ((first, one, second), (second, two, first)):
        found = reuse(line, other)
        if found:
            return row(other, borrower, *found)
    if same_initialisation(one, two):
        return row(first, second, "shared-init", (), f"seed {one.seed} in both, other text and order")
    return row(first, second, "independent", (), independence_note(first, second))


def row(
    reference: Recipe, candidate: Recipe, truth: str, component: tuple[str, ...], note: str
) -> dict[str, object]:
    """One relation as a table."""
    return {
        "reference": reference.name,
        "candidate": candidate.name,
        "family": reference.family,
        "truth": truth,
        "component": list(component),
        "note": note,
    }


def model_row(recipe: Recipe, models: Path) -> dict[str, object]:
    """One model as a table."""
    record = json.loads((models / recipe.name / "training.json").read_text(encoding="utf-8"))
    return {
        "name": recipe.name,
        "family": recipe.family,
        "seed": recipe.seed,
        "parent": recipe.parent or "",
        "start": recipe.start,
        "relation": recipe.relation,
        "text": recipe.text,
        "order": recipe.order,
        "steps": record["steps"],
        "learning_rate": recipe.learning_rate,
        "loss_before": record["held_out_loss_before"],
        "loss": record["held_out_loss"],
        "seconds": record["seconds"],
    }


def to_toml(kind: str, table: dict[str, object]) -> str:
    """One array-of-tables entry. JSON's strings, numbers and lists of strings are TOML's as well."""
    return (
        "\n".join([f"[[{kind}]]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]) + "\n"
    )


def main() -> None:
    """Write `truth.toml` beside this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, required=True)
    models = parser.parse_args().models
    parts = [HEADER, *(to_toml("model", model_row(recipe, models)) for recipe in ALL)]
    for first, second in combinations(ALL, 2):
        if first.family == second.family:
            parts.append(to_toml("relation", relation(first, second)))
    Path(__file__).with_name("truth.toml").write_text("\n".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main()
