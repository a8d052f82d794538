"""Fingerprints that lie or are damaged: each is one clear error that names the file, and nothing is guessed."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fingerprint_files import (
    FILE,
    bytes_block,
    good,
    spans_of,
    taken_apart,
    with_header,
    with_json,
    with_spans,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from jokbo.errors import FormatError, JokboError, NotFoundError, UsageError
from jokbo.evidence.compare import compare
from jokbo.formats.dtypes import DType
from jokbo.formats.writer import RawTensor, TensorSpec, build_file
from jokbo.lineage.fingerprint import check_fingerprint, make_fingerprint, read_header, read_sketch
from jokbo.sources.memory import MemorySource
from jokbo.testing.builders import llama
from jokbo.views.fingerprint_header import METADATA_KEY
from jokbo.views.model import open_model

BLOCKS = ("catalog", "tokens", "spans", "rows", "sketch")


def refuse(data: bytes, match: str) -> str:
    """Checking and opening both refuse, in the same words."""
    with pytest.raises(FormatError, match=match) as caught:
        check_fingerprint(data, where=FILE)
    with pytest.raises(FormatError):
        open_model(MemorySource({FILE: data}, name=FILE))
    message = str(caught.value)
    assert FILE in message
    assert len(message) < 500
    return message


def test_the_good_one_is_good() -> None:
    header = check_fingerprint(good(), where=FILE)
    assert header.name == "tiny"
    assert set(header.blocks) == set(BLOCKS)
    assert taken_apart().joined() != b""
    check_fingerprint(taken_apart().joined(), where=FILE)


def test_cut_off_at_every_boundary() -> None:
    data = good()
    ends = {0, 7, 8, 9, len(data) - 1} | {at for span in spans_of(data).values() for at in span} - {len(data)}
    for end in sorted(ends | {at - 1 for at in ends if at}):
        with pytest.raises(FormatError):
            check_fingerprint(data[:end], where=FILE)
        with pytest.raises(FormatError):
            read_header(data[:end], where=FILE)


def test_bytes_after_the_end() -> None:
    refuse(good() + b"\0", FILE)


@pytest.mark.parametrize("block", BLOCKS)
def test_a_flipped_byte_is_found_and_its_block_named(block: str) -> None:
    start, stop = spans_of(good())[block]
    for at in (start, (start + stop) // 2, stop - 1):
        data = bytearray(good())
        data[at] ^= 1
        with pytest.raises(FormatError, match=f"{FILE}: block '{block}' has the digest .* damaged"):
            check_fingerprint(bytes(data), where=FILE)


def test_a_damaged_sketch_is_not_loaded() -> None:
    data = bytearray(good())
    data[spans_of(good())["sketch"][0]] ^= 1
    with pytest.raises(FormatError, match="'sketch' has the digest"):
        read_sketch(bytes(data), where=FILE)


@pytest.mark.parametrize("block", ["catalog", "tokens", "spans", "rows"])
def test_a_block_is_missing(block: str) -> None:
    parts = taken_apart()
    del parts.blocks[block]
    refuse(parts.joined(), f"block '{block}' is missing")


def test_a_block_that_the_header_names_is_missing() -> None:
    parts = taken_apart()
    del parts.blocks["sketch"]
    refuse(parts.built(), "block 'sketch' is missing")


def test_a_block_that_the_header_does_not_name() -> None:
    parts = taken_apart()
    parts.blocks["more"] = bytes_block(b"1")
    refuse(parts.built(), "block 'more' whose digest its header does not name")


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_of_another_type(block: str) -> None:
    parts = taken_apart()
    data = parts.blocks[block].data
    data += bytes(-len(data) % 4)
    parts.blocks[block] = RawTensor(TensorSpec(DType.F32, (len(data) // 4,)), data)
    if block == "sketch":
        with pytest.raises(FormatError, match="'sketch' is stored as F32; expected U8"):
            read_sketch(parts.joined(), where=FILE)
    else:
        refuse(parts.joined(), f"block '{block}' is stored as F32; expected")


def test_no_fingerprint_although_its_name_says_so() -> None:
    refuse(
        build_file({"w": bytes_block(b"1234")}, {"format": "pt"}), "is a safetensors file and no fingerprint"
    )


def test_a_header_of_absurd_length() -> None:
    for length in (9 << 20, 1 << 62, 2**64 - 1):
        refuse(struct.pack("<Q", length) + bytes(100), "its header is said to be")


def test_a_file_that_is_too_large() -> None:
    refuse(good() + bytes(32_000_001 - len(good())), "a fingerprint has at most 32,000,000")


def test_the_header_twice() -> None:
    length = int.from_bytes(good()[:8], "little")
    text = good()[8 : 8 + length].rstrip()
    entries = json.loads(text)
    twice = (
        text[:-1].decode()
        + ', "__metadata__": '
        + json.dumps(entries["__metadata__"] | {METADATA_KEY: "{}"})
        + "}"
    ).encode()
    refuse(struct.pack("<Q", len(twice)) + twice + good()[8 + length :], "twice")


def test_a_field_of_the_header_twice() -> None:
    parts = taken_apart()
    text = json.dumps(parts.header)[:-1] + ', "salt": "other"}'
    refuse(build_file(parts.blocks, {METADATA_KEY: text}), "'salt' is named twice")


def test_a_newer_version() -> None:
    refuse(with_header(version=2), "version 2; this Jokbo reads up to version 1. Install a newer Jokbo")


@pytest.mark.parametrize("version", [0, -1, True, "1", None, 1.0])
def test_no_version(version: Any) -> None:
    refuse(with_header(version=version), "names no version")


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "[" * 100_000, '{"version": 1}', "NaN"])
def test_a_header_that_is_none(text: str) -> None:
    with pytest.raises(FormatError, match=FILE):
        check_fingerprint(build_file(taken_apart().blocks, {METADATA_KEY: text}), where=FILE)


WRONG: dict[str, list[Any]] = {
    "name": [None, 3, "x" * 2000, "a\ud800", "red\x1b[31m"],
    "kind": [None],
    "commit": [3, "x" * 2000],
    "digest": ["", "g" * 64, "A" * 64, None],
    "digest_covers": ["all", None, []],
    "files": [None, {}, [3], [{}], ["file"], [{"file": "a"}], [[]]],
    "parameters": [-1, 1.5, "many", True, 1 << 62],
    "salt": ["", "x" * 200, None, 3],
    "plan": [None, {}, [], {"units": 64}, {"units": 1 << 40, "values": 1, "rotary": 1, "tokens": 1}],
    "layers": [
        None,
        [],
        {"text": 3},
        {"text": [1, 0]},
        {"text": [0, 0]},
        {"text": [-1]},
        {"text": [1 << 40]},
    ],
    "private": [None, 0, "no"],
    "declared": [None, [], {}, {"base_models": [3], "relation": None, "license": None}],
    "tokenizer": [None, [], {"size": 3}, {"size": 1, "merges": 0, "special": 0, "sha256": "?"}],
    "blocks": [None, [], {"rows": "?"}, {"rows": 3}],
    "surprise": [1],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field in WRONG for value in WRONG[field]])
def test_a_field_of_the_header_is_wrong(field: str, value: Any) -> None:
    refuse(with_header(**{field: value}), "its header is malformed|its header lacks|is missing")


@pytest.mark.parametrize("field", sorted(taken_apart().header))
def test_a_field_of_the_header_is_missing(field: str) -> None:
    parts = taken_apart()
    del parts.header[field]
    refuse(parts.built(), f"its header lacks '{field}'|names no version")


def test_a_digest_that_its_files_do_not_have() -> None:
    refuse(with_header(digest="0" * 64), "names the model's digest 0000000000000000…, and the files")


def test_another_coverage_of_the_digest() -> None:
    refuse(with_header(digest_covers="headers"), "and the files that it lists")


SPANS: dict[str, tuple[Callable[[np.ndarray], Any], str]] = {
    "overlapping": (lambda s: np.concatenate([[[s[0, 0], s[1, 0] + 1]], s[1:]]), "do not lie in order"),
    "out of order": (lambda s: s[::-1], "do not lie in order"),
    "backwards": (lambda s: s[:, ::-1], "do not lie in order"),
    "before the model": (lambda s: s - (1 << 40), "do not lie in order"),
    "behind the model": (lambda s: s + (1 << 40), "do not lie in order"),
    "empty span": (lambda s: np.concatenate([s[:1], [[s[0, 1], s[0, 1]]], s[1:]]), "do not lie in order"),
    "wrapping round": (
        lambda s: [[s[0, 0], np.iinfo(np.int64).max], [-2, 5], *s[2:]],
        "do not lie in order",
    ),
    "one too few": (lambda s: s[:-1], "its spans cover"),
    "none": (lambda s: s[:0], "its spans cover 0 bytes"),
    "odd": (lambda s: s.reshape(-1)[:-1], "expected pairs of 8-byte numbers"),
}


@pytest.mark.parametrize("wrong", SPANS)
def test_spans_that_do_not_fit(wrong: str) -> None:
    change, match = SPANS[wrong]
    refuse(with_spans(change), match)


def test_rows_that_do_not_fit_the_spans() -> None:
    parts = taken_apart()
    parts.blocks["rows"] = bytes_block(parts.blocks["rows"].data[:-2])
    refuse(parts.joined(), "its spans cover .* and it holds")


CATALOGS: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "no list": (lambda d: d.update(tensors={}), "lists no tensors"),
    "empty": (lambda d: d.update(tensors=[]), "lists no tensors"),
    "absent": (lambda d: d.pop("tensors"), "lists no tensors"),
    "not a row": (lambda d: d["tensors"].append("w"), r'holds "w"'),
    "short row": (lambda d: d["tensors"].append(["w", "F32"]), "expected \\[name, type, shape\\]"),
    "unknown type": (lambda d: d["tensors"].append(["w", "F7", [1]]), "expected \\[name, type, shape\\]"),
    "negative": (lambda d: d["tensors"].append(["w", "F32", [-1]]), "expected \\[name, type, shape\\]"),
    "fraction": (lambda d: d["tensors"].append(["w", "F32", [1.5]]), "expected \\[name, type, shape\\]"),
    "true": (lambda d: d["tensors"].append(["w", "F32", [True]]), "expected \\[name, type, shape\\]"),
    "huge side": (lambda d: d["tensors"].append(["w", "F32", [1 << 40]]), "expected \\[name, type, shape\\]"),
    "deep": (lambda d: d["tensors"].append(["w", "F32", [1 << 30] * 9]), "expected \\[name, type, shape\\]"),
    "huge": (lambda d: d["tensors"].append(["w", "F32", [1 << 39] * 2]), "more bytes than any model"),
    "twice": (lambda d: d["tensors"].append(d["tensors"][0]), "lists .* twice"),
    "configuration": (lambda d: d.update(config=[]), "configuration in its catalog is no object"),
    "shorter": (lambda d: d["tensors"].pop(), "do not lie in order|describes no model|no embedding|lack"),
}


@pytest.mark.parametrize("wrong", CATALOGS)
def test_a_catalog_that_is_none(wrong: str) -> None:
    change, match = CATALOGS[wrong]
    refuse(with_json("catalog", change), match)


@pytest.mark.parametrize("block", ["catalog", "tokens"])
@pytest.mark.parametrize("text", [b"", b"[]", b"{", b"\xff\xfe", b"[" * 100_000])
def test_a_block_that_is_no_json(block: str, text: bytes) -> None:
    parts = taken_apart()
    parts.blocks[block] = bytes_block(text)
    refuse(parts.joined(), "a block is not JSON|a block holds no object")


TOKENS: dict[str, Callable[[dict[str, Any]], None]] = {
    "no size": lambda d: d.pop("size"),
    "size of text": lambda d: d.update(size="many"),
    "no tokens": lambda d: d.pop("tokens"),
    "an object": lambda d: d.update(tokens={}),
    "row alone": lambda d: d["tokens"].append(3),
    "negative row": lambda d: d["tokens"].append(["new", -1]),
    "absurd row": lambda d: d["reserved"].append(["new", 1 << 70]),
    "true": lambda d: d["tokens"].append(["new", True]),
    "fraction": lambda d: d["tokens"].append(["new", 1.0]),
    "twice": lambda d: d["tokens"].append(d["tokens"][0]),
}


@pytest.mark.parametrize("wrong", TOKENS)
def test_tokens_that_are_none(wrong: str) -> None:
    refuse(with_json("tokens", TOKENS[wrong]), "block 'tokens'")


def test_rows_that_only_the_plan_claims_are_untested_not_guessed() -> None:
    """A plan that names more rows than are held: the parts that need them say so, and nothing breaks."""
    parts = taken_apart()
    parts.header["plan"]["units"] = 80
    models = [open_model(MemorySource({FILE: parts.built()}, name=name)) for name in ("a", "b")]
    found = compare(*models, bounds=False)
    reasons = {str(f.component): {r.code for r in f.reasons} for f in found.verdict.findings}
    assert "fingerprint_holds_rows" in reasons["text.mlp"]


def test_a_claim_of_enormous_matrices_allocates_nothing() -> None:
    def swell(document: dict[str, Any]) -> None:
        for row in document["tensors"]:
            if "lm_head" in row[0] or "embed_tokens" in row[0]:
                row[2][0] = 1 << 38
        document["config"]["vocab_size"] = 1 << 38

    parts = taken_apart(with_json("catalog", swell))
    tokens = json.loads(parts.blocks["tokens"].data) | {"size": None}
    parts.blocks["tokens"] = bytes_block(json.dumps(tokens).encode())
    data = parts.joined()
    models = [open_model(MemorySource({FILE: data}, name=name)) for name in ("a", "b")]
    found = compare(*models, bounds=False)
    reasons = {str(f.component): {r.code for r in f.reasons} for f in found.verdict.findings}
    assert reasons["text.embedding"] == {"fingerprint_holds_rows"}


def test_fingerprints_of_different_salts_share_no_rows() -> None:
    model = llama(np.random.default_rng(0), hidden_size=32, intermediate_size=80)
    made = [make_fingerprint(model.to_source(name=salt), salt=salt) for salt in ("one", "other")]
    sources = [MemorySource({FILE: one.data}, name=one.header.salt) for one in made]
    with pytest.raises(UsageError, match="fingerprints of different salts, which share no rows"):
        compare(sources[0], sources[1])


@pytest.mark.parametrize("salt", ["", "x" * 129, "a\ud800", "tab\t"])
def test_a_salt_that_no_header_can_hold(salt: str) -> None:
    with pytest.raises(UsageError, match="salt"):
        make_fingerprint(llama(np.random.default_rng(0)).to_source(), salt=salt)


def test_a_fingerprint_of_a_fingerprint() -> None:
    with pytest.raises(UsageError, match="is a fingerprint already"):
        make_fingerprint(MemorySource({FILE: good()}, name="tiny"))


def test_files_that_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no fingerprint there"):
        read_header(tmp_path / FILE)
    (tmp_path / FILE).mkdir()
    with pytest.raises(NotFoundError, match="a folder, and a fingerprint is a file"):
        check_fingerprint(tmp_path / FILE)
    empty = tmp_path / "empty.fingerprint.safetensors"
    empty.write_bytes(b"")
    with pytest.raises(FormatError, match=r"empty\.fingerprint\.safetensors"):
        read_header(empty)
    dangling = tmp_path / "dangling.fingerprint.safetensors"
    dangling.symlink_to(tmp_path / "nowhere")
    with pytest.raises(NotFoundError):
        read_header(dangling)


def test_a_link_leads_to_its_file(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(good())
    (tmp_path / FILE).symlink_to(tmp_path / "real")
    assert check_fingerprint(tmp_path / FILE).name == "tiny"


@settings(max_examples=60)
@given(data=st.data())
def test_no_damage_escapes_as_another_error(data: st.DataObject) -> None:
    made = bytearray(good())
    for _ in range(data.draw(st.integers(1, 4))):
        made[data.draw(st.integers(0, len(made) - 1))] = data.draw(st.integers(0, 255))
    try:
        header = check_fingerprint(bytes(made), where=FILE)
    except JokboError:
        return
    assert header.blocks == taken_apart().header["blocks"]  # only words about the model may have changed
