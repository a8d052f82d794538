"""What a register knows of a model: what its fingerprint says, and what somebody says of it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from jokbo.errors import UsageError
from jokbo.sources.open import HUB_ID

if TYPE_CHECKING:
    from jokbo.views.fingerprint_header import FingerprintHeader

MAX_NAME = 255
MAX_PARENTS = 64
MAX_SOURCE = 4096

RELATIONS = ("adapter", "finetune", "merge", "quantized")
"""What ``base_model_relation`` of a Hugging Face card may say."""

LICENSE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,63}")
KEY = re.compile(r"[0-9a-f]{64}")

_LEAST_PREFIX = 6
_COMMIT = re.compile(r"[0-9a-f]{40}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True, slots=True)
class Facts:
    """What somebody says of a model, beside its fingerprint.

    Attributes
    ----------
    name : str or None
    parents : tuple of str
        Declared: models that it was made from.
    relation : str or None
        Declared: one of :data:`RELATIONS`.
    license : str or None
        Declared: an SPDX identifier or a Hugging Face tag.
    public_since : str or None
        ISO 8601 date that the register's owner vouches for.
    public_since_source : str or None
        Where the owner has it from.
    claimed_since, claimed_by : str or None
        The same of an imported register: what its exporter said, and who that is. Never vouched for.
    source : str or None
        What opens the model again: ``org/name@commit`` or a path.
    """

    name: str | None = None
    parents: tuple[str, ...] = ()
    relation: str | None = None
    license: str | None = None
    public_since: str | None = None
    public_since_source: str | None = None
    claimed_since: str | None = None
    claimed_by: str | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A registered model.

    Attributes
    ----------
    key : str
        SHA-256 of the fingerprint file.
    name : str
    commit : str or None
    digest : str
        Of the model, as the fingerprint claims.
    family : str
    parameters, hidden_size, num_layers : int
    salt : str
    private : bool
        Whether the fingerprint holds no rows, only Gram matrices.
    size : int
        Bytes of the fingerprint.
    sketch_bytes : int
        Bytes of its sketch; 0 where it has none.
    parents, relation, license, public_since, public_since_source, claimed_since, claimed_by, source
        See :class:`Facts`; `parents`, `relation` and `license` are the model card's where nobody said more.
    added : str
        ISO 8601 time; for people, never in evidence.
    """

    key: str
    name: str
    commit: str | None
    digest: str
    family: str
    parameters: int
    hidden_size: int
    num_layers: int
    salt: str
    private: bool
    size: int
    sketch_bytes: int
    parents: tuple[str, ...]
    relation: str | None
    license: str | None
    public_since: str | None
    public_since_source: str | None
    claimed_since: str | None
    claimed_by: str | None
    source: str | None
    added: str

    def to_document(self) -> dict[str, Any]:
        """Plain values by name of field."""
        found = {name: getattr(self, name) for name in self.__slots__}
        return {**found, "parents": list(self.parents)}


def make_entry(header: FingerprintHeader, facts: Facts, *, key: str, size: int, sketch_bytes: int) -> Entry:
    """Join what a fingerprint says and what somebody says; the latter wins where both speak.

    Raises
    ------
    UsageError
        A fact is not one, or the fingerprint gives the model a name that no terminal can show.
    """
    check_facts(facts)
    name = facts.name if facts.name is not None else header.name
    if name != tidy(name, MAX_NAME) or not name.strip():
        raise UsageError(
            f"the fingerprint {key[:12]}… names its model {tidy(name, 60)!r}: it is empty, too long or holds control "
            "characters. Give it another name with --name."
        )
    commit = header.commit if header.commit and _COMMIT.fullmatch(header.commit) else None
    declared = dict.fromkeys(tidy(base, MAX_NAME) for base in header.declared.base_models[:MAX_PARENTS])
    source = facts.source
    if source is None and header.kind == "hub" and commit:
        source = f"{header.name}@{commit}" if HUB_ID.fullmatch(f"{header.name}@{commit}") else None
    return Entry(
        key=key,
        name=name,
        commit=commit,
        digest=header.digest,
        family=tidy(header.family, MAX_NAME),
        parameters=header.parameters,
        hidden_size=header.hidden_size,
        num_layers=header.num_layers,
        salt=header.salt,
        private=header.private,
        size=size,
        sketch_bytes=sketch_bytes,
        parents=facts.parents or tuple(base for base in declared if base.strip()),
        relation=facts.relation or tidied(header.declared.relation),
        license=facts.license or tidied(header.declared.license),
        public_since=facts.public_since,
        public_since_source=facts.public_since_source,
        claimed_since=facts.claimed_since,
        claimed_by=facts.claimed_by,
        source=tidied(source, MAX_SOURCE),
        added=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )


