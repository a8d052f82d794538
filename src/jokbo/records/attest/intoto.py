"""In-toto statements of an audit: what was audited by digest, and what was found.

Two predicates: the whole audit under a type of our own, and the common ``test-result`` type, which other
tools read without knowing ours: consistent checks have passed, inconsistent ones failed, and those
that cannot tell are warnings.

References
----------
in-toto Attestation Framework v1, https://github.com/in-toto/attestation/tree/main/spec/v1
Test Result v0.1, https://github.com/in-toto/attestation/blob/main/spec/predicates/test-result.md
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jokbo.evidence.canonical import canonical_bytes
from jokbo.records.attest import dsse
from jokbo.records.audit import audit_digest

if TYPE_CHECKING:
    from jokbo.records.commit.keys import Signer
    from jokbo.records.record import Record

STATEMENT = "https://in-toto.io/Statement/v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
AUDIT_PREDICATE = "urn:jokbo:record-audit:1"
"""The identifier of the audit's schema: a name, no address, so that nobody has to own a domain for it."""

TEST_RESULT_PREDICATE = "https://in-toto.io/attestation/test-result/v0.1"
MANIFEST = "manifest.json"

RESULTS: Mapping[str, str] = {"consistent": "PASSED", "inconsistent": "FAILED", "cannot_tell": "WARNED"}


def statement(document: Mapping[str, Any], record: Record | None = None) -> dict[str, Any]:
    """A statement with the whole audit as its predicate.

    Parameters
    ----------
    document : mapping
        An audit (``jokbo.record-audit/1``).
    record : Record, optional
        The audited pack: every file of it becomes a subject. Without it the manifest, which names every file by
        digest, is the only one.
    """
    return _statement(document, record, AUDIT_PREDICATE, dict(document))


def result_statement(document: Mapping[str, Any], record: Record | None = None) -> dict[str, Any]:
    """A statement with the ``test-result`` predicate."""
    named = {
        outcome: [c["check"] for c in document["checks"] if c["outcome"] == outcome] for outcome in RESULTS
    }
    predicate = {
        "result": RESULTS[document["verdict"]["kind"]],
        "configuration": [
            {"name": "jokbo.record-audit/1", "digest": {"sha256": audit_digest(document)}},
        ],
        "passedTests": named["consistent"],
        "warnedTests": named["cannot_tell"],
        "failedTests": named["inconsistent"],
    }
    return _statement(document, record, TEST_RESULT_PREDICATE, predicate)


def statement_lines(
    document: Mapping[str, Any], record: Record | None = None, *, signers: Sequence[Signer] = ()
) -> bytes:
    """Both statements, one a line; in signed envelopes where keys are given."""
    lines = []
    for found in (statement(document, record), result_statement(document, record)):
        payload = canonical_bytes(found)
        lines.append(dsse.sign(payload, PAYLOAD_TYPE, signers).to_json() if signers else payload)
    return b"".join(line + b"\n" for line in lines)


def _statement(
    document: Mapping[str, Any], record: Record | None, predicate_type: str, predicate: dict[str, Any]
) -> dict[str, Any]:
    return {
        "_type": STATEMENT,
        "subject": subjects(document, record),
        "predicateType": predicate_type,
        "predicate": predicate,
    }


def subjects(document: Mapping[str, Any], record: Record | None = None) -> list[dict[str, Any]]:
    """What a statement is about: files by name and SHA-256, the manifest first.

    Raises
    ------
    EvidenceError
        The pack is not the record that the audit names.
    """
    from jokbo.errors import EvidenceError

    digest = document["record"]["digest"]
    if record is not None and record.digest != digest:
        raise EvidenceError(
            f"the pack is not the record that the audit names: expected digest {digest[:16]}…, "
            f"found {record.digest[:16]}…. Give the very pack that was audited."
        )
    named = {MANIFEST: digest}
    if record is not None:
        named |= {path: file.sha256 for path, file in sorted(record.files.items())}
    return [{"name": name, "digest": {"sha256": sha256}} for name, sha256 in named.items()]
