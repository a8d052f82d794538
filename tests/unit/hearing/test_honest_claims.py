"""Claims that argue well, each in another way, in which no rule finds a fault; and what makes them bad is found."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from jokbo.hearing.claims.lint import LintResult, lint_claim
from jokbo.hearing.claims.numbers import numbers_in, parse_stated

FRAME = f"""schema: jokbo.claim/1
title: t
claimant: lab
date: 2026-01-31
source: a page
models:
  a: {{name: A, repository: org/a, commit: "{"0" * 40}", public_since: 2024-01-01}}
  b: {{name: B, repository: org/b, commit: "{"1" * 40}", parameters: 7B, layers: 32, public_since: 2026-01-01}}
  c: {{name: C}}
  d: {{name: D}}
reference: a
candidate: b
controls: [{{kind: shuffled}}, {{kind: unrelated}}, {{kind: derived}}]
table: claim.csv
"""

DISTANCE = """measure: {name: distance, tensors: [mlp], share: 0.62}
null: Unrelated models have relative distances near 1.41.
figures:
  - {says: "0.21", is: mean, of: effect}
  - {says: "\u22121.20", is: difference, of: effect, against: unrelated}
  - {says: "32", is: n, of: effect}
  - {says: "p < .001", is: pvalue, of: effect, against: shuffled, computed_as: permutation, resamples: 9999}
conclusion:
  says: dependent
  about: model
  text: "The mean distance is 0.21 over 32 layers, a difference of -1.20 to unrelated pairs (p < .001)."
would_count_against: [A distance near 1.41]
"""
DISTANCE_TABLE = """id,role,reference,candidate,layers,tensor,value,count,sd,counts,source
h,effect,a,b,0-31,mlp,0.21,32,0.04,for,here
s,shuffled,a,b,0-31,mlp,1.41,9999,0.01,,here
u,unrelated,a,c,0-31,mlp,1.41,32,0.01,,here
v,derived,a,d,0-31,mlp,0.3,32,0.05,,here
"""
NORMS = """measure: {name: cosine, tensors: [norm], share: 0.00004}
null: The cosine after shuffling the entries of one side.
figures:
  - {says: "0.9987", is: mean, of: effect}
  - {says: ".84", is: mean, of: effect, measure: centred_cosine}
  - {says: "64", is: n, of: effect}
  - {says: "4\u00b710\u207b\u2075", is: share, of: effect}
conclusion:
  says: dependent
  about: measured
  text: >
    The raw cosine of 64 norms is 0.9987, where shuffling gives 0.9921; centred it is .84. The norms,
    4\u00b710\u207b\u2075 of all weights, are related; this says nothing of the others.
would_count_against: [A centred cosine near 0]
"""
NORMS_TABLE = """id,role,reference,candidate,layers,tensor,value,centred_cosine,count,sd,counts,source
h,effect,a,b,0-31,norm,0.9987,0.84,64,0.0004,for,here
s,shuffled,a,b,0-31,norm,0.9921,0.001,999,0.0005,,here
u,unrelated,a,c,0-31,norm,0.9918,0.02,64,0.0011,,here
v,derived,a,d,0-31,norm,0.9991,0.91,64,0.0003,,here
"""
NOTHING = """measure: {name: pearson, tensors: [embedding], share: 0.08}
null: Pearson near 0.
figures:
  - {says: "0.004", is: mean, of: effect}
  - {says: "p = .41", is: pvalue, of: effect, against: shuffled, computed_as: permutation, resamples: 999}
conclusion:
  says: not_shown
  about: measured
  text: The correlation is 0.004 (p = .41). Dependence of the embeddings is not shown.
would_count_against: [A correlation above 0.05]
"""
NOTHING_TABLE = """id,role,reference,candidate,tensor,value,count,sd,entries,available,counts,source
h,effect,a,b,embedding,0.004,1,,20000,20000,for,here
s,shuffled,a,b,embedding,0.0001,999,0.018,20000,20000,,here
u,unrelated,a,c,embedding,0.003,1,,20000,20000,,here
v,derived,a,d,embedding,0.94,1,,20000,20000,,here
"""
HONEST = {
    "distance": (DISTANCE, DISTANCE_TABLE),
    "norms": (NORMS, NORMS_TABLE),
    "nothing": (NOTHING, NOTHING_TABLE),
}


def lint(folder: Path, text: str, table: str) -> LintResult:
    (folder / "claim.yaml").write_text(FRAME + text, encoding="utf-8")
    (folder / "claim.csv").write_text(table, encoding="utf-8")
    return lint_claim(folder / "claim.yaml")


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_claim_has_no_fault_and_lacks_nothing(tmp_path: Path, name: str):
    found = lint(tmp_path, *HONEST[name])
    assert [each.code for each in found.findings] == []
    assert found.exit_status == 0


@pytest.mark.parametrize(
    ("name", "before", "after", "code"),
    [
        (
            "distance",
            "p < .001",
            "p < .00001",
            "pvalue_beyond_sample",
        ),  # of 9,999 orders; else p = 1e-5 slips by
        ("distance", "p < .001", "p < 10\u207b\u2079", "pvalue_beyond_sample"),
        ("distance", "-1.20", "1.20", "figure_disagrees"),
        ("norms", ".84", ".94", "figure_disagrees"),
        ("norms", "4\u00b710\u207b\u2075", "4\u00b710\u207b\u00b3", "figure_disagrees"),
        ("norms", "about: measured", "about: model", "norms_alone"),
    ],
)
def test_what_makes_it_bad_is_found(tmp_path: Path, name: str, before: str, after: str, code: str):
    text, table = HONEST[name]
    found = lint(tmp_path, text.replace(before, after), table)
    assert code in [each.code for each in found.findings]
    assert found.exit_status == 10


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        (".41", 0.41, 0.01),
        ("r = \u2212.41", -0.41, 0.01),
        ("p<.001", 0.001, 0.001),
        (".5 %", 0.005, 0.001),
        ("10\u207b\u2076", 1e-6, 1e-6),
        ("10\u00b2", 100.0, 100.0),
        ("3\u00b710\u207b\u2075", 3e-5, 1e-5),
        ("2.5 \u00d7 10\u207b\u00b9\u00b2", 2.5e-12, 1e-13),
    ],
)
def test_numbers_as_statisticians_and_this_tool_write_them(text: str, value: float, unit: float):
    found = parse_stated(text)
    assert found is not None
    assert math.isclose(found.value, value)
    assert math.isclose(found.unit, unit)
    assert [each.value for each in numbers_in(f"It is {text}, so.")] == [found.value]


@pytest.mark.parametrize("text", ["v1.5", "1.2.3", "4.5-Air", "x.5", "a/.5", "3.x"])
def test_a_point_within_a_name_begins_no_number(text: str):
    assert list(numbers_in(f"see {text}")) == []
