"""What the prefilter would have passed: the smallest agreement, in closed form.

Of two rows at cosine ``c`` a share ``1/2 + arcsin(c) / pi`` of the signs agrees, so the standard score of ``n`` signs
has the mean ``(2 / pi) arcsin(c) sqrt(n)`` and, for small ``c``, a deviation of 1. The cosines of a Gram matrix mixed
with noise correlate as ``c^2``. Tests plant such models and count how many are passed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int

from jokbo.evidence.canonical import effect
from jokbo.lineage.prefilter import PASSES, Overlap, Scored
from jokbo.lineage.sketch_format import GRAM, TABLES, UNITS, VALUES

SURE = 2.3263478740408408
"""Standard score that is exceeded with probability .01: a planted model is passed with probability .99."""

COMPONENTS: Mapping[str, tuple[str, str]] = {
    UNITS: ("mlp", "same_basis"),
    GRAM: ("mlp", "rotated"),
    VALUES: ("attention", "same_basis"),
    TABLES[0]: ("embedding", "same_basis"),
}
"""Kind of section -> component and alignment class that it sees."""


@dataclass(frozen=True, slots=True)
class ShapeClass:
    """Models of which the same could be compared.

    Attributes
    ----------
    models : array
        Their numbers.
    bounds : tuple of dict
        ``component``, ``alignment``, ``scope`` (``"all_layers"`` or ``"one_layer"``) and ``cosine``; None where no
        agreement would have sufficed.
    """

    models: Int[np.ndarray, " models"]
    bounds: tuple[dict[str, Any], ...]


def smallest_cosine(bits: float, *, score: float, squared: bool = False) -> float | None:
    """Cosine from which so many signs reach a standard score with probability .99; None where none does.

    Examples
    --------
    >>> round(smallest_cosine(8192 * 24, score=4.1), 3), smallest_cosine(16, score=4.1)
    (0.023, None)
    """
    angle = math.pi / 2 * (score + SURE) / math.sqrt(max(bits, 1))
    if angle >= math.pi / 2:
        return None
    return math.sqrt(math.sin(angle)) if squared else math.sin(angle)


def needed_score(tests: int, *, tries: int = 1, threshold: float = PASSES) -> float:
    """Standard score that passes a model of so many scores, one of which is the highest of `tries`."""
    from scipy.special import ndtri_exp

    return -float(ndtri_exp(-threshold * math.log(10) - math.log(max(tests, 1) * max(tries, 1))))


def shape_classes(scored: Scored) -> list[ShapeClass]:
    """Models whose body could be compared, by what was compared; the largest class first."""
    body = np.flatnonzero(scored.body)
    if not len(body):
        return []
    facts = np.stack([scored.tested, *(row for o in scored.overlaps for row in (o.places, o.pairs))])
    _, numbers = np.unique(facts[:, body], axis=1, return_inverse=True)
    numbers = numbers.reshape(-1)
    groups = [body[numbers == k] for k in range(int(numbers.max()) + 1)]
    groups.sort(key=lambda models: (-len(models), int(models[0])))
    return [ShapeClass(models, _bounds(scored, int(models[0]))) for models in groups]


def _bounds(scored: Scored, model: int) -> tuple[dict[str, Any], ...]:
    tests = int(scored.tested[model])
    found = []
    for overlap in scored.overlaps:
        if overlap.kind not in COMPONENTS or not overlap.pairs[model]:
            continue
        component, alignment = COMPONENTS[overlap.kind]
        for scope, cosine in _of(overlap, model, tests):
            found.append(
                {
                    "component": component,
                    "alignment": alignment,
                    "scope": scope,
                    "cosine": None if cosine is None else effect(cosine),
                }
            )
    return merged(found)


def _of(overlap: Overlap, model: int, tests: int) -> list[tuple[str, float | None]]:
    squared = overlap.kind == GRAM
    if overlap.kind in TABLES:
        return [("all_layers", smallest_cosine(overlap.bits, score=needed_score(tests)))]
    places, pairs = int(overlap.places[model]), int(overlap.pairs[model])
    one = needed_score(tests, tries=pairs)
    bits = overlap.bits if places or squared else overlap.bits // 4
    alone = smallest_cosine(bits, score=one, squared=squared)
    if not places:
        return [("one_layer", alone)]
    return [
        ("all_layers", smallest_cosine(overlap.bits * places, score=needed_score(tests), squared=squared)),
        ("one_layer", alone),
    ]


def merged(rows: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    """One row a component, alignment and scope: the smallest cosine, for any section may pass a model."""
    best: dict[tuple[str, str, str], dict[str, Any]] = {}
    for row in rows:
        key = (row["component"], row["alignment"], row["scope"])
        known = best.get(key)
        if known is None or known["cosine"] is None or (row["cosine"] or math.inf) < known["cosine"]:
            best[key] = row
    order = list(dict.fromkeys(COMPONENTS.values()))
    return tuple(best[key] for key in sorted(best, key=lambda key: (order.index(key[:2]), key[2])))
