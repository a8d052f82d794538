"""Rows of several kinds of tensors in one claim: none hides another, and none is held against another."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from jokbo.errors import FormatError
from jokbo.hearing.claims.lint import lint_claim
from jokbo.testing.claims import codes, lint, raw_claim, sound_claim, write_claim


def test_one_row_of_another_kind_does_not_hide_raw_cosine(tmp_path: Path):
    claim, rows = raw_claim()
    claim["measure"]["tensors"] = ["norm", "attention"]
    claim["controls"] = []
    rows = [row | {"tensor": "norm"} for row in rows if row["role"] in ("effect", "unrelated")]
    rows[0]["tensor"] = "attention"
    found = codes(lint(tmp_path, claim, rows))
    assert "raw_cosine" in found
    assert "no_control" in found
    for row in rows[:3]:
        row["tensor"] = "attention"
    found = codes(lint(tmp_path, claim, rows))
    assert "raw_cosine" not in found
    assert "no_control" not in found


def test_a_control_on_norms_is_not_held_against_an_effect_on_weights(tmp_path: Path):
    claim, rows = sound_claim()
    claim["measure"]["tensors"] = ["attention", "norm"]
    rows = [row | {"tensor": "attention"} for row in rows]
    told = {"reference": "a", "candidate": "c", "layers": 1, "tensor": "norm"}
    rows.append({"role": "unrelated", "value": 0.95, **told})
    rows.append({"role": "random", "value": 0.95, **told})
    assert codes(lint(tmp_path, claim, rows), "fault") == []
    rows[-2]["tensor"] = rows[-1]["tensor"] = "attention"
    assert {"failed_control", "random_above_effect"} <= set(codes(lint(tmp_path, claim, rows), "fault"))


def test_a_text_may_be_more_exact_than_its_table(tmp_path: Path):
    claim, rows = sound_claim()
    for says, kind, faults in (("0.8931", "maximum", 0), ("0.8561", "minimum", 0), ("0.8961", "maximum", 1)):
        claim["figures"] = [{"says": says, "is": kind}]
        claim["conclusion"]["text"] = f"It is {says}."
        assert len(codes(lint(tmp_path, claim, rows), "fault")) == faults, says


def test_shuffles_that_the_linter_makes_count_as_measured(tmp_path: Path):
    claim, rows = sound_claim()
    rng = np.random.default_rng(0)
    base = rng.standard_normal(200)
    vectors = {f"a{k}": base + 0.1 * rng.standard_normal(200) for k in range(4)}
    vectors |= {f"b{k}": base + 0.1 * rng.standard_normal(200) for k in range(4)}
    (tmp_path / "vectors.json").write_text(json.dumps({name: v.tolist() for name, v in vectors.items()}))
    claim["vectors"], claim["controls"], claim["figures"] = "vectors.json", [], []
    claim["conclusion"]["text"] = "They agree."
    rows = rows[:4]
    for k, row in enumerate(rows):
        a, b = (vectors[f"{side}{k}"] - vectors[f"{side}{k}"].mean() for side in "ab")
        row |= {"reference_vector": f"a{k}", "candidate_vector": f"b{k}"}
        row["value"] = round(float(a @ b / np.sqrt((a @ a) * (b @ b))), 4)
    within = {
        "role": "baseline",
        "reference": "b",
        "candidate": "b",
        "reference_layers": 0,
        "candidate_layers": 1,
    }
    found = lint_claim(write_claim(tmp_path, claim, [*rows, within | {"value": 0.1}]))
    assert "baseline_within_model" not in codes(found)
    assert found.document["rerun"]["headline"] is not None


@pytest.mark.parametrize("counts", ["unused", "", "against"])
def test_a_layer_is_left_out_whether_or_not_the_table_says_so(counts: str, tmp_path: Path):
    claim, rows = raw_claim()
    rows[0] |= {"role": "other", "counts": counts, "value": 0.2}
    if not counts:
        del rows[0]["counts"]
    found = codes(lint(tmp_path, claim, rows), "fault")
    assert found == ([] if counts == "against" else ["layer_left_out"])


@pytest.mark.parametrize("key", ["value", "sd"])
def test_a_number_that_no_sum_holds_is_refused(key: str, tmp_path: Path):
    claim, rows = sound_claim()
    rows[4][key] = 1e308
    with pytest.raises(FormatError, match=key):
        lint(tmp_path, claim, rows)


@pytest.mark.parametrize(
    ("says", "kind", "code"),
    [
        ("1e999", "n", "sample_inflated"),
        ("0", "pvalue", "pvalue_beyond_sample"),
        ("1e-999", "pvalue", "pvalue_beyond_sample"),
    ],
)
def test_a_text_may_state_what_no_float_holds(says: str, kind: str, code: str, tmp_path: Path):
    claim, rows = sound_claim()
    claim["figures"] = [{"says": says, "is": kind, "against": "unrelated", "computed_as": "other"}]
    claim["conclusion"]["text"] = f"It is {says}."
    result = lint(tmp_path, claim, rows)
    assert code in codes(result, "fault")
    assert b"Infinity" not in result.to_json()
