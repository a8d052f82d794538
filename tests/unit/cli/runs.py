"""What a run of the command line leaves behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run left behind."""

    status: int
    out: str
    err: str


Run = Callable[..., Outcome]
