"""Evidence to report on: frozen documents, and changes to them."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FROZEN = Path(__file__).resolve().parents[2] / "golden" / "evidence"


@pytest.fixture(scope="session")
def frozen() -> Callable[[str], dict[str, Any]]:
    """A frozen evidence document by name, the caller's to change."""
    documents = {path.stem: json.loads(path.read_bytes()) for path in FROZEN.glob("*.json")}
    return lambda name: copy.deepcopy(documents[name])
