"""Uncertainty: resampling, ranks, panels, aggregation, influence; all pure."""
