"""CSV files of a board: read back they are the board's numbers, and no cell is a formula."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from league_boards import BOARDS, HOSTILE, hostile, plain

from jokbo.report.league.inputs_page import SHEETS
from jokbo.report.league.sheets import cell, sheets


def read(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode("utf-8"), newline="")))


@pytest.mark.parametrize("name", BOARDS)
def test_there_is_a_file_a_subject_and_every_row_is_whole(name: str):
    found = sheets(BOARDS[name]())
    assert set(found) == {f"csv/{sheet}.csv" for sheet in SHEETS}
    for path, data in found.items():
        rows = list(csv.reader(io.StringIO(data.decode("utf-8"), newline="")))
        assert len({len(row) for row in rows}) == 1, path


def test_results_are_those_of_the_board():
    board = plain()
    rows = read(sheets(board)["csv/results.csv"])
    assert len(rows) == sum(len(event["results"]) for event in board["events"])
    first = board["events"][0]["results"][0]
    assert float(rows[0]["score"]) == first["score"]
    assert float(rows[0]["naive_error"]) == first["naive_error"]
    late = next(row for row in rows if row["event"] == "speed" and row["team"] == "donghae")
    assert (late["status"], late["value"], late["score"]) == ("did_not_finish", "", "")


def test_tables_pairs_items_raters_and_universes_are_all_there():
    board = plain()
    found = {path: read(data) for path, data in sheets(board).items()}
    assert {row["table"] for row in found["csv/table.csv"]} == {"eligible", "all"}
    assert len(found["csv/pairs.csv"]) == 20
    assert len(found["csv/items.csv"]) == 24 * 5
    assert len(found["csv/panel.csv"]) == 50
    assert len(found["csv/multiverse.csv"]) == len(board["multiverse"]["universes"])
    assert found["csv/inputs.csv"][4]["public"] == "no"


def test_foreign_text_is_kept_whole_and_computes_nothing():
    board = hostile()
    for event in board["events"]:
        if event["panel"] is not None:
            event["panel"]["rows"][0]["rater"] = '=HYPERLINK("x","y")\n'
    rows = read(sheets(board)["csv/panel.csv"])
    assert rows[0]["rater"] == '\'=HYPERLINK("x","y")\n'
    assert rows[1]["rater"] == HOSTILE


@given(st.text())
def test_no_text_begins_as_a_formula_does(text: str):
    assert not cell(text).startswith(("=", "+", "-", "@", "\t", "\r"))
    assert cell(text) in (text.replace("\x00", "\ufffd"), "'" + text.replace("\x00", "\ufffd"))


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_read_back_exactly(value: float):
    assert float(cell(value)) == value
