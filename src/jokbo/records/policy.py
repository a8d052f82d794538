"""The thresholds of an audit's verdict: a named, versioned policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jokbo.records.checks.base import FAMILY_ALPHA, MIN_POWER


@dataclass(frozen=True, slots=True)
class RecordPolicy:
    """Thresholds of a verdict on a record; any change makes a new version.

    Attributes
    ----------
    family_alpha : float
        Chance that any calibrated check calls an honest record inconsistent (Holm).
    min_clear_pvalue : float
        A calibrated p-value below this and above Holm's level leaves the check undecided.
    min_power : float
        Share of planted forgeries that a check must find for its pass to exclude them.
    """

    name: str = "jokbo-record"
    version: int = 1
    family_alpha: float = FAMILY_ALPHA
    min_clear_pvalue: float = 1e-3
    min_power: float = MIN_POWER


DISCLOSURE_COST: Mapping[str, int] = {
    "optimizer_declared": 1,
    "schedule": 1,
    "batch": 1,
    "initialisation": 1,
    "hardware": 1,
    "config": 1,
    "seed": 1,
    "learning_rate": 2,
    "timestamps": 2,
    "tokens": 2,
    "unseen_tokens": 2,
    "against": 2,
    "cryptography_extra": 2,
    "replay_extra": 3,
    "log": 4,
    "loss": 4,
    "step0": 5,
    "final": 5,
    "checkpoints": 6,
    "order": 7,
    "held_out": 7,
    "windows": 8,
    "optimizer_state": 9,
    "chain": 10,
    "beacon": 10,
    "time_stamps": 11,
    "trusted_authority": 11,
}
"""What asking for a disclosure costs its maker, least first: words, then numbers, then files, then what cannot
be made afterwards (commitments). Orders the advice "what to ask for next"; decides nothing."""
