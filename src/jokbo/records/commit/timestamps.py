"""Time stamps of links by an independent authority (RFC 3161): asked for over HTTP, verified offline.

The authority signs the digest of a line together with its own clock. What that is worth is what the
authority is worth: anybody can run one. So a time stamp counts only under a certificate that *the
auditor* gives; one that the record brings along says nothing.

References
----------
RFC 3161 (2001), Internet X.509 Public Key Infrastructure: Time-Stamp Protocol.
"""

from __future__ import annotations

import hashlib
import os
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jokbo.errors import (
    EvidenceError,
    InputError,
    MissingExtraError,
    NotFoundError,
    TransferError,
    UsageError,
)

MAX_ANSWER_BYTES = 256 << 10
MAX_CERTIFICATES_BYTES = 4 << 20
TIMEOUT_SECONDS = 30.0

_DIGESTS = {
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
}


@dataclass(frozen=True, slots=True)
class Timestamp:
    """A time stamp that holds.

    Attributes
    ----------
    time : datetime
        UTC, the authority's clock.
    serial : int
    """

    time: datetime
    serial: int


def timestamp_name(index: int) -> str:
    """File of a link's time stamp, inside the folder of time stamps.

    Examples
    --------
    >>> timestamp_name(3)
    '000003.tsr'
    """
    return f"{index:06d}.tsr"


def request_timestamp(url: str, line: bytes, *, what: str = "there is") -> bytes:
    """Ask a server for a time stamp of a line.

    Parameters
    ----------
    url : str
        Its address, ``http`` or ``https``: the answer is signed, so that the way it came does not matter.
    line : bytes
    what : str
        How the message begins that says there is none.

    Returns
    -------
    bytes
        The answer, DER; that it is for this line is checked, by whom it is signed is not.

    Raises
    ------
    TransferError
        No answer, or one that grants nothing.
    """
    rfc3161, _ = _library()
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"{what} no time stamp: {url!r} is no http or https address.")
    asked = rfc3161.TimestampRequestBuilder().data(line).hash_algorithm(rfc3161.HashAlgorithm.SHA256).build()
    request = urllib.request.Request(
        url, data=asked.as_bytes(), headers={"Content-Type": "application/timestamp-query"}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
            data: bytes = response.read(MAX_ANSWER_BYTES + 1)
    except (OSError, ValueError, urllib.error.URLError) as error:
        raise TransferError(
            f"{what} no time stamp from {url}: {error}. The next link's time stamp will cover it as well."
        ) from None
    try:
        answer = parse_timestamp(data, f"the answer of {url}")
        if answer.tst_info.message_imprint.message != asked.message_imprint.message:
            raise EvidenceError(f"the answer of {url} is for other bytes.")
        if answer.tst_info.nonce != asked.nonce:
            raise EvidenceError(f"the answer of {url} is for another request.")
    except InputError as error:
        raise TransferError(f"{what} no time stamp: {error}") from None
    return data


def parse_timestamp(data: bytes, where: str) -> Any:
    """Read a time stamp response; nothing of it is verified.

    Raises
    ------
    EvidenceError
        It is none, or it grants nothing.
    """
    rfc3161, _ = _library()
    if len(data) > MAX_ANSWER_BYTES:
        raise EvidenceError(f"{where} is longer than {MAX_ANSWER_BYTES:,} bytes; no time stamp is.")
    try:
        answer = rfc3161.decode_timestamp_response(data)
        granted = rfc3161.PKIStatus(answer.status) is rfc3161.PKIStatus.GRANTED
        granted = granted and answer.tst_info is not None
    except Exception as error:  # a parser in Rust, which names no class of its own
        raise EvidenceError(f"{where} is no RFC 3161 time stamp ({str(error)[:80]}).") from None
    if not granted:
        raise EvidenceError(f"{where} grants no time stamp (status {answer.status}).")
    return answer


def stamped_bytes(answer: Any, line: bytes) -> bool:
    """Whether a parsed response covers a line, whoever signed it."""
    imprint = answer.tst_info.message_imprint
    name = _DIGESTS.get(imprint.hash_algorithm.dotted_string)
    return name is not None and bytes(imprint.message) == hashlib.new(name, line).digest()


def load_certificates(paths: Sequence[str | os.PathLike[str]]) -> tuple[Any, ...]:
    """Certificates that the auditor trusts, from PEM files.

    Raises
    ------
    NotFoundError, EvidenceError
        A file cannot be read or holds none.
    """
    _, x509 = _library()
    found = []
    for path in paths:
        try:
            with open(path, "rb") as stream:
                data = stream.read(MAX_CERTIFICATES_BYTES + 1)
        except OSError as error:
            raise NotFoundError(f"cannot read the certificates {path}: {error.strerror}.") from None
        try:
            found += x509.load_pem_x509_certificates(data[:MAX_CERTIFICATES_BYTES])
        except ValueError:
            raise EvidenceError(f"{path} holds no certificates in PEM form.") from None
    return tuple(found)


def verify_timestamp(data: bytes, line: bytes, trusted: Sequence[Any], where: str) -> Timestamp:
    """Verify a time stamp of a line, offline.

    Parameters
    ----------
    data : bytes
        The response, DER.
    line : bytes
        What it is to cover.
    trusted : sequence of certificates
        Of :func:`load_certificates`: authorities, or roots above them.

    Raises
    ------
    EvidenceError
        It is none, covers other bytes, or is not by a trusted authority.
    """
    rfc3161, _ = _library()
    answer = parse_timestamp(data, where)
    builder = rfc3161.VerifierBuilder(roots=list(trusted))
    try:
        builder.build().verify_message(answer, line)
    except Exception as error:  # as above; OpenSSL's own errors come through as ValueError
        raise EvidenceError(f"{where} does not hold ({str(error)[:120]}).") from None
    return Timestamp(answer.tst_info.gen_time, int(answer.tst_info.serial_number))


def _library() -> tuple[Any, Any]:
    try:
        import rfc3161_client
        from cryptography import x509
    except ImportError:
        raise MissingExtraError(
            "time stamps need the packages rfc3161-client and cryptography: pip install 'jokbo[records]'."
        ) from None
    return rfc3161_client, x509
