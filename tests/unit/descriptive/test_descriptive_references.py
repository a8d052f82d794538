from __future__ import annotations

import ast
import inspect
import string
from pathlib import Path

import pytest

from jokbo.descriptive import references, texts
from jokbo.descriptive.references import published, read_published, read_zoo, zoo_population
from jokbo.descriptive.scores import Score
from jokbo.descriptive.vocabulary import FIRST_MERGES
from jokbo.errors import FormatError, UsageError
from jokbo.views.model import open_model

FOLDER = Path(inspect.getfile(references)).parent
ENTRY = """
[sources.here]
citation = "someone, somewhere"
[[figures]]
score = "norm_raw"
value = 0.5
relation = "independent"
population = "population.moe_moe"
source = "here"
"""


def test_the_published_reference_population_of_the_dispute() -> None:
    rows = {f.population: (f.value, f.sd, f.n) for f in published().of(Score.NORM_RAW)}
    assert rows["population.moe_moe"] == (0.9639, 0.0187, 6)
    assert rows["population.moe_dense"] == (0.9722, 0.0178, 16)
    assert rows["population.dense_dense"] == (0.9738, 0.0183, 6)
    assert rows["population.random_vectors"][0] == 0.9901
    assert rows["population.glm_intellect"][0] == 1.0


def test_every_figure_has_a_source_and_a_text_in_both_languages() -> None:
    for figure in published().figures:
        assert published().citation(figure)
        assert all(texts.text(figure.population, language) for language in texts.LANGUAGES)
        assert all(texts.text(f"relation.{figure.relation}", language) for language in texts.LANGUAGES)


def test_every_score_has_title_reads_and_why_not() -> None:
    for score in (*Score, "norm_heatmap"):
        for part in ("title", "reads", "why_not"):
            for language in texts.LANGUAGES:
                assert texts.text(f"{score}.{part}", language)


def test_every_score_with_a_number_has_reference_values() -> None:
    for score in Score:
        assert published().of(score)


def test_every_truth_has_a_text() -> None:
    assert all(texts.text(f"truth.{truth}", "ko") for truth in references.TRUTHS)


def test_every_reason_in_the_code_has_texts_and_none_is_left_over() -> None:
    used = set()
    for file in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "reason":
                first = node.args[0]
                branches = [first.body, first.orelse] if isinstance(first, ast.IfExp) else [first]
                used |= {f"reason.{branch.value}" for branch in branches}
    assert used == {key for key in texts.texts() if key.startswith("reason.")}


def test_both_languages_use_the_same_placeholders() -> None:
    for key, entry in texts.texts().items():
        fields = [
            {name for _, name, _, _ in string.Formatter().parse(text) if name} for text in entry.values()
        ]
        assert fields[0] == fields[1], key


def test_the_merge_text_says_how_many_are_compared() -> None:
    assert f"{FIRST_MERGES:,}" in texts.text("merge_order.reads")
    assert f"{FIRST_MERGES:,}" in texts.text("merge_order.reads", "ko")


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ('source = "here"', 'source = "nowhere"', "source 'nowhere'"),
        ('relation = "independent"', 'relation = "sure"', "relation 'sure'"),
        ("value = 0.5", "value = 1.5", "value 1.5"),
        ("value = 0.5", "value = 0.5\nsd = -1.0", "sd -1.0"),
        ("value = 0.5", "value = 0.5\nn = 0", "n 0"),
        ("value = 0.5", "value = 0.5\ncolour = 1", "colour"),
        ('score = "norm_raw"', 'score = "norm_row"', r"figures\[0\].score"),
        ("value = 0.5", "", "value"),
        ("value = 0.5", "value = = 0.5", "not TOML"),
    ],
)
def test_a_wrong_entry_is_refused(old: str, new: str, match: str) -> None:
    assert read_published(ENTRY).figures[0].n == 1
    with pytest.raises(FormatError, match=match):
        read_published(ENTRY.replace(old, new, 1))


ZOO = (
    '{"models": {"a": "00"}, "seed": 0, "ranges": [{"score": "norm_raw", "tower": "text", '
    '"truth": "independent", "n": 2, "low": 0.1, "mean": 0.2, "high": 0.3}]}'
)


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ('"independent"', '"maybe"', "truth 'maybe'"),
        ('"n": 2', '"n": 0', "n 0"),
        ('"low": 0.1', '"low": 0.25', "in order"),
        ('"seed": 0', '"seed": 0, "extra": 1', "extra"),
        ("{", "", "not JSON"),
    ],
)
def test_a_wrong_zoo_population_is_refused(old: str, new: str, match: str) -> None:
    assert read_zoo(ZOO).of(Score.NORM_RAW, "text")[0].mean == 0.2
    with pytest.raises(FormatError, match=match):
        read_zoo(ZOO.replace(old, new, 1))


def test_a_tower_that_the_zoo_lacks_stands_beside_the_text_tower() -> None:
    assert read_zoo(ZOO).of(Score.NORM_RAW, "audio") == read_zoo(ZOO).of(Score.NORM_RAW, "text")


def test_the_zoo_says_why_the_scores_do_not_decide() -> None:
    def of(score: Score, truth: str) -> references.ZooRange:
        tower = "" if score in (Score.VOCABULARY_OVERLAP, Score.MERGE_ORDER) else "text"
        (found,) = [r for r in zoo_population().of(score, tower) if r.truth == truth]
        return found

    assert of(Score.NORM_RAW, "independent").low > 0.95
    assert of(Score.NORM_SHUFFLED, "independent").low > 0.95
    assert of(Score.NORM_CENTRED, "independent").high < 0.5 < of(Score.NORM_CENTRED, "derived").low
    # The profile of some independent pairs is closer than that of some derived ones.
    assert of(Score.ATTENTION_PROFILE, "independent").high > of(Score.ATTENTION_PROFILE, "derived").low
    assert of(Score.MERGE_ORDER, "independent").low == 1.0


def test_unknown_texts_and_languages_are_refused() -> None:
    with pytest.raises(UsageError, match="no text 'nothing'"):
        texts.text("nothing")
    with pytest.raises(UsageError, match="language 'fr'"):
        texts.text("norm_raw.title", "fr")


def test_a_text_without_a_language_is_refused() -> None:
    with pytest.raises(FormatError, match=r"a\.title"):
        texts.read_texts('[a.title]\nen = "only"\n')
    with pytest.raises(FormatError, match=r"a\.title"):
        texts.read_texts('[a.title]\nen = "x"\nko = ""\n')


@pytest.mark.parametrize("end", [".md", ".ko.md"])
def test_the_explanation_shows_the_stored_zoo_numbers(end: str) -> None:
    page = Path(__file__).resolve().parents[3] / f"docs/explanation/scores-that-do-not-decide{end}"
    text = page.read_text(encoding="utf-8")
    shown = [found for found in zoo_population().ranges if found.truth != "common-lineage"]
    assert shown
    for found in shown:
        cell = f"{found.mean:.3f} ({found.low:.3f} to {found.high:.3f}; n = {found.n})"
        row = next(
            line
            for line in text.splitlines()
            if f"| `{found.score}` | {found.tower or 'whole model'} |" in line
        )
        assert cell in row


def test_the_zoo_population_was_computed_from_the_models_that_are_stored() -> None:
    zoo = Path(__file__).resolve().parents[3] / "zoo/models"
    assert {
        name: open_model(zoo / name).digest for name in zoo_population().models
    } == zoo_population().models
