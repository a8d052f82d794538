"""Logs that are damaged or hostile: one clear error with its place; nothing is unpacked, followed or run."""

from __future__ import annotations

import struct
import zlib

import pytest

from jokbo.errors import FormatError
from jokbo.testing import logs
from jokbo.testing.log_reading import read_bytes

WANDB = logs.wandb_file([{"_step": k, "loss": 1.0} for k in range(3)])
EVENTS = "events.out.tfevents.1"


def refuse(name, data, match, **entry):
    with pytest.raises(FormatError, match=match) as caught:
        read_bytes(name, data, **entry)
    message = str(caught.value)
    assert name in message
    assert len(message) < 600


def item(name: str, value: str) -> bytes:
    """A record of a row with one item."""
    return logs.field(2, logs.field(1, logs.field(2, name) + logs.field(16, value)))


def fragment(body: bytes, kind: int = 1, *, checksum: int | None = None, length: int | None = None) -> bytes:
    own = zlib.crc32(bytes([kind]) + body) if checksum is None else checksum
    return struct.pack("<IHB", own, len(body) if length is None else length, kind) + body


# W&B run files


def test_wandb_empty():
    refuse("run.wandb", b"", "run.wandb: empty")


@pytest.mark.parametrize("head", [b":W&B\xe1\xbe\x01", b":W&B\x00\x00\x00", b"\x80\x04\x95abcd", b":W&"])
def test_wandb_of_another_version_or_kind(head):
    refuse("run.wandb", head + WANDB[7:], "offset 0: begins with")


def test_wandb_checksum_that_lies():
    refuse(
        "run.wandb",
        logs.WANDB_HEADER + fragment(b"\x08\x01", checksum=1) + fragment(b""),
        "offset 7: the checksum",
    )


def test_wandb_fragment_longer_than_its_block():
    refuse(
        "run.wandb",
        logs.WANDB_HEADER + fragment(b"\x08\x01", length=40_000),
        "offset 7: a fragment of type 1 and 40,000",
    )


@pytest.mark.parametrize("kind", [0, 5, 255])
def test_wandb_fragment_of_no_known_type(kind):
    refuse("run.wandb", logs.WANDB_HEADER + fragment(b"\x08\x01", kind), f"a fragment of type {kind}")


@pytest.mark.parametrize("kinds", [(3,), (4,), (2, 2), (2, 1)])
def test_wandb_fragments_out_of_order(kinds):
    data = logs.WANDB_HEADER + b"".join(fragment(b"\x08\x01", kind) for kind in kinds)
    refuse("run.wandb", data, "out of order")


def test_wandb_bytes_between_blocks():
    body = logs.field(3, b"x" * (logs.BLOCK - 7 - 7 - 4 - 3))
    data = logs.WANDB_HEADER + fragment(body)
    rest = logs.BLOCK - len(data)
    assert 0 < rest < 7
    assert read_bytes("run.wandb", data + bytes(rest) + fragment(b"")).n_rows == 0
    refuse("run.wandb", data + b"\1" * rest + fragment(b""), "other than zero between blocks")


def test_wandb_cut_in_the_middle_is_damage_and_at_the_end_a_run_that_was_stopped():
    stopped = read_bytes("run.wandb", WANDB[:-5])
    assert [reason.code for reason in stopped.faults] == ["cut_end"]
    assert stopped.n_rows == 3
    third = WANDB.index(b"loss") + 8
    refuse("run.wandb", WANDB[:third] + WANDB[third + 5 :], r"offset \d+: (the checksum|a fragment)")


def test_wandb_filled_up_with_zeros_was_stopped():
    log = read_bytes("run.wandb", WANDB + bytes(5000))
    assert [reason.code for reason in log.faults] == ["cut_end"]
    refuse("run.wandb", WANDB + bytes(5000) + fragment(b""), "a fragment of type 0")


def test_wandb_length_past_the_end_over_sound_fragments():
    spoiled = bytearray(WANDB)
    spoiled[7 + 5] |= 0x70  # the first fragment now claims what the file does not have
    refuse("run.wandb", bytes(spoiled), "runs past the end of the file, over sound ones")


@pytest.mark.parametrize(
    ("record", "match"),
    [
        (b"\x12\xff\x01", "claims 255 bytes, more than"),
        (b"\x10\x01", "field 2 has wire type 0"),
        (b"\x13", "wire type 3"),
        (b"\x00\x01", "field 0"),
        (b"\x08" + b"\xff" * 11, "longer than ten bytes"),
        (b"\x08\xff", "runs past the end"),
        (logs.field(2, logs.field(1, logs.field(16, "1"))), "a history item with 0 keys"),
        (item("a", "{"), "not JSON"),
        (logs.field(2, 2 * logs.field(1, logs.field(2, "a") + logs.field(16, "1"))), "names 'a' twice"),
        (item("n" * 5000, "1"), "a name of"),
        (item("a", "[" * 4000), "too deep"),
        (item("a", '{"a":' * 20 + "1" + "}" * 20), "nested deeper"),
        (logs.wandb_history({f"m{k}": 1 for k in range(4097)}), "4,096 metrics"),
        (logs.field(17, b"\x0a\x7f"), "claims 127 bytes"),
    ],
)  # fmt: skip
def test_wandb_malformed_records(record, match):
    refuse("run.wandb", logs.blocks([logs.wandb_run(), record]), rf"record at offset [\d,]+: .*{match}")


def test_wandb_a_message_of_too_many_fields():
    refuse("run.wandb", logs.blocks([b"\x08\x01" * 40_000]), "more than 16,384 fields")


def test_wandb_many_descriptions_of_the_run():
    refuse("run.wandb", logs.blocks([logs.wandb_run()] * 1001), "more than 1,000 records that describe")


# TensorBoard event files


def event(body: bytes = b"\x10\x01") -> bytes:
    return logs.event_file([body])


def test_events_checksum_of_a_length_that_lies():
    data = bytearray(event())
    data[8] ^= 1
    refuse(EVENTS, bytes(data), "offset 0: the checksum of the record's length")


def test_events_checksum_of_a_record_that_lies():
    data = bytearray(event())
    data[-1] ^= 1
    refuse(EVENTS, bytes(data), r"offset \d+: the checksum of the record's 2 bytes")


def test_events_absurd_length_with_a_sound_checksum():
    length = struct.pack("<Q", 1 << 40)
    refuse(
        EVENTS, length + struct.pack("<I", logs.masked_crc32c(length)), "a record of 1,099,511,627,776 bytes"
    )


@pytest.mark.parametrize(
    "body",
    [b"\x2a\x05\x0a", logs.field(5, b"\x0a\x7f"), logs.field(5, logs.field(1, b"\x0a\x7f")), b"\x0a\x00"],
)
def test_events_that_are_no_events(body):
    refuse(EVENTS, event(body), r"record at offset \d+: .*expected an event")
