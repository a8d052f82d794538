"""An accuser who relabels its own model to match an independent one is not believed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from accuser import relabel_channels, relabel_units, relabel_values, rotate_onto
from relations import ZOO, dependent, reasons, run

from jokbo.evidence.compare import compare
from jokbo.evidence.verdict import VerdictKind
from jokbo.sources.base import SourceIdentity
from jokbo.testing.checkpoint import Checkpoint, load_checkpoint
from jokbo.testing.forward import forward

Move = Callable[[Checkpoint, Checkpoint], Checkpoint]

MOVES: dict[str, Move] = {
    "units by gate": lambda mine, theirs: relabel_units(mine, theirs, by="gate"),
    "units by everything": lambda mine, theirs: relabel_units(mine, theirs, by="all"),
    "value signs": relabel_values,
    "channels": relabel_channels,
    "rotation onto the embedding": lambda mine, theirs: rotate_onto(mine, theirs, "embed"),
    "rotation onto the output head": lambda mine, theirs: rotate_onto(mine, theirs, "head"),
    "rotation onto both": lambda mine, theirs: rotate_onto(mine, theirs, "embed", "head"),
    "rotation onto the values": lambda mine, theirs: rotate_onto(mine, theirs, "v"),
    "rotation, units and values": lambda mine, theirs: relabel_values(
        relabel_units(rotate_onto(mine, theirs, "embed", "head", "v"), theirs, by="all"), theirs
    ),
    "all of it": lambda mine, theirs: relabel_values(
        relabel_units(relabel_channels(mine, theirs), theirs, by="all"), theirs
    ),
}


@pytest.fixture(scope="module")
def mine() -> Checkpoint:
    return load_checkpoint(ZOO / "models/base0")


@pytest.fixture(scope="module")
def theirs() -> Checkpoint:
    return load_checkpoint(ZOO / "models/base1")


@pytest.mark.parametrize("move", MOVES)
def test_the_accuser_is_not_believed(move: str, mine: Checkpoint, theirs: Checkpoint):
    found = run(MOVES[move](mine, theirs).to_source(name="accuser"), "base1")
    assert dependent(found) == set()
    assert found.verdict.kind in (VerdictKind.INCONCLUSIVE, VerdictKind.NO_EVIDENCE)
    if found.verdict.kind is VerdictKind.INCONCLUSIVE:
        assert "relabelling_guard" in reasons(found)


@pytest.mark.parametrize("move", MOVES)
def test_the_accuser_keeps_its_function(move: str, mine: Checkpoint, theirs: Checkpoint):
    """Else the test above would show nothing."""
    exact = mine.astype(np.float64)
    tokens = np.arange(12)
    moved = MOVES[move](exact, theirs.astype(np.float64))
    assert not np.array_equal(moved["lm_head.weight"], exact["model.embed_tokens.weight"])
    np.testing.assert_allclose(forward(moved, tokens), forward(exact, tokens), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("public_since", "public_from", "kind"),
    [
        ("2024-01-01", "2025-01-01", VerdictKind.SHARED_INITIALISATION_OR_LINEAGE),
        ("2025-01-01", "2024-01-01", VerdictKind.INCONCLUSIVE),
        ("2024-01-01", None, VerdictKind.INCONCLUSIVE),
        (None, "2025-01-01", VerdictKind.INCONCLUSIVE),
    ],
)
def test_only_an_earlier_public_date_lifts_the_guard(
    public_since: str | None, public_from: str | None, kind: VerdictKind, mine: Checkpoint, theirs: Checkpoint
):
    """Whoever published these very bytes before the other model existed cannot have matched it."""
    reference = relabel_units(mine, theirs, by="all").to_source(name="reference")
    candidate = theirs.to_source(name="candidate")
    dated = dataclasses.replace(reference.identity, public_since=public_since)
    reference.identity = dated
    candidate.identity = dataclasses.replace(candidate.identity, public_from=public_from)
    assert isinstance(dated, SourceIdentity)
    assert compare(reference, candidate, bounds=False, descriptive=False).verdict.kind is kind
