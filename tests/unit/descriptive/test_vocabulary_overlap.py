from __future__ import annotations

import pytest

from jokbo.descriptive.vocabulary import FIRST_MERGES, vocabulary_overlap
from jokbo.views.tokens import Vocabulary


def make(tokens: int, merges: int, *, first: int = 0, reverse: bool = False) -> Vocabulary:
    rules = [f"a b{i}" for i in range(merges)]
    ids = {f"t{first + i}": i for i in range(tokens)}
    return Vocabulary(ids, tuple(rules[::-1] if reverse else rules), frozenset())


def test_the_published_sizes_give_the_published_share() -> None:
    found = vocabulary_overlap(make(196_608, 0), make(151_329, 0, first=196_608 - 80_339))
    assert (found.reference_size, found.candidate_size, found.shared) == (196_608, 151_329, 80_339)
    assert found.share == pytest.approx(0.5309, abs=5e-5)


def test_a_tokenizer_agrees_fully_with_itself() -> None:
    found = vocabulary_overlap(make(100, 2000), make(100, 2000))
    assert (found.share, found.merges_compared, found.merge_agreement) == (1.0, FIRST_MERGES, 1.0)
    assert (found.shared_merges, found.merge_rank_correlation) == (2000, 1.0)


def test_reversed_merges_share_every_rule_and_no_place() -> None:
    found = vocabulary_overlap(make(100, 1000), make(100, 1000, reverse=True))
    assert (found.merges_equal, found.merge_agreement) == (0, 0.0)
    assert (found.shared_merges, found.merge_rank_correlation) == (1000, -1.0)


def test_short_lists_are_compared_as_far_as_they_go() -> None:
    found = vocabulary_overlap(make(10, 2), make(10, 5))
    assert (found.merges_compared, found.merge_agreement) == (2, 1.0)
    assert found.merge_rank_correlation is None


def test_spearman_is_scipys() -> None:
    from scipy.stats import spearmanr

    rules = ["a b", "c d", "e f", "g h", "i j"]
    other = [rules[i] for i in (2, 0, 1, 4, 3)]
    a, b = (Vocabulary({"a": 0}, tuple(order), frozenset()) for order in (rules, ["x y", *other]))
    expected = spearmanr(range(5), [other.index(rule) for rule in rules]).statistic
    assert vocabulary_overlap(a, b).merge_rank_correlation == pytest.approx(expected, abs=1e-6)


def test_a_repeated_merge_counts_once_at_its_first_place() -> None:
    a = Vocabulary({"a": 0}, ("a b", "c d", "e f", "a b"), frozenset())
    b = Vocabulary({"a": 0}, ("a b", "c d", "e f"), frozenset())
    found = vocabulary_overlap(a, b)
    assert (found.shared_merges, found.merge_rank_correlation) == (3, 1.0)


@pytest.mark.parametrize(
    ("reference", "candidate", "code"),
    [
        (None, None, "reason.no_tokenizers"),
        (None, make(3, 0), "reason.no_reference_tokenizer"),
        (make(3, 0), None, "reason.no_candidate_tokenizer"),
    ],
)
def test_a_missing_tokenizer_is_a_reason(
    reference: Vocabulary | None, candidate: Vocabulary | None, code: str
) -> None:
    found = vocabulary_overlap(reference, candidate)
    assert found.share is found.merge_agreement is None
    assert found.reason.code == found.merge_reason.code == code


def test_no_merges_and_no_tokens_are_reasons() -> None:
    assert vocabulary_overlap(make(3, 0), make(3, 5)).merge_reason.code == "reason.no_merges"
    assert vocabulary_overlap(make(0, 0), make(3, 0)).reason.code == "reason.empty_vocabulary"
