"""Formats: bytes to a catalog of tensors."""
