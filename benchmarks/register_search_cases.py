"""Planted derivations and the zoo's transforms: what the full test finds, and what of it the prefilter passes."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from jokbo.lineage.fingerprint import Fingerprint, make_fingerprint
from jokbo.lineage.pairs import DEPENDENCE, compare_pair
from jokbo.lineage.prefilter import PASSES, score_sketch
from jokbo.lineage.sketch_format import parse_sketch
from jokbo.lineage.sketch_index import build_index
from jokbo.testing.builders import llama
from jokbo.testing.checkpoint import Checkpoint, load_checkpoint
from jokbo.testing.transforms import (
    DISGUISES,
    depth_up,
    derive,
    disguise,
    prune_layers,
    prune_units,
    quantise,
    rotate,
    transplant_embedding,
    upcycle,
)
from jokbo.views.fingerprint import SUFFIX, read_sketch

AMONG = 10_000
COSINES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.9)
DRAWS = 2
ONE_LAYER = "model.layers.2."


def wide_model(number: int) -> Checkpoint:
    """An independent model of 24 layers, in the shape of the one searched for."""
    return llama(
        np.random.default_rng([7, number]),
        hidden_size=512,
        num_layers=24,
        intermediate_size=1376,
        num_heads=8,
        num_kv_heads=4,
        vocab_size=2048,
    )


def small_model(number: int, *, kin: bool) -> Checkpoint:
    """A model in the zoo's shape; kin of the one before it at cosine .8."""
    rng = np.random.default_rng([11, number])
    if kin:
        return derive(small_model(number - 1, kin=False), rng, cosine=0.8)
    return llama(
        rng,
        hidden_size=128,
        num_layers=4,
        intermediate_size=344,
        num_heads=4,
        num_kv_heads=2,
        vocab_size=1024,
    )


def planted(base: Checkpoint, rng: np.random.Generator, cosine: float, kind: str) -> Checkpoint:
    """A model that agrees with `base` at one cosine, under one disguise or in one part alone."""
    child = derive(base, rng, cosine=cosine)
    if kind == "rotated":
        return rotate(child, rng=rng)
    if kind == "units permuted":
        return disguise(child, ["permute_units"], rng=rng)
    fresh = derive(base, rng, cosine=0.0)
    part: dict[str, Callable[[str], bool]] = {
        "same basis": lambda name: True,
        "one layer alone": lambda name: name.startswith(ONE_LAYER),
        "MLP alone": lambda name: ".mlp." in name,
        "attention alone": lambda name: ".self_attn." in name,
        "embedding alone": lambda name: name == "model.embed_tokens.weight",
    }
    keep = part[kind]
    return fresh.with_tensors({name: child[name] for name in child.tensors if keep(name)})


KINDS = (
    "same basis",
    "rotated",
    "units permuted",
    "one layer alone",
    "MLP alone",
    "attention alone",
    "embedding alone",
)


@cache
def _zoo(root: Path, name: str) -> Checkpoint:
    return load_checkpoint(root / "zoo" / "models" / name)


def transformed(root: Path) -> Iterator[tuple[str, str, Checkpoint]]:
    """The zoo's models under every transform: reference, transform, candidate."""
    for name in ("base0", "sft0"):
        base = _zoo(root, name)
        rng = np.random.default_rng(3)
        for one in DISGUISES:
            if one != "permute_experts":
                yield name, one, disguise(base, [one], rng=rng)
        for both in (
            ["rotate", "flip_units"],
            ["permute_channels", "flip_channels"],
            ["permute_units", "permute_heads"],
            ["permute_units", "permute_heads", "permute_values"],
            ["rotate", "permute_units"],
        ):
            yield name, " + ".join(both), disguise(base, both, rng=rng)
        yield name, "layer dropped", prune_layers(base, drop=[1])
        yield name, "deepened", depth_up(base)
        for by in ("importance", "random"):
            yield name, f"units pruned ({by})", prune_units(base, keep=0.6, by=by, rng=rng)
        yield name, "int8", quantise(base, "int8")
        yield name, "int4", quantise(base, "int4")
        yield name, "upcycled to experts", upcycle(base, rng=rng)
        yield name, "embedding transplanted", transplant_embedding(_zoo(root, "base3"), base)
    base, rng = _zoo(root, "mixtral-0"), np.random.default_rng(4)
    for one in ("permute_units", "permute_heads", "flip_channels", "permute_experts", "rotate"):
        yield "mixtral-0", one, disguise(base, [one], rng=rng)


