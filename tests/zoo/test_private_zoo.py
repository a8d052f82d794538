"""Private fingerprints of really trained models: what is derived is a lead, what is independent is not."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from relations import ZOO, Relation, relations

from jokbo.lineage.fingerprint import make_fingerprint
from jokbo.lineage.pairs import compare_pair
from jokbo.sources.memory import MemorySource
from jokbo.testing.checkpoint import Checkpoint, load_checkpoint
from jokbo.testing.transforms import flip_units, permute_channels, permute_heads, rotate, scale_units
from jokbo.views.model import Model, open_model

AMONG = 190
"""Pairs of the zoo's twenty models: all are paid for."""


def private(spec: object) -> Model:
    made = make_fingerprint(spec, private=True)  # type: ignore[arg-type]
    return open_model(MemorySource({"m.fingerprint.safetensors": made.data}))


@cache
def of_zoo(name: str) -> Model:
    return private(ZOO / "models" / name)


def found(reference: Model, candidate: Model) -> dict[str, object]:
    return compare_pair(reference, candidate, among=AMONG)


@pytest.mark.parametrize("pair", relations("derived", "common-lineage"), ids=str)
def test_related_pairs_are_leads(pair: Relation):
    document = found(of_zoo(pair.reference), of_zoo(pair.candidate))
    assert document["relation"] == "lead"
    assert document["log10_evalue"] > 20


@pytest.mark.parametrize("pair", relations("independent"), ids=str)
def test_independent_pairs_are_clean(pair: Relation):
    document = found(of_zoo(pair.reference), of_zoo(pair.candidate))
    assert document["relation"] == "no_evidence"
    assert max(row["log10_evalue"] or 0.0 for row in document["components"]) < 2


@pytest.mark.parametrize("pair", relations("component-reuse"), ids=str)
def test_what_was_reused_is_a_lead_where_it_is_shown(pair: Relation):
    """A tower's body is shown; a copied embedding is not, and nothing else is accused for it."""
    document = found(of_zoo(pair.reference), of_zoo(pair.candidate))
    leads = {row["component"] for row in document["components"] if row["status"] == "inconclusive"}
    towers = {"vision"} if "vision_tower" in pair.component else set()
    assert {component.partition(".")[0] for component in leads} == towers
    assert document["relation"] == ("lead" if towers else "no_evidence")


@pytest.mark.parametrize("pair", relations("shared-init"), ids=str)
def test_a_shared_start_is_hardly_seen(pair: Relation):
    """Gram matrices see the square of a row's agreement (.3 to .6 here): the stated loss of power."""
    document = found(of_zoo(pair.reference), of_zoo(pair.candidate))
    assert document["relation"] in ("inconclusive", "lead", "no_evidence")
    assert document["log10_evalue"] < 20


DISGUISES = {
    "rotated": rotate,
    "units flipped": flip_units,
    "units scaled": scale_units,
    "channels permuted": permute_channels,
    "heads permuted": permute_heads,
}


@pytest.mark.parametrize("name", DISGUISES)
def test_a_disguised_fine_tune_is_found(name: str):
    disguised = DISGUISES[name](load_checkpoint(ZOO / "models" / "sft0"), rng=np.random.default_rng(5))
    assert isinstance(disguised, Checkpoint)
    document = found(of_zoo("base0"), private(disguised.to_source(name="disguised")))
    assert document["relation"] == "lead"
    plain = found(of_zoo("base0"), of_zoo("sft0"))
    # Visits come in another order, and disguised weights are rounded once more.
    assert abs(document["log10_evalue"] - plain["log10_evalue"]) < 10