def check_facts(facts: Facts) -> None:
    """Refuse facts that are none.

    Raises
    ------
    UsageError
        The message names the first.

    Examples
    --------
    >>> check_facts(Facts(public_since="yesterday"))
    Traceback (most recent call last):
    jokbo.errors.UsageError: public_since is 'yesterday'; expected a date as 2024-07-23, not in the future.
    """
    problem = next(problems_of(facts), None)
    if problem is not None:
        raise UsageError(problem)


def problems_of(facts: Facts) -> Iterator[str]:
    """Every fact that is none, as a sentence."""
    for field in ("name", "public_since_source", "claimed_by"):
        value = getattr(facts, field)
        if value is not None and not _is_short(value, MAX_NAME):
            yield f"{field} is {tidy(value, 60)!r}; expected a text of at most {MAX_NAME} characters on one line."
    if facts.source is not None and not _is_short(facts.source, MAX_SOURCE):
        yield f"source is {tidy(facts.source, 60)!r}; expected at most {MAX_SOURCE} characters on one line."
    if len(facts.parents) > MAX_PARENTS:
        yield f"there are {len(facts.parents)} parents; expected at most {MAX_PARENTS}."
    for parent in facts.parents[:MAX_PARENTS]:
        if not _is_short(parent, MAX_NAME):
            yield f"a parent is {tidy(parent, 60)!r}; expected a model's name of at most {MAX_NAME} characters."
    if len(set(facts.parents)) != len(facts.parents):
        yield "a parent is named twice; expected each once."
    if facts.relation is not None and facts.relation not in RELATIONS:
        yield f"relation is {tidy(facts.relation, 60)!r}; expected one of {', '.join(RELATIONS)}."
    if facts.license is not None and not LICENSE.fullmatch(facts.license):
        yield (
            f"license is {tidy(facts.license, 60)!r}; expected an SPDX identifier or a Hugging Face tag, "
            "such as apache-2.0."
        )
    for field in ("public_since", "claimed_since"):
        value = getattr(facts, field)
        if value is not None and not _is_past_date(value):
            yield f"{field} is {tidy(value, 60)!r}; expected a date as 2024-07-23, not in the future."
    if facts.public_since_source is not None and facts.public_since is None:
        yield "public_since_source is given without public_since; expected both or neither."


def _is_short(value: str, limit: int) -> bool:
    return bool(value.strip()) and value == tidy(value, limit)


def _is_past_date(value: str) -> bool:
    if not _DATE.fullmatch(value):
        return False  # dates are compared as texts, so "2024-W30-2" is none
    try:
        found = date.fromisoformat(value)
    except ValueError:
        return False
    # A day more: it is tomorrow already somewhere.
    return found <= datetime.now(UTC).date() + timedelta(days=1)


def tidy(text: str, limit: int) -> str:
    """Foreign text on one line: control, format and unpaired characters replaced, long text cut.

    Examples
    --------
    >>> tidy("a\\u202eb\\n", 10)
    'a\\ufffdb\\ufffd'
    """
    shown = "".join(
        c if c == " " or unicodedata.category(c)[0] not in "CZ" else "\ufffd" for c in text[: limit + 1]
    )
    return shown if len(text) <= limit else shown[: limit - 1] + "…"


def tidied(text: str | None, limit: int = MAX_NAME) -> str | None:
    """The same of what may be missing; nothing for what is empty."""
    return tidy(text, limit) if text else None


def find_entry(entries: Iterable[Entry], wanted: str, *, where: str) -> Entry:
    """The one entry of a key, the beginning of a key, a name, or ``name@commit``.

    Raises
    ------
    UsageError
        None is meant, or more than one.
    """
    name, _, commit = wanted.partition("@")
    found = [
        entry
        for entry in entries
        if entry.key == wanted
        or entry.name == wanted
        or (len(wanted) >= _LEAST_PREFIX and entry.key.startswith(wanted))
        or (commit and entry.name == name and (entry.commit or "").startswith(commit))
    ]
    exact = [entry for entry in found if entry.key == wanted] or found
    if len(exact) == 1:
        return exact[0]
    shown = tidy(wanted, 80)
    if not exact:
        raise UsageError(
            f"{where} holds no model {shown!r}. Name it by its name, name@commit, or the first {_LEAST_PREFIX} or "
            "more characters of its key; `jokbo registry list` shows them."
        )
    keys = ", ".join(entry.key[:12] for entry in exact[:4])
    raise UsageError(f"{where} holds {len(exact)} models {shown!r}. Name one by its key: {keys}.")
