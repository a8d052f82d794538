"""Really trained models and their transforms, with the truth of every pair: what ``family_tree.py`` is held against."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from pathlib import Path

import numpy as np

from jokbo.testing import transforms as edit
from jokbo.testing.checkpoint import Checkpoint, load_checkpoint

ROOT = Path(__file__).parents[1]
ZOO = ROOT / "zoo" / "models"

Build = Callable[..., Checkpoint]


@dataclass(frozen=True, slots=True)
class Member:
    """One model of the population.

    Attributes
    ----------
    name : str
    parents : tuple of str
        What it was made from, by all or most of its weights.
    gives : tuple of str
        Models that gave it a component and no more, or its initialisation.
    build : callable or None
        From the parents' checkpoints, then those of `gives`; None for models of the zoo.
    merged : bool
        Whether it is a mixture of its parents.
    """

    name: str
    parents: tuple[str, ...] = ()
    gives: tuple[str, ...] = ()
    build: Build | None = None
    merged: bool = False


def _rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def _sparse(model: Checkpoint, share: float = 0.2) -> Checkpoint:
    """Set the smallest weights of each matrix to zero."""
    cut = {n: np.quantile(np.abs(v), share) for n, v in model.tensors.items() if v.ndim == 2}
    return model.with_tensors({n: np.where(np.abs(model[n]) < c, 0, model[n]) for n, c in cut.items()})


def _disguise(*names: str) -> Build:
    return lambda m: edit.disguise(m, names, rng=_rng(1))


TRAINED = (
    *(Member(name) for name in ("base0", "base1", "base2", "base3", "distil0")),
    *(Member(name, ("base0",)) for name in ("sft0", "sft0b", "cpt0", "lora0")),
    Member("sameinit0", gives=("base0",)),
    Member("embx0", gives=("base0",)),
    Member("gpt2-0"),
    Member("gpt2-1"),
    Member("gpt2-0-sft", ("gpt2-0",)),
    Member("mixtral-0"),
    Member("mixtral-1"),
    Member("mixtral-0-sft", ("mixtral-0",)),
    Member("tower-a"),
    Member("tower-b", gives=("tower-a",)),
    Member("tower-c"),
)

_EDITS: Mapping[str, Build] = {
    "int8": lambda m: edit.quantise(m, "int8"),
    "int4": lambda m: edit.quantise(m, "int4", group=32),
    "fp8": edit.store_fp8,
    "zeros": _sparse,
    "deepened": edit.depth_up,
    "repeated": lambda m: edit.take_layers(m, [0, 1, 1, 2, 2, 3]),
    "upcycled": lambda m: edit.upcycle(m, noise=0.0, rng=_rng(2)),
    "layer dropped": lambda m: edit.prune_layers(m, drop=[1]),
    "units pruned": lambda m: edit.prune_units(m, keep=0.6, rng=_rng(3)),
    "noise": lambda m: edit.fine_tune_noise(m, size=0.08, rng=_rng(4)),
    "derived": lambda m: edit.derive(m, _rng(5), cosine=0.9),
    **{
        name.replace("_", " "): _disguise(name)
        for name in (
            "permute_units",
            "permute_heads",
            "permute_channels",
            "flip_units",
            "scale_norms",
            "rotate",
        )
    },
}

OF_BASE0 = tuple(_EDITS)
OF_SFT0 = ("int8", "noise", "deepened", "layer dropped", "rotate", "zeros")
OF_BASE1 = ("int4", "noise")
OF_GPT2 = ("noise", "zeros")
OF_MIXTRAL = ("noise",)


def _of(parent: str, names: tuple[str, ...]) -> tuple[Member, ...]:
    return tuple(Member(f"{name} {parent}", (parent,), build=_EDITS[name]) for name in names)


MADE = (
    *_of("base0", OF_BASE0),
    *_of("sft0", OF_SFT0),
    *_of("base1", OF_BASE1),
    *_of("gpt2-0-sft", OF_GPT2),
    *_of("mixtral-0-sft", OF_MIXTRAL),
    *_of("int8 sft0", ("int4", "noise")),
    Member(
        "more noise base1", ("noise base1",), build=lambda m: edit.fine_tune_noise(m, size=0.08, rng=_rng(8))
    ),
    Member(
        "more layers sft0", ("deepened sft0",), build=lambda m: edit.take_layers(m, [0, 1, 2, 2, 3, 4, 5])
    ),
    Member("shuffled mixtral-0", ("mixtral-0",), build=_disguise("permute_experts")),
    Member(
        "scrambled cpt0",
        ("cpt0",),
        build=_disguise("permute_units", "permute_heads", "permute_values", "flip_rotary", "rotate"),
    ),
    Member(
        "soup sft0 cpt0",
        ("sft0", "cpt0"),
        build=lambda a, b: edit.merge([a, b], weights=[0.6, 0.4]),
        merged=True,
    ),
    Member(
        "soup sft0 lora0",
        ("sft0", "lora0"),
        build=lambda a, b: edit.merge([a, b], weights=[0.5, 0.5]),
        merged=True,
    ),
    Member(
        "soup of three",
        ("sft0b", "cpt0", "lora0"),
        build=lambda a, b, c: edit.merge([a, b, c], weights=[0.4, 0.3, 0.3]),
        merged=True,
    ),
    Member(
        "soup sft0 base1",
        ("sft0", "base1"),
        build=lambda a, b: edit.merge([a, b], weights=[0.5, 0.5]),
        merged=True,
    ),
    Member(
        "slerp sft0 sft0b", ("sft0", "sft0b"), build=lambda a, b: edit.slerp(a, b, share=0.4), merged=True
    ),
    Member(
        "ties sft0 cpt0",
        ("base0", "sft0", "cpt0"),
        build=lambda base, a, b: edit.ties(base, [a, b], density=0.3),
        merged=True,
    ),
    Member(
        "dare sft0 lora0",
        ("base0", "sft0", "lora0"),
        build=lambda base, a, b: edit.dare(base, [a, b], weights=[0.6, 0.4], drop=0.5, rng=_rng(6)),
        merged=True,
    ),
    Member("int8 of soup", ("soup sft0 cpt0",), build=_EDITS["int8"]),
    Member(
        "head of base1",
        ("noise base0",),
        ("base1",),
        build=edit.transplant_embedding,
    ),
    Member(
        "units of base1",
        ("sft0b",),
        ("base1",),
        build=lambda a, b: edit.splice_units(a, b, share=0.2, rng=_rng(7)),
    ),
)

POPULATION = (*TRAINED, *MADE)


@cache
def members() -> Mapping[str, Member]:
    """By name."""
    return {member.name: member for member in POPULATION}


def checkpoints(names: tuple[str, ...]) -> dict[str, Checkpoint]:
    """Build models, and what they are made from."""
    found: dict[str, Checkpoint] = {}

    def build(name: str) -> Checkpoint:
        if name not in found:
            member = members()[name]
            if member.build is None:
                found[name] = load_checkpoint(ZOO / name)
            else:
                found[name] = member.build(*(build(other) for other in (*member.parents, *member.gives)))
        return found[name]

    return {name: build(name) for name in names}


def write_models(folder: Path, names: tuple[str, ...]) -> dict[str, Path]:
    """Save models, each in a folder of its own name; those of the zoo stay where they are."""
    made = tuple(name for name in names if members()[name].build is not None)
    places = {name: ZOO / name for name in names if name not in made}
    for name, checkpoint in checkpoints(made).items():
        places[name] = folder / name
        if not (places[name] / "config.json").is_file():
            checkpoint.save(places[name])
    return {name: places[name] for name in names}


def ancestors(name: str) -> frozenset[str]:
    """All that a model comes from, itself included."""
    return frozenset({name}).union(*(ancestors(parent) for parent in members()[name].parents))


def related(a: str, b: str) -> bool:
    """Whether two models have an ancestor in common."""
    return bool(ancestors(a) & ancestors(b))


def given(a: str, b: str) -> bool:
    """Whether two models that are no relatives share a component or an initialisation."""

    def sources(name: str) -> frozenset[str]:
        return ancestors(name).union(*(_all_of(g) for k in ancestors(name) for g in members()[k].gives))

    return not related(a, b) and bool(sources(a) & sources(b))


def _all_of(name: str) -> frozenset[str]:
    return ancestors(name).union(*(_all_of(g) for k in ancestors(name) for g in members()[k].gives))


def families(names: tuple[str, ...]) -> tuple[frozenset[str], ...]:
    """Connected sets of relatives among some models."""
    sets = [{name} for name in names]
    for a, b in combinations(names, 2):
        if related(a, b):
            mine, other = (next(s for s in sets if k in s) for k in (a, b))
            if mine is not other:
                mine |= other
                sets.remove(other)
    return tuple(frozenset(s) for s in sets if len(s) > 1)


def is_right(
    kind: str, a: str, b: str, *, parent: str | None, via: tuple[str, ...], here: frozenset[str]
) -> bool:
    """Whether what was said of two relatives is true.

    Parameters
    ----------
    kind : str
        A kind of :data:`jokbo.lineage.graph.relations.KINDS`, other than ``"undetermined"``.
    via : tuple of str
    here : frozenset of str
        All models of the tree.
    """
    direct = a in members()[b].parents or b in members()[a].parents
    descends = a in ancestors(b) or b in ancestors(a)
    child = None if parent is None else b if parent == a else a
    match kind:
        case "copy":
            return False  # nobody is in the population twice
        case "parent_child":
            return parent in members()[child or ""].parents and not members()[child or ""].merged
        case "ancestor":
            return parent in ancestors(child or "")
        case "merge":
            return members()[child or ""].merged and parent in members()[child or ""].parents
        case "siblings":
            return not descends and related(a, b)
        case "through":
            return not direct and _meets(a, b, via)
        case "adjacent":
            return not _between(a, b) & here
    raise ValueError(f"kind {kind!r} is not judged.")


def _between(a: str, b: str) -> frozenset[str]:
    """Models on a way from one relative to the other, up to a common ancestor and down again; mere edits aside."""
    up_a, up_b = ancestors(a), ancestors(b)
    common = up_a & up_b
    nearest = {k for k in common if not any(k != other and k in ancestors(other) for other in common)}
    way = {k for k in up_a | up_b if any(top in ancestors(k) for top in nearest)}
    return frozenset(way - {a, b})


def _meets(a: str, b: str, via: tuple[str, ...]) -> bool:
    """Whether two relatives meet at one of some models, or at one that it was made from or that was made from it."""
    way = _between(a, b)
    near = {k for v in via for k in (v, *members()[v].parents)}
    return bool(way & near)
