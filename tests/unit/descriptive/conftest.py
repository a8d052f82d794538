from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from jokbo.descriptive.describe import Descriptions, describe
from jokbo.testing.checkpoint import Checkpoint
from jokbo.views.ledger import Ledger
from jokbo.views.model import open_model

ZOO = Path(__file__).resolve().parents[3] / "zoo/models"
BUDGET_BYTES = 1 << 30


Opener = Callable[..., Ledger]


@pytest.fixture
def ledger() -> Opener:
    """A ledger over a checkpoint in memory, or over a model of the zoo by name."""

    def make(where: Checkpoint | str, *, budget_bytes: int = BUDGET_BYTES) -> Ledger:
        source = where.to_source() if isinstance(where, Checkpoint) else ZOO / where
        return Ledger(open_model(source), budget_bytes=budget_bytes)

    return make


@pytest.fixture
def compare(ledger: Opener) -> Callable[..., Descriptions]:
    """Describe two models in memory or of the zoo."""

    def run(
        reference: Checkpoint | str,
        candidate: Checkpoint | str,
        *,
        budget_bytes: int = BUDGET_BYTES,
        **options: int,
    ) -> Descriptions:
        pair = [ledger(where, budget_bytes=budget_bytes) for where in (reference, candidate)]
        return describe(*pair, rng=np.random.default_rng(0), **options)

    return run
