"""Committing to a training record while it is made."""
