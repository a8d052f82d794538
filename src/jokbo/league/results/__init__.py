"""Readers of evaluation results: one file a format."""
