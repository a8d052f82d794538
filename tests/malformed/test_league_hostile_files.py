"""What somebody with something to hide hands to the league's commands, and the one sentence that comes back.

Each case goes through the command line, as its user meets it: exit status 2, one line on standard error, no traceback.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

from jokbo.cli.main import main
from jokbo.errors import FormatError
from jokbo.testing.results import assembled, edit_json, edit_lines, event_of, round_of

HERE = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(HERE / "unit" / "league"))
write_round = import_module("league_rounds").write_round

WRITTEN = HERE / "unit" / "league" / "written" / "lm_harness"


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command that has to refuse; returns what it said."""

    def run(*arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", ["jokbo", "league", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        assert (ended.value.code, out) == (2, ""), err
        assert err.startswith("jokbo: ")
        assert "Traceback" not in err
        assert err.isascii() or err.isprintable()
        return err

    return run


def score(refused: Callable[..., str], folder: Path, change: Callable[[Path], None]) -> str:
    round_file, results = write_round(folder)
    change(folder)
    return refused("score", round_file, results, "-q")


def listed(old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "results.yaml"
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    return change


def replaced_by_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (listed("[runs/ara]", "[../runs]"), r"results\.yaml:4: the path '\.\./runs' holds '\.\.'; expected a path rel"),
        (listed("[runs/ara]", "[/etc/passwd]"), "is absolute; expected a path relative to the folder of the list"),
        (listed("{team: ara,", "{team: ara, reader: [csv_items],"), r"there is no reader \['csv_items'\]; the readers"),
        (listed("[runs/ara]", ""), "the field files is missing, or empty. Fill it in"),
        (listed("[runs/ara]", '["runs/\\u202eara"]'), r"'runs/\\u202eara' holds a character that is not seen"),
        (lambda folder: (folder / "results.yaml").write_text(""), "results.yaml:1: .*; found nothing"),
        (lambda folder: (folder / "runs/ara/exam.csv").write_text(""), r"runs/ara/exam\.csv is empty. Give it whole"),
        (listed("[runs/ara]", "[results.yaml]"), "a file of results is called results.yaml, .* in a bundle. Rename it"),
        (lambda folder: replaced_by_a_pipe(folder / "expert.csv"), "expert.csv is no ordinary file. Put the file"),
        (lambda folder: os.mkfifo(folder / "runs/ara/pipe"), "runs/ara/pipe is a link or no ordinary file"),
        (lambda folder: (folder / "runs/ara/\x1b[2J.csv").write_text("x"), r"'runs/ara/\\x1b\[2J\.csv' holds"),
        (
            lambda folder: (folder / "runs/ara").joinpath(*["a"] * 40).mkdir(parents=True),
            "runs/ara holds more than 30 folders in one another. Name the files",
        ),
    ],
)  # fmt: skip
def test_results_lists(refused, tmp_path, change, said):
    assert re.search(said, score(refused, tmp_path, change))


def test_a_folder_of_too_many_files(refused, tmp_path, monkeypatch):
    monkeypatch.setattr("jokbo.league.results_file.MAX_FILES", 3)
    for k in range(4):
        (tmp_path / f"many/{k}.csv").parent.mkdir(exist_ok=True)
        (tmp_path / f"many/{k}.csv").write_text("item,acc\n")
    said = score(refused, tmp_path, listed("[runs/ara]", "[many]"))
    assert "results.yaml:4: many holds more than 3 files. Name the files." in said


def test_a_results_list_that_is_a_link_is_called_one(refused, tmp_path):
    def change(folder: Path) -> None:
        (folder / "results.yaml").rename(folder / "other.yaml")
        (folder / "results.yaml").symlink_to(folder / "other.yaml")

    assert "it is a link. Give the file itself." in score(refused, tmp_path, change)


@pytest.mark.parametrize("name", ["round.yaml", "leak.yaml", "season.yaml"])
def test_a_pipe_that_nobody_writes_into_is_not_waited_for(refused, tmp_path, name):
    os.mkfifo(tmp_path / name)
    command = {"round.yaml": "freeze", "leak.yaml": "leak", "season.yaml": "season"}[name]
    assert "is no ordinary file. Give a file." in refused(command, tmp_path / name)


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"weight: 1": "weight: 1e400"}, r"expected a number such as 2\.5, found '1e400'"),
        ({"weight: 1": "weight: 0x10"}, r"expected a number such as 2\.5, found '0x10'"),
        ({"weight: 1": "weight: -1"}, r"\(events/0/weight\): expected 0 to 1,000,000, found -1\."),
        ({"points: 40": "points: 0"}, r"\(categories/1/points\): expected 0\.000001 to 1,000,000, found 0\."),
        ({"id: speed": "id: Speed"}, "expected 1 to 64 small letters, digits and hyphens, the first no hyphen"),
        ({"en: A round": "en: ''"}, "expected a text of 1 to 1,000 characters, found ''"),
        ({"en: A round": "en: " + "x" * 10_000}, "expected a text of 1 to 1,000 characters, found 'x{50}"),
    ],
)  # fmt: skip
def test_rules(refused, tmp_path, rules, said):
    round_file, results = write_round(tmp_path, rules=rules)
    found = refused("score", round_file, results, "-q")
    assert re.search(said, found), found
    assert len(found) < 400


