"""Texts, stores and paths that are damaged or hostile: one clear error with its place; nothing is run."""

from __future__ import annotations

import gzip
import json
import os
import sqlite3
import zipfile

import pytest

from jokbo.errors import FormatError
from jokbo.records.declaration import LogEntry
from jokbo.records.readers.base import MAX_LINE_BYTES
from jokbo.testing.log_reading import read_bytes, read_folder, record_of


def refuse(name, data, match, **entry):
    with pytest.raises(FormatError, match=match) as caught:
        read_bytes(name, data, **entry)
    message = str(caught.value)
    assert name in message
    assert len(message) < 600


DEEP = 1_000_000


def test_json_a_million_deep(tmp_path):
    refuse(
        "log.jsonl", '{"a":' * 200_000 + "1" + "}" * 200_000 + "\n", "line 1: (longer than|nested too deep)"
    )
    refuse("log.jsonl", '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}\n", "line 1: nested too deep")
    refuse("trainer_state.json", '{"log_history": [' + "[" * DEEP + "]" * DEEP + "]}", "nested too deep")
    refuse("trainer_state.json", '{"x": ' + '{"a":' * DEEP + "1" + "}" * DEEP + "}", "nested too deep")


def test_json_lines_that_are_none():
    refuse("log.jsonl", '{"step": 1}\n{"step": \n{"step": 3}\n', "line 2: not JSON")
    refuse("log.jsonl", '{"step": 1}\n[1, 2]\n', "line 2: a list")
    refuse("log.jsonl", "[1, 2]\n", "line 1: begins with")
    refuse(
        "log.jsonl",
        '{"step": 1, "a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": {"i": 1}}}}}}}}}\n',
        "nested deeper than 8",
    )
    refuse("log.jsonl", '{"step": 1, "a": {"b": 1}, "a/b": 2}\n', "two values are called 'a/b'")


def test_an_unfinished_last_line_is_left_out_and_said():
    log = read_bytes("log.jsonl", '{"step": 1, "loss": 2.0}\n{"step": 2, "lo')
    assert log.steps.tolist() == [1]
    assert [reason.code for reason in log.faults] == ["cut_end"]
    log = read_bytes("log.csv", "step,loss\n1,2.0\n2")
    assert log.steps.tolist() == [1]
    assert [reason.code for reason in log.faults] == ["cut_end"]


def test_tables_that_are_none():
    refuse("log.csv", "", "line 1: expected a header")
    refuse("log.csv", "1,2\n3,4\n", "line 1: expected a header")
    refuse("log.csv", "step,loss,loss\n1,2,3\n", "column 'loss' is there twice")
    refuse("log.csv", "step,loss\n1,2.0\n2\n3,1.0\n", "line 3: 1 cells; the header names 2")
    refuse("log.csv", "step,loss\n1,2.0,3.0\n", "line 2: 3 cells")
    refuse("log.csv", 'step,loss\n1,"2\n3"\n', "a cell holds a line end")
    refuse("log.csv", 'step,loss\n1,"2"x\n', "line 2: .*expected values")
    refuse("log.csv", ",".join(f"c{k}" for k in range(5000)) + "\n", "5,000 columns")
    refuse("log.csv", b"step,loss\n1,\xff\n", "line 2: not UTF-8 at byte 2")
    refuse("log.csv", "step,loss\n1,2.0\n".encode("utf-16"), "UTF-16")
    refuse("log.csv", b"step,loss\n1,\0\n", "line 2: holds a zero byte")


def test_digits_that_float_would_take_and_a_table_does_not_hold():
    log = read_bytes("log.csv", "step,loss\n1,1_000\n2,１\n3,2.0\n")
    assert log.series("loss").values.tolist() == [2.0]
    assert [reason.code for reason in log.faults] == ["not_number", "not_number"]


@pytest.mark.parametrize("name", ["log.csv", "train.log"])
def test_a_line_without_end(name):
    refuse(
        name,
        "x" * (MAX_LINE_BYTES + 2),
        "line 1: longer than 1,048,576",
        format="megatron" if name == "train.log" else "tabular",
    )


@pytest.mark.parametrize(
    "format", ["auto", "tabular", "console", "megatron", "wandb_offline", "trainer_state"]
)
def test_archives_are_not_unpacked(format, tmp_path):
    bomb = gzip.compress(bytes(4 << 20))
    refuse("log.csv", bomb, r"offset 0: compressed \(gzip\)", format=format)
    with zipfile.ZipFile(tmp_path / "log.zip", "w") as archive:
        archive.writestr("log.csv", "step,loss\n")
    refuse("log.zip", (tmp_path / "log.zip").read_bytes(), r"compressed \(zip\)", format=format)


def test_a_log_of_no_known_format():
    refuse("log.bin", b"\x00\x01\x02", "its format is not recognised")
    refuse("log.txt", "hello\n", "its format is not recognised")
    refuse("log.csv", "step\n1\n", "no reader is called 'excel'", format="excel")


# trainer_state.json


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "the file ends too early"),
        ("[]", "'\\[' where '{' belongs"),
        ('{"log_history": [{"step": 1}', "the file ends too early"),
        ('{"log_history": [{"step": 1} {"step": 2}]}', "where ',' belongs"),
        ('{"log_history": [1]}', "a row of log_history is a int"),
        ('{"log_history": 5}', "no list 'log_history'"),
        ('{"global_step": 5}', "no list 'log_history'"),
        ('{"log_history": [], "log_history": []}', "second time"),
        ('{"log_history": []} more', "text after the end"),
        ('{"log_history": [{"step": 1, }]}', "not JSON"),
        ('{"log_history": [{"step": 1}, {"a": 1' + "0" * 5000 + "}]}", "not JSON"),
        (b'{"log_history": [{"\xff": 1}]}', "not UTF-8"),
    ],
)
def test_trainer_states_that_are_none(text, match):
    refuse("trainer_state.json", text, match)


