"""Chains that were forged, damaged or cut off in the middle: each is noticed, and nothing is appended to a bad one."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("cryptography")

from jokbo.errors import ChangedError, EvidenceError, NotFoundError, UsageError
from jokbo.evidence.canonical import canonical_bytes
from jokbo.records.attest import dsse
from jokbo.records.commit.chain import Chain, chain_keys, find_problems, read_chain
from jokbo.records.commit.items import digest_file
from jokbo.records.commit.keys import Signer, make_key
from jokbo.records.commit.link import MAX_LINE_BYTES, PAYLOAD_TYPE
from jokbo.records.commit.writer import CHAIN, commit
from jokbo.testing.chains import committed_run


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return make_key(tmp_path / "key")


@pytest.fixture
def run(tmp_path: Path, signer: Signer) -> Path:
    committed_run(tmp_path / "run", signer=signer)
    return tmp_path / "run"


def lines_of(run: Path) -> list[bytes]:
    return (run / CHAIN).read_bytes().splitlines(keepends=True)


def written(run: Path, lines: list[bytes]) -> Chain:
    (run / CHAIN).write_bytes(b"".join(lines))
    return read_chain(run / CHAIN)


def codes(chain: Chain, *signers: Signer) -> list[str]:
    return [p.code for p in find_problems(chain, [s.public for s in signers])]


def payload_of(line: bytes) -> dict[str, Any]:
    return json.loads(base64.b64decode(json.loads(line)["payload"]))


def forge(line: bytes, signer: Signer, **changes: Any) -> bytes:
    """The line with other contents, signed by whoever."""
    payload = canonical_bytes({**payload_of(line), **changes})
    return dsse.sign(payload, PAYLOAD_TYPE, [signer]).to_json() + b"\n"


def test_the_good_chain_has_no_problems(run: Path, signer: Signer):
    chain = read_chain(run / CHAIN)
    assert codes(chain, signer) == []
    assert [k.keyid for k in chain_keys(chain)] == [signer.public.keyid]
    assert [link.step for link in chain.links] == [0, 10, 20, 30]


def test_reordered_links(run: Path, signer: Signer):
    a, b, c, d = lines_of(run)
    found = codes(written(run, [a, c, b, d]), signer)
    assert "index_differs" in found
    assert "previous_differs" in found


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_a_dropped_link(run: Path, signer: Signer, gone: int):
    lines = lines_of(run)
    del lines[gone]
    assert "previous_differs" in codes(written(run, lines), signer)


def test_the_last_link_dropped_is_a_shorter_chain(run: Path, signer: Signer):
    # Nothing inside a chain can show this; a time stamp or a copy elsewhere does.
    assert codes(written(run, lines_of(run)[:-1]), signer) == []


def test_a_repeated_link(run: Path, signer: Signer):
    a, b, c, d = lines_of(run)
    assert "previous_differs" in codes(written(run, [a, b, b, c, d]), signer)


def test_a_link_rewritten_by_the_holder_of_the_key_breaks_those_after_it(run: Path, signer: Signer):
    lines = lines_of(run)
    lines[1] = forge(lines[1], signer, step=11)
    assert codes(written(run, lines), signer) == ["previous_differs"]


def test_a_link_signed_by_another_key(run: Path, signer: Signer, tmp_path: Path):
    other = make_key(tmp_path / "other")
    lines = lines_of(run)
    lines[3] = forge(lines[3], other, step=31)
    chain = written(run, lines)
    assert codes(chain, signer) == ["signer_unknown"]
    assert codes(chain, signer, other) == []
    assert codes(chain, other) == ["keys_differ", "signer_unknown", "signer_unknown", "signer_unknown"]


def test_swapped_signatures(run: Path, signer: Signer):
    lines = lines_of(run)
    first, second = json.loads(lines[1]), json.loads(lines[2])
    first["signatures"], second["signatures"] = second["signatures"], first["signatures"]
    lines[1:3] = [canonical_bytes(d) + b"\n" for d in (first, second)]
    found = codes(written(run, lines), signer)
    assert found.count("signature_bad") == 2


def test_a_signature_of_another_payload_type_does_not_count(run: Path, signer: Signer):
    lines = lines_of(run)
    payload = base64.b64decode(json.loads(lines[3])["payload"])
    envelope = dsse.sign(payload, "application/vnd.in-toto+json", [signer])
    moved = dsse.Envelope(PAYLOAD_TYPE, payload, envelope.signatures).to_json() + b"\n"
    assert codes(written(run, [*lines[:3], moved]), signer) == ["signature_bad"]


def test_a_second_beginning_and_a_missing_one(run: Path, signer: Signer):
    lines = lines_of(run)
    genesis = payload_of(lines[0])["genesis"]
    again = forge(lines[3], signer, genesis=genesis)
    assert codes(written(run, [*lines[:3], again]), signer) == ["genesis_again"]
    without = payload_of(lines[0])
    del without["genesis"]
    first = dsse.sign(canonical_bytes(without), PAYLOAD_TYPE, [signer]).to_json() + b"\n"
    assert codes(written(run, [first]), signer) == ["genesis_missing"]


def test_a_log_range_left_out_and_times_that_run_back(run: Path, signer: Signer):
    lines = lines_of(run)
    items = payload_of(lines[3])["items"]
    items[0].update(start=items[0]["start"] + 5, size=items[0]["size"] - 5)
    assert codes(written(run, [*lines[:3], forge(lines[3], signer, items=items)]), signer) == ["log_gap"]
    back = forge(lines[3], signer, time="2026-01-02T01:59:59Z")
    assert codes(written(run, [*lines[:3], back]), signer) == ["time_runs_back"]


def refused(run: Path, line: bytes, match: str) -> None:
    lines = lines_of(run)
    (run / CHAIN).write_bytes(b"".join([*lines[:2], line, *lines[2:]]))
    with pytest.raises(EvidenceError, match=match) as caught:
        read_chain(run / CHAIN)
    assert "line 3" in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("line", "match"),
    [
        (b"\n", "not JSON"),
        (b"[]\n", "expected a JSON object"),
        (b'{"payload": 1}\n', "'signatures' is missing"),
        (b'{"payload":"","payload":""}\n', "named twice"),
        (b"[" * 100_000 + b"\n", "not JSON"),
        (b'{"a":' * 500 + b"1" + b"}" * 500 + b"\n", "nested"),
        (b'{"a": NaN}\n', "no JSON number"),
        (b"\xff\xfe\n", "not JSON"),
    ],
    ids=["empty", "list", "fields", "twice", "deep", "nested", "nan", "bytes"],
)
def test_lines_that_are_no_links(run: Path, line: bytes, match: str):
    refused(run, line, match)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"schema": "jokbo.record-link/9"}, "expected the schema"),
        ({"index": -1}, "whole number"),
        ({"index": 1 << 70}, "whole number"),
        ({"index": True}, "expected int"),
        ({"index": 1.0}, "expected int"),
        ({"previous": "AB"}, "SHA-256"),
        ({"time": "2026-13-02T00:00:00Z"}, "expected UTC"),
        ({"time": "2026-01-02T00:00:00+09:00"}, "expected UTC"),
        ({"step": "ten"}, "expected int or null"),
        ({"items": [1]}, "expected an object"),
        ({"items": [{"path": "a", "size": 1, "sha256": "0" * 64, "kind": "secret"}]}, "the kind is"),
        ({"items": [{"path": "a", "size": 1, "sha256": "0" * 64, "kind": "log"}]}, "'start' is missing"),
        (
            {"items": [{"path": "a", "size": 1, "sha256": "0" * 64, "kind": "log", "start": 9, "stop": 3}]},
            "has not 1 bytes",
        ),
        ({"items": [{"path": "a", "size": 1, "sha256": "0" * 64, "kind": "data", "x": 1}]}, "canonical"),
        (
            {"items": [{"path": "a" * 2000, "size": 1, "sha256": "0" * 64, "kind": "data"}]},
            "2,000 characters",
        ),
        ({"items": [{"path": "", "size": 1, "sha256": "0" * 64, "kind": "data"}]}, "0 characters"),
        ({"extra": 1}, "canonical"),
    ],
)
def test_payloads_that_are_no_links(run: Path, signer: Signer, changes: dict[str, Any], match: str):
    refused(run, forge(lines_of(run)[1], signer, **changes), match)


def test_other_spellings_of_the_same_line_are_refused(run: Path, signer: Signer):
    line = lines_of(run)[1]
    refused(run, json.dumps(json.loads(line)).encode() + b"\n", "canonical spelling")
    spaced = json.dumps(payload_of(line)).encode()
    refused(run, dsse.sign(spaced, PAYLOAD_TYPE, [signer]).to_json() + b"\n", "canonical spelling")
    refused(run, dsse.sign(spaced, "text/plain", [signer]).to_json() + b"\n", "expected an envelope of type")


def test_a_line_of_100_megabytes_is_refused_unread(run: Path):
    lines = lines_of(run)
    with open(run / CHAIN, "wb") as stream:
        stream.writelines(lines[:2])
        stream.truncate(stream.tell() + (100 << 20))
    with pytest.raises(EvidenceError, match=f"line 3 is longer than {MAX_LINE_BYTES:,}"):
        read_chain(run / CHAIN)


def test_a_chain_that_is_not_there_or_too_large(tmp_path: Path):
    with pytest.raises(NotFoundError, match="cannot read the chain"):
        read_chain(tmp_path / "none")
    with open(tmp_path / "large", "wb") as stream:
        stream.truncate(1 << 31)
    with pytest.raises(EvidenceError, match="a chain has at most"):
        read_chain(tmp_path / "large")


def test_a_half_written_tail_is_reported_and_not_built_on(run: Path, signer: Signer):
    lines = lines_of(run)
    whole = len(b"".join(lines[:3]))
    chain = written(run, [*lines[:3], lines[3][:100]])
    assert (len(chain.links), chain.tail, chain.stop) == (3, 100, whole)
    assert codes(chain, signer) == ["half_written"]
    (run / "new.safetensors").write_bytes(b"new")
    with pytest.raises(EvidenceError, match=rf"truncate -s {whole}"):
        commit(run, key=signer, step=30)
    assert (run / CHAIN).stat().st_size == whole + 100
    os.truncate(run / CHAIN, whole)  # as the message advises
    commit(run, key=signer, step=30)
    assert codes(read_chain(run / CHAIN), signer) == []


SLOW_WRITER = """
import os, sys, time
from jokbo.records.commit import writer
real = os.write
def slowly(handle, data):
    if len(data) > 20:
        real(handle, data[:40])
        print("half", flush=True)
        time.sleep(60)
    return real(handle, data)
