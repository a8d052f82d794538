"""One link of a chain: what it says, its one spelling, and how a foreign line is read.

The line is a DSSE envelope in canonical JSON; its payload is canonical JSON too, under
``jokbo.record-link/1``. A chain has one spelling, so that no byte of it can change unnoticed.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from jokbo.errors import EvidenceError
from jokbo.evidence.canonical import canonical_bytes
from jokbo.records.attest import dsse, strict_json

SCHEMA = "jokbo.record-link/1"
PAYLOAD_TYPE = "application/vnd.jokbo.record-link+json"
KINDS = ("weights", "log", "optimizer", "data", "beacon", "code", "other")

MAX_LINE_BYTES = 8 << 20
MAX_ITEMS = 20_000
MAX_NAME = 1024
"""Characters of a path or a name."""

TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
_HEX = re.compile(r"[0-9a-f]{64}\Z")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z")


@dataclass(frozen=True, slots=True)
class Item:
    """A file, or what was new of a growing log.

    Attributes
    ----------
    path : str
        Below the folder of the chain's run, with ``/``.
    size : int
        Bytes digested.
    sha256 : str
        Of those bytes.
    kind : str
        One of :data:`KINDS`.
    start, stop : int or None
        Logs: the half-open range of bytes digested, which begins where the last link's ended.
    """

    path: str
    size: int
    sha256: str
    kind: str
    start: int | None = None
    stop: int | None = None

    def to_document(self) -> dict[str, Any]:
        """Plain JSON values."""
        span = {} if self.start is None else {"start": self.start, "stop": self.stop}
        return {"path": self.path, "size": self.size, "sha256": self.sha256, "kind": self.kind, **span}


@dataclass(frozen=True, slots=True)
class Genesis:
    """What the first link fixes.

    Attributes
    ----------
    name : str
        Of the run.
    seed : int or None
        Of the initialisation.
    beacon : str
        SHA-256 of the public randomness that the seed was drawn from; empty for none.
    declaration : str
        SHA-256 of what was declared at the start; empty for none.
    keys : tuple of bytes
        Public keys (DER) that sign this chain.
    """

    name: str
    seed: int | None = None
    beacon: str = ""
    declaration: str = ""
    keys: tuple[bytes, ...] = ()

    def to_document(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "name": self.name,
            "seed": self.seed,
            "beacon": self.beacon,
            "declaration": self.declaration,
            "keys": [
                {"keyid": hashlib.sha256(der).hexdigest(), "public": base64.b64encode(der).decode()}
                for der in self.keys
            ],
        }


@dataclass(frozen=True, slots=True)
class Link:
    """One line.

    Attributes
    ----------
    index : int
        As claimed; the first is 0.
    previous : str
        SHA-256 of the line before, without its newline; empty for the first.
    time : datetime
        Claimed, UTC; a time stamp is what may support it.
    step : int or None
        Updates made, where the link belongs to one.
    items : tuple of Item
    note : str
    genesis : Genesis or None
        Of the first link.
    line : bytes
        As it stands in the file, without its newline: what the next link names and a time stamp covers.
    envelope : Envelope
    """

    index: int
    previous: str
    time: datetime
    step: int | None
    items: tuple[Item, ...]
    note: str = ""
    genesis: Genesis | None = None
    line: bytes = field(default=b"", repr=False)
    envelope: dsse.Envelope = field(default_factory=lambda: dsse.Envelope("", b"", ()), repr=False)

    @property
    def sha256(self) -> str:
        """Digest of the line."""
        return hashlib.sha256(self.line).hexdigest()

    def to_payload(self) -> bytes:
        """What is signed, as canonical JSON."""
        document = {
            "schema": SCHEMA,
            "index": self.index,
            "previous": self.previous,
            "time": spell_time(self.time),
            "step": self.step,
            "items": [item.to_document() for item in self.items],
            "note": self.note,
        }
        if self.genesis is not None:
            document["genesis"] = self.genesis.to_document()
        return canonical_bytes(document)


def spell_time(time: datetime) -> str:
    """A time as links have it: UTC, whole seconds.

    Examples
    --------
    >>> spell_time(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    '2026-01-02T03:04:05Z'
    """
    return f"{time.astimezone(UTC).replace(tzinfo=None, microsecond=0).isoformat()}Z"


def parse_link(line: bytes, where: str) -> Link:
    """Read one line, without its newline.

    Raises
    ------
    EvidenceError
        It is no link, or is spelled in another way than the one that we write: a chain has one spelling, so
        that no byte of it can change unnoticed.
    """
    envelope = dsse.parse_envelope(line, where, limit=MAX_LINE_BYTES)
    if envelope.payload_type != PAYLOAD_TYPE:
        raise EvidenceError(
            f"{where}: expected an envelope of type {PAYLOAD_TYPE}, found {strict_json.brief(envelope.payload_type)}."
        )
    document = strict_json.parse_object(envelope.payload, f"{where}, payload", limit=MAX_LINE_BYTES)
    link = _link(document, line, envelope, where)
    if envelope.to_json() != line or link.to_payload() != envelope.payload:
        raise EvidenceError(f"{where} is not in the canonical spelling. It is damaged or edited.")
    return link


def _link(document: dict[str, Any], line: bytes, envelope: dsse.Envelope, where: str) -> Link:
    get = strict_json.field
    if get(document, "schema", str, where) != SCHEMA:
        raise EvidenceError(
            f"{where}: expected the schema {SCHEMA!r}, found {strict_json.brief(document['schema'])}."
        )
    previous = get(document, "previous", str, where)
    items = get(document, "items", list, where)
    if len(items) > MAX_ITEMS:
        raise EvidenceError(f"{where}: {len(items):,} items; a link has at most {MAX_ITEMS:,}.")
    genesis = get(document, "genesis", dict, where) if "genesis" in document else None
    return Link(
        index=_whole(get(document, "index", int, where), f"{where}: 'index'"),
        previous=previous and _digest(previous, f"{where}: 'previous'"),
        time=_time(get(document, "time", str, where), where),
        step=_optional(get(document, "step", (int, type(None)), where), f"{where}: 'step'"),
        items=tuple(_item(row, f"{where}, item {k}") for k, row in enumerate(items)),
        note=get(document, "note", str, where),
        genesis=None if genesis is None else _genesis(genesis, f"{where}, genesis"),
        line=line,
        envelope=envelope,
    )


def _item(row: Any, where: str) -> Item:
    if not isinstance(row, dict):
        raise EvidenceError(f"{where}: expected an object, found {strict_json.brief(row)}.")
    get = strict_json.field
    size = _whole(get(row, "size", int, where), f"{where}: 'size'")
    kind = get(row, "kind", str, where)
    if kind not in KINDS:
        raise EvidenceError(
            f"{where}: the kind is {strict_json.brief(kind)}; expected one of {', '.join(KINDS)}."
        )
    start = stop = None
    if kind == "log":
        start, stop = (_whole(get(row, name, int, where), f"{where}: {name!r}") for name in ("start", "stop"))
        if stop - start != size:
            raise EvidenceError(f"{where}: a range from {start} to {stop} has not {size} bytes.")
    return Item(
        _short(get(row, "path", str, where), f"{where}: 'path'"),
        size,
        _digest(get(row, "sha256", str, where), f"{where}: 'sha256'"),
        kind,
        start,
        stop,
    )


def _genesis(document: dict[str, Any], where: str) -> Genesis:
    get = strict_json.field
    beacon, declaration = (get(document, name, str, where) for name in ("beacon", "declaration"))
    keys = get(document, "keys", list, where)
    if not 1 <= len(keys) <= dsse.MAX_SIGNATURES:
        raise EvidenceError(f"{where}: {len(keys)} keys; expected 1 to {dsse.MAX_SIGNATURES}.")
    return Genesis(
        _short(get(document, "name", str, where), f"{where}: 'name'"),
        _optional(get(document, "seed", (int, type(None)), where), f"{where}: 'seed'"),
        beacon and _digest(beacon, f"{where}: 'beacon'"),
        declaration and _digest(declaration, f"{where}: 'declaration'"),
        tuple(_key(row, f"{where}, key {k}") for k, row in enumerate(keys)),
    )


def _key(row: Any, where: str) -> bytes:
    text = strict_json.field(row, "public", str, where) if isinstance(row, dict) else None
    try:
        return base64.b64decode(text or "", validate=True)
    except ValueError:
        raise EvidenceError(f"{where}: 'public' is not base64.") from None


def _digest(text: str, where: str) -> str:
    if not _HEX.match(text):
        raise EvidenceError(f"{where} is {strict_json.brief(text)}; expected a SHA-256 in hexadecimal.")
    return text


def _short(text: str, where: str) -> str:
    if not 0 < len(text) <= MAX_NAME:
        raise EvidenceError(f"{where} has {len(text):,} characters; expected 1 to {MAX_NAME:,}.")
    return text


def _whole(value: int, where: str) -> int:
    if not 0 <= value < 1 << 63:
        raise EvidenceError(f"{where} is {strict_json.brief(value)}; expected a whole number from 0.")
    return value


def _optional(value: int | None, where: str) -> int | None:
    return None if value is None else _whole(value, where)


def _time(text: str, where: str) -> datetime:
    try:
        found = datetime.strptime(text, TIME_FORMAT) if _TIME.match(text) else None
    except ValueError:
        found = None
    if found is None:
        raise EvidenceError(
            f"{where}: 'time' is {strict_json.brief(text)}; expected UTC such as 2026-01-02T03:04:05Z."
        )
    return found.replace(tzinfo=UTC)
