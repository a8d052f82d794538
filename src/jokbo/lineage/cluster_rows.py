"""Lay the rows of relatives' fingerprints side by side, so that their differences can be measured."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from jokbo.architectures.base import Expert, Kind, Part, Role
from jokbo.lineage.graph.geometry import Frame, sum_of_squares
from jokbo.lineage.sampled_rows import SampledTokens, wanted_rows
from jokbo.sources.base import OpenOptions
from jokbo.views.component import component_of
from jokbo.views.ledger import Ledger
from jokbo.views.model import Model, open_model
from jokbo.views.rows import RowsWish, rows_held

MAX_BYTES = 3 << 30
"""Of rows held at once; a family of more is measured in part, and its document says so."""

Place = tuple[str, Role, Kind, int | None, Expert | None]


@dataclass(frozen=True, slots=True)
class LaidOut:
    """What could be laid side by side of one family.

    Attributes
    ----------
    frames : tuple of Frame
        Each of models of one shape; two models at least.
    left_out : tuple of int
        Models that no other could be laid beside: another shape, or a private fingerprint, or too many.
    """

    frames: tuple[Frame, ...]
    left_out: tuple[int, ...]


def lay_rows(
    members: Sequence[int], paths: Mapping[int, str | os.PathLike[str]], options: OpenOptions | None = None
) -> LaidOut:
    """Measure the distances within one family.

    Parameters
    ----------
    members : sequence of int
        Models that have something comparable, the order of the frames.
    paths : mapping of int to path
        Their fingerprints.
    options : OpenOptions, optional

    Raises
    ------
    JokboError
        A fingerprint cannot be read or believed.
    """
    with ExitStack() as stack:
        opened: dict[int, Model] = {}
        held = 0
        for k in members:
            size = os.stat(paths[k]).st_size
            if held + size > MAX_BYTES:
                continue
            held += size
            model = open_model(paths[k], options)
            stack.callback(model.close)
            opened[k] = model
        frames = [_frame(group) for group in _by_shape(opened)]
    inside = {k for frame in frames for k in frame.members}
    return LaidOut(tuple(frames), tuple(k for k in members if k not in inside))


def _by_shape(opened: Mapping[int, Model]) -> list[dict[int, tuple[Model, list[RowsWish]]]]:
    """Models whose bodies were sampled alike, two at least in a group."""
    found: dict[object, dict[int, tuple[Model, list[RowsWish]]]] = {}
    for k, model in opened.items():
        wishes = _wishes(model)
        shape = tuple((_place(part), part.shape, _rows(rows).tobytes()) for part, rows in wishes)
        if wishes:
            found.setdefault(shape, {})[k] = (model, wishes)
    return [group for group in found.values() if len(group) > 1]


def _wishes(model: Model) -> list[RowsWish]:
    """The matrix rows of layers that a fingerprint holds; none of a private one.

    Embedding and output rows are left out: all trainings move those of a frequent token alike, so that siblings on
    like data share half of their change there.
    """
    if model.sampling is None:
        return []
    wishes = wanted_rows(model, model.sampling, SampledTokens({}, {}))
    return [
        w for w in wishes if w.part.layer is not None and len(w.part.shape) == 2 and rows_held(model, [w])
    ]


def _rows(rows: np.ndarray | None) -> np.ndarray:
    return np.empty(0, dtype=np.int64) if rows is None else rows


def _place(part: Part) -> Place:
    return part.tower, part.role, part.kind, part.layer, part.expert


def _frame(group: Mapping[int, tuple[Model, list[RowsWish]]]) -> Frame:
    """Distances by part, one tensor at a time: no more than that is held as floats."""
    ledgers = [Ledger(model, budget_bytes=model.catalog.data_bytes) for model, _ in group.values()]
    by_part: dict[object, np.ndarray] = {}
    rows = 0
    for wishes in zip(*(wishes for _, wishes in group.values()), strict=True):
        stack = np.stack([each.fetch([w])[0].reshape(-1) for each, w in zip(ledgers, wishes, strict=True)])
        part = wishes[0].part
        key = (str(component_of(part)), part.layer)
        squared = sum_of_squares([stack])
        by_part[key] = by_part[key] + squared if key in by_part else squared
        rows += len(wishes[0].row_numbers())
    return Frame(tuple(group), np.stack(list(by_part.values())), rows)
