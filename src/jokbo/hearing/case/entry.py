"""An entry of a case's log: who said what, when, about what; chained to the entry before it.

A line of the log is one canonical JSON object. Its *head* is chained and signed: number, time, author, kind, what it
is about, what it supersedes, the digest of the entry before, and the digest of the payload. The payload itself (the
text) stands beside the head, with a salt that enters its digest. A text that has to be taken away leaves the chain
whole and a hole that everybody can see, and the salt keeps a short text from being guessed from its digest.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from jokbo.errors import FormatError
from jokbo.evidence.canonical import canonical_bytes
from jokbo.formats.strict_json import strict_loads

SCHEMA = "jokbo.hearing-entry/1"
MAX_LINE_BYTES = 1 << 20
MAX_DEPTH = 24
HOST = "host"
"""Whose clock an entry's time is: that of the machine that keeps the log. Order is the chain's, never the clock's."""

ROLES = ("chair", "moderator", "panel", "claimant", "respondent", "public")

_HEX = re.compile(r"[0-9a-f]{64}")
_ACCOUNT = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_TIME = re.compile(r"\d{4}-(0[1-9]|1[0-2])-([0-2]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}Z", re.ASCII)
_SALT = re.compile(r"[0-9a-f]{32}")
_KIND = re.compile(r"[a-z][a-z_]{1,31}")
_HEAD = (
    *("schema", "sequence", "previous", "time", "clock", "author", "kind", "about", "supersedes"),
    *("payload_sha256", "statement"),
)
_FIELDS = frozenset((*_HEAD, "digest", "signature", "payload", "salt"))


@dataclass(frozen=True, slots=True)
class Author:
    """Who speaks.

    Attributes
    ----------
    account : str
        A short name that the host gave, such as ``"kim"``: lower case letters, digits, ``. _ -``. It is public, so
        it must not be an address.
    role : str
        One of :data:`ROLES`, as the account had it then.
    key : str or None
        Digest of the author's own public key, where the author signed the statement.
    """

    account: str
    role: str
    key: str | None = None

    def to_document(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"account": self.account, "role": self.role, "key": self.key}


@dataclass(frozen=True, slots=True)
class Draft:
    """What somebody wants to enter, before the log gives it a number.

    Attributes
    ----------
    kind : str
    payload : mapping
        Under the schema of the kind.
    author : Author
    about : int or None
        Number of the entry that this one is about.
    supersedes : int or None
        Number of the entry that this one takes the place of.
    salt : str
        Enters the payload's digest; drawn at random.
    statement : str or None
        The author's own signature (base64); needs `salt` to be the one that was signed.
    """

    kind: str
    payload: Mapping[str, Any]
    author: Author
    about: int | None = None
    supersedes: int | None = None
    salt: str = ""
    statement: str | None = None

    def salted(self, salts: Callable[[], str] | None = None) -> Draft:
        """This draft with a salt, drawn where it has none."""
        return self if self.salt else replace(self, salt=salts() if salts else secrets.token_hex(16))


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry as the log holds it.

    Attributes
    ----------
    sequence : int
        From zero; its place in the log.
    previous : str
        Digest of the entry before; empty for the first.
    time : str
        UTC with milliseconds, by `clock`.
    clock : str
        Whose clock: :data:`HOST`.
    author, kind, about, supersedes, statement
        See :class:`Author` and :class:`Draft`.
    payload_sha256 : str
        Of the salted payload.
    payload : mapping or None
        None where the text was taken away.
    salt : str or None
    signature : bytes
        The host's, over the head.
    """

    sequence: int
    previous: str
    time: str
    author: Author
    kind: str
    about: int | None
    supersedes: int | None
    payload_sha256: str
    payload: Mapping[str, Any] | None
    salt: str | None
    statement: str | None = None
    signature: bytes = b""
    clock: str = HOST

    def head(self) -> dict[str, Any]:
        """The part that is chained and signed."""
        return {
            "schema": SCHEMA,
            "sequence": self.sequence,
            "previous": self.previous,
            "time": self.time,
            "clock": self.clock,
            "author": self.author.to_document(),
            "kind": self.kind,
            "about": self.about,
            "supersedes": self.supersedes,
            "payload_sha256": self.payload_sha256,
            "statement": self.statement,
        }

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical head: what the next entry names."""
        return hashlib.sha256(canonical_bytes(self.head())).hexdigest()

    def without_payload(self) -> Entry:
        """The same entry, its text taken away; chain and signatures stay as they are."""
        return replace(self, payload=None, salt=None)

    def to_line(self) -> bytes:
        """The line of the log, without the newline."""
        document = self.head() | {
            "digest": self.digest,
            "signature": base64.b64encode(self.signature).decode(),
            "payload": self.payload,
            "salt": self.salt,
        }
        return canonical_bytes(document)


def payload_digest(payload: Mapping[str, Any], salt: str) -> str:
    """SHA-256 of a payload and its salt.

    Examples
    --------
    >>> payload_digest({"text": "hello"}, "00" * 16)[:16]
    '5831f1f005dc84a4'
    """
    return hashlib.sha256(canonical_bytes({"payload": payload, "salt": salt})).hexdigest()