def test_titles_stay_text_and_ids_like_page_names_get_pages_of_their_own(tmp_path, monkeypatch, capfd):
    rules = {
        "en: A round": "en: '<script>alert(1)</script>\u202egpj'",
        "id: exam": "id: index",
        "id: speed": "id: gate",
    }
    round_file, results = write_round(tmp_path, rules=rules)
    text = (
        results.read_text()
        .replace("events: [exam]", "events: [index]")
        .replace("event: speed", "event: gate")
    )
    results.write_text(text)
    out = tmp_path / "out"
    monkeypatch.setattr(
        sys, "argv", ["jokbo", "league", "score", str(round_file), str(results), "-o", str(out), "-q"]
    )
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code in (0, 11), capfd.readouterr().err
    pages = {path.name for path in (out / "en").iterdir()}
    assert {"index.html", "gate.html", "event-index.html", "event-gate.html"} <= pages
    assert len({name.casefold() for name in pages}) == len(pages)
    for page in out.rglob("*.html"):
        html = page.read_text(encoding="utf-8")
        assert "<script>" not in html
        assert "\u202e" not in html


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"floor: 0.25": "floor: 0", "value: 0.75": "value: 1e-300"}, "the anchor 1e-300 is more than 1,000,000,000"),
        ({"value: 0.75": "value: 0.2500000000000001"}, "Correct the value's unit, or floor and anchor"),
    ],
)  # fmt: skip
def test_a_scale_on_which_every_score_is_absurd(refused, tmp_path, rules, said):
    round_file, results = write_round(tmp_path, rules=rules)
    assert said in refused("score", round_file, results, "-q")


def test_a_score_that_no_sum_holds(refused, tmp_path):
    def change(folder: Path) -> None:
        path = folder / "runs/ara/exam.csv"
        path.write_text(re.sub(r"(q0-0,s0,p0),\d", r"\1,1e99", path.read_text(), count=1))

    said = score(refused, tmp_path, change)
    assert "runs/ara/exam.csv:2: acc is 1e+99; expected at most 1e+15 in size" in said


