"""A round fixed before results come in: its digest, its frozen document, and what was changed since.

The digest is over what the file says, with defaults written out, as canonical JSON: comments, the order of keys and
``1`` or ``1.0`` change nothing, and every rule does (``docs/design/0028-league-round.md``).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jokbo.errors import EvidenceError
from jokbo.evidence.canonical import canonical_bytes
from jokbo.evidence.canonical import digest as digest_of
from jokbo.evidence.documents import check_against, load_schema, parse_document
from jokbo.league.round import Round
from jokbo.league.yaml_document import printable, read_small
from jokbo.records.attest import dsse

if TYPE_CHECKING:
    from jokbo.records.commit.keys import PublicKey, Signer

SCHEMA = "jokbo.league.freeze/1"
CONTENT = "jokbo.round/1"
PAYLOAD_TYPE = "application/vnd.jokbo.league.freeze+json"
MAX_FROZEN_BYTES = 8 << 20
MAX_CHANGES = 12
MAX_EXACT = 2**53
COMMAND = "jokbo league freeze"


@dataclass(frozen=True, slots=True)
class Change:
    """One field that is not as it was frozen; `was` or `now` is None where it was not there."""

    path: str
    was: str | None
    now: str | None

    def __str__(self) -> str:
        """``path: was ..., is ...``, for a message."""
        return printable(f"{self.path}: was {self.was or 'not there'}, is {self.now or 'not there'}")


@dataclass(frozen=True, slots=True)
class Frozen:
    """A frozen round.

    Attributes
    ----------
    document : mapping
        Valid under ``jokbo.league.freeze/1``; its digest was computed again.
    envelope : Envelope, optional
        Its signature, not yet checked: :meth:`check_signature` does, with a key that you trust.
    """

    document: Mapping[str, Any]
    envelope: dsse.Envelope | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of the round's content."""
        return str(self.document["digest"])

    @property
    def date(self) -> str | None:
        """When, by the account of whoever froze it."""
        date: str | None = self.document["date"]
        return date

    @property
    def keyid(self) -> str | None:
        """Whose signature is on it; None where none is."""
        return self.envelope.signatures[0].keyid if self.envelope is not None else None

    def to_bytes(self) -> bytes:
        """The file: the document, or the envelope around it, in canonical JSON with a final newline."""
        if self.envelope is not None:
            return self.envelope.to_json() + b"\n"
        return canonical_bytes(dict(self.document)) + b"\n"

    def check_signature(self, keys: Iterable[PublicKey], *, where: str) -> str:
        """Check the signature; the id of the key that holds.

        Raises
        ------
        EvidenceError
            There is none, it is of another key, or it does not hold.
        """
        if self.envelope is None:
            raise EvidenceError(
                f"{where} is not signed; expected a signature. Freeze it with --key under another name."
            )
        found = dsse.verify(self.envelope, keys)
        if not found.holds:
            said = (
                "does not hold"
                if found.bad
                else f"is of another key ({', '.join(found.unknown)[:64] or '?'})"
            )
            raise EvidenceError(f"{where}: the signature {said}. Do not rely on this file.")
        return found.good[0]


def content(round: Round) -> dict[str, Any]:
    """All that a round says, as plain values: what the digest is over.

    Whole numbers are written as integers, so that it does not matter how they were written in the file; teams are in
    the order of their ids, for theirs is no rule.
    """
    plain: dict[str, Any] = json.loads(canonical_bytes({"schema": CONTENT, **asdict(round)}))
    plain["teams"].sort(key=lambda team: team["id"])
    return {key: _plain(value) for key, value in plain.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, float) and value.is_integer() and abs(value) <= MAX_EXACT:
        return int(value)
    return value


def round_digest(round: Round) -> str:
    """SHA-256 of a round's canonical content, in hexadecimal."""
    return digest_of(content(round))


