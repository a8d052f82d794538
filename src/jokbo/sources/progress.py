"""How a slow source tells what it is doing: two calls, and nothing about terminals."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Told by network sources, from several threads at once, how many bytes are wanted and have come.

    `start` is called once a batch of reads and may be called again while an
    earlier batch is under way: totals add up.
    """

    def start(self, total_bytes: int | None) -> None:
        """Expect this many bytes more; None when it is not known."""

    def advance(self, n_bytes: int) -> None:
        """Count bytes that have arrived."""
