"""Fingerprints of the really trained models show their true relations, and independent ones show none.

Null: two models were trained apart; then the evidence from their fingerprints' rows is at most one on average.
Why valid: which rows are held follows from a salt and from sizes alone, so under the null they are any rows.
What fools it: whoever knows the salt may prepare exactly these rows; hence a stricter guard, and "lead".
What it survives: fine-tuning, continued training, adapters, another tower or fresh layers beside what was copied.
"""

from __future__ import annotations

import json
from functools import cache

import pytest
from relations import ZOO, Relation, relations

from jokbo.evidence.compare import compare
from jokbo.evidence.evidence import Evidence
from jokbo.evidence.schema import check
from jokbo.evidence.verify import verify
from jokbo.lineage.fingerprint import SUFFIX, Fingerprint, make_fingerprint
from jokbo.lineage.pairs import DEPENDENCE, compare_pair
from jokbo.report.html import render_html
from jokbo.sources.memory import MemorySource

EXPECTED = {
    "derived": {"lineage"},
    "common-lineage": {"lineage"},
    "shared-init": {"shared_initialisation"},
    "component-reuse": {"reuse"},
}

NAMES = sorted(path.name for path in (ZOO / "models").iterdir() if (path / "config.json").is_file())


@cache
def fingerprint_of(name: str) -> Fingerprint:
    return make_fingerprint(ZOO / "models" / name)


def source(name: str) -> MemorySource:
    return MemorySource({f"{name}{SUFFIX}": fingerprint_of(name).data}, name=name)


@pytest.mark.parametrize("pair", relations(*EXPECTED), ids=str)
def test_true_relations_are_found(pair: Relation) -> None:
    found = compare_pair(source(pair.reference), source(pair.candidate), reference_first=True)
    assert found["relation"] in EXPECTED[pair.truth]
    if pair.component:
        inherited = {c["component"] for c in found["components"] if c["status"] == "inherited"}
        assert inherited >= {c for c in pair.component if c.startswith(("vision.mlp", "text.embedding"))}


@pytest.mark.parametrize("pair", relations("derived"), ids=str)
def test_without_a_date_they_are_found_or_leads(pair: Relation) -> None:
    found = compare_pair(source(pair.reference), source(pair.candidate))
    assert found["relation"] in DEPENDENCE | {"lead"}


@pytest.mark.parametrize("pair", relations("independent"), ids=str)
def test_independent_models_show_nothing(pair: Relation) -> None:
    found = compare_pair(source(pair.reference), source(pair.candidate), reference_first=True)
    assert found["relation"] == "no_evidence"
    assert max(c["log10_evalue"] for c in found["components"] if c["log10_evalue"] is not None) < 3


@pytest.mark.parametrize("pair", relations("derived")[:3], ids=str)
def test_a_fingerprint_and_the_model_itself_agree_with_two_fingerprints(pair: Relation) -> None:
    one = compare_pair(source(pair.reference), ZOO / "models" / pair.candidate, reference_first=True)
    two = compare_pair(ZOO / "models" / pair.reference, source(pair.candidate), reference_first=True)
    assert one["relation"] == two["relation"] == "lineage"


@pytest.mark.parametrize("name", NAMES)
def test_the_file_is_small_and_little_is_read(name: str) -> None:
    header = fingerprint_of(name).header
    assert len(fingerprint_of(name).data) < 600_000
    assert header.read_bytes < 500_000  # of 2 MB: models this small have few rows that are not wanted
    assert header.layers


@pytest.mark.parametrize(("reference", "candidate"), [("base0", "sft0"), ("base0", "base1")])
def test_evidence_of_fingerprints_follows_the_schema_and_verifies(reference: str, candidate: str) -> None:
    found = compare(
        source(reference), source(candidate), seed=7, reference_first=True, among=45, bounds=False
    )
    document = json.loads(json.dumps(found.evidence.document))
    check(document, where="evidence")
    assert document["parameters"]["salt"] == "jokbo-1"
    assert document["parameters"]["among"] == 45
    assert document["reference"]["kind"] == "fingerprint"
    assert {row["file"] for row in document["reference"]["read"]["tensors"]} == {"fingerprint:rows"}
    again = verify(Evidence(document), reference=source(reference), candidate=source(candidate))
    assert again.holds


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize(("reference", "candidate"), [("base0", "sft0"), ("base0", "base1")])
def test_the_page_says_that_fingerprints_were_compared(reference: str, candidate: str, lang: str) -> None:
    found = compare(source(reference), source(candidate), seed=7, bounds=False)
    page = render_html(found.evidence.document, lang=lang)
    assert "jokbo-1" in page
    said = {
        "en": ("It rests on fingerprints", "holds no whole matrices", "whoever knows the salt"),
        "ko": ("핑거프린트를 비교한 결과입니다", "행렬 전체가 없어", "솔트를 아는 사람은"),
    }[lang]
    for sentence in said:
        assert sentence in page
    assert "so nobody can alter just those that will be read" not in page
    assert "손볼 수 없습니다" not in page