def parse_entry(line: bytes, where: str) -> Entry:
    """Read a line that somebody else wrote.

    Raises
    ------
    FormatError
        It is no entry, is not in the one canonical form, or does not hold together in itself: its own digest or
        that of its payload differs.
    """
    if len(line) > MAX_LINE_BYTES:
        raise FormatError(f"{where} is longer than {MAX_LINE_BYTES:,} bytes; no entry is.")
    if _depth(line) > MAX_DEPTH:
        raise FormatError(f"{where} is nested deeper than {MAX_DEPTH}; no entry is.")
    try:
        document = strict_loads(line)
        canonical = canonical_bytes(document)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{where} is not JSON ({str(error)[:120]}). It is damaged or edited.") from None
    problem = _problem(document)
    if problem:
        raise FormatError(f"{where}: {problem}. It is damaged or edited.")
    if canonical != line:
        raise FormatError(f"{where} is not in canonical form. It was written by something else, or edited.")
    entry = _build(document)
    if entry.digest != document["digest"]:
        raise FormatError(f"{where}: its digest is not that of its contents. It is damaged or edited.")
    if entry.payload is not None and payload_digest(entry.payload, entry.salt or "") != entry.payload_sha256:
        raise FormatError(f"{where}: its text is not the one that its digest names. It is damaged or edited.")
    return entry


def _depth(line: bytes) -> int:
    """How deep brackets nest, those within texts left out."""
    if line.count(b"{") + line.count(b"[") <= MAX_DEPTH:
        return 0  # as most lines: no need to look at every byte
    depth = most = 0
    quoted = escaped = False
    for byte in line:
        if quoted:
            quoted = escaped or byte != 0x22
            escaped = byte == 0x5C and not escaped
        elif byte == 0x22:
            quoted = True
        elif byte in b"{[":
            depth += 1
            most = max(most, depth)
        elif byte in b"}]":
            depth -= 1
    return most


def _problem(document: Any) -> str | None:
    if not isinstance(document, dict):
        return "expected an object"
    if set(document) != _FIELDS:
        odd = sorted(set(document) ^ _FIELDS)[0]
        return f"field {ascii(odd)[:40]} is {'missing' if odd in _FIELDS else 'unknown'}"
    author = document["author"]
    tests: tuple[tuple[str, bool], ...] = (
        ("schema", document["schema"] == SCHEMA),
        ("sequence", _number(document["sequence"])),
        ("previous", _text(document["previous"], _HEX) or document["previous"] == ""),
        ("time", _text(document["time"], _TIME)),
        ("clock", document["clock"] == HOST),
        ("author", isinstance(author, dict) and set(author) == {"account", "role", "key"}),
        ("kind", _text(document["kind"], _KIND)),
        ("about", document["about"] is None or _number(document["about"])),
        ("supersedes", document["supersedes"] is None or _number(document["supersedes"])),
        ("payload_sha256", _text(document["payload_sha256"], _HEX)),
        ("digest", _text(document["digest"], _HEX)),
        ("signature", _signature(document["signature"])),
        ("statement", document["statement"] is None or _signature(document["statement"])),
        ("payload", document["payload"] is None or isinstance(document["payload"], dict)),
        ("salt", (document["salt"] is None) is (document["payload"] is None)),
    )
    for name, fine in tests:
        if not fine:
            return f"{name} is not as it should be"
    if document["salt"] is not None and not _text(document["salt"], _SALT):
        return "salt is not as it should be"
    return _author_problem(author, document["statement"])


def _author_problem(author: Mapping[str, Any], statement: object) -> str | None:
    if not _text(author["account"], _ACCOUNT) or author["role"] not in ROLES:
        return "author is not as it should be"
    if author["key"] is not None and not _text(author["key"], _HEX):
        return "author is not as it should be"
    if (author["key"] is None) is not (statement is None):
        return "an author's key and signature come together"
    return None


def _number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 40


def _text(value: object, pattern: re.Pattern[str]) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _signature(value: object) -> bool:
    """64 bytes in base64, in the one form that encoding gives: several texts must not stand for one signature."""
    if not isinstance(value, str) or len(value) != 88:
        return False
    try:
        raw = base64.b64decode(value, validate=True)
    except ValueError:
        return False
    return len(raw) == 64 and base64.b64encode(raw).decode() == value


def is_account(text: str) -> bool:
    """Whether a text can name an account."""
    return _text(text, _ACCOUNT)


def is_time(text: str) -> bool:
    """Whether a text is a time as entries state it."""
    return _text(text, _TIME)


def _build(document: Mapping[str, Any]) -> Entry:
    author = document["author"]
    return Entry(
        sequence=document["sequence"],
        previous=document["previous"],
        time=document["time"],
        author=Author(author["account"], author["role"], author["key"]),
        kind=document["kind"],
        about=document["about"],
        supersedes=document["supersedes"],
        payload_sha256=document["payload_sha256"],
        payload=document["payload"],
        salt=document["salt"],
        statement=document["statement"],
        signature=base64.b64decode(document["signature"]),
        clock=document["clock"],
    )
