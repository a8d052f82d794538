"""Architectures: what each tensor of a checkpoint is, read from data."""

from __future__ import annotations

from jokbo.architectures.base import Anatomy, Expert, Kind, Layout, Part, Role, Symmetry, Tower
from jokbo.architectures.matching import families, match

__all__ = ["Anatomy", "Expert", "Kind", "Layout", "Part", "Role", "Symmetry", "Tower", "families", "match"]
