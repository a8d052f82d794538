"""Time stamps by OpenSSL's authority: asked for over HTTP, verified offline, and refused where they do not fit."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

pytest.importorskip("rfc3161_client")

from local_authority import Authority, openssl, served

from jokbo.errors import EvidenceError, NotFoundError, TransferError, UsageError
from jokbo.records.commit.keys import make_key
from jokbo.records.commit.timestamps import (
    MAX_ANSWER_BYTES,
    load_certificates,
    parse_timestamp,
    request_timestamp,
    stamped_bytes,
    verify_timestamp,
)
from jokbo.records.commit.writer import TIMESTAMPS, commit

LINE = b'{"payload":"a line of a chain"}'


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tsa") / "one")


@pytest.fixture(scope="module")
def stamp(authority: Authority) -> bytes:
    with served(authority.reply) as url:
        return request_timestamp(url, LINE)


def test_a_stamp_holds_under_the_authoritys_root(authority: Authority, stamp: bytes):
    found = verify_timestamp(stamp, LINE, load_certificates([authority.root]), "a.tsr")
    assert abs(found.time.timestamp() - time.time()) < 120
    assert stamped_bytes(parse_timestamp(stamp, "a.tsr"), LINE)


def test_openssl_agrees(authority: Authority, stamp: bytes, tmp_path: Path):
    (tmp_path / "a.tsr").write_bytes(stamp)
    (tmp_path / "line").write_bytes(LINE)
    said = openssl(
        *("ts", "-verify", "-data", "line", "-in", "a.tsr", "-CAfile", str(authority.root)), folder=tmp_path
    )
    assert b"OK" in said


def test_other_bytes_and_other_authorities_do_not_hold(authority: Authority, stamp: bytes, tmp_path: Path):
    with pytest.raises(EvidenceError, match=r"a\.tsr does not hold"):
        verify_timestamp(stamp, LINE + b" ", load_certificates([authority.root]), "a.tsr")
    assert not stamped_bytes(parse_timestamp(stamp, "a.tsr"), LINE + b" ")
    other = Authority(tmp_path / "two", name="another")
    with pytest.raises(EvidenceError, match=r"a\.tsr does not hold"):
        verify_timestamp(stamp, LINE, load_certificates([other.root]), "a.tsr")


def test_any_damaged_byte_is_noticed_or_changes_nothing(authority: Authority, stamp: bytes):
    trusted = load_certificates([authority.root])
    whole = verify_timestamp(stamp, LINE, trusted, "a.tsr")
    held = 0
    for place in range(0, len(stamp), 7):
        damaged = stamp[:place] + bytes([stamp[place] ^ 1]) + stamp[place + 1 :]
        try:
            found = verify_timestamp(damaged, LINE, trusted, "a.tsr")
        except EvidenceError:
            continue
        # Certificates that are sent along and not needed are not signed with the rest.
        assert found == whole
        held += 1
    assert held < len(stamp) / 7 / 2


@pytest.mark.parametrize("data", [b"", b"0", b"<html>", bytes(100), b"\x30\x03\x02\x01\x00"])
def test_what_is_no_stamp_is_refused(authority: Authority, data: bytes):
    with pytest.raises(EvidenceError, match=r"a\.tsr"):
        verify_timestamp(data, LINE, load_certificates([authority.root]), "a.tsr")


def test_long_answers_are_refused(authority: Authority):
    with pytest.raises(EvidenceError, match="no time stamp is"):
        parse_timestamp(bytes(MAX_ANSWER_BYTES + 1), "a.tsr")


def test_certificates_that_are_none(tmp_path: Path):
    (tmp_path / "a.pem").write_text("nothing")
    with pytest.raises(EvidenceError, match="no certificates in PEM form"):
        load_certificates([tmp_path / "a.pem"])
    with pytest.raises(NotFoundError, match="cannot read the certificates"):
        load_certificates([tmp_path / "b.pem"])


def test_servers_that_answer_something_else(authority: Authority):
    with served(lambda query: b"no") as url, pytest.raises(TransferError, match="no RFC 3161 time stamp"):
        request_timestamp(url, LINE)
    stale: list[bytes] = []

    def repeat(query: bytes) -> bytes:
        stale.append(authority.reply(query))
        return stale[0]

    with served(repeat) as url:
        request_timestamp(url, LINE)
        with pytest.raises(TransferError, match="another request"):
            request_timestamp(url, LINE)
        with pytest.raises(TransferError, match="other bytes"):
            request_timestamp(url, b"other")
    with pytest.raises(TransferError, match="next link"):
        request_timestamp("http://127.0.0.1:9/", LINE)
    with pytest.raises(UsageError, match="no http or https address"):
        request_timestamp("file:///etc/passwd", LINE)


def test_commit_attaches_stamps_and_survives_without(authority: Authority, tmp_path: Path):
    key = make_key(tmp_path / "key")
    run = tmp_path / "run"
    run.mkdir()
    (run / "a.bin").write_bytes(b"a")
    with served(authority.reply) as url:
        made = commit(run, key=key, tsa=url, step=0)
    assert made.timestamp == run / TIMESTAMPS / "000000.tsr"
    trusted = load_certificates([authority.root])
    verify_timestamp(made.timestamp.read_bytes(), made.link.line, trusted, "a.tsr")
    (run / "b.bin").write_bytes(b"b")
    with pytest.raises(TransferError, match="link 1 is written and signed, but no time stamp"):
        commit(run, key=key, tsa="http://127.0.0.1:9/", step=1)
    (run / "c.bin").write_bytes(b"c")
    assert commit(run, key=key, step=2).link.index == 2