def power_rows(folder: Path, root: Path) -> dict[str, Any]:
    """Found in full beside passed, case by case."""
    bench = Bench(folder)
    rows = []
    for label, base in (
        ("trained, width 128, 4 layers", _zoo(root, "base1")),
        ("width 320, 8 layers", _middle()),
    ):
        for kind in KINDS:
            for cosine in COSINES:
                outcomes = [
                    bench.both(
                        base, planted(base, np.random.default_rng([draw, int(cosine * 100)]), cosine, kind)
                    )
                    for draw in range(DRAWS)
                ]
                rows.append({"model": label, "kind": kind, "cosine": cosine, **_tally(outcomes)})
                print(rows[-1], flush=True)
    cases = [
        {"reference": name, "transform": kind, **_tally([bench.both(_zoo(root, name), child)])}
        for name, kind, child in transformed(root)
    ]
    return {"planted": rows, "transforms": cases, "relations": _relations(bench, root)}


@cache
def _middle() -> Checkpoint:
    return llama(
        np.random.default_rng(21),
        hidden_size=320,
        num_layers=8,
        intermediate_size=864,
        num_heads=8,
        num_kv_heads=4,
        vocab_size=1024,
    )


def _relations(bench: Bench, root: Path) -> dict[str, int]:
    """All pairs of the zoo: related ones found and passed, independent ones found and passed."""
    truth = tomllib.loads((root / "zoo" / "truth.toml").read_text(encoding="utf-8"))["relation"]
    counts = {"related": 0, "related_found": 0, "related_found_not_passed": 0}
    counts |= {"independent": 0, "independent_found": 0, "independent_passed": 0}
    for row in truth:
        pair = [_zoo(root, row[side]) for side in ("reference", "candidate")]
        found, passed = bench.both(*pair)
        kind = "independent" if row["truth"] == "independent" else "related"
        counts[kind] += 1
        counts[f"{kind}_found"] += found
        counts["related_found_not_passed"] += kind == "related" and found and not passed
        counts["independent_passed"] += kind == "independent" and passed
    return counts


def _tally(outcomes: list[tuple[bool, bool]]) -> dict[str, int]:
    return {
        "cases": len(outcomes),
        "found": sum(found for found, _ in outcomes),
        "passed": sum(passed for _, passed in outcomes),
        "lost": sum(found and not passed for found, passed in outcomes),
    }


class Bench:
    """Runs both tests of a pair on fingerprints."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: dict[int, tuple[Checkpoint, Fingerprint]] = {}

    def _fingerprint(self, model: Checkpoint) -> Fingerprint:
        known = self.made.get(id(model))
        if known is None:
            known = (model, make_fingerprint(model.to_source(name="model")))
            if len(self.made) < 64:
                self.made[id(model)] = known
        return known[1]

    def both(self, reference: Checkpoint, candidate: Checkpoint) -> tuple[bool, bool]:
        """Whether the full test finds dependence or a lead among 10,000, and whether the prefilter passes."""
        prints = [self._fingerprint(model) for model in (reference, candidate)]
        places = []
        for side, made in zip("ab", prints, strict=True):
            places.append(self.folder / f"{side}{SUFFIX}")
            made.write(places[-1])
        pair = compare_pair(places[0], places[1], among=AMONG)
        sketches = [read_sketch(made.data) for made in prints]
        assert sketches[0] is not None
        assert sketches[1] is not None
        index = build_index(self.folder / "one", [("a", sketches[0])], digest="d", salt=prints[0].header.salt)
        score = float(score_sketch(parse_sketch(sketches[1]), index).score[0])
        return pair["relation"] in (*DEPENDENCE, "lead"), score >= PASSES
