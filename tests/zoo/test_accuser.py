"""An accuser who relabels its own model to match an independent one is not believed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from accuser import (
    rebase_values,
    relabel_channels,
    relabel_units,
    relabel_values,
    rotate_onto,
    rotate_rows_onto,
)
from relations import ZOO, dependent, reasons, run

from jokbo.evidence.compare import compare
from jokbo.evidence.findings import VerdictKind
from jokbo.testing.checkpoint import Checkpoint, load_checkpoint
from jokbo.testing.forward import forward
from jokbo.testing.transforms import fold_norms

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
    "rotation onto one layer": lambda mine, theirs: rotate_onto(mine, theirs, "first mlp"),
    "value basis": rebase_values,
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


def test_a_tokenizer_that_shares_few_tokens_pins_nothing(mine: Checkpoint, theirs: Checkpoint):
    """A rotation fits any hundred rows, and the accuser chooses which tokens its tokenizer shares."""
    assert mine.tokenizer is not None
    vocabulary = mine.tokenizer["model"]["vocab"]
    kept = 100
    renamed = {token if row < kept else f"mine {row}": row for token, row in vocabulary.items()}
    model = mine.tokenizer["model"] | {"vocab": renamed, "merges": []}
    shared = sorted(row for row in vocabulary.values() if row < kept)
    folded = fold_norms(mine)
    few = [m["model.embed_tokens.weight"][shared] for m in (folded, theirs)]
    turned = rotate_rows_onto(folded, *few)
    liar = dataclasses.replace(turned, tokenizer=mine.tokenizer | {"model": model, "added_tokens": []})
    found = run(liar.to_source(name="accuser"), "base1")
    assert dependent(found) == set()
    assert "relabelling_guard" in reasons(found)


@pytest.mark.parametrize("vouched", [True, False])
def test_only_a_vouched_order_lifts_the_guard(vouched: bool, mine: Checkpoint, theirs: Checkpoint):
    """Whoever published these very bytes before the other model existed cannot have matched it.

    What the places themselves say of dates is never believed: a commit's date is set by whoever pushes.
    """
    reference = relabel_units(mine, theirs, by="all").to_source(name="reference")
    candidate = theirs.to_source(name="candidate")
    reference.identity = dataclasses.replace(reference.identity, public_since="2024-01-01")
    candidate.identity = dataclasses.replace(candidate.identity, public_from="2025-01-01")
    found = compare(reference, candidate, reference_first=vouched, bounds=False, descriptive=False)
    kind = VerdictKind.SHARED_INITIALISATION_OR_LINEAGE if vouched else VerdictKind.INCONCLUSIVE
    assert found.verdict.kind is kind
