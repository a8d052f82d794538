"""Vocabulary overlap and merge order: whether two models share a tokenizer, wholly or in part.

A tokenizer is made before a model is trained and is often published apart from it.
Sharing it says which words the models can read, not where their weights come from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from jokbo.descriptive.scores import Score, ScoreValue, plain, reason
from jokbo.views.component import Reason
from jokbo.views.tokens import Vocabulary

FIRST_MERGES = 1000
MIN_SHARED_MERGES = 3


@dataclass(frozen=True, slots=True)
class VocabularyOverlap:
    """What two tokenizers have in common, by text.

    Attributes
    ----------
    reference_size, candidate_size, shared : int
        Tokens.
    share : float or None
        Shared tokens over the size of the smaller vocabulary.
    reason : Reason or None
        Why vocabularies are not compared.
    merges_compared, merges_equal : int
        Positions at the head of both merge lists, at most 1,000, and how many hold the same rule.
    merge_agreement : float or None
        Their ratio.
    shared_merges : int
        Rules that both lists hold, anywhere.
    merge_rank_correlation : float or None
        Spearman correlation of the shared rules' positions; None below three of them.
    merge_reason : Reason or None
        Why merge order is not compared.
    """

    reference_size: int = 0
    candidate_size: int = 0
    shared: int = 0
    share: float | None = None
    reason: Reason | None = None
    merges_compared: int = 0
    merges_equal: int = 0
    merge_agreement: float | None = None
    shared_merges: int = 0
    merge_rank_correlation: float | None = None
    merge_reason: Reason | None = None

    def scores(self) -> tuple[ScoreValue, ...]:
        """The numbers that stand beside reference values."""
        return (
            ScoreValue(Score.VOCABULARY_OVERLAP, "", self.share, self.reason),
            ScoreValue(Score.MERGE_ORDER, "", self.merge_agreement, self.merge_reason),
        )


def vocabulary_overlap(reference: Vocabulary | None, candidate: Vocabulary | None) -> VocabularyOverlap:
    """Compare two tokenizers by the text of their tokens and the order of their merges.

    Examples
    --------
    >>> a = Vocabulary({"a": 0, "b": 1, "ab": 2}, ("a b",), frozenset())
    >>> b = Vocabulary({"b": 0, "c": 1}, (), frozenset())
    >>> vocabulary_overlap(a, b).share
    0.5
    """
    if reference is None or candidate is None:
        why_not = _missing(reference, candidate)
        return VocabularyOverlap(
            len(reference or ()), len(candidate or ()), reason=why_not, merge_reason=why_not
        )
    smaller = min(len(reference), len(candidate))
    shared = len(reference.ids.keys() & candidate.ids.keys())
    head = min(FIRST_MERGES, len(reference.merges), len(candidate.merges))
    equal = sum(a == b for a, b in zip(reference.merges[:head], candidate.merges[:head], strict=True))
    mine, theirs = _positions(reference), _positions(candidate)
    both = [rule for rule in mine if rule in theirs]
    return VocabularyOverlap(
        reference_size=len(reference),
        candidate_size=len(candidate),
        shared=shared,
        share=plain(shared / smaller) if smaller else None,
        reason=None if smaller else reason("empty_vocabulary"),
        merges_compared=head,
        merges_equal=equal,
        merge_agreement=plain(equal / head) if head else None,
        shared_merges=len(both),
        merge_rank_correlation=_spearman(both, mine, theirs),
        merge_reason=None if head else reason("no_merges"),
    )


def _missing(reference: Vocabulary | None, candidate: Vocabulary | None) -> Reason:
    if reference is None and candidate is None:
        return reason("no_tokenizers")
    return reason("no_reference_tokenizer" if reference is None else "no_candidate_tokenizer")


def _positions(vocabulary: Vocabulary) -> dict[str, int]:
    positions: dict[str, int] = {}
    for position, rule in enumerate(vocabulary.merges):
        positions.setdefault(rule, position)
    return positions


def _spearman(rules: list[str], reference: Mapping[str, int], candidate: Mapping[str, int]) -> float | None:
    """Spearman correlation of positions; they are distinct, so ranks have no ties."""
    if len(rules) < MIN_SHARED_MERGES:
        return None
    places = np.array([[positions[rule] for rule in rules] for positions in (reference, candidate)])
    ranks = places.argsort(axis=1).argsort(axis=1).astype(np.float64)
    gaps = ranks[0] - ranks[1]
    count = len(rules)
    return plain(1.0 - 6.0 * float(gaps @ gaps) / (count * (count**2 - 1.0)))