def freeze(round: Round, *, signer: Signer | None = None, date: str | None = None) -> Frozen:
    """Fix a round.

    Parameters
    ----------
    signer : Signer, optional
        Signs the document (DSSE).
    date : str, optional
        ``YYYY-MM-DDThh:mm:ssZ``, UTC. A claim: publish the digest, so that others can say when they saw it.
    """
    from jokbo import __version__

    whole = content(round)
    document = {
        "schema": SCHEMA,
        "jokbo": __version__,
        "round": round.id,
        "date": date,
        "digest": digest_of(whole),
        "content": whole,
    }
    check_against(document, load_schema("jokbo.league", "schemas/freeze-1.json"), where="the frozen round")
    envelope = None if signer is None else dsse.sign(canonical_bytes(document), PAYLOAD_TYPE, [signer])
    return Frozen(document, envelope)


def read_frozen(path: Path) -> Frozen:
    """Read a frozen round from its file.

    Raises
    ------
    NotFoundError, SourceError, FormatError, EvidenceError
        It is not there, or is no frozen round.
    """
    return parse_frozen(read_small(path, most_bytes=MAX_FROZEN_BYTES), where=path.name)


def parse_frozen(data: bytes, *, where: str) -> Frozen:
    """Read a frozen round, signed or not.

    Raises
    ------
    EvidenceError
        It is none, or its digest is not that of its content.
    """
    document = parse_document(data, where=where, limit=MAX_FROZEN_BYTES, command=COMMAND)
    envelope = None
    if isinstance(document, dict) and "payloadType" in document:
        envelope = dsse.from_document(document, where)
        if envelope.payload_type != PAYLOAD_TYPE:
            raise EvidenceError(
                f"{where}: expected a signed document of type {PAYLOAD_TYPE}, found "
                f"{envelope.payload_type[:80]!r}. Give the file that `{COMMAND}` wrote."
            )
        document = parse_document(envelope.payload, where=where, limit=MAX_FROZEN_BYTES, command=COMMAND)
    check_against(document, load_schema("jokbo.league", "schemas/freeze-1.json"), where=where)
    found = digest_of(document["content"])
    if found != document["digest"]:
        raise EvidenceError(
            f"{where}: expected content with the digest {document['digest']}, found {found}. The file was edited."
        )
    return Frozen(document, envelope)


def check_frozen(
    round: Round, document: Mapping[str, Any] | Frozen, *, where: str = "the frozen round"
) -> None:
    """Hold a round against its frozen document.

    Raises
    ------
    EvidenceError
        It was changed; the message names each field with its old and new value.
    """
    frozen = document.document if isinstance(document, Frozen) else document
    changes = changed_fields(round, frozen)
    if not changes:
        return
    lines = [str(change) for change in changes[:MAX_CHANGES]]
    if len(changes) > MAX_CHANGES:
        lines.append(f"and {len(changes) - MAX_CHANGES} more")
    raise EvidenceError(
        f"the round {round.id!r} is not as it was frozen in {where} ({frozen['digest'][:16]}...):\n  "
        + "\n  ".join(lines)
        + "\nScore what was frozen, or freeze the change in public, as a new round under another id."
    )


def changed_fields(round: Round, document: Mapping[str, Any]) -> tuple[Change, ...]:
    """Every field that differs between a round and a frozen document, in the order of paths."""
    now, was = dict(_flat(content(round), "")), dict(_flat(document["content"], ""))
    return tuple(
        Change(path, was.get(path), now.get(path))
        for path in sorted(now.keys() | was.keys())
        if now.get(path) != was.get(path)
    )


def _flat(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Leaves by path; members of a list that have ids are named by them, so that a move is no change of all."""
    if isinstance(value, dict) and value:
        for key, each in value.items():
            yield from _flat(each, f"{path}/{key}".lstrip("/"))
    elif isinstance(value, list) and value:
        ids = [str(each["id"]) if isinstance(each, dict) and "id" in each else "" for each in value]
        named = all(ids) and len(set(ids)) == len(ids)
        if named:
            yield f"{path} (order)", ", ".join(ids)
        for k, each in enumerate(value):
            yield from _flat(each, f"{path}/{ids[k] if named else k}")
    else:
        text = canonical_bytes(value).decode()
        yield path, text if len(text) <= 80 else f"{text[:77]}..."