# --- whose results, and which way is better ---------------------------------------------------------------------------


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two runs of the real harness."""
    for team in ("one", "two"):
        shutil.copytree(WRITTEN / f"jokbo__{team}", tmp_path / team)
    return tmp_path


def of_runs(runs: Path, **event: object):
    lines = "".join(f"  - {{team: {team}, events: [e], files: [{team}]}}\n" for team in ("one", "two"))
    rule = event_of("e", **({"task": "mini_law", "metric": "acc"} | event))
    (found,) = assembled(runs, round_of(rule), {}, lines)
    return found


def results_of(folder: Path) -> Path:
    return next(folder.glob("results_*.json"))


def test_a_metric_of_which_less_is_better_cannot_be_ranked_upside_down(runs):
    assert of_runs(runs).entrants == ("one", "two")
    with pytest.raises(FormatError) as wrong:
        of_runs(runs, direction="lower")
    assert re.search(
        r"one/results_.*\.json: mini_law says that more acc is better; the round's event e has the direction 'lower'",
        str(wrong.value),
    )
    edit_json(results_of(runs / "two"), lambda d: d["higher_is_better"].update(mini_law={"acc": False}))
    with pytest.raises(
        FormatError, match=r"two/results_.*: mini_law says that less acc is better; .* 'higher'"
    ):
        of_runs(runs)


def test_the_direction_stays_with_results_that_are_handed_on(runs, tmp_path):
    from jokbo.league.results.every_eval_ever_export import Origin, write_exported
    from jokbo.testing.results import read_folder

    before = read_folder(runs / "one")
    write_exported(list(before.values()), tmp_path / "out", Origin())
    after = read_folder(tmp_path / "out")
    assert {k: v.higher_is_better for k, v in after.items()} == {
        k: v.higher_is_better for k, v in before.items()
    }
    assert before["mini_law", "none"].higher_is_better["acc"] is True


def test_a_direction_that_is_no_truth_value(runs):
    edit_json(results_of(runs / "two"), lambda d: d["higher_is_better"].update(mini_law={"acc": "no"}))
    with pytest.raises(
        FormatError, match=r"higher_is_better of 'acc' \(mini_law\) is 'no'; expected true or false"
    ):
        of_runs(runs)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("versions", [9], r"version of mini_law is \[9\]; expected a text or a number"),
        ("n-samples", {"effective": "3"}, "mini_law states '3' items; expected a whole number"),
    ],
)
def test_what_would_switch_a_comparison_off_is_refused(runs, field, value, said):
    edit_json(results_of(runs / "two"), lambda d: d[field].update(mini_law=value))
    with pytest.raises(FormatError, match=said):
        of_runs(runs)


def test_one_file_for_two_teams(runs):
    shutil.rmtree(runs / "two")
    shutil.copytree(runs / "one", runs / "two")
    with pytest.raises(
        FormatError, match=r"\(one\) and two/results_.* \(two\) are the same file, byte for byte; it is"
    ):
        of_runs(runs)


def test_the_same_rows_for_two_teams_are_remarked(tmp_path):
    table = "item,acc\n1,1\n2,0\n"
    lines = "".join(f"  - {{team: {team}, events: [e], files: [{team}.csv]}}\n" for team in ("one", "two"))
    (found,) = assembled(tmp_path, round_of(event_of("e")), {"one.csv": table, "two.csv": table}, lines)
    (note,) = (note for note in found.notes if note.code == "same_file")
    assert note.values == {"who": "one, two", "file": "two.csv"}


def test_models_that_the_files_name(runs):
    codes = [note.code for note in of_runs(runs).notes]
    assert not {"same_model_named", "other_model_named"} & set(codes)
    edit_json(results_of(runs / "two"), lambda d: d.update(model_name="/data/Jokbo/One/"))
    edit_json(results_of(runs / "one"), lambda d: d.update(model_name="/data/Jokbo/One/"))
    notes = {note.code: note.values for note in of_runs(runs).notes}
    assert notes["same_model_named"] == {"who": "one, two", "model": "/data/Jokbo/One/"}
    assert notes["other_model_named"] == {"who": "two", "model": "/data/Jokbo/One/", "entered": "two"}


def test_json_that_is_deep_or_long_is_told_in_one_line(runs):
    path = next((runs / "two").glob("samples_mini_law_*"))
    rows = path.read_text(encoding="utf-8").splitlines(keepends=True)
    for bad, said in (
        ('{"doc_id":' * 50_000, "maximum recursion depth exceeded"),
        (
            rows[0].rstrip("\n").replace('"doc_id": 0', '"doc_id": ' + "9" * 5000),
            r"Exceeds the limit \(4300 digits\)",
        ),
    ):
        path.write_text("".join([bad + "\n", *rows[1:]]), encoding="utf-8")
        with pytest.raises(FormatError, match=rf"jsonl:1 is not JSON \({said}") as wrong:
            of_runs(runs)
        assert "set_int_max_str_digits" not in str(wrong.value)
        assert "\n" not in str(wrong.value)


def test_rows_edited_alike_for_both_teams_are_still_the_same_questions(runs):
    """What is not caught: an organiser who changes the scores of all files in step. The digests say which files."""
    for team in ("one", "two"):
        edit_lines(
            next((runs / team).glob("samples_mini_law_*")),
            lambda rows: rows[0].update(acc=1.0 - rows[0]["acc"]),
        )
    with pytest.raises(FormatError, match="states acc"):
        of_runs(runs)
    assert json.loads(results_of(runs / "one").read_text())["results"]["mini_law"]


def test_a_season_at_the_end_of_the_calendar():
    from datetime import date

    from jokbo.league.season import window_end

    assert window_end(date(9999, 12, 30), 10) == date.max


def test_a_column_of_words_is_asked_for_by_name(refused, tmp_path):
    write_round(tmp_path)
    said = refused("inspect", tmp_path / "runs/ara")
    assert "exam.csv:2 (subject): found 's0'; expected a number" in said
    assert (
        "A column that is no score is one that an event groups or clusters by (--field, in inspect)" in said
    )


def test_doubts_whose_results_these_are_stand_on_the_first_page(tmp_path, monkeypatch, capfd):
    round_file, results = write_round(tmp_path)
    shutil.copy(tmp_path / "runs/ara/exam.csv", tmp_path / "runs/bom/exam.csv")
    monkeypatch.setattr(
        sys, "argv", ["jokbo", "league", "score", str(round_file), str(results), "--lang", "en"]
    )
    with pytest.raises(SystemExit):
        main()
    said = " ".join(capfd.readouterr().out.split())
    assert (
        "It is in doubt whose results these are (Exam). Ara, Bom: their files of this event are the same"
        in said
    )
