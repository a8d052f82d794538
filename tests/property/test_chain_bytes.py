"""A chain has one spelling: any single changed byte is noticed, and any chain that is written is read again."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("cryptography")

from jokbo.errors import EvidenceError
from jokbo.records.commit.chain import find_problems, parse_chain
from jokbo.records.commit.items import digest_file
from jokbo.records.commit.keys import PublicKey, make_key
from jokbo.records.commit.writer import CHAIN
from jokbo.testing.chains import committed_run


@pytest.fixture(scope="module", params=["ed25519", "ecdsa-p256"])
def written(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[bytes, PublicKey]:
    folder = tmp_path_factory.mktemp("chain")
    signer = make_key(folder / "key", algorithm=request.param)
    committed_run(folder / "run", signer=signer, links=3)
    return (folder / "run" / CHAIN).read_bytes(), signer.public


def holds(data: bytes, key: PublicKey) -> bool:
    try:
        return not find_problems(parse_chain(io.BytesIO(data)), [key])
    except EvidenceError:
        return False


@given(data=st.data())
@settings(max_examples=100)
def test_any_single_changed_byte_is_noticed(written: tuple[bytes, PublicKey], data: st.DataObject):
    chain, key = written
    assert holds(chain, key)
    place = data.draw(st.integers(0, len(chain) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != chain[place]))
    assert not holds(chain[:place] + bytes([other]) + chain[place + 1 :], key)


@given(data=st.data())
@settings(max_examples=50)
def test_any_missing_or_added_byte_is_noticed(written: tuple[bytes, PublicKey], data: st.DataObject):
    chain, key = written
    place = data.draw(st.integers(0, len(chain) - 1))
    assert not holds(chain[:place] + chain[place + 1 :], key)
    added = data.draw(st.binary(min_size=1, max_size=3))
    assert not holds(chain[:place] + added + chain[place:], key)


@given(data=st.data())
@settings(max_examples=100)
def test_a_cut_chain_is_whole_only_at_its_newlines(written: tuple[bytes, PublicKey], data: st.DataObject):
    chain, key = written
    stop = data.draw(st.integers(1, len(chain)))
    assert holds(chain[:stop], key) is (chain[stop - 1 : stop] == b"\n")


@given(parts=st.lists(st.binary(max_size=40), min_size=1, max_size=6))
@settings(max_examples=30)
def test_log_ranges_tile_the_log(tmp_path_factory: pytest.TempPathFactory, parts: list[bytes]):
    folder: Path = tmp_path_factory.mktemp("log")
    stop, items = 0, []
    for part in parts:
        with open(folder / "a.log", "ab") as log:
            log.write(part)
        items.append(digest_file(folder, "a.log", start=stop))
        assert items[-1].start == stop
        stop += len(part)
        assert items[-1].stop == stop
    again = [digest_file(folder, "a.log", start=0)]
    assert again[0].size == sum(item.size for item in items)
