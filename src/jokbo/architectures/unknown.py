"""Checkpoints of no known family: only what names and shapes together make certain.

An MLP whose two or three matrices are named as such and fit each other leaves no
other reading of its hidden units, so they may be permuted. Whether a sign may
change, where heads begin and what is added to the residual stream cannot be read
from shapes; those symmetries are refused.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from jokbo.architectures.base import Anatomy, Expert, Kind, Layout, Part, Role, Symmetry, Tower
from jokbo.architectures.rules import plain
from jokbo.architectures.schema import Convention, Conventions, conventions
from jokbo.formats.base import TensorCatalog, TensorEntry

_LAYER = re.compile(r"(?:^|\.)(?!experts\.)([A-Za-z_0-9]*[A-Za-z_])\.(\d{1,6})(?=\.)")
_EXPERT = re.compile(r"\.experts\.(\d{1,6})\.")
_HIDDEN_KEYS = ("hidden_size", "n_embd", "d_model", "dim", "model_dim")
_REFUSED = "the architecture is unknown, and shapes alone do not show it"


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a name says it belongs: the text before the layer number, and the numbers."""

    stem: str
    layer: int | None
    expert: Expert | None


def match(
    catalog: TensorCatalog, config: Mapping[str, object], reason: str, *, model_type: str = ""
) -> Anatomy:
    """Pair by name and shape what can be paired soundly.

    Parameters
    ----------
    catalog : TensorCatalog
    config : mapping
        Only a hidden size is looked for in it.
    reason : str
        Why no family applies; becomes a note.
    model_type : str
        What the configuration calls itself.

    Returns
    -------
    Anatomy
        Family ``"unknown"``; tensors without a certain role have role ``other``.
    """
    words = conventions()
    places = {name: _place(name) for name in catalog}
    stacks = _stacks(catalog, places)
    widths = {
        entry.shape[1]
        for name, entry in catalog.items()
        if len(entry.shape) == 2 and name.endswith(tuple(words.embeddings))
    }
    towers = {stem: "text" if i == 0 else stem for i, stem in enumerate(stacks)}
    hidden = {stem: _hidden_size(names, catalog, config, widths) for stem, names in stacks.items()}
    known: dict[str, Part] = {}
    for stem, names in stacks.items():
        if hidden[stem]:
            known.update(_mlps(names, catalog, places, towers[stem], hidden[stem], words))
    main = next(iter(stacks), "")
    if hidden.get(main):
        known.update(_tables(catalog, places, hidden[main], words))
    parts = tuple(known.get(name) or _other(entry, places[name], towers) for name, entry in catalog.items())
    mlps = [part for part in known.values() if part.role is Role.FFN_DOWN and part.kind is Kind.WEIGHT]
    with_units = {part.tower for part in mlps}
    pairing = (
        "tensors are paired by name and shape, and only the hidden units of "
        f"{len(mlps):,} MLPs recognised by name and shape are tested"
    )
    return Anatomy(
        family="unknown",
        model_type=model_type,
        towers={
            tower: _tower(tower, hidden[stem], _depth(stacks[stem], places), tower in with_units)
            for stem, tower in towers.items()
        },
        parts=parts,
        notes=(f"{reason}; {pairing}",),
    )


def _place(name: str) -> _Place:
    expert = _EXPERT.search(name)
    found = _LAYER.search(name)
    if found is None:
        return _Place("", None, None)
    return _Place(name[: found.end(1)], int(found[2]), Expert(int(expert[1])) if expert else None)


def _stacks(catalog: TensorCatalog, places: Mapping[str, _Place]) -> dict[str, list[str]]:
    """Names of each numbered stack of blocks, the stack with most parameters first."""
    stacks: dict[str, list[str]] = {}
    sizes = Counter[str]()
    for name, place in places.items():
        if place.layer is not None:
            stacks.setdefault(place.stem, []).append(name)
            sizes[place.stem] += catalog[name].size
    return {stem: stacks[stem] for stem, _ in sizes.most_common()}


def _depth(names: list[str], places: Mapping[str, _Place]) -> int:
    return 1 + max((layer for name in names if (layer := places[name].layer) is not None), default=-1)


def _hidden_size(
    names: list[str], catalog: TensorCatalog, config: Mapping[str, object], widths: set[int]
) -> int:
    """Width of the residual stream of one stack, 0 when the tensors do not settle it.

    Norm vectors decide; the configuration only breaks ties, because a wrong one could name the units' width.
    """
    sizes = Counter(
        catalog[name].shape[0]
        for name in names
        if len(catalog[name].shape) == 1 and ("norm" in name or "ln" in name)
    )
    best = sizes.most_common(2)
    if best and (len(best) == 1 or best[0][1] > best[1][1]):
        return best[0][0]
    for key in _HIDDEN_KEYS:
        said = config.get(key)
        if isinstance(said, int) and not isinstance(said, bool) and (said in sizes or said in widths):
            return said
    return next(iter(widths)) if len(widths) == 1 else 0


