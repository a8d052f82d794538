"""The family tree of 60 and more models of known descent: ``python -m benchmarks.family_tree``."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.family_models import POPULATION, families, given, is_right, members, related, write_models
from benchmarks.family_page import markdown
from jokbo.lineage.graph.document import check
from jokbo.lineage.graph.edges import DEPENDENCE
from jokbo.lineage.tree import find_tree
from jokbo.lineage.tree_models import Execution

PAGE = Path(__file__).parents[1] / "docs" / "reference"


def judge(document: Mapping[str, Any]) -> dict[str, Any]:
    """Hold a tree against the truth."""
    names = [Path(model["name"]).name for model in document["models"]]
    here = frozenset(names)
    relation = {(names[e["a"]], names[e["b"]]): e["relation"] for e in document["edges"]}
    pairs: Counter[tuple[str, str]] = Counter()
    missed, invented = [], []
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            truth = "lineage" if related(a, b) else "shared" if given(a, b) else "none"
            found = relation.get((a, b), "nothing")
            pairs[truth, found] += 1
            if truth == "none" and found in (*DEPENDENCE, "lead"):
                invented.append([a, b, found])
            if truth == "lineage" and found not in ("identical", "lineage"):
                missed.append([a, b, found])
    kinds: Counter[tuple[str, str]] = Counter()
    wrong = []
    for each in document["relations"]:
        a, b = names[each["a"]], names[each["b"]]
        if each["kind"] == "undetermined":
            kinds["undetermined", "open"] += 1
            continue
        parent = None if each["parent"] is None else names[each["parent"]]
        via = tuple(names[k] for k in each["via"])
        right = related(a, b) and is_right(each["kind"], a, b, parent=parent, via=via, here=here)
        kinds[each["kind"], "right" if right else "wrong"] += 1
        if not right:
            wrong.append([a, b, each["kind"], parent, list(via)])
    found_families = {frozenset(names[k] for k in cluster) for cluster in document["clusters"]}
    true_families = set(families(tuple(names)))
    merged = {names[m["child"]]: sorted(names[k] for k in m["parents"]) for m in document["merges"]}
    return {
        "models": len(names),
        "pairs": [[*key, count] for key, count in sorted(pairs.items())],
        "missed": missed,
        "invented": invented,
        "relations": [[*key, count] for key, count in sorted(kinds.items())],
        "wrong": wrong,
        "families_exact": found_families == true_families,
        "families": sorted(sorted(family) for family in found_families),
        "true_families": sorted(sorted(family) for family in true_families),
        "merges": [
            [
                name,
                merged.get(name, []),
                sorted(members()[name].parents),
            ]
            for name in names
            if members()[name].merged or name in merged
        ],
        "edges_alone": _through_others(names, relation),
    }


def _through_others(names: list[str], relation: Mapping[tuple[str, str], str]) -> list[list[str]]:
    """Models made from another that is here, without an edge to any model they were made from."""
    joined = {frozenset(pair) for pair, found in relation.items() if found in ("identical", "lineage")}
    return [
        [name, *members()[name].parents]
        for name in names
        if any(p in names for p in members()[name].parents)
        and not any(frozenset({name, p}) in joined for p in members()[name].parents)
    ]


def run(folder: Path, *, confirm: bool, workers: int) -> dict[str, Any]:
    """Build the models, compare all pairs, judge."""
    names = tuple(member.name for member in POPULATION)
    places = write_models(folder / "models", names)
    execution = Execution(folder / "results", executor="processes", workers=workers)
    found = find_tree([str(places[name]) for name in names], execution=execution, confirm=confirm)
    check(json.loads(found.to_json()), where="the tree")
    verdict = judge(found.document)
    return {
        "confirm": confirm,
        "pairs_compared": found.document["pairs"]["compared"],
        "pairs_confirmed": found.document["pairs"]["confirmed"],
        **verdict,
    }


def main() -> None:
    """Run with and without whole models and write the pages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=PAGE)
    parser.add_argument("--work", type=Path, help="Keep models and results here, and go on from there.")
    parser.add_argument("--workers", type=int, default=2)
    given_ = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = given_.work or Path(temporary)
        runs = [run(work, confirm=confirm, workers=given_.workers) for confirm in (False, True)]
    text = json.dumps({"runs": runs}, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    (given_.folder / "family-tree.json").write_text(text, encoding="utf-8")
    for lang, name in (("en", "family-tree.md"), ("ko", "family-tree.ko.md")):
        (given_.folder / name).write_text(markdown(runs, lang), encoding="utf-8")


if __name__ == "__main__":
    main()
