"""Verify a document about a record, offline: a chain, an envelope, a statement, a bill of materials, an audit.

What was verified and what was not are told apart: without keys no signature is, and without the pack no
digest is. A document that is no document of these kinds is an error; one that is, and does not hold, is a result.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jokbo.errors import EvidenceError, NotFoundError
from jokbo.records import document as audits
from jokbo.records.attest import cyclonedx, dsse, intoto, sigstore_bundles, strict_json
from jokbo.records.commit.chain import Chain, chain_keys, find_problems, read_chain
from jokbo.records.commit.files import hold_against
from jokbo.records.commit.link import PAYLOAD_TYPE
from jokbo.views.component import Reason

if TYPE_CHECKING:
    from jokbo.records.audit import AuditVerification
    from jokbo.records.commit.keys import PublicKey
    from jokbo.records.record import Record

MAX_DOCUMENT_BYTES = dsse.MAX_ENVELOPE_BYTES
MAX_STATEMENTS = 16
KINDS = ("chain", "envelope", "statement", "bom", "audit", "sigstore_bundle")

Repeat = Callable[[Mapping[str, Any], "Record"], "AuditVerification"]


@dataclass(frozen=True, slots=True)
class DocumentVerification:
    """What verifying one document gave.

    Attributes
    ----------
    kind : str
        One of :data:`KINDS`.
    problems : tuple of Reason
        What does not hold; none where it holds as far as it was checked.
    checked : tuple of Reason
        ``links``, ``signed``, ``digests``, ``read``, ``repeated``.
    unchecked : tuple of Reason
        ``signatures``, ``files``, ``own_keys``, ``dates``, ``results``, ``not_in_pack``.
    """

    kind: str
    problems: tuple[Reason, ...] = ()
    checked: tuple[Reason, ...] = ()
    unchecked: tuple[Reason, ...] = ()

    @property
    def holds(self) -> bool:
        """Nothing that was checked contradicts the document."""
        return not self.problems


@dataclass
class _Findings:
    problems: list[Reason] = field(default_factory=list)
    checked: list[Reason] = field(default_factory=list)
    unchecked: list[Reason] = field(default_factory=list)

    def result(self, kind: str) -> DocumentVerification:
        # Two statements of one file say the same of the pack; once is enough.
        checked = [reason for k, reason in enumerate(self.checked) if reason not in self.checked[:k]]
        return DocumentVerification(kind, tuple(self.problems), tuple(checked), tuple(self.unchecked))


def recognise(path: str | os.PathLike[str]) -> str:
    """Which kind of document a file is, or an empty string for none of ours.

    Raises
    ------
    NotFoundError
        It cannot be read.
    """
    data = _first_line(path)
    try:
        document = strict_json.parse_object(data, "document", limit=MAX_DOCUMENT_BYTES)
    except EvidenceError:
        if PAYLOAD_TYPE.encode() in data:
            return "chain"  # damaged: its reader says where
        document = _whole(path)
    if "payloadType" in document:
        return "chain" if document["payloadType"] == PAYLOAD_TYPE else "envelope"
    if document.get("_type") == intoto.STATEMENT:
        return "statement"
    if document.get("bomFormat") == "CycloneDX":
        return "bom"
    if str(document.get("mediaType", "")).startswith("application/vnd.dev.sigstore.bundle"):
        return "sigstore_bundle"
    return "audit" if document.get("schema") == audits.SCHEMA else ""


def _first_line(path: str | os.PathLike[str]) -> bytes:
    try:
        with open(path, "rb") as stream:
            return stream.readline(MAX_DOCUMENT_BYTES + 1)
    except OSError as error:
        raise NotFoundError(f"cannot read {path}: {error.strerror}.") from None


def _read(path: str | os.PathLike[str]) -> bytes:
    try:
        with open(path, "rb") as stream:
            data = stream.read(MAX_DOCUMENT_BYTES + 1)
    except OSError as error:
        raise NotFoundError(f"cannot read {path}: {error.strerror}.") from None
    if len(data) > MAX_DOCUMENT_BYTES:
        raise EvidenceError(f"{Path(path).name} is larger than any document ({MAX_DOCUMENT_BYTES:,} bytes).")
    return data


def _whole(path: str | os.PathLike[str]) -> dict[str, Any]:
    try:
        return strict_json.parse_object(_read(path), "document", limit=MAX_DOCUMENT_BYTES)
    except EvidenceError:
        return {}


def verify_document(
    path: str | os.PathLike[str],
    *,
    record: Record | None = None,
    keys: Sequence[PublicKey] = (),
    repeat: Repeat | None = None,
) -> DocumentVerification:
    """Verify a document, as far as what is given allows.

    Parameters
    ----------
    path : path
        A chain (JSON Lines), DSSE envelopes or in-toto statements (JSON, or one a line), a CycloneDX document, or
        an audit.
    record : Record, optional
        The pack that the document speaks of.
    keys : sequence of PublicKey
        Whose signatures count.
    repeat : callable, optional
        Repeats an audit: ``repeat(document, record)``, such as :func:`jokbo.records.audit.verify_audit`.

    Raises
    ------
    EvidenceError
        It is damaged, or no document of these kinds.
    """
    kind = recognise(path)
    where = Path(path).name
    if kind == "chain":
        return _verify_chain(read_chain(path), record, keys)
    if kind in ("envelope", "statement"):
        return _verify_lines(_read(path), where, record, keys)
    if kind == "bom":
        found = _Findings()
        _check_bom(
            strict_json.parse_object(_read(path), where, limit=MAX_DOCUMENT_BYTES), where, record, found
        )
        return found.result(kind)
    if kind == "audit":
        return _verify_audit(audits.parse_audit(_read(path), where), record, repeat)
    if kind == "sigstore_bundle":
        return sigstore_bundles.verify_bundle(_read(path), where)
    raise EvidenceError(
        f"{where} is no document that can be verified: expected a chain of commitments, a DSSE envelope, an in-toto "
        "statement, a CycloneDX document or an audit."
    )


def _verify_chain(chain: Chain, record: Record | None, keys: Sequence[PublicKey]) -> DocumentVerification:
    found = _Findings()
    used = tuple(keys)
    if not used:
        used = chain_keys(chain)
        found.unchecked.append(Reason("own_keys"))
    found.problems += find_problems(chain, used)
    found.checked.append(Reason("links", {"count": len(chain.links)}))
    if record is None:
        found.unchecked.append(Reason("files"))
    else:
        made = record.declaration.commitments
        beside = hold_against(chain, record, made.chain if made else "")
        found.problems += beside.problems
        found.checked.append(Reason("digests", {"count": len(beside.covered) + beside.logs}))
        if beside.uncovered:
            found.unchecked.append(Reason("not_in_chain", {"count": len(beside.uncovered)}))
    found.unchecked.append(Reason("dates"))
    return found.result("chain")


def _verify_lines(
    data: bytes, where: str, record: Record | None, keys: Sequence[PublicKey]
) -> DocumentVerification:
    """Envelopes or bare statements: the whole file is one, or each line is."""
    try:
        rows = [strict_json.parse_object(data, where, limit=MAX_DOCUMENT_BYTES)]
    except EvidenceError:
        lines = data.splitlines()
        if not 1 < len(lines) <= MAX_STATEMENTS:
            raise
        rows = [
            strict_json.parse_object(line, f"{where}, line {k}", limit=MAX_DOCUMENT_BYTES)
            for k, line in enumerate(lines, start=1)
        ]
    found, said = _Findings(), list[dict[str, Any]]()
    kind = "statement"
    for k, row in enumerate(rows, start=1):
        place = where if len(rows) == 1 else f"{where}, line {k}"
        if "payloadType" in row:
            kind = "envelope"
            row = _opened(row, place, keys, found)
        elif "signatures" not in {r.code for r in found.unchecked}:
            found.unchecked.append(Reason("signatures"))
        if row:
            _check_statement(row, place, record, found)
            said.append(row)
    _check_results(said, where)
    return found.result(kind)


def _check_results(rows: Sequence[Mapping[str, Any]], where: str) -> None:
    """A result beside the audit that it sums up has to be that audit's."""
    audited = [row["predicate"] for row in rows if row["predicateType"] == intoto.AUDIT_PREDICATE]
    for row in rows if audited else ():
        if row["predicateType"] != intoto.TEST_RESULT_PREDICATE:
            continue
        if all(row["predicate"] != intoto.result_statement(each)["predicate"] for each in audited):
            raise EvidenceError(
                f"{where}: the result ({strict_json.brief(row['predicate'].get('result'))}) is not that of the audit "
                "beside it. It is damaged or edited."
            )


