"""What other pairs score: published figures with their source, and our own zoo.

A score without its reference values invites the wrong conclusion; that is how a cosine of
0.968 became an accusation. Reports print both together.
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from jokbo.descriptive.scores import Score
from jokbo.errors import FormatError

RELATIONS = frozenset({"independent", "derived", "disputed", "within", "random", "fact"})
TRUTHS = frozenset({"independent", "derived", "common-lineage", "shared-init", "component-reuse"})


@dataclass(frozen=True, slots=True)
class Source:
    """Where a published figure stands."""

    citation: str


@dataclass(frozen=True, slots=True)
class Figure:
    """One published value.

    Attributes
    ----------
    score : Score
    value : float
        The mean over `n` pairs, or the only value.
    relation : str
        What the pair is: ``independent``, ``derived``, ``disputed``, ``within``, ``random`` or ``fact``.
    population : str
        Key of the text that says what was measured.
    source : str
        Key of the source.
    sd : float or None
        Standard deviation over the pairs.
    n : int
        Pairs.
    """

    score: Score
    value: float
    relation: str
    population: str
    source: str
    sd: float | None = None
    n: int = 1


@dataclass(frozen=True, slots=True)
class Published:
    """The published figures and their sources."""

    sources: dict[str, Source]
    figures: list[Figure]

    def of(self, score: Score) -> tuple[Figure, ...]:
        """Figures of one score, in the order of the file."""
        return tuple(figure for figure in self.figures if figure.score is score)

    def citation(self, figure: Figure) -> str:
        """Where a figure stands."""
        return self.sources[figure.source].citation


@dataclass(frozen=True, slots=True)
class ZooRange:
    """What the zoo's pairs of one kind score.

    Attributes
    ----------
    truth : str
        ``independent``, ``derived``, ``common-lineage``, ``shared-init`` or ``component-reuse``.
    n : int
        Pairs that have the score; they share models, so they are not independent draws.
    low, mean, high : float
        Smallest, mean and largest value.
    """

    score: Score
    tower: str
    truth: str
    n: int
    low: float
    mean: float
    high: float


@dataclass(frozen=True, slots=True)
class ZooPopulation:
    """The zoo's scores and what they were computed from.

    Attributes
    ----------
    models : dict of str to str
        Digest of each model by name.
    seed : int
        Seed of the random choices.
    ranges : list of ZooRange
    """

    models: dict[str, str]
    seed: int
    ranges: list[ZooRange] = field(default_factory=list)

    def of(self, score: Score, tower: str = "") -> tuple[ZooRange, ...]:
        """Ranges of one score; the text tower's where the zoo has no such tower."""
        mine = [found for found in self.ranges if found.score is score]
        wanted = tower if any(found.tower == tower for found in mine) else "text"
        return tuple(found for found in mine if found.tower == wanted)


@cache
def published() -> Published:
    """The published figures.

    Raises
    ------
    FormatError
        The file holds an unknown key, score, relation or source.
    """
    return read_published(_text("references.toml"))


@cache
def zoo_population() -> ZooPopulation:
    """What the zoo scores, as ``benchmarks/descriptive_population.py`` wrote it.

    Raises
    ------
    FormatError
        The file does not follow its format.
    """
    return read_zoo(_text("zoo_population.json"))


def read_published(text: str) -> Published:
    """Parse ``references.toml`` and check that every entry says what it is and where it stands."""
    where = "references.toml"
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FormatError(f"{where} is not TOML ({error}). Correct the file.") from None
    made: Published = _structure(document, Published, where)
    for figure in made.figures:
        _require(
            figure.relation in RELATIONS, where, f"relation {figure.relation!r}", "one of " + _list(RELATIONS)
        )
        _require(
            figure.source in made.sources, where, f"source {figure.source!r}", "one of " + _list(made.sources)
        )
        _require(-1 <= figure.value <= 1, where, f"value {figure.value}", "a number from -1 to 1")
        _require(figure.sd is None or figure.sd >= 0, where, f"sd {figure.sd}", "no negative deviation")
        _require(figure.n >= 1, where, f"n {figure.n}", "at least one pair")
    return made


def read_zoo(text: str) -> ZooPopulation:
    """Parse ``zoo_population.json``."""
    where = "zoo_population.json"
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise FormatError(
            f"{where} is not JSON ({error}). Run benchmarks/descriptive_population.py."
        ) from None
    made: ZooPopulation = _structure(document, ZooPopulation, where)
    for found in made.ranges:
        _require(found.truth in TRUTHS, where, f"truth {found.truth!r}", "one of " + _list(TRUTHS))
        _require(found.n >= 1, where, f"n {found.n}", "at least one pair")
        ordered = found.low <= found.mean <= found.high
        _require(ordered, where, f"{found.low}, {found.mean}, {found.high}", "low, mean and high in order")
    return made


def _text(file: str) -> str:
    return resources.files("jokbo.descriptive").joinpath(file).read_text(encoding="utf-8")


def _structure(document: Any, kind: type[Any], where: str) -> Any:
    import cattrs

    converter = cattrs.Converter(forbid_extra_keys=True)
    try:
        return converter.structure(document, kind)
    except (
        Exception
    ) as error:  # cattrs raises groups of several kinds; each line of its summary names one key
        raise FormatError(
            f"{where}: {'; '.join(cattrs.transform_error(error))}. Correct the file."
        ) from error


def _require(condition: bool, where: str, found: str, expected: str) -> None:
    if not condition:
        raise FormatError(f"{where}: found {found}; expected {expected}. Correct the file.")


def _list(names: Any) -> str:
    return ", ".join(sorted(names))
