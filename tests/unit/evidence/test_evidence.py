"""Evidence: the same bytes every time, valid under the schema, and nothing in it that does not belong."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import jokbo
from jokbo.evidence.canonical import canonical_bytes, digest, effect, log10
from jokbo.evidence.compare import Comparison, compare
from jokbo.evidence.evidence import SCHEMA, Evidence, parse_evidence
from jokbo.evidence.schema import schema

VALIDATOR = Draft202012Validator(dict(schema()))


def test_two_runs_give_the_same_bytes(folders: dict[str, Path], apart: Comparison):
    again = compare(folders["reference"], folders["apart"], bounds=False)
    assert again.evidence.to_json() == apart.evidence.to_json()


def test_another_process_gives_the_same_bytes(folders: dict[str, Path], apart: Comparison):
    """Hash seeds differ between processes; nothing may depend on the order of a set."""
    code = (
        "import sys, jokbo; found = jokbo.compare(sys.argv[1], sys.argv[2], bounds=False); "
        "sys.stdout.buffer.write(found.evidence.to_json())"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(folders["reference"]), str(folders["apart"])],
        capture_output=True,
        check=True,
        timeout=120,
    )
    assert run.stdout == apart.evidence.to_json()


def test_another_seed_gives_other_evidence(folders: dict[str, Path], apart: Comparison):
    other = compare(folders["reference"], folders["apart"], bounds=False, seed=1)
    assert other.evidence.digest != apart.evidence.digest
    assert other.evidence.document["parameters"]["seed"] == 1


@pytest.mark.parametrize("name", ["derived", "apart"])
def test_evidence_follows_its_schema(name: str, request: pytest.FixtureRequest):
    document = json.loads(request.getfixturevalue(name).evidence.to_json())
    assert [e.message for e in VALIDATOR.iter_errors(document)] == []
    assert document["schema"] == SCHEMA
    assert document["jokbo"] == jokbo.__version__


def test_evidence_just_made_equals_the_same_evidence_read(derived: Comparison):
    read = parse_evidence(derived.evidence.to_json())
    assert read.document == derived.evidence.document
    assert read.digest == derived.evidence.digest
    assert read.to_json() == derived.evidence.to_json()


def test_the_digest_ignores_software_and_nothing_else(document: dict[str, Any]):
    before = Evidence(document).digest
    assert Evidence(document | {"software": {"python": "9"}}).digest == before
    for key in document:
        if key != "software":
            assert Evidence(document | {key: "changed"}).digest != before


def test_what_was_read_is_written_down(document: dict[str, Any]):
    for side in ("reference", "candidate"):
        read = document[side]["read"]
        assert 0 < read["bytes"] <= read["budget_bytes"]
        ranges = [span for tensor in read["tensors"] for span in tensor["ranges"]]
        assert sum(end - start for start, end in ranges) <= read["bytes"]
        assert all(0 <= start < end <= document[side]["files"][0]["size"] for start, end in ranges)


def test_scores_that_do_not_decide_change_no_number_that_does(folders: dict[str, Path], apart: Comparison):
    bare = compare(folders["reference"], folders["apart"], bounds=False, descriptive=False)
    assert bare.evidence.document["descriptive"] is None
    same = {k: v for k, v in bare.evidence.document.items() if k != "descriptive"}
    assert same == {k: v for k, v in apart.evidence.document.items() if k != "descriptive"}


@pytest.mark.parametrize(
    ("rounded", "expected"),
    [
        (log10(math.log(10) * 12.34567), 12.346),
        (log10(-1e-9), 0.0),
        (effect(0.123456), 0.1235),
        (effect(-1e-9), 0.0),
    ],
)
def test_rounding(rounded: float, expected: float):
    assert rounded == expected
    assert math.copysign(1, rounded) == 1


def test_every_number_is_rounded(document: dict[str, Any]):
    for component in document["components"]:
        for result in component["results"]:
            for layer, expert, log_evalue, size, n in result["clusters"]:
                assert log_evalue == round(log_evalue, 3)
                assert size == round(size, 4)
                assert isinstance(n, int)
                assert isinstance(layer, int)
                assert expert is None


def test_canonical_bytes_are_sorted_compact_and_utf8():
    assert canonical_bytes({"나": 1, "a": [1.0, None, True]}) == '{"a":[1.0,null,true],"나":1}'.encode()
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_canonical_bytes_refuse_what_json_has_not(value: float):
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_bytes({"a": value})


LEAVES = [
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"])),
]
VALUES = st.recursive(
    st.one_of(LEAVES),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


@given(VALUES)
def test_canonical_bytes_read_back_are_the_same(value: Any):
    try:
        data = canonical_bytes(value)
    except UnicodeEncodeError:  # a lone surrogate as a key
        return
    assert json.loads(data) == value
    assert canonical_bytes(json.loads(data)) == data
