"""The layer x layer heatmap of norm cosines: the picture of the accusation, beside its centred twin.

Raw, every cell is bright, because all gains are positive. Centred, a derived model keeps a
bright diagonal, shifted where layers were dropped or repeated, and an independent one
has none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jokbo.architectures.base import Role
from jokbo.descriptive.norm_cosine import Gains, all_cosines, centre
from jokbo.descriptive.scores import plain

MIN_LAYERS = 2

Matrix = tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True, slots=True)
class NormHeatmap:
    """Cosines of one norm in every layer of the reference with the same norm in every layer of the candidate.

    Attributes
    ----------
    reference_layers, candidate_layers : tuple of int
        Layers along the rows and along the columns; depths may differ.
    raw, centred : tuple of tuples of float or None
        None where a gain vector is zero (raw) or constant (centred).
    """

    tower: str
    role: str
    reference_layers: tuple[int, ...]
    candidate_layers: tuple[int, ...]
    raw: Matrix
    centred: Matrix


def norm_heatmaps(gains: Gains) -> tuple[NormHeatmap, ...]:
    """One heatmap for each norm that at least two layers of both models have."""
    roles = dict.fromkeys(role for role, layer in gains.reference if layer is not None)
    made = [_heatmap(gains, role) for role in roles]
    return tuple(heatmap for heatmap in made if heatmap is not None)


def _heatmap(gains: Gains, role: Role) -> NormHeatmap | None:
    mine, theirs = _layers(gains.reference, role), _layers(gains.candidate, role)
    if min(len(mine), len(theirs)) < MIN_LAYERS:
        return None
    a = np.stack([gains.reference[role, layer] for layer in mine])
    b = np.stack([gains.candidate[role, layer] for layer in theirs])
    return NormHeatmap(
        tower=gains.tower,
        role=str(role),
        reference_layers=mine,
        candidate_layers=theirs,
        raw=_plain(all_cosines(a, b)),
        centred=_plain(all_cosines(centre(a), centre(b))),
    )


def _layers(places: dict[tuple[Role, int | None], np.ndarray], role: Role) -> tuple[int, ...]:
    return tuple(sorted(layer for found, layer in places if found is role and layer is not None))


def _plain(matrix: np.ndarray) -> Matrix:
    return tuple(tuple(plain(value) for value in row) for row in matrix)