# Patterns


def test_a_pattern_that_takes_for_ever_is_stopped(monkeypatch):
    from jokbo.records.readers import console

    monkeypatch.setattr(console, "CPU_SECONDS", 1)
    refuse("out.log", "a" * 60 + "!\n", "still searching after 1 seconds", pattern=r"(?P<step>(a+)+)$")


@pytest.mark.parametrize(
    ("pattern", "match"),
    [
        ("(", "no regular expression"),
        ("step", "names no group"),
        ("(?P<a>x)" * 200, "at most 1,000"),
        ("(?P<step>" + "(" * 400, "no regular"),
    ],
)
def test_patterns_that_cannot_be_used(pattern, match):
    refuse("out.log", "step 1\n", match, pattern=pattern)


def test_a_pattern_that_matches_nothing_or_is_for_another_format():
    refuse("out.log", "hello\n", "none of its 1 lines matches the declared pattern", pattern="(?P<step>x)")
    refuse("out.csv", "step\n1\n", "only 'console' takes one", pattern="(?P<step>x)", format="tabular")


def test_a_module_in_the_working_folder_does_not_run(tmp_path, monkeypatch):
    (tmp_path / "json.py").write_text("open('ran', 'w')\n")
    (tmp_path / "out.log").write_text("step 1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert read_folder(tmp_path, LogEntry("out.log", pattern="step (?P<step>[0-9]+)")).steps.tolist() == [1]
    assert not (tmp_path / "ran").exists()


# MLflow


def store(tmp_path, *statements):
    path = tmp_path / "mlflow.db"
    with sqlite3.connect(path) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()
    return path.read_bytes()


TABLE = "CREATE TABLE metrics (key TEXT, value REAL, timestamp INTEGER, run_uuid TEXT, step INTEGER, is_nan INTEGER)"


@pytest.mark.parametrize(
    ("statements", "match"),
    [
        (("CREATE TABLE other (a)",), "without MLflow's table"),
        (("CREATE TABLE metrics (key, value)",), "without MLflow's table"),
        ((TABLE.replace("metrics", "m"), "CREATE VIEW metrics AS SELECT * FROM m"), "without MLflow's table"),
        ((TABLE[:-1] + ", made TEXT AS (hex(key)))",), "without MLflow's table"),
        ((TABLE, "INSERT INTO metrics VALUES ('a', 1.0, 1, 'r', 'x', 0)"), "values of other types"),
        ((TABLE, "INSERT INTO metrics VALUES (x'00', 1.0, 1, 'r', 1, 0)"), "values of other types"),
    ],
)  # fmt: skip
def test_sqlite_files_that_are_no_store(tmp_path, statements, match):
    refuse("mlflow.db", store(tmp_path, *statements), match)


def test_a_store_cut_or_spoiled(tmp_path):
    rows = [TABLE, *(f"INSERT INTO metrics VALUES ('loss', {k}, {k}, 'r', {k}, 0)" for k in range(500))]
    data = store(tmp_path, *rows)
    assert read_bytes("mlflow.db", data).n_rows == 500
    refuse("mlflow.db", data[:5000], "damaged")
    refuse("mlflow.db", data[:4096] + b"\xff" * 4096 + data[8192:], "damaged")


def test_metric_files_that_are_none():
    refuse(
        "run/metrics/loss",
        "1700000000000 1.0 1\n1700000000000 one 1\n",
        "line 2: .*expected 'milliseconds value step'",
    )


# Paths


def test_links_and_paths_out_of_the_pack_are_not_followed(tmp_path):
    pack = tmp_path / "pack"
    pack.mkdir()
    (tmp_path / "secret.csv").write_text("step,loss\n1,2.0\n")
    os.symlink(tmp_path / "secret.csv", pack / "log.csv")
    with pytest.raises(FormatError, match=r"'log\.csv' is a link, or leads out of the pack"):
        read_folder(pack, "log.csv")
    record = record_of(pack, "../secret.csv")
    with pytest.raises(FormatError, match="manifest names no such file"):
        _ = record.log
    record.files["../secret.csv"] = record.files["log.csv"]
    with pytest.raises(FormatError, match="leads out of the pack"):
        _ = record.log
    secret = str(tmp_path / "secret.csv")
    record = record_of(pack, secret)
    record.files[secret] = record.files["log.csv"]
    with pytest.raises(FormatError, match="leads out of the pack"):
        _ = record.log
    os.symlink(tmp_path, pack / "folder")
    record = record_of(pack, "folder")
    record.files["folder/secret.csv"] = record.files["log.csv"]
    with pytest.raises(FormatError, match="leads out of the pack"):
        _ = record.log


def test_a_file_that_is_gone(tmp_path):
    (tmp_path / "log.csv").write_text("step,loss\n1,2.0\n")
    record = record_of(tmp_path, "log.csv")
    (tmp_path / "log.csv").unlink()
    with pytest.raises(FormatError, match="named by the manifest and is not there"):
        _ = record.log


def test_pickles_beside_a_trainer_state_are_not_opened(tmp_path):
    (tmp_path / "training_args.bin").write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")
    (tmp_path / "trainer_state.json").write_text(json.dumps({"log_history": [{"step": 1, "loss": 2.0}]}))
    assert read_folder(tmp_path, ".").series("loss").values.tolist() == [2.0]


@pytest.mark.parametrize("value", [1e308, 5e-324])
def test_numbers_whose_squares_no_float_holds(tmp_path, value):
    rows = "\n".join(
        json.dumps({"step": step, "loss": value, "learning_rate": 1e-3}) for step in range(1, 40)
    )
    (tmp_path / "log.jsonl").write_text(rows)
    with pytest.raises(FormatError, match="largest loss is"):
        read_folder(tmp_path, "log.jsonl")
