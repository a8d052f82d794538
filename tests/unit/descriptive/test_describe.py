from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable

import numpy as np
import pytest

from jokbo.descriptive.describe import Descriptions, describe
from jokbo.descriptive.scores import Score
from jokbo.descriptive.texts import explain
from jokbo.testing import builders
from jokbo.testing.checkpoint import Checkpoint
from jokbo.views.ledger import Ledger

Compare = Callable[..., Descriptions]
Opener = Callable[..., Ledger]


def small(seed: int, **changed: object) -> Checkpoint:
    return builders.llama(np.random.default_rng(seed), num_layers=4, **changed)


def value_of(found: Descriptions, score: Score, tower: str = "text") -> float | None:
    (value,) = [v.value for v in found.scores() if v.score is score and v.tower in (tower, "")]
    return value


def assert_plain(document: object) -> None:
    """Nothing but what JSON holds, no NaN, no infinity."""
    for number in _numbers(document):
        assert type(number) in (int, float)
        assert math.isfinite(number)


def _numbers(document: object) -> list[object]:
    if isinstance(document, dict):
        return [n for value in document.values() for n in _numbers(value)]
    if isinstance(document, list | tuple):
        return [n for value in document for n in _numbers(value)]
    return [] if document is None or isinstance(document, str | bool) else [document]


def test_zoo_independent_pair_looks_alike_raw_and_not_centred(compare: Compare) -> None:
    found = compare("base0", "base1")
    assert value_of(found, Score.NORM_RAW) > 0.95
    assert value_of(found, Score.NORM_SHUFFLED) > 0.95
    assert abs(value_of(found, Score.NORM_CENTRED)) < 0.3
    assert value_of(found, Score.VOCABULARY_OVERLAP) == value_of(found, Score.MERGE_ORDER) == 1.0


def test_zoo_fine_tune_keeps_its_centred_pattern(compare: Compare) -> None:
    assert value_of(compare("base0", "sft0"), Score.NORM_CENTRED) > 0.9


def test_zoo_fine_tune_has_a_bright_diagonal_in_the_centred_heatmap_only(compare: Compare) -> None:
    for heatmap in compare("base0", "sft0").heatmaps:
        centred, raw = np.array(heatmap.centred), np.array(heatmap.raw)
        assert np.diag(centred).min() > 0.9 > np.abs(centred[~np.eye(len(centred), dtype=bool)]).max()
        assert raw.min() > 0.95


def test_a_model_with_itself_scores_one_everywhere(compare: Compare) -> None:
    found = compare("base0", "base0")
    scores = {value.score: value.value for value in found.scores()}
    assert scores.pop(Score.NORM_SHUFFLED) < 1.0
    assert set(scores.values()) == {1.0}


def test_everything_is_json(compare: Compare) -> None:
    document = dataclasses.asdict(compare("base0", "base1"))
    text = json.dumps(document, allow_nan=False)
    assert_plain(document)
    assert_plain(json.loads(text))


def test_equal_seeds_give_equal_numbers_and_equal_reads(ledger: Opener) -> None:
    runs = []
    for _ in range(2):
        pair = ledger("base0"), ledger("base1")
        runs.append((describe(*pair, rng=np.random.default_rng(7)), *(one.rows_sha256 for one in pair)))
    assert runs[0] == runs[1]


def test_different_widths_are_a_reason_and_the_rest_goes_on(compare: Compare) -> None:
    found = compare(small(0, hidden_size=64), small(1, hidden_size=128))
    (norms,) = found.norms
    assert norms.reason.code == "reason.widths_differ"
    assert norms.reason.values == {"tower": "text", "reference": 64, "candidate": 128}
    assert found.heatmaps == ()
    assert value_of(found, Score.NORM_RAW) is None
    assert value_of(found, Score.ATTENTION_PROFILE) is not None
    assert_plain(dataclasses.asdict(found))


def test_absent_tokenizers_are_a_reason(compare: Compare) -> None:
    found = compare(small(0), small(1))
    assert found.vocabulary.reason.code == "reason.no_tokenizers"
    assert (
        compare(small(0, reserved_tokens=4), small(1)).vocabulary.reason.code
        == "reason.no_candidate_tokenizer"
    )


