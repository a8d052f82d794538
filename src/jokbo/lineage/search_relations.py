"""What is declared of the candidate and of the registered models, and whose dates put a model first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date

from jokbo.errors import UsageError
from jokbo.lineage.register import Entry

PARENT, RELATIVE = "parent", "relative"

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}(?:$|[T ])", re.ASCII)


def plain_name(name: str) -> str:
    """A hub id or a name without its revision, in lower case: how cards and registers are held together.

    Examples
    --------
    >>> plain_name("Org/Model-7B@abc")
    'org/model-7b'
    """
    return name.partition("@")[0].strip().casefold()


def declared_relations(entries: Sequence[Entry], declared: Iterable[str]) -> dict[str, str]:
    """How each registered model is related to a candidate by what is declared.

    Parameters
    ----------
    entries : sequence of Entry
        Their declared parents are followed.
    declared : iterable of str
        Names, ``name@commit`` or keys of what the candidate is said to come from.

    Returns
    -------
    dict
        By key: ``"parent"`` for a declared ancestor, ``"relative"`` where both come from one declared ancestor.
    """
    names = {plain_name(name) for name in declared}
    if not names:
        return {}
    parents: dict[str, set[str]] = {}
    for entry in entries:
        parents.setdefault(plain_name(entry.name), set()).update(map(plain_name, entry.parents))
    mine = _ancestors(names, parents)
    found = {}
    for entry in entries:
        own = {plain_name(entry.name), entry.key}
        if own & mine or any(entry.key.startswith(name) for name in names if len(name) >= 6):
            found[entry.key] = PARENT
        elif _ancestors({plain_name(entry.name)}, parents) & mine:
            found[entry.key] = RELATIVE
    return found


def _ancestors(names: set[str], parents: Mapping[str, set[str]]) -> set[str]:
    """These names and all that they are declared to come from; circles end."""
    known: set[str] = set()
    left = list(names)
    while left:
        name = left.pop()
        if name not in known:
            known.add(name)
            left.extend(parents.get(name, ()))
    return known


def check_declared(entries: Sequence[Entry], declared: Iterable[str]) -> None:
    """Refuse a declared name that no registered model has: a misspelling must not pass for a declaration.

    Raises
    ------
    UsageError
        The name is not in the register.
    """
    names = {plain_name(entry.name) for entry in entries}
    for name in declared:
        if plain_name(name) not in names and not any(
            entry.key.startswith(name) for entry in entries if len(name) >= 6
        ):
            raise UsageError(
                f"--declare {name[:80]!r}: no registered model has this name or key. `jokbo registry list` shows them."
            )


def parse_date(text: str, *, what: str) -> date:
    """A day, from an ISO date or time.

    Raises
    ------
    UsageError
        It is none.
    """
    try:
        if not _DAY.match(text):
            raise ValueError(text)  # weeks and other ways of writing a day, and words behind it
        return date.fromisoformat(text[:10])
    except ValueError:
        raise UsageError(f"{what} {text[:40]!r}: expected a date such as 2026-05-31.") from None


def public_first(entry: Entry, candidate_since: str | None) -> bool:
    """Whether the register's owner vouches that a model was public before the candidate.

    What an imported register merely claims does not count.
    """
    if entry.public_since is None or candidate_since is None:
        return False
    first = parse_date(entry.public_since, what=f"the date of {entry.name}")
    return first < parse_date(candidate_since, what="the candidate's date")
