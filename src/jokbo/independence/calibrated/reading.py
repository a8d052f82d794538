"""Read a population's file: somebody else wrote it, so everything in it is checked first."""

from __future__ import annotations

import os
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from jokbo.errors import FormatError, SourceError
from jokbo.formats.strict_json import strict_loads
from jokbo.independence.calibrated.base import VERSIONS
from jokbo.independence.calibrated.population import SCHEMA, Population, PopulationModel

MAX_BYTES = 16 << 20
MAX_MODELS = 1000
MAX_TEXT = 1000
MAX_TOLD = 200
NEXT = "Make the file again with `jokbo population`."


@cache
def zoo_population() -> Population:
    """The population that comes with Jokbo: independent models of its zoo, as ``zoo/population.py`` wrote it."""
    file = resources.files("jokbo.independence.calibrated").joinpath("populations/zoo.json")
    return parse_population(file.read_bytes(), where="zoo.json")


def read_population(path: str | os.PathLike[str]) -> Population:
    """Read a population that somebody made.

    Raises
    ------
    SourceError
        The file cannot be read.
    FormatError
        It does not follow its format, or another version of a test scored it.
    """
    where = Path(path)
    try:
        with where.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SourceError(f"cannot read the population {where}: {error.strerror}. Check the path.") from None
    return parse_population(data, where=where.name)


def parse_population(data: bytes, *, where: str) -> Population:
    """Parse a population and check that every score can be used.

    Raises
    ------
    FormatError
        It does not follow its format, or another version of a test scored it.
    """
    import cattrs

    _require(len(data) <= MAX_BYTES, where, f"more than {MAX_BYTES:,} bytes", "a smaller file")
    try:
        document = strict_loads(data)
    except (ValueError, RecursionError) as error:  # JSON errors, and integers of absurd length
        raise FormatError(f"{where} is not JSON ({str(error)[:MAX_TOLD]}). {NEXT}") from None
    _require(isinstance(document, dict), where, type(document).__name__, "an object")
    found = document.get("schema")
    _require(found == SCHEMA, where, f"schema {str(found)[:40]!r}", repr(SCHEMA))
    for key in ("models", "scores"):
        rows = document.get(key)
        _require(isinstance(rows, list), where, f"{key} that is no list", "a list")
        most = MAX_MODELS if key == "models" else MAX_MODELS * (MAX_MODELS - 1) // 2 * len(VERSIONS)
        _require(len(rows) <= most, where, f"{len(rows):,} {key}", f"at most {most:,}")
    try:
        made = _converter().structure(document, Population)
    except (
        Exception
    ) as error:  # cattrs raises groups of several kinds; each line of its summary names one key
        told = "; ".join(cattrs.transform_error(error))[:MAX_TOLD]
        raise FormatError(f"{where}: {told}. {NEXT}") from None
    _check(made, where)
    return made


def _converter() -> Any:
    """Strict types: no number is read from text, no text from a number."""
    import cattrs

    converter = cattrs.Converter(forbid_extra_keys=True)

    def exactly(kind: type, *allowed: type) -> None:
        def hook(value: Any, _: Any) -> Any:
            if type(value) not in (kind, *allowed):
                raise ValueError(f"expected {kind.__name__}, found {type(value).__name__}")
            return kind(value)

        converter.register_structure_hook(kind, hook)

    exactly(str)
    exactly(int)
    exactly(float, int)
    return converter


def _check(made: Population, where: str) -> None:
    for text in (made.name, made.description, made.jokbo, *(t for m in made.models for t in _texts(m))):
        _require(0 < len(text) <= MAX_TEXT, where, f"a text of {len(text):,} characters", "a short one")
    for test, version in made.tests.items():
        known = VERSIONS.get(test)
        _require(version == known, where, f"test {test[:40]!r} of version {version}", f"version {known}")
    for model in made.models:
        hexadecimal = len(model.digest) == 64 and set(model.digest) <= set("0123456789abcdef")
        _require(hexadecimal, where, f"digest {model.digest[:80]!r}", "64 hexadecimal digits")
        _require(min(model.hidden_size, model.units, model.layers, model.vocab) >= 0, where, "a size below 0",
                 "sizes from 0")  # fmt: skip
    digests = {model.digest for model in made.models}
    _require(len(digests) == len(made.models), where, "a model that is listed twice", "each model once")
    seen: set[tuple[str, int, int]] = set()
    for row in made.scores:
        place = f"scores of {row.first} and {row.second}"
        _require(row.test in made.tests, where, f"{place} for {row.test[:40]!r}", "a test that it lists")
        inside = 0 <= row.first < row.second < len(made.models)
        _require(inside, where, place, "places in the list of models, the smaller first")
        related = made.models[row.first].lineage == made.models[row.second].lineage
        _require(not related, where, f"{place} within one lineage", "scores of different lineages")
        _require(-1 <= row.score <= 1, where, f"{place} of {row.score}", "a number from -1 to 1")
        _require((row.test, row.first, row.second) not in seen, where, f"{place} twice", "each pair once")
        seen.add((row.test, row.first, row.second))


def _texts(model: PopulationModel) -> tuple[str, ...]:
    return model.name, model.lineage, model.family, model.digest_covers


def _require(condition: bool, where: str, found: str, expected: str) -> None:
    if not condition:
        raise FormatError(f"{where}: found {found}; expected {expected}. {NEXT}")
