"""Statements, bills of materials and envelopes against the field's own readers; documents verified offline."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip("cryptography")

from jokbo.cli.verify import command as verify_command
from jokbo.errors import EvidenceError, NotFoundError, UsageError
from jokbo.evidence.canonical import canonical_bytes
from jokbo.formats.dtypes import DType
from jokbo.formats.writer import RawTensor, TensorSpec, build_file
from jokbo.records.attest import dsse
from jokbo.records.attest.cyclonedx import bom
from jokbo.records.attest.intoto import (
    PAYLOAD_TYPE,
    STATEMENT,
    TEST_RESULT_PREDICATE,
    result_statement,
    statement,
    statement_lines,
)
from jokbo.records.attest.verify_documents import recognise, verify_document
from jokbo.records.commit.keys import Signer, load_signer, make_key
from jokbo.records.commit.writer import CHAIN
from jokbo.records.pack import write_pack
from jokbo.records.record import Record
from jokbo.testing.chains import committed_run

AUDITS = Path(__file__).resolve().parents[2] / "golden" / "audits"
VERDICTS = {"consistent": "PASSED", "inconsistent": "FAILED", "cannot_tell": "WARNED"}


@pytest.fixture(params=sorted(VERDICTS))
def audit(request: pytest.FixtureRequest) -> dict[str, Any]:
    return json.loads((AUDITS / f"{request.param}.json").read_bytes())


@pytest.fixture(params=["ed25519", "ecdsa-p256"])
def signer(request: pytest.FixtureRequest, tmp_path: Path) -> Signer:
    return make_key(tmp_path / "key", algorithm=request.param)


@pytest.fixture
def record(tmp_path: Path) -> Record:
    """A pack with a chain; its files are named by statements."""
    run = tmp_path / "run"
    committed_run(run)
    for step in (10, 20, 30):
        data = np.full(4, step, dtype="<f4").tobytes()
        weights = build_file({"w": RawTensor(TensorSpec(DType.F32, (2, 2)), data)})
        (run / f"step-{step}.safetensors").write_bytes(weights)
    text = 'name = "run"\nsteps = 30\n[commitments]\nchain = "commitments/chain.jsonl"\n[[log]]\npath = "log.jsonl"\n'
    for step in (10, 20, 30):
        text += f'[[checkpoint]]\nname = "s{step}"\nstep = {step}\npath = "step-{step}.safetensors"\n'
    (run / "record.toml").write_text(text)
    return write_pack(run / "record.toml", tmp_path / "pack")


def about(audit: dict[str, Any], record: Record) -> dict[str, Any]:
    return {**audit, "record": {**audit["record"], "digest": record.digest}}


def test_the_reference_reader_takes_both_statements(audit: dict[str, Any], record: Record):
    pytest.importorskip("in_toto_attestation")
    from google.protobuf.json_format import Parse
    from in_toto_attestation.v1.statement import Statement
    from in_toto_attestation.v1.statement_pb2 import Statement as Message

    document = about(audit, record)
    for made in (
        statement(document, record),
        result_statement(document, record),
        statement(document),
        result_statement(document),
    ):
        read = Statement.copy_from_pb(Parse(canonical_bytes(made), Message()))
        read.validate()
        assert read.pb.type == STATEMENT


def test_test_results_name_every_check_once(audit: dict[str, Any]):
    made = result_statement(audit)
    assert made["predicateType"] == TEST_RESULT_PREDICATE
    predicate = made["predicate"]
    assert predicate["result"] == VERDICTS[audit["verdict"]["kind"]]
    named = predicate["passedTests"] + predicate["warnedTests"] + predicate["failedTests"]
    assert sorted(named) == sorted(c["check"] for c in audit["checks"])
    assert set(predicate["failedTests"]) >= set(audit["verdict"]["violated"])


def test_every_file_of_the_pack_is_a_subject(audit: dict[str, Any], record: Record):
    subjects = {s["name"]: s["digest"]["sha256"] for s in statement(about(audit, record), record)["subject"]}
    assert subjects.pop("manifest.json") == record.digest
    assert subjects == {path: file.sha256 for path, file in record.files.items()}
    with pytest.raises(EvidenceError, match="not the record that the audit names"):
        statement(audit, record)


@pytest.mark.parametrize("version", ["V1_6", "V1_7"])
def test_the_bill_of_materials_follows_the_published_schema(
    audit: dict[str, Any], record: Record, version: str
):
    pytest.importorskip("cyclonedx")
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    validator = JsonStrictValidator(getattr(SchemaVersion, version))
    for made in (bom(audit), bom(about(audit, record), record)):
        text = {**made, "specVersion": version[1:].replace("_", ".")}
        text["$schema"] = text["$schema"].replace("1.6", text["specVersion"])
        assert validator.validate_str(json.dumps(text)) is None
        broken = {**text, "components": [{"type": "model"}]}
        assert validator.validate_str(json.dumps(broken)) is not None


def test_the_bill_of_materials_names_lineage_and_is_deterministic(audit: dict[str, Any], record: Record):
    document = about(audit, record)
    made = bom(document, record)
    assert canonical_bytes(made) == canonical_bytes(bom(document, record))
    model = made["metadata"]["component"]
    assert model["type"] == "machine-learning-model"
    steps = [int(a["version"].removeprefix("step ")) for a in model["pedigree"]["ancestors"]]
    assert steps == sorted(steps, reverse=True)
    assert steps[-1] == 0
    rows = [{**audit["checkpoints"][-1], "name": "s30", "step": 10**9}]
    last = bom({**document, "checkpoints": rows}, record)["metadata"]["component"]
    assert last["hashes"][0]["content"] == record.files["step-30.safetensors"].sha256
    other = bom({**document, "jokbo": "9.9"}, record)
    assert other["serialNumber"] != made["serialNumber"]


def test_openssl_verifies_our_signatures(signer: Signer, tmp_path: Path):
    envelope = dsse.sign(b"payload", "text/plain", [signer])
    (tmp_path / "message").write_bytes(dsse.encoding("text/plain", b"payload"))
    (tmp_path / "signature").write_bytes(envelope.signatures[0].value)
    if signer.public.algorithm == "ed25519":
        how = ["pkeyutl", "-verify", "-pubin", "-inkey", "key.pub", "-rawin", "-in", "message", "-sigfile"]
    else:
        how = ["dgst", "-sha256", "-verify", "key.pub", "-signature"]
    rest = ["signature"] if signer.public.algorithm == "ed25519" else ["signature", "message"]
    done = subprocess.run(["openssl", *how, *rest], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_securesystemslib_verifies_our_envelopes(signer: Signer):
    pytest.importorskip("securesystemslib")
    from securesystemslib.dsse import Envelope
    from securesystemslib.exceptions import VerificationError
    from securesystemslib.signer import SSlibKey

    made = dsse.sign(b'{"a":1}', PAYLOAD_TYPE, [signer])
    scheme = "ed25519" if signer.public.algorithm == "ed25519" else "ecdsa-sha2-nistp256"
    kind = "ed25519" if scheme == "ed25519" else "ecdsa"
    pem = signer.public.to_pem().decode()
    public = signer.public.der[-32:].hex() if kind == "ed25519" else pem
    key = SSlibKey(signer.public.keyid, kind, scheme, {"public": public})
    read = Envelope.from_dict(json.loads(made.to_json()))
    assert list(read.verify([key], 1)) == [signer.public.keyid]
    read.payload = b'{"a":2}'
    with pytest.raises(VerificationError):
        read.verify([key], 1)


def test_envelopes_of_another_library_are_read(signer: Signer):
    # Without a key id, as the specification allows.
    bare = dsse.sign(b"x", "text/plain", [signer])
    without = dsse.Envelope(bare.payload_type, bare.payload, (dsse.Signature("", bare.signatures[0].value),))
    assert dsse.verify(dsse.parse_envelope(without.to_json(), "e"), [signer.public]).holds
    assert not dsse.verify(dsse.Envelope("text/html", b"x", without.signatures), [signer.public]).holds


def test_keys_are_for_their_owner_alone(signer: Signer, tmp_path: Path):
    path = tmp_path / "key"
    assert path.stat().st_mode & 0o777 == 0o600
    again = load_signer(path)
    assert again.public.keyid == signer.public.keyid
    secret = path.read_text().splitlines()[1]
    assert secret not in repr(again) + repr(signer)
    with pytest.raises(UsageError, match="there already"):
        make_key(path)
    path.chmod(0o644)
    with pytest.raises(UsageError, match="chmod 600"):
        load_signer(path)


@pytest.mark.parametrize("command", ["genrsa 2048", "ecparam -name secp384r1 -genkey -noout"])
def test_other_kinds_of_keys_are_refused(command: str, tmp_path: Path):
    path = tmp_path / "other"
    path.touch(0o600)
    path.write_bytes(subprocess.run(["openssl", *command.split()], capture_output=True, check=True).stdout)
    with pytest.raises(UsageError, match="neither Ed25519 nor ECDSA"):
        load_signer(path)
    path.write_text("no key")
    with pytest.raises(UsageError, match="no private key in PEM form"):
        load_signer(path)


def codes(reasons: Any) -> list[str]:
    return [reason.code for reason in reasons]


def test_signed_statements_hold_against_their_pack(
    audit: dict[str, Any], record: Record, signer: Signer, tmp_path: Path
):
    document = about(audit, record)
    path = tmp_path / "statements.intoto.jsonl"
    path.write_bytes(statement_lines(document, record, signers=[signer]))
    found = verify_document(path, record=record, keys=[signer.public])
    assert found.holds
    assert codes(found.unchecked) == ["results"]
    assert [r.values.get("count") for r in found.checked if r.code == "digests"] == [len(record.files) + 1]
    other = make_key(tmp_path / "other").public
    assert codes(verify_document(path, keys=[other]).problems) == ["not_signed", "not_signed"]
    assert "signatures" in codes(verify_document(path).unchecked)

    (record.folder / "log.jsonl").write_bytes(b"edited")
    found = verify_document(path, record=record, keys=[signer.public])
    assert codes(found.problems) == ["digest_differs", "digest_differs"]


def test_an_edited_payload_does_not_hold(audit: dict[str, Any], signer: Signer, tmp_path: Path):
    payload = canonical_bytes(result_statement(audit))
    envelope = dsse.sign(payload, PAYLOAD_TYPE, [signer])
    edited = payload.replace(b"jokbo.record-audit/1", b"jokbo.record-audit/2")
    assert edited != payload
    path = tmp_path / "s.json"
    path.write_bytes(dsse.Envelope(PAYLOAD_TYPE, edited, envelope.signatures).to_json())
    assert codes(verify_document(path, keys=[signer.public]).problems) == ["signature_bad"]


def test_a_predicate_that_contradicts_itself_is_an_error(audit: dict[str, Any], tmp_path: Path):
    made = statement(audit)
    made["predicate"]["verdict"]["exit_status"] = 3
    path = tmp_path / "s.json"
    path.write_bytes(canonical_bytes(made))
    with pytest.raises(EvidenceError, match="exit_status"):
        verify_document(path)


def test_bills_of_materials_hold_against_their_pack(audit: dict[str, Any], record: Record, tmp_path: Path):
    path = tmp_path / "bom.json"
    path.write_text(json.dumps(bom(about(audit, record), record), indent=1))
    assert recognise(path) == "bom"
    found = verify_document(path, record=record)
    assert found.holds
    assert "files" in codes(verify_document(path).unchecked)
    path.write_text(json.dumps(bom(audit, record)))
    assert codes(verify_document(path, record=record).problems) == ["digest_differs"]


def test_chains_hold_against_their_pack(record: Record):
    # The weights were written anew after the chain had named them.
    found = verify_document(record.folder / CHAIN, record=record)
    assert set(codes(found.problems)) == {"item_differs"}
    assert codes(found.unchecked) == ["own_keys", "not_in_chain", "dates"]
    assert verify_document(record.folder / CHAIN).holds


def test_audits_are_repeated_where_a_pack_is_given(audit: dict[str, Any], tmp_path: Path, record: Record):
    path = tmp_path / "audit.json"
    path.write_bytes(canonical_bytes(audit))
    assert codes(verify_document(path).unchecked) == ["results_of_audit"]

    class Outcome:
        def __init__(self, *differences: tuple[str, str, str]) -> None:
            self.differences, self.holds = differences, not differences

    assert codes(verify_document(path, record=record, repeat=lambda d, r: Outcome()).checked) == ["repeated"]
    differs = verify_document(path, record=record, repeat=lambda d, r: Outcome(("a/b", "1", "2")))
    assert codes(differs.problems) == ["audit_differs"]


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"{}", "no document that can be verified"),
        (b"not json", "no document that can be verified"),
        (b'{"payloadType":"text/plain","payload":"eA==","signatures":[{"sig":"eA=="}]}', "payload is a"),
        (b'{"payloadType":"text/plain","payload":"eA=","signatures":[{"sig":"eA=="}]}', "base64"),
        (b'{"payloadType":"text/plain","payload":"eA==","signatures":[]}', "0 signatures"),
        (b'{"_type":"https://in-toto.io/Statement/v1","subject":1}', "'subject' is 1"),
        (b'{"bomFormat":"CycloneDX","specVersion":"1.2"}', "expected 1.6"),
        (b'{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json"}', "sigstore verify identity"),
        (b'{"schema":"jokbo.record-audit/1"}', "is missing"),
    ],
)
def test_what_is_no_document_is_refused(data: bytes, match: str, tmp_path: Path):
    path = tmp_path / "d.json"
    path.write_bytes(data)
    with pytest.raises((EvidenceError, UsageError), match=match):
        verify_document(path)
    with pytest.raises(NotFoundError):
        verify_document(tmp_path / "none")


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_the_command_verifies_every_kind(
    lang: str, audit: dict[str, Any], record: Record, signer: Signer, tmp_path: Path
):
    document = about(audit, record)
    files = {
        "statements.jsonl": statement_lines(document, record, signers=[signer]),
        "bare.jsonl": statement_lines(document, record),
        "bom.json": canonical_bytes(bom(document, record)),
        "audit.json": canonical_bytes(audit),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        given = [] if name == "audit.json" else ["--record", str(record.folder)]
        given += ["--key", str(tmp_path / "key.pub"), "--lang", lang]
        done = CliRunner().invoke(verify_command, [str(tmp_path / name), *given], standalone_mode=False)
        assert done.exception is None, (name, done.exception)
        assert done.return_value == 0, done.output
        assert ("확인한 범위에서" if lang == "ko" else "as far as it was checked") in done.output
    chain = str(record.folder / CHAIN)
    done = CliRunner().invoke(
        verify_command, [chain, "--key", str(tmp_path / "key.pub"), "--lang", lang], standalone_mode=False
    )
    assert done.return_value == 11
    done = CliRunner().invoke(verify_command, [chain, "--json"], standalone_mode=False)
    assert json.loads(done.output)["kind"] == "chain"


def test_payloads_are_canonical_base64():
    text = base64.b64encode(b"x").decode()
    assert text == "eA=="
    with pytest.raises(EvidenceError, match="canonical base64"):
        # The same byte, spelled with other unused bits.
        dsse.from_document({"payloadType": "t", "payload": "eB==", "signatures": [{"sig": "eA=="}]}, "e")


def test_sigstore_bundles_need_their_file_and_an_identity(tmp_path: Path):
    pytest.importorskip("sigstore")
    from jokbo.records.attest.sigstore_bundles import verify_signed_file

    with pytest.raises(EvidenceError, match="no Sigstore bundle"):
        verify_signed_file(b"x", b"{}", identity="a@example.com", issuer="https://example.com")


def test_a_subject_that_stands_there_twice_has_to_hold_twice(
    audit: dict[str, Any], record: Record, tmp_path: Path
):
    made = statement(about(audit, record), record)
    made["subject"].insert(0, {**made["subject"][0], "digest": {"sha256": "0" * 64}})
    path = tmp_path / "statement.json"
    path.write_bytes(canonical_bytes(made))
    assert codes(verify_document(path, record=record).problems) == ["digest_differs"]


def test_an_audit_of_another_record_under_this_ones_subjects(
    audit: dict[str, Any], record: Record, tmp_path: Path
):
    made = statement(about(audit, record), record)
    made["predicate"]["record"]["digest"] = "0" * 64
    path = tmp_path / "statement.json"
    path.write_bytes(canonical_bytes(made))
    assert codes(verify_document(path, record=record).problems) == ["digest_differs"]
    assert codes(verify_document(path).problems) == ["digest_differs"]


def test_a_result_that_is_not_its_audits(audit: dict[str, Any], record: Record, tmp_path: Path):
    first, second = statement_lines(about(audit, record), record).splitlines()
    edited = json.loads(second)
    edited["predicate"]["passedTests"].append("replay_of_everything")
    path = tmp_path / "statements.jsonl"
    path.write_bytes(first + b"\n" + canonical_bytes(edited) + b"\n")
    with pytest.raises(EvidenceError, match="is not that of the audit beside it"):
        verify_document(path, record=record)
    path.write_bytes(second + b"\n")
    assert codes(verify_document(path, record=record).unchecked) == ["signatures", "results"]
