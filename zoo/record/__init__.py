"""Training records whose truth is known: honest runs, and forgeries made by code."""
