"""Which registered models a search must test in full: scores of one sketch against all others.

A model that is not passed enters the search with an e-value of 0, which is an e-value, so no error rate depends on
anything here. What a prefilter can lose is power: :mod:`jokbo.lineage.prefilter_bounds` says from which agreement on a
model is passed, and ``benchmarks/register_search.py`` measures it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int
from threadpoolctl import threadpool_limits

from jokbo.lineage.prefilter_scores import (
    Scores,
    matched_units,
    same_place,
    section_scores,
    shared_bits,
)
from jokbo.lineage.sketch_format import GRAM, HASHED, ROTARY, TABLES, TIERS, UNITS, VALUES, Section, Sketch
from jokbo.lineage.sketch_index import Group, SketchIndex, group_key

PASSES = 4.0
"""Minus log10 of the chance that an independent model is passed: about one in ten thousand."""

BODY_KINDS = (UNITS, GRAM, VALUES)
SAME_BASIS = (f"{UNITS}:place", f"{VALUES}:place", f"{ROTARY}:place", *TABLES)
"""Scores that a common basis moves together, and that are independent of each other without one."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """What of every model one section was held against.

    Attributes
    ----------
    kind : str
        Of the section.
    bits : int
        Signs of one block.
    places : array (models,)
        Blocks that stand side by side.
    pairs : array (models,)
        Pairs of blocks, of any places.
    """

    kind: str
    bits: int
    places: Int[np.ndarray, " models"]
    pairs: Int[np.ndarray, " models"]


@dataclass(frozen=True, slots=True)
class Scored:
    """Scores of a candidate against every model of an index.

    Attributes
    ----------
    score : array (models,)
        Minus log10 of the smallest p-value of the model's scores, times their number; ``-inf`` where nothing of
        the two could be held together.
    kinds : mapping of str to array (models,)
        Standard scores by what was compared; ``nan`` where it could not be.
    body : array of bool (models,)
        Something of the body could be compared.
    tested : array (models,)
        How many scores each model has.
    overlaps : tuple of Overlap
        What each section of the candidate could be held against.
    """

    score: Scores
    kinds: dict[str, Scores]
    body: Bool[np.ndarray, " models"]
    tested: Int[np.ndarray, " models"]
    overlaps: tuple[Overlap, ...]

    def passed(self, *, threshold: float = PASSES) -> Int[np.ndarray, " passed"]:
        """Numbers of the models that the full test must see, highest score first."""
        found = np.flatnonzero(self.score >= threshold)
        return found[np.argsort(-self.score[found], kind="stable")]

    def nearest(self, count: int) -> Int[np.ndarray, " nearest"]:
        """Numbers of the `count` models of the highest scores, among those whose body could be compared."""
        found = np.flatnonzero(self.body)
        return found[np.argsort(-self.score[found], kind="stable")][:count]


def score_sketch(sketch: Sketch, index: SketchIndex, *, workers: int = 2) -> Scored:
    """Hold one sketch against all others.

    Parameters
    ----------
    sketch : Sketch
        Of the same salt.
    index : SketchIndex
    workers : int
        Threads; the scores are the same with any number.

    Returns
    -------
    Scored

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from jokbo.lineage.sketch import make_sketch
    >>> from jokbo.lineage.sketch_format import parse_sketch
    >>> from jokbo.lineage.sketch_index import build_index
    >>> from jokbo.testing.builders import llama
    >>> from jokbo.views.model import open_model
    >>> a, b = (
    ...     make_sketch(open_model(llama(np.random.default_rng(k)).to_source(name=f"{k}"))) for k in (0, 1)
    ... )
    >>> with tempfile.TemporaryDirectory() as place:
    ...     index = build_index(Path(place) / "i", [("a", a), ("b", b)], digest="d", salt="jokbo-1")
    ...     print([index.keys[k] for k in score_sketch(parse_sketch(a), index).passed()])
    ['a']
    """
    count = len(index)
    body = np.zeros(count, dtype=bool)
    jobs: list[tuple[Section, Group, bool]] = []
    for section in sketch.sections:
        jobs += [(section, group, False) for group in _same_shape(section, index)]
        if section.kind == UNITS:
            jobs += [(section, other, True) for other in _other_counts(section, index)]
    kinds: dict[str, Scores] = {}
    overlaps = []
    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(max(workers, 1)) as pool:
        for (section, group, matched), found in zip(
            jobs, pool.map(lambda job: _run(job, count), jobs), strict=True
        ):
            for name, values in found:
                known = kinds.setdefault(name, np.full(count, np.nan))
                np.fmax(known, values, out=known)
                if section.kind in BODY_KINDS:
                    body |= np.isfinite(values)
            if not matched:
                overlaps.append(_overlap(section, group, count))
    if kinds:
        kinds["together"] = _together(kinds)
    tested = np.sum([np.isfinite(values) for values in kinds.values()], axis=0, dtype=np.int64)
    tested = np.broadcast_to(tested, (count,))
    return Scored(_combine(kinds, tested, count), kinds, body, tested, tuple(overlaps))


def _overlap(section: Section, group: Group, count: int) -> Overlap:
    places = np.zeros(count, dtype=np.int64)
    if section.kind not in (*TABLES, HASHED):
        for k in range(len(section.places)):
            places[group.owner[same_place(section, group, k)]] += 1
    pairs = np.bincount(group.owner, minlength=count) * section.blocks
    return Overlap(section.kind, shared_bits(section, group), places, pairs)


def _run(job: tuple[Section, Group, bool], count: int) -> list[tuple[str, Scores]]:
    section, group, matched = job
    if matched:
        return [("matched", matched_units(section, group, count))]
    return section_scores(section, group, count)


def _together(kinds: dict[str, Scores]) -> Scores:
    """All that sees one basis, added up (Stouffer): weak agreement everywhere shows in the sum."""
    stack = np.stack(
        [kinds[name] for name in SAME_BASIS if name in kinds]
        or [np.full(len(next(iter(kinds.values()))), np.nan)]
    )
    count = np.isfinite(stack).sum(axis=0)
    return np.where(count > 1, np.nansum(stack, axis=0) / np.sqrt(np.maximum(count, 1)), np.nan)


def _combine(kinds: dict[str, Scores], tested: Int[np.ndarray, " models"], count: int) -> Scores:
    """Bonferroni over what was compared of each model."""
    if not kinds:
        return np.full(count, -np.inf)
    from scipy.special import log_ndtr

    stack = np.stack(list(kinds.values()))
    known = np.isfinite(stack)
    logs = np.where(known, -log_ndtr(-np.where(known, stack, 0.0)) / math.log(10), -np.inf)
    return np.asarray(logs.max(axis=0) - np.log10(np.maximum(tested, 1)))


def _same_shape(section: Section, index: SketchIndex) -> Iterator[Group]:
    """Groups that can be held against a section: of the same shape; of rows, with as many tiers or other ones."""
    wanted = group_key(section)
    for key, group in index.groups.items():
        if key[:3] == wanted[:3] and (key.rows == wanted.rows or section.kind in (*TIERS, GRAM)):
            yield group


def _other_counts(section: Section, index: SketchIndex) -> Iterator[Group]:
    """Groups of the same tower and width, of another number of units, gated or not as the candidate is."""
    kind, _, width = section.key.split("x")
    for key, group in index.groups.items():
        if key.kind == UNITS and key.tower == section.tower and key.key != section.key:
            other = key.key.split("x")
            if (other[0], other[-1]) == (kind, width):
                yield group
