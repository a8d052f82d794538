"""Every pair of the really trained zoo is called what it is, at the default budget."""

from __future__ import annotations

import json
from itertools import product

import pytest
from jsonschema import Draft202012Validator
from relations import LOG_1E12, ZOO, Relation, dependent, reasons, relations, run, statuses

from jokbo.evidence.compare import Comparison
from jokbo.evidence.findings import Status, VerdictKind
from jokbo.evidence.schema import check, schema

COMPONENTS = {
    "token_embd": {"text.embedding"},
    "output": {"text.output"},
    "vision_tower": {"vision.norms", "vision.mlp", "vision.attention"},
}
"""What the truth table's names are called in a verdict."""

VALIDATOR = Draft202012Validator(dict(schema()))


def check_document(found: Comparison) -> None:
    """Whatever was found, the evidence follows its schema, by a full validator and by our own."""
    document = json.loads(found.evidence.to_json())
    problems = [f"{list(e.absolute_path)}: {e.message}" for e in VALIDATOR.iter_errors(document)]
    assert problems == []
    check(document, where="evidence")


def over_threshold(found: Comparison) -> list[str]:
    threshold = found.verdict.policy.log_threshold(found.verdict.hypotheses)
    return [
        str(f.component)
        for f in found.verdict.findings
        if f.log_evalue is not None and f.log_evalue >= threshold
    ]


def test_the_table_names_every_stored_pair_of_a_family():
    families: dict[str, list[str]] = {}
    for folder in sorted((ZOO / "models").iterdir()):
        config = json.loads((folder / "config.json").read_text())
        families.setdefault(config["model_type"], []).append(folder.name)
    pairs = sum(len(names) * (len(names) - 1) // 2 for names in families.values())
    every = relations("derived", "common-lineage", "shared-init", "component-reuse", "independent")
    assert len(every) == pairs
    assert {name for names in families.values() for name in names} == {
        name for r in every for name in (r.reference, r.candidate)
    }


@pytest.mark.parametrize("pair", relations("derived", "common-lineage"), ids=str)
def test_a_derived_pair_is_found_with_a_trillion(pair: Relation):
    found = run(pair.reference, pair.candidate)
    check_document(found)
    assert found.verdict.log_evalue is not None
    assert found.verdict.log_evalue >= LOG_1E12
    assert found.verdict.kind is VerdictKind.COMMON_LINEAGE
    assert found.verdict.exit_status == 10
    assert Status.NO_EVIDENCE not in {f.status for f in found.verdict.findings}


@pytest.mark.parametrize("pair", relations("independent"), ids=str)
def test_an_independent_pair_stays_below_the_threshold(pair: Relation):
    """The student distilled from a base's logits is one of them: no weight was copied."""
    found = run(pair.reference, pair.candidate)
    check_document(found)
    assert over_threshold(found) == []
    assert dependent(found) == set()
    assert found.verdict.kind is VerdictKind.NO_EVIDENCE
    assert found.verdict.exit_status == 0
    assert found.verdict.inherited_share == 0


@pytest.mark.parametrize("pair", [r for r in relations("shared-init") if not r.component], ids=str)
def test_a_shared_initialisation_is_not_called_a_lineage(pair: Relation):
    found = run(pair.reference, pair.candidate)
    check_document(found)
    if found.verdict.kind is VerdictKind.INCONCLUSIVE:
        assert "relabelling_guard" in reasons(found)
    else:
        assert found.verdict.kind is VerdictKind.SHARED_INITIALISATION_OR_LINEAGE
        assert found.verdict.inherited_share is None
    assert Status.INHERITED not in {f.status for f in found.verdict.findings}


@pytest.mark.parametrize("pair", [r for r in relations("shared-init") if r.component], ids=str)
def test_parts_alike_by_a_common_start_are_not_called_reuse(pair: Relation):
    found = run(pair.reference, pair.candidate)
    check_document(found)
    allowed = set().union(*(COMPONENTS[name] for name in pair.component)) | {"text.norms"}
    assert dependent(found) <= allowed
    assert Status.INHERITED not in {f.status for f in found.verdict.findings}
    if found.verdict.kind is VerdictKind.INCONCLUSIVE:
        assert "relabelling_guard" in reasons(found)
    else:
        assert found.verdict.kind is VerdictKind.SHARED_INITIALISATION_OR_LINEAGE


@pytest.mark.parametrize("pair", relations("component-reuse"), ids=str)
def test_only_the_reused_component_is_named(pair: Relation):
    found = run(pair.reference, pair.candidate)
    check_document(found)
    expected = set().union(*(COMPONENTS[name] for name in pair.component))
    assert found.verdict.kind is VerdictKind.COMPONENT_REUSE
    assert found.verdict.log_evalue is not None
    assert found.verdict.log_evalue >= LOG_1E12
    inherited = {str(f.component) for f in found.verdict.findings if f.status is Status.INHERITED}
    assert inherited == expected
    # Fresh gains grew on a copied residual basis, so the norms may say as much, and no more.
    assert dependent(found) <= expected | {"text.norms"}
    for kind in ("mlp", "attention"):
        if f"text.{kind}" not in expected:
            assert statuses(found)[f"text.{kind}"] == "no_evidence"


def test_the_two_tower_pair_shares_its_vision_tower_and_no_more():
    found = run("tower-a", "tower-b")
    by_tower = {
        tower: {s for c, s in statuses(found).items() if c.startswith(tower)} for tower in ("text", "vision")
    }
    assert by_tower["text"] == {"no_evidence"}
    assert by_tower["vision"] == {"inherited", "not_comparable"}
    assert found.verdict.inherited_share is not None
    assert 0.1 < found.verdict.inherited_share < 0.3


@pytest.mark.parametrize(("a", "b"), list(product(["base0"], ["mixtral-0", "gpt2-0", "tower-a"])), ids=str)
def test_families_apart_are_independent(a: str, b: str):
    found = run(a, b)
    check_document(found)
    assert over_threshold(found) == []
    assert dependent(found) == set()
    assert found.verdict.kind in (VerdictKind.NO_EVIDENCE, VerdictKind.UNTESTABLE)


@pytest.mark.parametrize("name", ["base0", "gpt2-0", "mixtral-0", "tower-a"])
def test_a_model_is_identical_to_itself(name: str):
    found = run(name, name)
    assert found.verdict.kind is VerdictKind.IDENTICAL
    assert found.verdict.inherited_share == 1.0
