"""The case: an append-only log of signed entries, and everything that follows from it."""
