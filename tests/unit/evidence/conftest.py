"""One comparison with everything in it, made once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jokbo.evidence.compare import Comparison, compare
from jokbo.testing.builders import llama
from jokbo.testing.checkpoint import Checkpoint
from jokbo.testing.transforms import derive


def small(seed: int) -> Checkpoint:
    """A model so small that a comparison takes a tenth of a second."""
    return llama(
        np.random.default_rng(seed), hidden_size=32, num_layers=2, intermediate_size=64, vocab_size=64
    )


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model, one derived from it, and one apart, as folders."""
    root = tmp_path_factory.mktemp("models")
    reference = small(0)
    models = {
        "reference": reference,
        "derived": derive(reference, np.random.default_rng(5), cosine=0.95),
        "apart": small(1),
    }
    return {name: model.save(root / name) for name, model in models.items()}


@pytest.fixture(scope="session")
def derived(folders: dict[str, Path]) -> Comparison:
    """A derived pair, with scores."""
    return compare(folders["reference"], folders["derived"])


@pytest.fixture(scope="session")
def apart(folders: dict[str, Path]) -> Comparison:
    """An independent pair, tests alone."""
    return compare(folders["reference"], folders["apart"], bounds=False)


@pytest.fixture
def document(derived: Comparison) -> dict[str, Any]:
    """A fresh copy of a document, to be edited."""
    copied: dict[str, Any] = json.loads(derived.evidence.to_json())
    return copied
