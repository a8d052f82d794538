"""What is watched: a TOML file of repositories and organisations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from jokbo.errors import FormatError, UsageError
from jokbo.formats.strict_toml import strict_toml
from jokbo.sources.open import HUB_ID

MAX_LIST_BYTES = 4 << 20
MAX_ENTRIES = 10_000
MAX_PAUSE_SECONDS = 3600.0
KEYS = ("repositories", "organisations", "exclude", "pause_seconds")


@dataclass(frozen=True, slots=True)
class Watchlist:
    """What is watched, checked.

    Attributes
    ----------
    repositories : tuple of str
        ``org/name`` or ``org/name@branch``.
    organisations : tuple of str
        Authors all of whose models are watched.
    exclude : tuple of str
        Patterns such as ``org/*-gguf``, of repositories that are left out of an organisation's.
    pause_seconds : float
        Between two repositories.
    """

    repositories: tuple[str, ...] = ()
    organisations: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    pause_seconds: float = 1.0

    def leaves_out(self, repository: str) -> bool:
        """Whether an organisation's repository is excluded.

        Examples
        --------
        >>> Watchlist(exclude=("org/*-gguf",)).leaves_out("org/model-8b-gguf")
        True
        """
        return any(fnmatchcase(repository, pattern) for pattern in self.exclude)


def read_watchlist(path: Path) -> Watchlist:
    """Read a list.

    Raises
    ------
    UsageError
        There is no such file.
    FormatError
        It is not TOML, or says something that is not understood.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_LIST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read the list {path}: {error.strerror}. Check the path.") from None
    if len(data) > MAX_LIST_BYTES:
        raise FormatError(f"{path} is larger than {MAX_LIST_BYTES:,} bytes; a list has a line a repository.")
    try:
        document = strict_toml(data)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path} is not TOML ({error}). Mend the line that it names.") from None
    return parse_watchlist(document, where=str(path))


def parse_watchlist(document: Mapping[str, Any], *, where: str) -> Watchlist:
    """Check a list that was read.

    Raises
    ------
    FormatError
        A key or a value is not understood; the message names it.

    Examples
    --------
    >>> parse_watchlist({"repositories": ["org/model"]}, where="list").repositories
    ('org/model',)
    """
    for key in document:
        if key not in KEYS:
            raise FormatError(
                f"{where}: key {str(key)[:40]!r} is not known; expected one of {', '.join(KEYS)}."
            )
    repositories = _texts(document, "repositories", where)
    for each in repositories:
        if HUB_ID.fullmatch(each) is None:
            raise FormatError(f"{where}: repository {each[:80]!r} is not org/name or org/name@branch.")
    organisations = _texts(document, "organisations", where)
    for each in organisations:
        if HUB_ID.fullmatch(f"{each}/x") is None or "@" in each:
            raise FormatError(f"{where}: organisation {each[:80]!r} is not the name of an author on a hub.")
    pause = document.get("pause_seconds", 1.0)
    if isinstance(pause, bool) or not isinstance(pause, int | float) or not 0 <= pause <= MAX_PAUSE_SECONDS:
        raise FormatError(
            f"{where}: pause_seconds is {pause!r}; expected a number from 0 to {MAX_PAUSE_SECONDS:,.0f}."
        )
    if not repositories and not organisations:
        raise FormatError(
            f'{where} names nothing to watch. Add repositories = ["org/name"] or organisations.'
        )
    return Watchlist(repositories, organisations, _texts(document, "exclude", where), float(pause))


def _texts(document: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    values = document.get(key, [])
    if not isinstance(values, list) or not all(isinstance(value, str) and value for value in values):
        raise FormatError(f'{where}: {key} is not a list of texts. Write {key} = ["...", "..."].')
    if len(values) > MAX_ENTRIES:
        raise FormatError(f"{where}: {key} has {len(values):,} entries; expected at most {MAX_ENTRIES:,}.")
    return tuple(dict.fromkeys(values))