def _unchecked(found: _Findings, code: str) -> None:
    """Say once that something was not checked."""
    if code not in {reason.code for reason in found.unchecked}:
        found.unchecked.append(Reason(code))


def _opened(row: dict[str, Any], where: str, keys: Sequence[PublicKey], found: _Findings) -> dict[str, Any]:
    """The statement in an envelope; empty for a payload of another type."""
    envelope = dsse.from_document(row, where)
    if keys:
        signed = dsse.verify(envelope, keys)
        found.problems += [Reason("signature_bad", {"line": 1, "keyid": key[:16]}) for key in signed.bad]
        if not signed.good and not signed.bad:
            found.problems.append(Reason("not_signed", {"keyid": (signed.unknown or ("",))[0][:16]}))
        found.checked.append(Reason("signed", {"count": len(signed.good)}))
    elif "signatures" not in {r.code for r in found.unchecked}:
        found.unchecked.append(Reason("signatures"))
    if envelope.payload_type == PAYLOAD_TYPE:
        return {}
    if envelope.payload_type != intoto.PAYLOAD_TYPE:
        found_type = strict_json.brief(envelope.payload_type)
        raise EvidenceError(f"{where}: the payload is a {found_type}; expected {intoto.PAYLOAD_TYPE}.")
    return strict_json.parse_object(envelope.payload, f"{where}, payload", limit=MAX_DOCUMENT_BYTES)


