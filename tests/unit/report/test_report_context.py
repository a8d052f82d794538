from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any

import pytest

from jokbo.errors import EvidenceError, JokboError, UsageError
from jokbo.evidence.evidence import Evidence
from jokbo.evidence.findings import VerdictKind
from jokbo.report.bounds import probability
from jokbo.report.context import Report, build_report, plain

NAMES = ["common_lineage", "component_reuse", "identical", "no_evidence", "shared_initialisation"]
Frozen = Callable[[str], dict[str, Any]]


def sentences(value: object) -> list[str]:
    """Every text of a report."""
    if isinstance(value, str):
        return [value]
    if is_dataclass(value):
        return [text for field in fields(value) for text in sentences(getattr(value, field.name))]
    if isinstance(value, tuple):
        return [text for item in value for text in sentences(item)]
    return []


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("kind", [str(kind) for kind in VerdictKind])
def test_every_verdict_opens_with_a_sentence_that_names_both_models(
    frozen: Frozen, kind: str, lang: str
) -> None:
    document = frozen("component_reuse")
    document["verdict"]["kind"] = kind
    head = build_report(document, lang).headline
    assert "embx0" in head.sentence
    assert "base0" in head.sentence
    assert head.sentence.endswith(".")
    assert "{" not in head.sentence
    assert len(plain(head.sentence)) < 160


@pytest.mark.parametrize(
    ("name", "tone", "quote"),
    [
        (
            "no_evidence",
            "clear",
            "No evidence was found that the weights of base1 and base0 depend on each other.",
        ),
        (
            "common_lineage",
            "found",
            "sft0 and base0 are not independent: their weights come from one lineage.",
        ),
        (
            "component_reuse",
            "found",
            "A part of embx0 is not independent of base0: embedding and output head.",
        ),
        ("identical", "found", "base0 (candidate) and base0 (reference) hold exactly the same weights."),
    ],
)
def test_headlines(frozen: Frozen, name: str, tone: str, quote: str) -> None:
    head = build_report(frozen(name), "en").headline
    assert (head.tone, plain(head.sentence)) == (tone, quote)


def test_strength_is_told_in_tries(frozen: Frozen) -> None:
    document = frozen("common_lineage")
    document["verdict"]["log10_evalue"] = 7.31
    assert "less than once in 20 million tries" in build_report(document, "en").headline.strength
    assert "2000만 번에 한 번도" in build_report(document, "ko").headline.strength
    document["verdict"]["log10_evalue"] = 342.0
    strength = build_report(document, "en").headline.strength
    assert "once in 10¹⁰⁰ tries" in strength
    assert "342" not in strength


def test_shared_basis_counts_everything_that_could_have_fired(frozen: Frozen) -> None:
    document = frozen("component_reuse")
    document["verdict"]["kind"] = "shared_basis"
    document["verdict"]["log10_evalue"] = -0.5
    # Norms at 10^10.1, over two e-values of each of five components: 10^9.1.
    assert "once in 1 billion tries" in build_report(document, "en").headline.strength


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("lang", ["en", "ko"])
def test_dependence_is_followed_by_what_it_does_not_mean(frozen: Frozen, name: str, lang: str) -> None:
    report = build_report(frozen(name), lang)
    words = " ".join(report.caveats.items)
    expected = {
        "clear": {"en": "does not prove that the two are independent", "ko": "독립임을 입증한 것이 아닙니다"},
        "found": {"en": "direction is undetermined", "ko": "방향은 알 수 없습니다"},
    }[report.headline.tone][lang]
    assert expected in words


def test_shared_initialisation_is_explained(frozen: Frozen) -> None:
    words = " ".join(build_report(frozen("shared_initialisation"), "en").caveats.items)
    assert "need never have met" in words


def test_relabelling_guard_is_explained(frozen: Frozen) -> None:
    document = frozen("no_evidence")
    document["verdict"]["kind"] = "inconclusive"
    mlp = next(c for c in document["components"] if c["kind"] == "mlp")
    mlp["status"] = "inconclusive"
    mlp["reasons"] = [{"code": "relabelling_guard", "values": {"effect": 0.31, "level": 0.385}}]
    report = build_report(document, "en")
    assert report.headline.tone == "open"
    assert any("reordering or rotating their own model" in item for item in report.caveats.items)
    row = next(row for row in report.components if row.name == "MLP layers")
    assert "(0.31)" in row.remarks[0]
    assert "(0.385)" in row.remarks[0]


def test_declared_dependence_is_labelled(frozen: Frozen) -> None:
    document = frozen("component_reuse")
    document["verdict"]["declared"] = "exactly"
    head = build_report(document, "en").headline
    assert head.label == "As declared"
    assert "had been declared before the comparison" in head.explanation[0]


def test_components_are_ordered_by_finding_then_size(frozen: Frozen) -> None:
    rows = build_report(frozen("component_reuse"), "en").components
    assert [row.name for row in rows] == ["Embedding", "Output head", "Norm gains", "MLP layers", "Attention"]
    assert rows[0].share == "13.3%"
    assert rows[3].bound == "limit: cosine 0.10"