def _mlps(
    names: list[str],
    catalog: TensorCatalog,
    places: Mapping[str, _Place],
    tower: str,
    hidden: int,
    words: Conventions,
) -> Iterator[tuple[str, Part]]:
    modules: dict[str, set[str]] = {}
    for name in names:
        for suffix in (".weight", ".bias"):
            if name.endswith(suffix):
                parent, _, leaf = name[: -len(suffix)].rpartition(".")
                modules.setdefault(parent, set()).add(leaf)
    for parent, leaves in modules.items():
        for convention in words.mlps:
            if _names(convention) <= leaves:
                found = list(_mlp(catalog, places, parent, leaves, convention, tower, hidden))
                yield from found
                if found:
                    break


def _names(convention: Convention) -> set[str]:
    return {name for name in (convention.gate, convention.up, convention.down) if name}


def _mlp(
    catalog: TensorCatalog,
    places: Mapping[str, _Place],
    parent: str,
    leaves: set[str],
    convention: Convention,
    tower: str,
    hidden: int,
) -> Iterator[tuple[str, Part]]:
    dot = f"{parent}." if parent else ""
    roles = {convention.gate: Role.FFN_GATE, convention.up: Role.FFN_UP, convention.down: Role.FFN_DOWN}
    matrices = {leaf: catalog.get(f"{dot}{leaf}.weight") for leaf in _names(convention)}
    down = matrices[convention.down]
    if down is None or len(down.shape) != 2 or hidden not in down.shape or down.shape[0] == down.shape[1]:
        return
    transposed = down.shape[1] == hidden
    units = down.shape[0] if transposed else down.shape[1]
    for leaf, entry in matrices.items():
        inward = (units, hidden) if leaf != convention.down else (hidden, units)
        stored = inward[::-1] if transposed else inward
        if entry is None or entry.shape != stored or not entry.dtype.is_weight:
            return
    strangers = leaves - _names(convention)
    for leaf in strangers:  # another tensor along the units might tell them apart
        for suffix in (".weight", ".bias"):
            entry = catalog.get(f"{dot}{leaf}{suffix}")
            if entry is not None and units in entry.shape:
                return
    for leaf in _names(convention):
        for suffix, kind in ((".weight", Kind.WEIGHT), (".bias", Kind.BIAS)):
            entry = catalog.get(f"{dot}{leaf}{suffix}")
            if entry is None:
                continue
            rows = hidden if leaf == convention.down else units
            if kind is Kind.BIAS and entry.shape != (rows,):
                continue
            yield entry.name, _mlp_part(entry, places[entry.name], tower, roles[leaf], kind, transposed)


def _mlp_part(
    entry: TensorEntry, place: _Place, tower: str, role: Role, kind: Kind, transposed: bool
) -> Part:
    axes = ("hidden", "ffn") if role is Role.FFN_DOWN else ("ffn", "hidden")
    if kind is Kind.BIAS:
        shape, layout = plain(entry.shape)
        return Part(tower, role, kind, place.layer, place.expert, entry, shape, axes[:1], layout)
    rows, cols = entry.shape
    shape = (cols, rows) if transposed else (rows, cols)
    layout = Layout(0, rows, cols, 0, max(shape[0], 1), max(shape[0], 1), transposed)
    return Part(tower, role, kind, place.layer, place.expert, entry, shape, axes, layout)


def _tables(
    catalog: TensorCatalog, places: Mapping[str, _Place], hidden: int, words: Conventions
) -> Iterator[tuple[str, Part]]:
    """The token embedding and the output head, when each has one possible reading."""
    for endings, role in ((words.embeddings, Role.TOKEN_EMBD), (words.outputs, Role.OUTPUT)):
        found = [
            entry
            for name, entry in catalog.items()
            if name.endswith(tuple(endings))
            and places[name].layer is None
            and len(entry.shape) == 2
            and entry.shape[1] == hidden < entry.shape[0]
            and entry.dtype.is_weight
        ]
        if len(found) == 1:
            shape, layout = plain(found[0].shape)
            part = Part("text", role, Kind.WEIGHT, None, None, found[0], shape, ("vocab", "hidden"), layout)
            yield found[0].name, part


def _other(entry: TensorEntry, place: _Place, towers: Mapping[str, str]) -> Part:
    kind = Kind.WEIGHT if entry.dtype.is_weight else Kind.BUFFER
    shape, layout = plain(entry.shape)
    tower = towers.get(place.stem, "text")
    return Part(
        tower, Role.OTHER, kind, place.layer, place.expert, entry, shape, ("other",) * len(shape), layout
    )


def _tower(name: str, hidden: int, depth: int, has_units: bool) -> Tower:
    refused = Symmetry(False, _REFUSED)
    units = refused
    if has_units:
        units = Symmetry(
            True, "two or three matrices named as an MLP fit each other, and nothing else meets its units"
        )
    keys = ("unit_sign", "value_sign", "rotary_sign", "channel_permutation", "channel_sign")
    return Tower(
        name=name,
        hidden_size=hidden,
        num_layers=depth,
        num_heads=0,
        num_kv_heads=0,
        head_dim=0,
        v_head_dim=0,
        norm="layer",
        gated=False,
        activation="unknown",
        rope="none",
        rotary_dim=0,
        rotary_start=0,
        symmetries={"unit_permutation": units, **dict.fromkeys(keys, refused)},
    )
