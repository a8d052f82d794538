"""Checks on a training record: one a file."""
