"""Which column is the step, the clock, the loss: a table of usual names, and what a declaration says beyond it."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from jokbo.errors import FormatError
from jokbo.records.series import Metric

PLACES = ("step", "time", "runtime", "samples", "batch_samples")
"""What says where a row stands rather than what was measured; a declaration may name these as well."""


@dataclass(frozen=True, slots=True)
class NameTable:
    """Usual names of each standard one, best first, in the form of :func:`plain_name`.

    Attributes
    ----------
    names : mapping of str to tuple of str
    scale : mapping of str to float
        Factor to the standard unit where the name states another.
    """

    names: Mapping[str, tuple[str, ...]]
    scale: Mapping[str, float]


@cache
def name_table() -> NameTable:
    """The table of ``metric_names.toml``."""
    document = tomllib.loads(files(__package__).joinpath("metric_names.toml").read_text(encoding="utf-8"))
    names = {**document["place"], **document["metric"]}
    return NameTable(
        {standard: tuple(map(plain_name, usual)) for standard, usual in names.items()},
        {plain_name(name): float(factor) for name, factor in document["scale"].items()},
    )


def plain_name(name: str) -> str:
    """A name as the table compares it.

    Examples
    --------
    >>> plain_name("Train.Loss"), plain_name(" lm  loss ")
    ('train/loss', 'lm loss')
    """
    return " ".join(name.lower().replace(".", "/").split())


def candidates(
    standard: str, found: Iterable[str], declared: Mapping[str, str], *, taken: Collection[str] = ()
) -> list[str]:
    """Columns that may be the standard one, best first; only the declared one where one is declared.

    Names declared to be something else (`taken` too) are not considered.

    Examples
    --------
    >>> candidates("loss", ["train_loss", "loss", "lr"], {})
    ['loss', 'train_loss']
    >>> candidates("loss", ["train_loss", "loss", "lr"], {"loss": "train_loss"})
    ['train_loss']
    """
    if standard in declared:
        return [name for name in found if name == declared[standard]]
    others = {*declared.values(), *taken}
    by_plain: dict[str, str] = {}
    for name in found:
        if name not in others:
            by_plain.setdefault(plain_name(name), name)
    return [by_plain[usual] for usual in name_table().names.get(standard, ()) if usual in by_plain]


def scale_of(name: str) -> float:
    """Factor from the unit that a column's name states to the standard one."""
    return name_table().scale.get(plain_name(name), 1.0)


def check_declared(declared: Mapping[str, str], log: str) -> None:
    """Whether the names on the left are standard ones.

    Raises
    ------
    FormatError
        One is not.
    """
    known = [*map(str, Metric), *PLACES]
    for standard in declared:
        if standard not in known:
            raise FormatError(
                f"log {log!r} declares a metric {standard!r}; expected a standard name, one of {', '.join(known)}. "
                f"Write it as one of these{_hint(standard, known)}."
            )


def check_found(declared: Mapping[str, str], found: Collection[str], log: str) -> None:
    """Whether every declared column was there.

    Raises
    ------
    FormatError
        One was not.
    """
    for standard, name in declared.items():
        if name not in found:
            some = ", ".join(repr(column[:60]) for column in list(found)[:8]) or "none"
            raise FormatError(
                f"log {log!r} declares that {standard} is the column {name!r}; the log has no such column, but "
                f"{some}{', ...' if len(found) > 8 else ''}. Correct the declaration{_hint(name, list(found))}."
            )


def _hint(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known)[:1000], 1)
    return f" (did you mean {near[0]!r}?)" if near else ""
