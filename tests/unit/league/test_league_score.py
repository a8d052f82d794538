"""A round scored from its files: what the board says, and that it follows from the files alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jokbo.errors import EvidenceError, FormatError
from jokbo.league.freeze import freeze
from jokbo.league.round_file import read_round
from jokbo.league.score import score_files
from league_rounds import TEAMS, write_round

FLAT = (0.6, 0.6, 0.6, 0.6, 0.6)


def rows(board: dict, table: str = "all") -> dict[str, dict]:
    return {row["team"]: row for row in board["tables"][table]["rows"]}


def test_a_far_last_is_resolved(tmp_path: Path):
    board = score_files(*write_round(tmp_path)).board
    assert board["decision"]["resolved"]
    assert board["decision"]["eliminated"] == [{"team": "eun", "cause": "score"}]
    assert board["decision"]["steps"] == []
    last = rows(board)["eun"]
    assert (last["place"], last["best_rank"], last["worst_rank"]) == (5, 5, 5)
    assert last["last_probability"] == 1.0


def test_equal_teams_go_by_the_tie_rule(tmp_path: Path):
    board = score_files(*write_round(tmp_path, ability=FLAT)).board
    decision = board["decision"]
    assert not decision["resolved"]
    assert len(decision["candidates"]) > 1
    assert decision["steps"][0]["by"] == "category"
    assert [out["cause"] for out in decision["eliminated"]] == ["tie_rule"]


def test_the_same_files_give_the_same_bytes(tmp_path: Path):
    first = score_files(*write_round(tmp_path / "a"))
    second = score_files(*write_round(tmp_path / "b"))
    assert first.to_json() == second.to_json()
    other = score_files(*write_round(tmp_path / "c", seed=2))
    assert first.to_json() != other.to_json()


def test_a_team_less_changes_nobody_s_score(tmp_path: Path):
    """Anchors are fixed, and draws belong to events: only ranks know who else takes part."""
    whole = score_files(*write_round(tmp_path / "a")).board
    round_file, results = write_round(tmp_path / "b")
    text = round_file.read_text()
    line = next(line for line in text.splitlines() if "id: eun" in line)
    round_file.write_text(text.replace(line + "\n", ""))
    kept = [line for line in results.read_text().splitlines() if "eun" not in line]
    results.write_text("\n".join(kept) + "\n")
    for table in ("expert.csv", "speed.csv"):
        file = round_file.parent / table
        file.write_text("".join(x for x in file.read_text().splitlines(True) if "eun" not in x))
    part = score_files(round_file, results).board
    for team in TEAMS[:4]:
        assert rows(part)[team]["score"] == rows(whole)[team]["score"]
        assert rows(part)[team]["error"] == rows(whole)[team]["error"]


def test_without_categories_there_is_no_total(tmp_path: Path):
    rules = {
        "categories:\n": "",
        "  - {id: benchmark, title: {en: Benchmark, ko: 벤치마크}, points: 60}\n": "",
        "  - {id: expert, title: {en: Experts, ko: 전문가}, points: 40}\n": "",
        "    category: benchmark\n": "",
        "    category: expert\n": "",
        "by: category, of: expert": "by: axis, of: absolute",
    }
    board = score_files(*write_round(tmp_path, by="absolute", rules=rules)).board
    assert board["categories"] == []
    assert board["tables"]["all"]["by"] == "absolute"
    assert board["decision"]["eliminated"] == [{"team": "eun", "cause": "score"}]


def test_by_range_a_team_below_its_floor_goes(tmp_path: Path):
    board = score_files(*write_round(tmp_path, by="range", ability=(0.7, 0.6, 0.6, 0.55, 0.1))).board
    last = rows(board)["eun"]
    assert (last["score"], last["low"], last["high"], last["best_rank"]) == (0, 0, 0, 5)
    assert rows(board)["ara"]["worst_rank"] == 4  # four finished the one event: nothing parts them
    assert board["decision"]["eliminated"] == [{"team": "eun", "cause": "score"}]
    assert board["multiverse"] is None


def test_hidden_rows_are_in_no_board_and_no_public_input(tmp_path: Path):
    shown = score_files(*write_round(tmp_path / "a", show="yes"))
    hidden = score_files(*write_round(tmp_path / "b", show="no"))
    assert shown.board["events"][0]["items"]["total"] == 200
    assert hidden.board["events"][0]["items"] is None
    assert "q0-0" in shown.to_json().decode()
    assert "q0-0" not in hidden.to_json().decode()
    assert {file.public for file, _ in hidden.inputs if file.role == "results"} == {False}


def test_a_race_nobody_finished_counts_the_floor_and_says_so(tmp_path: Path):
    round_file, results = write_round(tmp_path)
    table = tmp_path / "speed.csv"
    lines = [
        line.rsplit(",", 2)[0] + ",,no" if line.startswith("dal") else line
        for line in table.read_text().splitlines()
    ]
    table.write_text("\n".join(lines) + "\n")
    board = score_files(round_file, results).board
    row = next(row for row in board["events"][2]["results"] if row["team"] == "dal")
    assert (row["status"], row["value"], row["score"]) == ("did_not_finish", None, 0.0)
    assert board["axes"]["efficiency"]["fronts"][0]["did_not_finish"] == ["dal"]


def test_a_round_changed_after_freezing_is_not_scored(tmp_path: Path):
    round_file, results = write_round(tmp_path)
    frozen = tmp_path / "round.frozen.json"
    frozen.write_bytes(freeze(read_round(round_file)).to_bytes())
    assert score_files(round_file, results, frozen=frozen).board["round"]["frozen"]["keyid"] is None
    round_file.write_text(round_file.read_text().replace("points: 60", "points: 50"))
    with pytest.raises(EvidenceError, match="categories/benchmark/points"):
        score_files(round_file, results, frozen=frozen)


def test_results_of_other_rules_are_refused(tmp_path: Path):
    round_file, results = write_round(tmp_path)
    results.write_text(results.read_text().replace("round: r1\n", f"round: r1\nfrozen: {'0' * 64}\n"))
    with pytest.raises(EvidenceError, match=r"results\.yaml belongs to a round with the digest 0000"):
        score_files(round_file, results)


def test_a_missing_item_names_team_file_and_item(tmp_path: Path):
    round_file, results = write_round(tmp_path)
    file = tmp_path / "runs/cho/exam.csv"
    file.write_text("".join(x for x in file.read_text().splitlines(True) if not x.startswith("q3-2,")))
    with pytest.raises(FormatError, match=r"cho.*q3-2"):
        score_files(round_file, results)


def test_a_board_is_canonical_json_without_infinities(tmp_path: Path):
    data = score_files(*write_round(tmp_path)).to_json()
    assert json.loads(data, parse_constant=lambda name: pytest.fail(name))["schema"] == "jokbo.board/1"
