"""What a descriptive score is: a plain number and where it was taken, or the reason why there is none."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from jokbo.views.component import Reason

DIGITS = 6


class Score(StrEnum):
    """Every score that has reference values; its texts are under the same name in ``texts.toml``."""

    NORM_RAW = "norm_raw"
    NORM_SHUFFLED = "norm_shuffled"
    NORM_CENTRED = "norm_centred"
    NORM_SHARE = "norm_share"
    ATTENTION_PROFILE = "attention_profile"
    VOCABULARY_OVERLAP = "vocabulary_overlap"
    MERGE_ORDER = "merge_order"


@dataclass(frozen=True, slots=True)
class ScoreValue:
    """The one number of a score that stands beside its reference values.

    Attributes
    ----------
    score : Score
    tower : str
        Empty for scores of the whole model.
    value : float or None
        None where there is nothing to compare; then `reason` says why.
    reason : Reason or None
    """

    score: Score
    tower: str
    value: float | None
    reason: Reason | None = None


def reason(name: str, values: Mapping[str, int | float | str] | None = None) -> Reason:
    """A reason whose numbers are a plain dict, so that :func:`dataclasses.asdict` can copy it."""
    return Reason(f"reason.{name}", dict(values or {}))


def plain(value: float) -> float | None:
    """A Python float of six decimals, or None for what is not a number."""
    number = float(value)
    # Adding zero turns -0.0 into 0.0, so that equal results have equal bytes.
    return round(number, DIGITS) + 0.0 if math.isfinite(number) else None


def mean(values: Iterable[float | None]) -> float | None:
    """Mean of the values that are there."""
    present = [value for value in values if value is not None]
    return plain(math.fsum(present) / len(present)) if present else None