def test_clean_parts_have_limits_in_sentences(frozen: Frozen) -> None:
    limits = build_report(frozen("no_evidence"), "en").limits
    assert "each of 299 trials" in limits.paragraphs[1]
    assert "at least 0.99" in limits.paragraphs[1]
    assert (
        limits.items[0] == "MLP layers: an agreement of 0.10 or more (cosine), or a copy of 10% of the rows."
    )
    assert any(item.startswith("Not tested for") and "everything scrambled" in item for item in limits.items)
    (chart,) = limits.charts
    assert len(chart.data[0].rows) == 25


def test_limits_of_unlike_trials_state_each_its_own(frozen: Frozen) -> None:
    document = frozen("no_evidence")
    mlp = next(c for c in document["components"] if c["kind"] == "mlp")
    mlp["bounds"][0].update(n_plants=50, misses=1)
    items = build_report(document, "en").limits.items
    found = next(item for item in items if "49 of 50" in item)
    assert "at least 0.90" in found


def test_probability_agrees_with_published_intervals() -> None:
    from scipy.stats import beta

    assert probability(299, 0) >= 0.99 > probability(298, 0)
    for plants, misses in ((50, 1), (299, 3), (20, 19)):
        assert probability(plants, misses) == pytest.approx(
            beta.ppf(0.05, plants - misses, misses + 1), abs=1e-9
        )
    assert probability(5, 5) == 0


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_without_limits_and_scores_the_report_says_so(frozen: Frozen, lang: str) -> None:
    document = frozen("no_evidence")
    document["descriptive"] = None
    for component in document["components"]:
        component["bounds"] = []
    report = build_report(document, lang)
    assert len(report.limits.paragraphs) == 1
    assert report.scores.paragraphs[-1] in (
        "They were not computed in this run.",
        "이번 실행에서는 계산하지 않았습니다.",
    )
    assert not report.scores.charts


def test_names_of_models_are_hostile(frozen: Frozen) -> None:
    document = frozen("common_lineage")
    document["candidate"]["name"] = "x\u202eevil\x1b[31m\n<script>"
    for text in sentences(build_report(document, "en")):
        assert not re.search("[\x00-\x1f\x7f\u202a-\u202e\u2066\u2067]", text), text
        assert text.count("\u2068") == text.count("\u2069")


def test_equal_names_are_told_apart(frozen: Frozen) -> None:
    report = build_report(frozen("identical"), "ko")
    assert "base0(기준)" in plain(report.headline.sentence)
    assert "base0(대상)" in plain(report.headline.sentence)


def test_footer_names_the_evidence(frozen: Frozen) -> None:
    document = frozen("common_lineage")
    report = build_report(document, "en")
    assert Evidence(document).digest[:12] in report.footer
    assert Evidence(document).digest in {cell for row in report.repeat.tables[0].rows for cell in row}


def test_unknown_tower_keeps_its_name(frozen: Frozen) -> None:
    document = frozen("no_evidence")
    document["components"][0]["tower"] = "side_net"
    names = {row.name for row in build_report(document, "en").components}
    assert "\u2068side_net\u2069: norm gains" in names


def damage(document: dict[str, Any], path: str, value: object) -> None:
    *parents, last = path.split("/")
    place: Any = document
    for key in parents:
        place = place[int(key)] if isinstance(place, list) else place[key]
    if value is KeyError:
        del place[last]
    else:
        place[last] = value


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("verdict/kind", "made_up"),
        ("verdict/kind", KeyError),
        ("verdict/policy", {}),
        ("verdict/log10_evalue", "many"),
        ("components", 3),
        ("components/0/status", "guilty"),
        ("components/0/families", {"Z": {"log10_evalue": 1.0, "log10_local": None, "clusters": []}}),
        ("components/0/alignment", "sideways"),
        ("candidate/read", KeyError),
        ("candidate/kind", "carrier_pigeon"),
        ("descriptive/norms", None),
        ("descriptive/attention/0/profiles/0/reason", {"code": "nobody_knows", "values": {}}),
        ("learning", []),
    ],
)
def test_damaged_evidence_is_refused_in_words(frozen: Frozen, path: str, value: object) -> None:
    document = frozen("component_reuse")
    damage(document, path, value)
    with pytest.raises(JokboError, match=r"\w+") as caught:
        build_report(document, "en")
    assert isinstance(caught.value, EvidenceError)


def test_language_is_checked(frozen: Frozen) -> None:
    with pytest.raises(UsageError, match="'fr' is not available"):
        build_report(frozen("identical"), "fr")


def test_report_needs_the_document_alone(frozen: Frozen) -> None:
    document = frozen("component_reuse")
    again: Report = build_report(json.loads(json.dumps(document)), "ko")
    assert again == build_report(document, "ko")
