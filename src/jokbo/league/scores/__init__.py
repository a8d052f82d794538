"""Scores on fixed anchors: one file an axis."""