writer.os.write = slowly
writer.commit(sys.argv[1], key=sys.argv[2], step=40)
"""


def test_a_kill_in_the_middle_of_an_append(run: Path, signer: Signer, tmp_path: Path):
    before = (run / CHAIN).read_bytes()
    (run / "new.safetensors").write_bytes(b"new")
    child = subprocess.Popen(
        [sys.executable, "-c", SLOW_WRITER, str(run), str(tmp_path / "key")],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "half\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    chain = read_chain(run / CHAIN)
    assert (len(chain.links), chain.tail) == (4, 40)
    assert (run / CHAIN).read_bytes()[: len(before)] == before
    # The kernel has freed the lock, so the advice comes at once.
    begun = time.monotonic()
    with pytest.raises(EvidenceError, match="half a line"):
        commit(run, key=signer, step=40)
    assert time.monotonic() - begun < 5


WRITER = """
import sys
from pathlib import Path
from jokbo.records.commit.writer import commit
run, key, name = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
for k in range(8):
    (run / f"{name}-{k}.bin").write_bytes(b"%d" % k)
    commit(run, [run / f"{name}-{k}.bin"], key=key, step=40)
"""


def test_two_writers_at_once_make_one_chain(run: Path, signer: Signer, tmp_path: Path):
    children = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(run), str(tmp_path / "key"), name])
        for name in ("one", "two")
    ]
    assert [child.wait(timeout=60) for child in children] == [0, 0]
    chain = read_chain(run / CHAIN)
    assert codes(chain, signer) == []
    assert len({item.path for link in chain.links[4:] for item in link.items}) == 16


def test_a_writer_that_never_ends_is_not_waited_for_forever(run: Path, signer: Signer):
    import fcntl

    (run / "new.bin").write_bytes(b"new")
    with open(run / "commitments" / ".lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UsageError, match="another process"):
            commit(run, key=signer, wait_seconds=0.1)


def test_a_full_disk_leaves_no_half_line(run: Path, signer: Signer, monkeypatch: pytest.MonkeyPatch):
    before = (run / CHAIN).read_bytes()
    (run / "new.bin").write_bytes(b"new")
    real, calls = os.write, []

    def full(handle: int, data: bytes) -> int:
        calls.append(handle)
        if len(calls) > 1:
            raise OSError(28, "No space left on device")
        return real(handle, bytes(data)[:50])

    with monkeypatch.context() as patch:
        patch.setattr("jokbo.records.commit.writer.os.write", full)
        with pytest.raises(UsageError, match="No space left"):
            commit(run, key=signer)
    assert (run / CHAIN).read_bytes() == before


def test_nothing_is_appended_to_a_chain_that_does_not_hold(run: Path, signer: Signer):
    lines = lines_of(run)
    (run / CHAIN).write_bytes(b"".join([lines[0], *lines[2:]]))
    (run / "new.bin").write_bytes(b"new")
    with pytest.raises(EvidenceError, match=r"does not hold \(index_differs: line 2"):
        commit(run, key=signer)


def test_another_key_cannot_go_on(run: Path, tmp_path: Path):
    (run / "new.bin").write_bytes(b"new")
    with pytest.raises(UsageError, match="Sign with the key that began"):
        commit(run, key=make_key(tmp_path / "other"))


def test_what_the_first_link_fixed_stays(run: Path, signer: Signer):
    with pytest.raises(UsageError, match="has begun"):
        commit(run, key=signer, name="other")


def test_a_log_that_was_cut_is_refused(run: Path, signer: Signer):
    (run / "log.jsonl").write_bytes(b"short\n")
    with pytest.raises(UsageError, match="cut or written anew"):
        commit(run, key=signer)


def test_files_outside_and_links_are_refused(run: Path, signer: Signer, tmp_path: Path):
    with pytest.raises(UsageError, match="lies outside"):
        commit(run, [tmp_path / "key"], key=signer)
    with pytest.raises(UsageError, match="lies outside"):
        commit(run, [run / ".." / "key"], key=signer)
    (run / "link.bin").symlink_to(tmp_path / "key")
    with pytest.raises(UsageError, match="is a link"):
        commit(run, key=signer)
    (run / "link.bin").unlink()
    (run / "folder").symlink_to(tmp_path)
    with pytest.raises(UsageError, match="is a link"):
        commit(run, [run / "folder" / "key"], key=signer)


def test_a_pipe_is_no_file(run: Path):
    os.mkfifo(run / "pipe.bin")
    writer = subprocess.Popen(["sh", "-c", f"echo x > {run / 'pipe.bin'}"])
    with pytest.raises(UsageError, match="no ordinary file"):
        digest_file(run, "pipe.bin")
    writer.wait()


def test_a_file_that_changes_while_it_is_read(run: Path, monkeypatch: pytest.MonkeyPatch):
    path = run / "step-10.safetensors"

    def meanwhile(stream: Any, size: int) -> tuple[str, int]:
        path.write_bytes(b"longer than it was")
        return "0" * 64, size

    monkeypatch.setattr("jokbo.records.commit.items._digest", meanwhile)
    with pytest.raises(ChangedError, match="changed while it was read"):
        digest_file(run, path.name)
