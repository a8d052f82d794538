"""What can be run again is: vectors, evidence, models."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jokbo.errors import EvidenceError, FormatError
from jokbo.hearing.claims.claim import read_claim
from jokbo.hearing.claims.lint import lint_claim
from jokbo.hearing.claims.rerun import run_again
from jokbo.hearing.claims.vectors import cosine, measure_again, parse_vectors, pearson
from jokbo.testing.claims import codes, lint, raw_claim, sound_claim, write_claim

ROOT = Path(__file__).resolve().parents[3]
CASE = ROOT / "docs/cases/zoo-fine-tune"


def with_vectors(
    related: bool, seed: int = 0
) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, list[float]]]:
    """A raw cosine of positive vectors, and the vectors."""
    claim, rows = raw_claim()
    rng = np.random.default_rng(seed)
    vectors: dict[str, list[float]] = {}
    for k, row in enumerate(rows[:4]):
        a = 1 + 0.1 * rng.standard_normal(256)
        b = a + 0.01 * rng.standard_normal(256) if related else 1 + 0.1 * rng.standard_normal(256)
        vectors |= {f"a/{k}": a.tolist(), f"b/{k}": b.tolist()}
        row |= {"reference_vector": f"a/{k}", "candidate_vector": f"b/{k}", "value": round(cosine(a, b), 4)}
    mean = f"{np.mean([row['value'] for row in rows[:4]]):.3f}"
    claim["controls"] = [{"kind": "shuffled"}]
    claim |= {"vectors": "vectors.json", "figures": [{"says": mean, "is": "mean"}]}
    claim["conclusion"]["text"] = f"The norms agree with {mean}."
    return claim, [row for row in rows if row["role"] in ("effect", "shuffled")], vectors


def put(folder: Path, vectors: dict[str, list[float]]) -> None:
    (folder / "vectors.json").write_text(json.dumps(vectors))


def test_related_vectors_pass_by_their_own_shuffles(tmp_path: Path):
    claim, rows, vectors = with_vectors(True)
    put(tmp_path, vectors)
    result = lint(tmp_path, claim, [row for row in rows if row["role"] == "effect"])
    assert codes(result) == []
    again = result.document["rerun"]["headline"]
    assert again["pvalue"] == 0.001
    assert again["centred"] > 0.98
    assert again["by_means"] == pytest.approx(0.99, abs=0.005)
    assert result.document["rerun"]["rows"] == 4


def test_unrelated_vectors_fail_whatever_the_table_says_of_shuffles(tmp_path: Path):
    claim, rows, vectors = with_vectors(False)
    put(tmp_path, vectors)
    result = lint(tmp_path, claim, rows)
    assert codes(result, "fault") == ["raw_cosine", "failed_control"]
    assert [f.variant for f in result.findings] == ["vectors", "shuffled_again"]


def test_a_row_that_its_vectors_do_not_give_is_found(tmp_path: Path):
    claim, rows, vectors = with_vectors(True)
    put(tmp_path, vectors)
    rows[1]["value"] = 0.9
    found = [f for f in lint(tmp_path, claim, rows).findings if f.code == "rerun_disagrees"]
    assert found[0].numbers["n"] == 1
    assert found[0].numbers["found"] == pytest.approx(0.9995, abs=0.0005)
    assert found[0].places[0].line == 2


def test_the_same_claim_gives_the_same_bytes(tmp_path: Path):
    claim, rows, vectors = with_vectors(False)
    put(tmp_path, vectors)
    path = write_claim(tmp_path, claim, rows)
    assert lint_claim(path).to_json() == lint_claim(path).to_json()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v.pop("a/1"), r"table\.json:2: the vector 'a/1' is not in vectors\.json"),
        (lambda v: v["a/1"].pop(), r"its vectors have 255 and 256 entries"),
        (lambda v: v["a/1"].__setitem__(3, "x"), r"\(a/1\): expected numbers and nothing else"),
        (lambda v: v["a/1"].__setitem__(3, 1e400), r"Infinity is no JSON number"),
        (lambda v: v["a/1"].__setitem__(slice(1, None), []), r"at least two numbers"),
        (lambda v: v.clear(), r"holds 0 vectors"),
    ],
)
def test_vectors_that_cannot_be_used_are_refused(change: Any, message: str, tmp_path: Path):
    claim, rows, vectors = with_vectors(True)
    change(vectors)
    put(tmp_path, vectors)
    with pytest.raises(FormatError, match=message):
        lint(tmp_path, claim, rows)


def test_vectors_in_each_format_are_the_same():
    from safetensors.numpy import save

    a, b = np.array([1.0, 2.5, -3.0], dtype=np.float32), np.array([0.5, 0.25], dtype=np.float32)
    csv = b"a,b\n1,0.5\n2.5,0.25\n-3,\n"
    for data, name in (
        (csv, "v.csv"),
        (json.dumps({"a": a.tolist(), "b": b.tolist()}).encode(), "v.json"),
        (save({"a": a, "b": b}), "v.safetensors"),
    ):
        found = parse_vectors(data, where=name)
        np.testing.assert_array_equal(found["a"], a)
        np.testing.assert_array_equal(found["b"], b)


@pytest.mark.parametrize(
    ("data", "name", "message"),
    [
        (b"{}", "v.npy", "ends in .csv, .json or .safetensors"),
        (b"a\n1\n\n", "v.csv", "at least two numbers"),
        (b"a,b\n1,2\n,3\n5,6\n", "v.csv", r"v\.csv:3 \(a\) is empty"),
        (b"[1,2]", "v.json", "an object of lists"),
        (b'{"a":[1,NaN]}', "v.json", "NaN is no JSON number"),
        (b"xxxx", "v.safetensors", "safetensors"),
    ],
)
def test_vector_files_that_are_none(data: bytes, name: str, message: str):
    with pytest.raises(FormatError, match=message):
        parse_vectors(data, where=name)


def test_a_matrix_is_no_vector():
    from safetensors.numpy import save

    with pytest.raises(FormatError, match="is no vector of floats"):
        parse_vectors(save({"a": np.zeros((2, 2), dtype=np.float32)}), where="v.safetensors")


def test_measures_are_those_of_numpy():
    rng = np.random.default_rng(3)
    a, b = rng.standard_normal((2, 50))
    assert pearson(a, b) == pytest.approx(np.corrcoef(a, b)[0, 1])
    assert cosine(a, b) == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    assert pearson(a, np.ones(50)) == cosine(a, np.zeros(50)) == 0.0


def test_shuffles_of_unrelated_vectors_are_uniform_enough():
    """Of 40 unrelated pairs the p-value is at most .1 in 4 on average; 13 or more are one in 10,000."""
    rng = np.random.default_rng(5)
    found = [measure_again([tuple(rng.standard_normal((2, 32)))], digest=str(k)).pvalue for k in range(40)]
    assert sum(p <= 0.1 for p in found) < 13
    assert max(found) > 0.5


# Evidence


def by_evidence(tmp_path: Path, **conclusion: str) -> list[str]:
    for file in ("by-comparison.yaml", "evidence.json"):
        shutil.copy(CASE / file, tmp_path / file)
    path = tmp_path / "by-comparison.yaml"
    text = path.read_text()
    for key, value in conclusion.items():
        old = next(line for line in text.splitlines() if line.strip().startswith(f"{key}: "))
        text = text.replace(old, old.partition(": ")[0] + f": {value}")
    path.write_text(text)
    return codes(lint_claim(path))


def test_a_true_derivation_by_its_evidence_passes(tmp_path: Path):
    assert by_evidence(tmp_path) == []


def test_a_direction_that_the_evidence_does_not_have_is_found(tmp_path: Path):
    text = (CASE / "by-comparison.yaml").read_text()
    assert text.count("says: dependent") == 1
    for file in ("evidence.json",):
        shutil.copy(CASE / file, tmp_path / file)
    path = tmp_path / "claim.yaml"
    for says in ("derived", "not_shown"):
        path.write_text(text.replace("says: dependent", f"says: {says}"))
        assert codes(lint_claim(path), "fault") == ["evidence_disagrees"]


def test_evidence_on_another_model_is_found(tmp_path: Path):
    assert by_evidence(tmp_path, digest="0" * 64) == ["evidence_disagrees"]


def test_an_evalue_that_the_evidence_does_not_have_is_found(tmp_path: Path):
    text = (CASE / "by-comparison.yaml").read_text()
    shutil.copy(CASE / "evidence.json", tmp_path / "evidence.json")
    path = tmp_path / "claim.yaml"
    for wrong, right in (("10^350", "10^341"), ("90 %", "100 %")):
        path.write_text(text.replace(right, wrong))
        assert codes(lint_claim(path)) == ["figure_disagrees"]


def test_damaged_evidence_is_refused(tmp_path: Path):
    shutil.copy(CASE / "by-comparison.yaml", tmp_path / "claim.yaml")
    (tmp_path / "evidence.json").write_text('{"schema": "jokbo.evidence/2"}')
    with pytest.raises(EvidenceError, match=r"evidence\.json: field .* is missing"):
        lint_claim(tmp_path / "claim.yaml")


# Models


def test_models_are_opened_only_when_asked(zoo: Path):
    claim = read_claim(CASE / "by-norms.yaml")
    assert run_again(claim).models is None
    opened = run_again(claim, open_models=True).models
    assert opened is not None
    assert opened.digests["base0"] == claim.models["base0"].digest
    assert (opened.pairs, opened.norm_parameters, opened.parameters) == (9, 1152, 988288)
    assert opened.centred == pytest.approx(0.9909, abs=1e-4)


def test_the_sound_claims_vectors_are_the_zoos_own(zoo: Path):
    from jokbo.views.ledger import Ledger
    from jokbo.views.model import open_model
    from jokbo.views.samples import fetch_norms

    vectors = parse_vectors((CASE / "norm-vectors.json").read_bytes(), where="norm-vectors.json")
    assert len(vectors) == 27
    for label in ("base0", "sft0", "base1"):
        for norm in fetch_norms(Ledger(open_model(zoo / label), budget_bytes=1 << 20), "text", channels=128):
            layer = "-" if norm.layer is None else norm.layer
            np.testing.assert_allclose(vectors[f"{label}/{layer}/{norm.role}"], norm.values, atol=1e-6)


def test_opened_models_speak_against_a_false_claim(zoo: Path, tmp_path: Path):
    claim, rows = sound_claim()
    claim["measure"]["name"] = "cosine"
    claim["models"]["a"] = {"repository": str(zoo / "base0"), "digest": "0" * 64}
    claim["models"]["b"] = {"repository": str(zoo / "base1")}
    path = write_claim(tmp_path, claim, [row for row in rows if row["role"] == "effect"])
    found = {f.code: f.variant for f in lint_claim(path, open_models=True).findings}
    assert found["failed_control"] == "shuffled_models"
    assert found["mislabelled_control"] == "digest"
    assert "no_control" not in found
