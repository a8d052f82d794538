"""Bounds: the smallest dependence that the rows read would have shown, by planting it."""

from __future__ import annotations

from jokbo.independence.bounds.base import COSINES, N_PLANTS, SCRAMBLED, SHARES, Bound, Kind
from jokbo.independence.bounds.plant import plant_bounds

__all__ = ["COSINES", "N_PLANTS", "SCRAMBLED", "SHARES", "Bound", "Kind", "plant_bounds"]
