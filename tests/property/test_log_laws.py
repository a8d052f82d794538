"""Laws of binary logs: what was written is read, a cut gives a beginning, no flipped bit changes a number."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jokbo.errors import FormatError
from jokbo.records.readers.crc32c import crc32c, masked
from jokbo.records.readers.spans import SpanTable
from jokbo.records.readers.wire import FEW, WireError, fields_of, pack_bytes, walk
from jokbo.testing import logs
from jokbo.testing.log_reading import read_bytes

NAMES = st.sampled_from(["train/loss", "lr", "grad_norm", "a", "Größe", "x" * 40])
# Losses and rates beyond 1e30 and below its inverse are refused: a test of malformed logs has those.
NUMBERS = st.floats(-1e29, 1e29).filter(lambda value: value == 0 or abs(value) > 1e-29)
ROWS = st.lists(st.dictionaries(NAMES, NUMBERS, min_size=1), min_size=1, max_size=12)
EVENTS = "events.out.tfevents.1"


def cells(log):
    """Every cell of a log by row and name."""
    found = {}
    for name, column in log.columns.items():
        rows = range(log.n_rows) if column.rows is None else column.rows.tolist()
        found |= {(row, name): value for row, value in zip(rows, column.values.tolist(), strict=True)}
    return found


def meaning(log):
    return log.steps.tolist(), [repr(t) for t in log.times], cells(log), log.segments


STANDARD = {"train/loss": "loss", "lr": "learning_rate", "grad_norm": "gradient_norm"}


@given(ROWS)
@settings(max_examples=30)
def test_wandb_round_trip(rows):
    data = logs.wandb_file([{"_step": k, **row} for k, row in enumerate(rows)])
    log = read_bytes("run.wandb", data)
    assert log.steps.tolist() == list(range(len(rows)))
    expected = {
        (k, STANDARD.get(name, name)): value for k, row in enumerate(rows) for name, value in row.items()
    }
    assert cells(log) == expected


@given(ROWS)
@settings(max_examples=30)
def test_tensorboard_round_trip(rows):
    events = [
        logs.scalar_event(1.7e9 + k, k, name, float(np.float32(np.clip(value, -1e30, 1e30))))
        for k, row in enumerate(rows)
        for name, value in row.items()
    ]
    log = read_bytes(EVENTS, logs.event_file(events))
    expected = {
        (k, STANDARD.get(name, name)): float(np.float32(np.clip(value, -1e30, 1e30)))
        for k, row in enumerate(rows)
        for name, value in row.items()
    }
    assert cells(log) == expected
    assert log.steps.tolist() == list(range(len(rows)))


WANDB = logs.wandb_file(
    [{"_step": k, "loss": 1.0 / (k + 1), "lr": 0.5, "_timestamp": 1.7e9 + k} for k in range(3)]
)
TENSORBOARD = logs.event_file([logs.scalar_event(1.7e9 + k, k, "loss", 1.0 / (k + 1)) for k in range(3)])
FILES = [pytest.param("run.wandb", WANDB, id="wandb"), pytest.param(EVENTS, TENSORBOARD, id="tensorboard")]


def is_beginning(part, whole):
    """Whether a log has the first rows of another, unchanged."""
    n = part.n_rows
    rest = {key: value for key, value in cells(whole).items() if key[0] < n}
    return part.steps.tolist() == whole.steps[:n].tolist() and cells(part) == rest


@pytest.mark.parametrize(("name", "data"), FILES)
def test_a_file_cut_anywhere_gives_its_beginning_and_says_so(name, data):
    whole = read_bytes(name, data)
    seen = set()
    for length in range(16 if name == EVENTS else 7, len(data) + 1):
        part = read_bytes(name, data[:length])
        assert is_beginning(part, whole)
        seen.add(part.n_rows)
        said = [reason.code for reason in part.faults]
        assert set(said) <= {"cut_end"}
        assert part.n_rows == whole.n_rows or said or read_bytes(name, data[: length + 1]).n_faults
    assert seen == set(range(whole.n_rows + 1))


@pytest.mark.parametrize(("name", "data"), FILES)
def test_a_flipped_bit_is_an_error_or_changes_nothing(name, data):
    """At the end of a file a flipped length may look as if the writer had been stopped: then it is said."""
    whole = read_bytes(name, data)
    refused = 0
    for place in range(len(data)):
        spoiled = bytearray(data)
        spoiled[place] ^= 1 << (place % 8)
        try:
            log = read_bytes(
                name, bytes(spoiled), format="wandb_offline" if name == "run.wandb" else "tensorboard"
            )
        except FormatError:
            refused += 1
            continue
        assert meaning(log) == meaning(whole) or (
            is_beginning(log, whole) and [reason.code for reason in log.faults] == ["cut_end"]
        )
    assert refused > 0.95 * len(data)


@given(st.binary(max_size=200))
@settings(max_examples=100)
def test_any_bytes_are_fields_or_an_error(data):
    try:
        found = fields_of(data, (1, 2, 3))
    except WireError:
        return
    assert all(
        len(value) <= len(data) for values in found.values() for value in values if isinstance(value, bytes)
    )


@given(
    st.lists(
        st.tuples(st.integers(1, 2**28), st.integers(0, 2**64 - 1) | st.binary(max_size=300)), max_size=20
    )
)
@settings(max_examples=100)
def test_fields_are_found_as_they_were_written(pairs):
    data = b"".join(logs.field(number, value) for number, value in pairs)
    assert len(walk(pack_bytes(data), np.array([0]), np.array([len(data)]), range(1, 6))) == sum(
        n < 6 for n, _ in pairs
    )
    expected = {}
    for number, value in pairs:
        expected.setdefault(number, []).append(value)
    if pairs and max(expected) < 1 << 20:
        assert fields_of(data, set(expected)) == expected


MESSAGES = st.lists(
    st.lists(st.tuples(st.integers(1, 5), st.integers(0, 2**64 - 1) | st.binary(max_size=200) | NUMBERS), max_size=4)
    .map(lambda pairs: b"".join(logs.field(number, value) for number, value in pairs))
    | st.binary(max_size=12),
    min_size=1,
    max_size=8,
)  # fmt: skip


def walked(texts):
    """Fields of messages, each with where it lies in its own message; or what is wrong."""
    stops = np.cumsum([0, *map(len, texts)])
    try:
        found = walk(pack_bytes(b"".join(texts)), stops[:-1], stops[1:], (1, 2, 3))
    except WireError as error:
        return str(error)
    begin = stops[found.message]
    places = (found.message, found.number, found.wire, found.value, found.start - begin, found.stop - begin)
    return list(zip(*(place.tolist() for place in places), strict=True))


@given(MESSAGES)
@settings(max_examples=60)
def test_many_messages_together_are_as_each_alone(texts):
    alone = [walked([text]) for text in texts]
    together = walked(texts * (FEW + 1))
    if any(isinstance(found, str) for found in alone):
        assert isinstance(together, str)
        return
    expected = [(k, *field[1:]) for k in range(len(texts) * (FEW + 1)) for field in alone[k % len(texts)]]
    assert together == expected


@given(st.lists(st.binary(max_size=5000), max_size=8))
@settings(max_examples=50)
def test_checksums_of_many_at_once_are_those_of_each(texts):
    data = np.frombuffer(b"".join(texts) + bytes(16), dtype=np.uint8)
    stops = np.cumsum([0, *map(len, texts)])
    sums = masked(crc32c(data, stops[:-1], stops[1:]))
    assert sums.tolist() == [logs.masked_crc32c(text) for text in texts]


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=60))
@settings(max_examples=100)
def test_equal_names_have_equal_numbers(names):
    table = SpanTable(max_texts=100)
    stops = np.cumsum([0, *map(len, names)])
    numbers = table.numbers(pack_bytes(b"".join(names)), stops[:-1], stops[1:])
    assert [table.texts[k] for k in numbers] == names
    assert len(table.texts) == len(set(names))
