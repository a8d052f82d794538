"""The measures that claims use, and what each says of two models that have nothing to do with each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measure:
    """One way to compare two models.

    Attributes
    ----------
    name : str
    higher_is_closer : bool
        False for distances.
    chance : float or None
        What unrelated models score whatever their tensors hold; None where that depends on the tensors.
    blind_to_order : bool
        Two vectors score high for their common mean alone, so that shuffling one of them changes little.
    directed : bool
        Tells which model came from which; a symmetric measure cannot.
    """

    name: str
    higher_is_closer: bool = True
    chance: float | None = None
    blind_to_order: bool = False
    directed: bool = False


_ALL = (
    Measure("cosine", blind_to_order=True),
    Measure("centred_cosine", chance=0.0),
    Measure("pearson", chance=0.0),
    Measure("spearman", chance=0.0),
    Measure("shuffled_cosine"),
    Measure("cka"),
    Measure("overlap"),
    Measure("distance", higher_is_closer=False),
    Measure("exact_test", directed=True),
    Measure("other"),
)

MEASURES: Mapping[str, Measure] = {measure.name: measure for measure in _ALL}
"""Every measure that a claim may name. ``exact_test`` is `jokbo compare`, ``other`` anything else."""

CENTRED = frozenset({"centred_cosine", "pearson", "spearman"})
"""Measures that ask whether the same entries stand out: what centring leaves."""

TENSORS = ("norm", "embedding", "output_head", "attention", "mlp", "router", "expert", "tokenizer", "other")
"""Kinds of tensors that a row may be about."""

POSITIVE = frozenset({"norm"})
"""Kinds whose entries are nearly all positive: their common mean makes any two of them look alike."""

ROLES = ("effect", "baseline", "shuffled", "random", "unrelated", "derived", "other")
"""What a row is to the claim: the effect itself, what it is held against, or a control."""

COUNTS = ("for", "against", "unused")
"""How the claim counts a row."""
