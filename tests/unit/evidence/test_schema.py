"""The schema: every field described, every enumeration the code's, our validator as strict as a full one."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from jokbo.descriptive.attention_profile import AttentionProfile, RoleProfile
from jokbo.descriptive.describe import Descriptions
from jokbo.descriptive.norm_cosine import NormCosines, NormRow
from jokbo.descriptive.norm_heatmap import NormHeatmap
from jokbo.descriptive.vocabulary import VocabularyOverlap
from jokbo.errors import EvidenceError
from jokbo.evidence.compare import Comparison
from jokbo.evidence.findings import Status, VerdictKind
from jokbo.evidence.policy import Policy
from jokbo.evidence.schema import KEYWORDS, check, schema
from jokbo.independence.base import Alignment, Family
from jokbo.independence.bounds import Bound, Kind
from jokbo.independence.bounds.base import SCRAMBLED
from jokbo.independence.combine import STAGES
from jokbo.independence.plan import ReadingPlan
from jokbo.views.component import ComponentKind

SCHEMA = dict(schema())
DEFS = SCHEMA["$defs"]
VALIDATOR = Draft202012Validator(SCHEMA)


def rules(rule: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every subschema with its path."""
    if isinstance(rule, dict):
        yield path, rule
        for key in ("items", "additionalProperties", "propertyNames"):
            yield from rules(rule.get(key), f"{path}/{key}")
        for key in ("prefixItems", "anyOf"):
            for k, each in enumerate(rule.get(key, ())):
                yield from rules(each, f"{path}/{key}/{k}")
        for key in ("properties", "$defs"):
            for name, each in rule.get(key, {}).items():
                yield from rules(each, f"{path}/{key}/{name}")


def test_it_is_a_schema():
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_only_keywords_that_our_validator_knows():
    for path, rule in rules(SCHEMA):
        assert set(rule) <= KEYWORDS, path


def test_every_field_is_described():
    for path, rule in rules(SCHEMA):
        for name, each in rule.get("properties", {}).items():
            described = each if "description" in each else DEFS[each["$ref"].removeprefix("#/$defs/")]
            assert described["description"].strip().endswith("."), f"{path}/{name}"


WHERE_IT_CHANGES_A_NUMBER = ("among", "salt")
"""Parameters that evidence holds only where they were chosen: what was written before they existed stays valid."""


def test_objects_of_fixed_keys_admit_no_others_and_lack_none():
    for path, rule in rules(SCHEMA):
        if "properties" in rule:
            optional = WHERE_IT_CHANGES_A_NUMBER if path.endswith("parameters") else ()
            assert rule["additionalProperties"] is False, path
            assert sorted((*rule["required"], *optional)) == sorted(rule["properties"]), path


def test_every_pattern_is_anchored():
    for path, rule in rules(SCHEMA):
        if "pattern" in rule:
            assert rule["pattern"].startswith("^"), path
            assert rule["pattern"].endswith("$"), path


def of(name: str, field: str) -> Any:
    return DEFS[name]["properties"][field]


def names(kind: Any) -> list[str]:
    return [f.name for f in fields(kind)]


@pytest.mark.parametrize(
    ("listed", "known"),
    [
        (of("verdict", "kind")["enum"], list(VerdictKind)),
        (of("component", "status")["enum"], list(Status)),
        (of("component", "kind")["enum"], list(ComponentKind)),
        (of("component", "alignment")["enum"], [*Alignment, None]),
        (of("component", "families")["propertyNames"]["enum"], list(Family)),
        (of("result", "family")["enum"], list(Family)),
        (of("result", "alignment")["enum"], list(Alignment)),
        (of("result", "stage")["enum"], list(STAGES)),
        (of("bound", "alignment")["enum"], [*Alignment, SCRAMBLED]),
        (of("bound", "kind")["enum"], list(Kind)),
        (list(DEFS["plan"]["properties"]), names(ReadingPlan)),
        (list(DEFS["policy"]["properties"]), names(Policy)),
        (list(DEFS["bound"]["properties"]), names(Bound)),
        (list(DEFS["descriptive"]["properties"]), names(Descriptions)),
        (list(DEFS["norm_cosines"]["properties"]), names(NormCosines)),
        (list(of("norm_cosines", "rows")["items"]["properties"]), names(NormRow)),
        (list(DEFS["norm_heatmap"]["properties"]), names(NormHeatmap)),
        (list(DEFS["attention_profile"]["properties"]), names(AttentionProfile)),
        (list(of("attention_profile", "profiles")["items"]["properties"]), names(RoleProfile)),
        (list(DEFS["vocabulary"]["properties"]), names(VocabularyOverlap)),
    ],
)  # fmt: skip
def test_the_schema_lists_what_the_code_has(listed: list[Any], known: list[Any]):
    assert sorted(map(str, listed)) == sorted(map(str, known))


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict):
        for key in value:
            yield from places(value[key], (*path, key))
    elif isinstance(value, list):
        for k, each in enumerate(value[:3]):
            yield from places(each, (*path, k))


WRONG = [None, True, -1, 1.5, 1e300, "x", "text\n", [], {}, [1], {"x": 1}, "0" * 64, 2**60]


@given(st.integers(0, 2**32), st.sampled_from(["replace", "delete", "add"]))
def test_our_validator_agrees_with_a_full_one_on_any_edit(derived: Comparison, seed: int, edit: str):
    """Everything the full validator refuses we refuse; we refuse a little more, named below."""
    rng = random.Random(seed)
    document = copy.deepcopy(dict(derived.evidence.document))
    path = rng.choice(list(places(document))[1:])
    where = document
    for step in path[:-1]:
        where = where[step]
    if edit == "delete":
        del where[path[-1]]
    elif edit == "add" and isinstance(where[path[-1]], dict):
        where[path[-1]]["x"] = rng.choice(WRONG)
    else:
        where[path[-1]] = rng.choice(WRONG)
    refused = ""
    try:
        check(document, where="evidence")
    except EvidenceError as error:
        refused = str(error)
    assert len(refused) < 600
    if VALIDATOR.is_valid(document):
        # Patterns: $ would let a final newline pass. Integers: 1.0 is one in JSON Schema, not here.
        assert not refused or "\\n" in refused or "expected integer" in refused
    else:
        assert refused