def _check_statement(document: dict[str, Any], where: str, record: Record | None, found: _Findings) -> None:
    get = strict_json.field
    if get(document, "_type", str, where) != intoto.STATEMENT:
        raise EvidenceError(f"{where}: expected a statement {intoto.STATEMENT}.")
    subjects = get(document, "subject", list, where)
    predicate = get(document, "predicate", dict, where)
    kind = get(document, "predicateType", str, where)
    audited = kind == intoto.AUDIT_PREDICATE
    if audited:
        audits.check(predicate, f"{where}, predicate")
    if kind in (intoto.AUDIT_PREDICATE, intoto.TEST_RESULT_PREDICATE):
        _unchecked(found, "results")
    named: list[tuple[str, str]] = []  # a name may stand there twice, and each has to hold
    for k, row in enumerate(subjects):
        place = f"{where}, subject {k}"
        if not isinstance(row, dict):
            raise EvidenceError(f"{place}: expected an object, found {strict_json.brief(row)}.")
        digests = get(row, "digest", dict, place)
        named.append((get(row, "name", str, place), get(digests, "sha256", str, place)))
    found.checked.append(Reason("read"))
    if audited:
        if (intoto.MANIFEST, predicate["record"]["digest"]) not in named:
            named.append((intoto.MANIFEST, predicate["record"]["digest"]))
        others = {sha256 for name, sha256 in named if name == intoto.MANIFEST}
        if len(others) > 1 and record is None:
            first, last = sorted(others)[:2]
            values = {"path": intoto.MANIFEST, "expected": first[:16], "found": last[:16]}
            found.problems.append(Reason("digest_differs", values))
    _check_digests(named, record, found)


def _check_bom(document: dict[str, Any], where: str, record: Record | None, found: _Findings) -> None:
    get = strict_json.field
    version = get(document, "specVersion", str, where)
    if version not in ("1.6", "1.7"):
        raise EvidenceError(f"{where}: CycloneDX {strict_json.brief(version)}; expected 1.6 or 1.7.")
    serial = get(document, "serialNumber", str, where)
    if not serial.startswith("urn:uuid:"):
        raise EvidenceError(
            f"{where}: the serial number is {strict_json.brief(serial)}; expected a urn:uuid."
        )
    named = []
    for k, row in enumerate(get(document, "components", list, where) if "components" in document else []):
        place = f"{where}, component {k}"
        if not isinstance(row, dict):
            raise EvidenceError(f"{place}: expected an object, found {strict_json.brief(row)}.")
        for value in row.get("hashes") or []:
            if isinstance(value, dict) and value.get("alg") == "SHA-256":
                named.append((get(row, "name", str, place), get(value, "content", str, place)))
    found.checked.append(Reason("read"))
    found.unchecked.append(Reason("signatures"))
    _unchecked(found, "results")
    if claimed := cyclonedx.record_digest(document):
        named.append((intoto.MANIFEST, claimed))
    _check_digests(named, record, found)


def _check_digests(named: Iterable[tuple[str, str]], record: Record | None, found: _Findings) -> None:
    """Hold digests against the pack's own bytes."""
    from jokbo.records.pack import find_mismatches

    pairs = list(named)
    if record is None:
        if "files" not in {r.code for r in found.unchecked}:
            found.unchecked.append(Reason("files"))
        return
    own = {path: record.files[path].sha256 for path, _ in pairs if path in record.files}
    own |= {m.path: m.found.sha256 for m in find_mismatches(record, sorted(own))}
    own[intoto.MANIFEST] = record.digest
    for path, sha256 in pairs:
        if own.get(path, sha256) != sha256:
            values = {"path": path, "expected": sha256[:16], "found": own[path][:16]}
            found.problems.append(Reason("digest_differs", values))
    held = sum(path in own for path, _ in pairs)
    same = sum(own.get(path) == sha256 for path, sha256 in pairs)
    if held:
        found.checked.append(Reason("digests", {"count": same}))
    if held < len(pairs):
        found.unchecked.append(Reason("not_in_pack", {"count": len(pairs) - held}))


def _verify_audit(
    document: Mapping[str, Any], record: Record | None, repeat: Repeat | None
) -> DocumentVerification:
    found = _Findings(checked=[Reason("read")])
    if record is None or repeat is None:
        found.unchecked.append(Reason("results_of_audit"))
        return found.result("audit")
    outcome = repeat(document, record)
    for place, claimed, again in outcome.differences[:20]:
        found.problems.append(Reason("audit_differs", {"path": place, "claimed": claimed, "found": again}))
    if outcome.holds:
        found.checked = [Reason("repeated")]
    return found.result("audit")
