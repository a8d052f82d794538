"""A register's index that somebody else made: SQLite keeps any type in any column, and each is a sentence."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from jokbo.errors import FormatError
from jokbo.lineage.fingerprint import make_fingerprint
from jokbo.lineage.register import open_register
from jokbo.lineage.register.database import COLUMNS, FILE
from jokbo.testing.builders import llama


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    register = open_register(tmp_path_factory.mktemp("register"), create=True)
    register.add(make_fingerprint(llama(np.random.default_rng(0)).to_source(name="model")))
    return register.folder / FILE


def edited(index: Path, tmp_path: Path, column: str, value: object) -> Path:
    folder = tmp_path / "register"
    folder.mkdir()
    (folder / FILE).write_bytes(index.read_bytes())
    with sqlite3.connect(folder / FILE) as connection:
        connection.execute(f'UPDATE entries SET "{column}" = ?', (value,))
    connection.close()
    return folder


@pytest.mark.parametrize("column", COLUMNS)
def test_bytes_in_any_column_are_refused(index: Path, tmp_path: Path, column: str) -> None:
    register = open_register(edited(index, tmp_path, column, b"\xff"))
    with pytest.raises(FormatError, match=r"the index (says|holds)"):
        register.entries()


@pytest.mark.parametrize(
    ("column", "value"),
    [("size", -1), ("parameters", "many"), ("hidden_size", 1.5), ("parents", '["a", 1]'), ("parents", "3")],
)
def test_values_that_nothing_entered_are_refused(
    index: Path, tmp_path: Path, column: str, value: object
) -> None:
    with pytest.raises(FormatError, match="Take it from a backup"):
        open_register(edited(index, tmp_path, column, value)).entries()


@pytest.mark.parametrize(
    ("column", "value"), [("sketch_start", -1), ("sketch_start", "x"), ("sketch_bytes", 1 << 50)]
)
def test_a_sketch_lies_somewhere(index: Path, tmp_path: Path, column: str, value: object) -> None:
    with pytest.raises(FormatError, match="where the sketch of"):
        list(open_register(edited(index, tmp_path, column, value)).sketches())