def test_different_depths_have_a_rectangular_heatmap_and_no_profile(compare: Compare) -> None:
    found = compare(small(0), builders.llama(np.random.default_rng(1), num_layers=6))
    assert {(len(h.reference_layers), len(h.candidate_layers)) for h in found.heatmaps} == {(4, 6)}
    (attention,) = found.attention
    assert {profile.reason.code for profile in attention.profiles} == {"reason.depths_differ"}
    assert attention.scores()[0].reason.code == "reason.depths_differ"


def test_two_layers_have_no_profile_correlation(compare: Compare) -> None:
    two = [builders.llama(np.random.default_rng(seed), num_layers=2) for seed in (0, 1)]
    (attention,) = compare(*two).attention
    assert {profile.reason.code for profile in attention.profiles} == {"reason.too_few_layers"}


def test_a_spent_budget_is_a_reason_and_nothing_is_read(ledger: Opener) -> None:
    pair = [ledger(small(seed), budget_bytes=1) for seed in (0, 1)]
    found = describe(*pair, rng=np.random.default_rng(0))
    assert found.norms[0].reason.code == found.attention[0].reason.code == "reason.budget"
    assert [one.spent_bytes for one in pair] == [0, 0]


@pytest.mark.parametrize("budget_bytes", [2_000, 8_000, 20_000, 60_000])
def test_no_budget_is_ever_exceeded(ledger: Opener, budget_bytes: int) -> None:
    pair = [ledger(small(seed), budget_bytes=budget_bytes) for seed in (0, 1)]
    describe(*pair, rng=np.random.default_rng(0))
    assert all(one.spent_bytes <= budget_bytes for one in pair)


def test_a_tight_budget_halves_the_rows(compare: Compare) -> None:
    plenty, tight = (compare(small(0), small(1), budget_bytes=n).attention[0] for n in (1 << 30, 30_000))
    assert (plenty.rows, tight.rows) == (32, 8)


def test_no_attention_rows_leave_the_profile_out(compare: Compare) -> None:
    (attention,) = compare(small(0), small(1), attention_rows=0).attention
    assert (attention.rows, attention.reason.code) == (0, "reason.not_read")


def test_the_profile_follows_the_scale_of_the_layers(compare: Compare) -> None:
    checkpoints = []
    for seed in (0, 1):
        made = builders.llama(np.random.default_rng(seed), num_layers=5)
        scales = {f"model.layers.{layer}.": 1.0 + layer**2 for layer in range(5)}
        grown = {
            name: values * next((s for start, s in scales.items() if name.startswith(start)), 1.0)
            for name, values in made.tensors.items()
            if "self_attn" in name
        }
        checkpoints.append(made.with_tensors(grown))
    (attention,) = compare(*checkpoints).attention
    # Independent weights, one recipe: the profiles agree almost fully. This is why the score does not decide.
    assert attention.mean_correlation > 0.99
    assert [profile.role for profile in attention.profiles] == ["attn_q", "attn_k", "attn_v", "attn_output"]


def test_fused_and_transposed_attention_is_read_alike(compare: Compare) -> None:
    found = compare(*(builders.gpt2(np.random.default_rng(seed), num_layers=4) for seed in (0, 1)))
    (attention,) = found.attention
    assert all(len(profile.reference) == 4 for profile in attention.profiles)
    assert {row.role for row in found.norms[0].rows} == {"attn_norm", "ffn_norm", "output_norm"}


def test_an_unknown_family_says_what_it_cannot_compare(compare: Compare) -> None:
    strange = [
        small(seed).with_config(model_type="nobody_knows", architectures=["Nobody"]) for seed in (0, 1)
    ]
    found = compare(*strange)
    assert_plain(dataclasses.asdict(found))
    assert all(value.value is not None or value.reason is not None for value in found.scores())


def test_every_reason_that_occurs_has_its_sentences(compare: Compare) -> None:
    pairs = [
        (small(0), small(1, hidden_size=128)),
        (small(0), builders.llama(np.random.default_rng(1), num_layers=6)),
        (small(0), builders.gpt2(np.random.default_rng(1), num_layers=2)),
    ]
    for pair in pairs:
        for value in compare(*pair).scores():
            assert (value.value is None) == (value.reason is not None)
            for language in ("en", "ko") if value.reason else ():
                assert "{" not in explain(value.reason, language)
