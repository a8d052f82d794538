"""The demo season: its committed results are scored without PyTorch, and say what they were found to say."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from jokbo.errors import FormatError
from jokbo.evidence.canonical import canonical_bytes
from jokbo.league.check import check_bundle
from jokbo.league.score import score_files
from jokbo.league.season import state_at
from jokbo.league.season_file import read_season
from jokbo.report.league.site import site_files

ROOT = Path(__file__).resolve().parents[2]
SEASON = ROOT / "zoo" / "league" / "season"
# A module that is None in sys.modules cannot be imported: whoever tries fails.
WITHOUT_TORCH = """
import sys
sys.modules.update(torch=None, transformers=None)
from benchmarks.league_demo import main
sys.argv = ["league_demo", "--output", {output!r}]
sys.exit(main())
"""


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make league-demo` writes."""
    folder = tmp_path_factory.mktemp("league") / "output"
    code = WITHOUT_TORCH.format(output=str(folder))
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    folder.joinpath("stdout.txt").write_text(done.stdout, encoding="utf-8")
    return folder


def board(output: Path, k: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((output / f"round-{k}" / "board.json").read_bytes())
    return found


def eliminated(found: dict[str, Any]) -> dict[str, str]:
    return {row["team"]: row["cause"] for row in found["decision"]["eliminated"]}


def test_the_derived_model_is_not_eligible_and_says_why(output: Path) -> None:
    rows = {row["team"]: row for row in board(output, 1)["gate"]["rows"]}
    standings = {team: row["standing"] for team, row in rows.items()}
    assert standings == {
        "base1": "eligible",
        "base3": "eligible",
        "gpt2-0": "untestable",  # another shape: rows of the two do not line up
        "distil0": "eligible",  # it learned from base0's outputs; no weights came over
        "sft0": "not_eligible",
    }
    (reason,) = (each for each in rows["sft0"]["reasons"] if each["code"] == "undeclared")
    assert reason["values"]["reference"] == "base0"
    assert "sft0" not in {row["team"] for row in board(output, 1)["tables"]["eligible"]["rows"]}
    assert "sft0" in {row["team"] for row in board(output, 1)["tables"]["all"]["rows"]}


def test_no_last_place_is_resolved_and_the_tie_rule_decides(output: Path) -> None:
    first, second = board(output, 1), board(output, 2)
    assert first["decision"]["resolved"] is False
    # Two documents a group say little of the spread, however far apart the totals are.
    assert first["decision"]["candidates"] == ["gpt2-0", "distil0"]
    assert eliminated(first) == {"gpt2-0": "tie_rule", "sft0": "gate"}
    assert second["decision"]["resolved"] is False
    assert eliminated(second) == {"mixtral-0": "tie_rule"}
    assert [step["by"] for step in second["decision"]["steps"]] == ["category"]


def test_what_was_not_measured_is_not_there(output: Path) -> None:
    learning = next(event for event in board(output, 1)["events"] if event["id"] == "learning")
    status = {row["team"]: row["status"] for row in learning["results"]}
    assert status["sft0"] == status["distil0"] == "did_not_run"
    assert status["gpt2-0"] == "did_not_finish"
    assert all(event["kind"] != "panel" for event in board(output, 1)["events"])


def test_nobody_finishes_korean(output: Path) -> None:
    rows = {row["team"]: row for row in board(output, 1)["axes"]["range"]}
    assert all("korean" not in row["events"] for row in rows.values())
    assert all("code" in row["events"] for row in rows.values())


@pytest.mark.parametrize("k", [1, 2])
def test_scoring_again_gives_the_same_bytes(output: Path, k: int) -> None:
    names = (SEASON / f"round-{k}.yaml", SEASON / f"results-{k}.yaml")
    again = score_files(*names, frozen=SEASON / f"round-{k}.frozen.json")
    assert again.to_json() == (output / f"round-{k}" / "board.json").read_bytes()
    assert check_bundle(output / f"round-{k}", draw=site_files).exit_status == 0


def test_the_season_follows_the_boards(output: Path) -> None:
    state = state_at(read_season(output / "season.yaml"), date(2026, 12, 1))
    assert {team.id: team.standing for team in state.teams} == {
        "base1": "in",
        "base3": "in",
        "distil0": "in",
        "gpt2-0": "out",
        "sft0": "out",
        "mixtral-0": "provisionally_out",
    }
    assert [row.stage for row in state.rounds] == ["final", "objections_open"]


def test_the_summary_tells_what_the_boards_hold(output: Path) -> None:
    said = (output / "stdout.txt").read_text(encoding="utf-8")
    assert "gpt2-0 (by tie rule), sft0 (by gate)" in said
    assert "mixtral-0 (by tie rule)" in said
    assert "committed in zoo/league/season" in said


def test_an_edited_score_is_refused(tmp_path: Path) -> None:
    season = Path(shutil.copytree(SEASON, tmp_path / "season"))
    (samples,) = (season / "runs-1" / "sft0").glob("samples_network_bpb_*.jsonl")
    first, *rest = samples.read_text(encoding="utf-8").splitlines()
    row = json.loads(first)
    row["bpb"] -= 1.0
    samples.write_text("\n".join([json.dumps(row), *rest]) + "\n", encoding="utf-8")
    with pytest.raises(FormatError, match="network_bpb"):
        score_files(season / "round-1.yaml", season / "results-1.yaml")


def test_the_evidence_is_what_compare_finds_now() -> None:
    from zoo.league.gate import SEED

    from jokbo.evidence.compare import compare

    models = ROOT / "zoo" / "models"
    again = compare(str(models / "base0"), str(models / "sft0"), seed=SEED, reference_first=True)
    kept = json.loads((SEASON / "gate" / "base0-sft0.json").read_bytes())
    found = again.evidence.document
    assert canonical_bytes(found["verdict"]) == canonical_bytes(kept["verdict"])
    assert found["candidate"]["digest"] == kept["candidate"]["digest"]


def test_tokens_to_target_are_those_of_the_training_logs() -> None:
    rows = (SEASON / "races-1" / "learning.csv").read_text(encoding="utf-8").splitlines()[1:]
    rows += (SEASON / "races-2" / "learning.csv").read_text(encoding="utf-8").splitlines()[1:]
    for team, _, value, finished in (row.split(",") for row in rows):
        curve = json.loads((ROOT / "zoo" / "models" / team / "training.json").read_bytes())["training_loss"]
        reached = [2048 * step for step, loss in curve if loss <= 3.5]
        assert (finished == "yes") == bool(reached), team
        assert not reached or int(value) == reached[0], team
