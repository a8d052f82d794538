"""Family files: what they may say, and how they are read.

One TOML file a family, under ``data/``. Unknown keys are errors, because a
misspelt rule that is silently dropped would leave tensors unclaimed.
``extends`` merges a family onto another: tables merge, everything else
replaces, and ``false`` removes an inherited entry.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any, TypeVar

from jokbo.errors import ArchitectureError

MAX_EXTENDS = 8

Kind = TypeVar("Kind")


@dataclass(frozen=True, slots=True)
class PartRule:
    """One piece of a fused tensor: its role and logical axes, rows first."""

    role: str
    axes: list[str]


@dataclass(frozen=True, slots=True)
class TensorRule:
    """What the tensors of one name pattern are.

    Attributes
    ----------
    role, axes, kind
        As in :class:`~jokbo.architectures.base.Part`. An axis is a name, or ``name:expression``
        where its size differs from the tower's; a buffer may leave its axes unsaid.
    parts, groups
        A fused tensor: its pieces in order, and how often that order repeats along the rows
        (1 for pieces laid end to end, the number of heads where pieces alternate by head).
    transposed
        Stored as (in, out).
    packed
        One plane an expert along a leading axis.
    expert
        ``"shared"`` for an expert that sees every token.
    layer
        The layer of a tensor whose name has no ``{layer}``.
    when
        Whether the tensor belongs to the checkpoint at all, by layer if it says ``layer``.
    required
        Whether its absence is worth reporting.
    offset
        Added to a norm gain before use.
    stored
        Stored shape where it is not that of the axes (convolutions, leading ones).
    """

    role: str = ""
    axes: list[str] = field(default_factory=list)
    kind: str = "weight"
    parts: list[PartRule] = field(default_factory=list)
    groups: str = "1"
    transposed: bool = False
    packed: bool = False
    expert: str = ""
    layer: int | None = None
    when: str = "1"
    required: str = "1"
    offset: float = 0.0
    stored: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class SymmetryRule:
    """A symmetry stated by a family, in place of the one that follows from its facts."""

    holds: bool
    reason: str


@dataclass(frozen=True, slots=True)
class TowerRule:
    """One tower of a family.

    Attributes
    ----------
    config : list of str
        Where its part of the configuration lies; the first that exists counts, ``""`` is the top.
    prefixes, outer : list of str
        What ``{p}`` and ``{o}`` may stand for; the alternative that finds most tensors counts.
    optional : bool
        A checkpoint may lack the tower.
    first_layer : str
        Stored number of the tower's first layer.
    like, family : str
        Rules are those of tower `like` in the family that the tower's own ``model_type`` names, or `family`.
    layers_of : str
        Take every rule with ``{layer}`` from this tower of the same family.
    defaults, sizes, axes, facts : dict
        Class defaults; expressions in order of evaluation.
    conditions : dict
        Names for expressions that ``when`` and ``required`` may use, such as which layers are sparse.
    tensors : dict of str to TensorRule
    either : dict
        Groups of alternatives; in each group the one that finds most tensors counts.
    symmetries : dict of str to SymmetryRule
    """

    config: list[str] = field(default_factory=lambda: [""])
    prefixes: list[str] = field(default_factory=lambda: [""])
    outer: list[str] = field(default_factory=lambda: [""])
    optional: bool = False
    first_layer: str = "0"
    like: str = ""
    family: str = ""
    layers_of: str = ""
    defaults: dict[str, Any] = field(default_factory=dict)
    sizes: dict[str, str] = field(default_factory=dict)
    axes: dict[str, str] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    conditions: dict[str, str] = field(default_factory=dict)
    tensors: dict[str, TensorRule] = field(default_factory=dict)
    either: dict[str, dict[str, dict[str, TensorRule]]] = field(default_factory=dict)
    symmetries: dict[str, SymmetryRule] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Family:
    """One family file, after ``extends``."""

    name: str
    about: str
    model_types: list[str]
    towers: dict[str, TowerRule]
    extends: str = ""


@dataclass(frozen=True, slots=True)
class Convention:
    """Names of a plain MLP's matrices, for checkpoints of no known family."""

    up: str
    down: str
    gate: str = ""


@dataclass(frozen=True, slots=True)
class Conventions:
    """Names that say the same in every family: quantisation scales, and what the fallback knows."""

    weight_scales: list[str]
    activation_scales: list[str]
    embeddings: list[str]
    outputs: list[str]
    mlps: list[Convention]


def _merge(base: dict[str, Any], child: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in child.items():
        if value is False and key in merged and not isinstance(merged[key], bool):
            del merged[key]
        elif isinstance(value, dict) and isinstance(merged.get(key), dict) and not _is_rule(value):
            merged[key] = _merge(merged[key], value)
        else:
            merged[key] = value
    return merged


def _is_rule(table: dict[str, Any]) -> bool:
    """Whether a table is one tensor's rule, which replaces an inherited one whole."""
    return "role" in table or "parts" in table or "holds" in table


def _document(name: str) -> dict[str, Any]:
    path = resources.files("jokbo.architectures").joinpath("data", f"{name}.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))


@cache
def _resolved(name: str, depth: int = 0) -> dict[str, Any]:
    """A family's document on top of all that it extends, the furthest first."""
    document = _document(name)
    parent = document.get("extends", "")
    if not parent:
        return document
    if depth >= MAX_EXTENDS:
        raise ArchitectureError(
            f"data/{name}.toml: extends more than {MAX_EXTENDS} files, or itself; expected a short chain. "
            "Correct the file."
        )
    return _merge(_resolved(parent, depth + 1), document)


@cache
def load(name: str) -> Family:
    """Read a family by the name of its file.

    Raises
    ------
    ArchitectureError
        The file holds a key or a value that no rule has.
    """
    document = _resolved(name)
    return structure(document, Family, f"data/{name}.toml")


@cache
def conventions() -> Conventions:
    """The conventions that no family owns."""
    return structure(_document("_conventions"), Conventions, "data/_conventions.toml")


def structure(document: dict[str, Any], kind: type[Kind], where: str) -> Kind:
    """Check a parsed document against a dataclass; unknown keys are errors."""
    import cattrs

    converter = cattrs.Converter(forbid_extra_keys=True, prefer_attrib_converters=True)
    try:
        return converter.structure(document, kind)
    except (
        Exception
    ) as error:  # cattrs raises groups of several kinds; each line of its own summary names one key
        lines = "; ".join(cattrs.transform_error(error))
        raise ArchitectureError(f"{where}: {lines}. Correct the file.") from error


@cache
def names() -> tuple[str, ...]:
    """Names of all family files."""
    folder = resources.files("jokbo.architectures").joinpath("data")
    found = (item.name for item in folder.iterdir())
    return tuple(sorted(name[:-5] for name in found if name.endswith(".toml") and not name.startswith("_")))


@cache
def by_model_type() -> dict[str, str]:
    """Which family describes which ``model_type``."""
    table: dict[str, str] = {}
    for name in names():
        for model_type in _document(name).get("model_types", []):
            if model_type in table:
                raise ArchitectureError(
                    f"data/{name}.toml and data/{table[model_type]}.toml both claim model_type "
                    f"{model_type!r}; one of them must let it go."
                )
            table[model_type] = name
    return table
