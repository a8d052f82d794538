"""DSSE envelopes: a payload, its type, and signatures over both (in-toto, Sigstore and our chains use them).

What is signed is the pre-authentication encoding ``DSSEv1 <length> <type> <length> <payload>``, so that
a payload can never pass for one of another type.

References
----------
DSSE v1.0.2, https://github.com/secure-systems-lab/dsse/blob/v1.0.2/protocol.md
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jokbo.errors import EvidenceError
from jokbo.evidence.canonical import canonical_bytes
from jokbo.records.attest.strict_json import brief, field, parse_object

if TYPE_CHECKING:
    from jokbo.records.commit.keys import PublicKey, Signer

MAX_ENVELOPE_BYTES = 96 << 20
MAX_SIGNATURES = 16


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature: whose key (SHA-256 of its DER), and the bytes."""

    keyid: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """A payload with its type and signatures.

    Attributes
    ----------
    payload_type : str
    payload : bytes
    signatures : tuple of Signature
    """

    payload_type: str
    payload: bytes
    signatures: tuple[Signature, ...]

    def to_json(self) -> bytes:
        """Canonical JSON, no newline."""
        return canonical_bytes(
            {
                "payloadType": self.payload_type,
                "payload": base64.b64encode(self.payload).decode(),
                "signatures": [
                    {"keyid": s.keyid, "sig": base64.b64encode(s.value).decode()} for s in self.signatures
                ],
            }
        )


@dataclass(frozen=True, slots=True)
class Signed:
    """Which signatures hold, by key id: good, bad, and of keys that are not at hand."""

    good: tuple[str, ...]
    bad: tuple[str, ...]
    unknown: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """At least one signature holds and none is bad."""
        return bool(self.good) and not self.bad


def encoding(payload_type: str, payload: bytes) -> bytes:
    """What is signed.

    Examples
    --------
    >>> encoding("http://example.com/HelloWorld", b"hello world")
    b'DSSEv1 29 http://example.com/HelloWorld 11 hello world'
    """
    name = payload_type.encode()
    return b" ".join((b"DSSEv1", b"%d" % len(name), name, b"%d" % len(payload), payload))


def sign(payload: bytes, payload_type: str, signers: Sequence[Signer]) -> Envelope:
    """Sign a payload with each key."""
    message = encoding(payload_type, payload)
    return Envelope(payload_type, payload, tuple(Signature(s.public.keyid, s.sign(message)) for s in signers))


def verify(envelope: Envelope, keys: Iterable[PublicKey]) -> Signed:
    """Check every signature with the keys at hand.

    A signature without a key id, as other tools may write, is tried with every key.
    """
    known = {key.keyid: key for key in keys}
    message = encoding(envelope.payload_type, envelope.payload)
    good: list[str] = []
    bad: list[str] = []
    unknown: list[str] = []
    for signature in envelope.signatures:
        if not signature.keyid:
            fits = [k for k, key in known.items() if key.verify(signature.value, message)]
            (good if fits else unknown).append(fits[0] if fits else "")
        elif signature.keyid not in known:
            unknown.append(signature.keyid)
        elif known[signature.keyid].verify(signature.value, message):
            good.append(signature.keyid)
        else:
            bad.append(signature.keyid)
    return Signed(tuple(good), tuple(bad), tuple(unknown))


def parse_envelope(data: bytes, where: str, *, limit: int = MAX_ENVELOPE_BYTES) -> Envelope:
    """Read an envelope that somebody else wrote.

    Raises
    ------
    EvidenceError
        It is no DSSE envelope.
    """
    return from_document(parse_object(data, where, limit=limit), where)


def from_document(document: Mapping[str, Any], where: str) -> Envelope:
    """The envelope in a parsed JSON object.

    Raises
    ------
    EvidenceError
        It is no DSSE envelope.
    """
    found = dict(document)
    unexpected = sorted(set(found) - {"payload", "payloadType", "signatures"})
    if unexpected:
        raise EvidenceError(f"{where}: a DSSE envelope has no field {brief(unexpected[0])}.")
    rows = field(found, "signatures", list, where)
    if not 1 <= len(rows) <= MAX_SIGNATURES:
        raise EvidenceError(f"{where}: {len(rows)} signatures; expected 1 to {MAX_SIGNATURES}.")
    return Envelope(
        field(found, "payloadType", str, where),
        _bytes(field(found, "payload", str, where), f"{where}: 'payload'"),
        tuple(_signature(row, f"{where}, signature {k}") for k, row in enumerate(rows)),
    )


def _signature(row: Any, where: str) -> Signature:
    if not isinstance(row, dict):
        raise EvidenceError(f"{where}: expected an object, found {brief(row)}.")
    keyid = field(row, "keyid", str, where) if "keyid" in row else ""
    return Signature(keyid, _bytes(field(row, "sig", str, where), f"{where}: 'sig'"))


def _bytes(text: str, where: str) -> bytes:
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        value = None
    # Two spellings of the same bytes would let a file change without anybody noticing.
    if value is None or base64.b64encode(value).decode() != text:
        raise EvidenceError(f"{where} is not canonical base64: {brief(text)}. It is damaged or edited.")
    return value
