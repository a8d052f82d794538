"""All scores that do not decide, in one call.

Nothing here enters a verdict. Each score is shown beside what known-independent models
score (:mod:`jokbo.descriptive.references`), with one sentence on why it does not decide
(:mod:`jokbo.descriptive.texts`).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from jokbo.descriptive.attention_profile import ROLES, ROWS, AttentionProfile, attention_profile
from jokbo.descriptive.norm_cosine import NormCosines, fetch_gains, norm_cosines
from jokbo.descriptive.norm_heatmap import NormHeatmap, norm_heatmaps
from jokbo.descriptive.scores import ScoreValue
from jokbo.descriptive.vocabulary import VocabularyOverlap, vocabulary_overlap
from jokbo.views.component import Reason
from jokbo.views.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Descriptions:
    """Every descriptive score of a pair; :func:`dataclasses.asdict` gives what JSON can hold.

    Attributes
    ----------
    norms : tuple of NormCosines
        One a tower that has norms in either model.
    heatmaps : tuple of NormHeatmap
        One a tower and norm that both models have in several layers.
    attention : tuple of AttentionProfile
        One a tower that has attention in either model.
    vocabulary : VocabularyOverlap
    """

    norms: tuple[NormCosines, ...]
    heatmaps: tuple[NormHeatmap, ...]
    attention: tuple[AttentionProfile, ...]
    vocabulary: VocabularyOverlap

    def scores(self) -> tuple[ScoreValue, ...]:
        """The numbers that stand beside reference values, in the order a report shows them."""
        parts: list[NormCosines | AttentionProfile | VocabularyOverlap]
        parts = [*self.norms, *self.attention, self.vocabulary]
        return tuple(value for part in parts for value in part.scores())

    def to_document(self) -> dict[str, Any]:
        """The same as plain JSON values: what evidence keeps."""
        document: dict[str, Any] = json.loads(json.dumps(asdict(self), allow_nan=False))
        return document


def describe(
    reference: Ledger, candidate: Ledger, *, rng: np.random.Generator, attention_rows: int = ROWS
) -> Descriptions:
    """Compute every score that does not decide.

    Parameters
    ----------
    reference, candidate : Ledger
        Each score reads within their budgets, or gives ``reason.budget`` instead of a number.
    rng : Generator
        Draws the shuffles of the norm cosines and the rows of the attention profiles.
    attention_rows : int
        Rows a matrix behind the attention profiles; 0 leaves them out, which saves one
        request a matrix.

    Raises
    ------
    WeightsError
        A weight that was read is NaN or infinite.
    FormatError
        A tokenizer is there and is not one.
    SourceError
        The bytes could not be read.
    """
    norms: list[NormCosines] = []
    heatmaps: list[NormHeatmap] = []
    attention: list[AttentionProfile] = []
    for tower in _towers(reference, candidate):
        if _has(reference, tower, "norm") or _has(candidate, tower, "norm"):
            gains = fetch_gains(reference, candidate, tower)
            if isinstance(gains, Reason):
                norms.append(NormCosines(tower, reason=gains))
            else:
                norms.append(norm_cosines(gains, rng=rng))
                heatmaps.extend(norm_heatmaps(gains))
        if _has(reference, tower, *ROLES) or _has(candidate, tower, *ROLES):
            attention.append(attention_profile(reference, candidate, tower, rng=rng, rows=attention_rows))
    vocabulary = vocabulary_overlap(reference.model.vocabulary, candidate.model.vocabulary)
    return Descriptions(tuple(norms), tuple(heatmaps), tuple(attention), vocabulary)


def _towers(reference: Ledger, candidate: Ledger) -> list[str]:
    return list(dict.fromkeys((*reference.model.anatomy.towers, *candidate.model.anatomy.towers)))


def _has(ledger: Ledger, tower: str, *endings: str) -> bool:
    return any(part.tower == tower and part.role.endswith(endings) for part in ledger.model.anatomy.parts)
