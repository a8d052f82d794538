"""Results that cannot be put together: every refusal names the file and the row."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from jokbo.errors import FormatError
from jokbo.league.results import lm_harness
from jokbo.league.round import EventKind, PanelRule, PublishedRule, RaceRule
from jokbo.testing.results import assembled, edit_json, edit_lines, event_of, round_of

RUNS = Path(__file__).resolve().parents[1] / "unit" / "league" / "written" / "lm_harness"
WORDS = {"en": "", "ko": ""}
HASH = {name: name * 64 for name in "abcdef"}
BOTH = "  - {team: one, events: [e], files: [one.csv]}\n  - {team: two, events: [e], files: [two.csv]}"


def of_tables(folder: Path, one: str, two: str, **event):
    files = {"one.csv": f"{one}\n", "two.csv": f"{two}\n"}
    return assembled(folder, round_of(event_of("e", **event)), files, BOTH)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for model in ("one", "two"):
        shutil.copytree(RUNS / f"jokbo__{model}", tmp_path / model)
    return tmp_path


def of_runs(folder: Path, **event):
    listed = "".join(f"  - {{team: {team}, events: [e], files: [{team}/]}}\n" for team in ("one", "two"))
    plain = {"task": "mini_law", "metric": "acc"}
    return assembled(folder, round_of(event_of("e", **(plain | event))), {}, listed)


def results_of(folder: Path) -> Path:
    (found,) = folder.glob("results_*.json")
    return found


def samples_of(folder: Path) -> Path:
    (found,) = folder.glob("samples_mini_law*")
    return found


def rehashed(folder: Path, change) -> None:
    """Change the samples of a run as an honest run on other data would have written them."""
    import hashlib

    edit_lines(samples_of(folder), change)
    rows = [json.loads(line) for line in samples_of(folder).read_text().splitlines()]
    whole = "".join(row["doc_hash"] + row["prompt_hash"] + row["target_hash"] for row in rows)
    digest = hashlib.sha256(whole.encode()).hexdigest()
    edit_json(results_of(folder), lambda d: d["task_hashes"].update(mini_law=digest))


def test_two_runs_of_other_versions(runs):
    edit_json(results_of(runs / "two"), lambda d: d["versions"].update(mini_law=4.0))
    said = r"one/samples_mini_law_.*jsonl \(one\) and two/samples_mini_law_.*jsonl \(two\) are runs of mini_law with "
    with pytest.raises(FormatError, match=said + r"another version: '3\.0' and '4\.0'"):
        of_runs(runs)


def test_two_runs_of_other_numbers_of_examples(runs):
    edit_json(results_of(runs / "two"), lambda d: d["n-shot"].update(mini_law=5))
    with pytest.raises(FormatError, match=r"one/samples.* and two/samples.*another num_fewshot: '0' and '5'"):
        of_runs(runs)


def test_two_runs_of_other_hashes_without_hashes_in_the_rows(runs):
    for team in ("one", "two"):
        edit_lines(samples_of(runs / team), lambda rows: [row.pop("prompt_hash") for row in rows])
    edit_json(results_of(runs / "two"), lambda d: d["task_hashes"].update(mini_law=HASH["a"]))
    with pytest.raises(
        FormatError, match=r"one/samples.* and two/samples.*another task_hash: 'af3fa.* and 'aaaa"
    ):
        of_runs(runs)


@pytest.mark.parametrize(
    ("field", "said"),
    [("doc_hash", "another question"), ("prompt_hash", "another prompt"), ("target_hash", "another target")],
)
def test_two_runs_of_other_questions(runs, field, said):
    rehashed(runs / "two", lambda rows: rows[3].update({field: HASH["b"]}))
    where = (
        r"one/samples_mini_law_.*jsonl:4 \(one\) and two/samples_mini_law_.*jsonl:4 \(two\): item '3' .* is "
    )
    with pytest.raises(FormatError, match=where + said):
        of_runs(runs)


def test_samples_edited_after_the_run(runs):
    edit_lines(samples_of(runs / "two"), lambda rows: rows[3].update(doc_hash=HASH["b"]))
    with pytest.raises(
        FormatError, match=r"its rows have the task hash .*, and the results state af3fa569f96d4d9a"
    ):
        of_runs(runs)


def test_scores_edited_after_the_run(runs):
    edit_lines(samples_of(runs / "two"), lambda rows: [row.update(acc=1.0) for row in rows])
    with pytest.raises(FormatError, match=r"states acc 0\.\d+, and its 12 rows .* have the mean 1\."):
        of_runs(runs)


def test_rows_dropped_from_the_samples(runs):
    edit_lines(samples_of(runs / "two"), lambda rows: rows.pop())
    edit_json(results_of(runs / "two"), lambda d: d.update(task_hashes={}))
    with pytest.raises(FormatError, match=r"has 11 rows of mini_law .*says that 12 items were evaluated"):
        of_runs(runs)


def test_a_row_doubled_in_the_samples(runs):
    edit_lines(samples_of(runs / "two"), lambda rows: rows.append(rows[2]))
    with pytest.raises(FormatError, match=r"jsonl:13: item '2' of mini_law is there already, at .*jsonl:3"):
        of_runs(runs)


def test_a_score_that_is_nan(runs):
    edit_lines(samples_of(runs / "two"), lambda rows: rows[5].update(acc=float("nan")))
    with pytest.raises(FormatError, match=r"samples_mini_law.*jsonl:6 is not JSON \(NaN is no JSON number\)"):
        of_runs(runs)


def test_a_score_that_is_absent(runs):
    edit_lines(samples_of(runs / "two"), lambda rows: rows[5].update(acc=None))
    with pytest.raises(FormatError, match=r"jsonl:6: 'acc' is absent; expected a finite number"):
        of_runs(runs)


def test_a_metric_that_a_row_lacks(runs):
    edit_lines(samples_of(runs / "two"), lambda rows: rows[5]["metrics"].remove("acc"))
    with pytest.raises(FormatError, match=r"jsonl:6: this row of mini_law has no acc; 11 of 12 have"):
        of_runs(runs)


def test_published_means_alone(runs):
    for path in (runs / "two").glob("samples*"):
        path.unlink()
    with pytest.raises(
        FormatError, match=r"two/results_.*json: mini_law has published means and no rows of items"
    ):
        of_runs(runs)


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ({"metric": "f1"}, "mini_law has no metric 'f1' .*; there are acc, acc_norm"),
        ({"metric": None}, "mini_law has 2 metrics, and the event names none .*; there are acc, acc_norm"),
        ({"task": "kmmlu"}, "one has no results of the task 'kmmlu' .*hold mini_law, mini_sea, mini_number"),
        (
            {"task": "mini_number"},
            "has 2 filters of mini_number, .*; there are strict-match, flexible-extract",
        ),
        ({"filter": "strict"}, "has no filter 'strict' of mini_law .*; there are none"),
        (
            {"task": None},
            r"the files of one for e hold 2 tasks \(mini_number, mini\), and the event names none",
        ),
        ({"pins": {"version": "2"}}, "states version '3.0'; the round pins version '2'"),
        ({"pins": {"limit": "0"}}, "does not state its limit; the round pins limit '0'"),
        (
            {"group": "author"},
            r"jsonl:1: mini_law has no column 'author' in every row, which e groups or clusters by",
        ),
    ],
)
def test_what_an_event_asks_for_is_not_there(runs, event, said):
    with pytest.raises(FormatError, match=said):
        of_runs(runs, **event)


def test_a_group_that_lacks_a_task(runs):
    for path in (runs / "two").glob("samples_mini_sea*"):
        path.unlink()
    edit_json(results_of(runs / "two"), lambda d: d["results"].pop("mini_sea"))
    with pytest.raises(FormatError, match=r"two has no results of mini_sea, which belongs to mini"):
        of_runs(runs, task="mini")


def test_a_group_that_holds_itself(runs):
    edit_json(results_of(runs / "two"), lambda d: d["group_subtasks"].update(mini_law=["mini"]))
    with pytest.raises(FormatError, match=r"the group 'mini_law' holds itself"):
        of_runs(runs, task="mini")


def test_groups_without_end(runs, monkeypatch):
    monkeypatch.setattr(lm_harness, "MAX_LISTED", 3)
    edit_json(results_of(runs / "two"), lambda d: d["group_subtasks"].update(more=["mini"]))
    with pytest.raises(FormatError, match="its groups list more than 3 tasks"):
        of_runs(runs, task="mini")


def test_two_runs_of_one_task_by_one_team(runs):
    shutil.copytree(runs / "one", runs / "again")
    listed = (
        "  - {team: one, events: [e], files: [one/, again/]}\n  - {team: two, events: [e], files: [two/]}\n"
    )
    with pytest.raises(
        FormatError, match=r"one/results.* and again/results.* are two runs of mini_law by one"
    ):
        assembled(runs, round_of(event_of("e", task="mini_law", metric="acc")), {}, listed)


def test_samples_of_another_run_than_the_results(runs):
    path = samples_of(runs / "two")
    path.rename(path.with_name(path.name.replace("mini_law", "mini_lake")))
    with pytest.raises(FormatError, match=r"samples_mini_lake.*: two/results.* has no task 'mini_lake'"):
        of_runs(runs)


def test_items_missing_for_one_team(tmp_path):
    whole = "\n".join(["item,acc", *(f"{k},1" for k in range(20))])
    some = "\n".join(["item,acc", *(f"{k},1" for k in range(12))])
    said = r"two\.csv: two has no row of 8 items of e that one has \(one\.csv\): '12', '13', '14', '15', '16'\.\.\."
    with pytest.raises(FormatError, match=said):
        of_tables(tmp_path, whole, some)
    with pytest.raises(
        FormatError, match=r"one\.csv: one has no row of 8 items of e that two has \(two\.csv\)"
    ):
        of_tables(tmp_path, some, whole)


def test_duplicated_items(tmp_path):
    with pytest.raises(FormatError, match=r"two\.csv:4: item '1' of two is there already, at two\.csv:2"):
        of_tables(tmp_path, "item,acc\n1,1\n2,1", "item,acc\n1,1\n2,1\n1,0")


def test_nan_scores_in_a_table(tmp_path):
    with pytest.raises(FormatError, match=r"two\.csv:3 \(acc\): found 'nan'; expected a number"):
        of_tables(tmp_path, "item,acc\n1,1\n2,1", "item,acc\n1,1\n2,nan")


def test_one_question_under_two_numbers(tmp_path):
    one = f"item,digest,acc\n1,{HASH['a']},1\n2,{HASH['b']},1"
    two = f"item,digest,acc\n1,{HASH['a']},1\n3,{HASH['b']},1"
    said = r"one\.csv:3 and two\.csv:3: one question .* is item '2' of one and item '3' of two"
    with pytest.raises(FormatError, match=said):
        of_tables(tmp_path, one, two)


def test_two_questions_under_one_number(tmp_path):
    one, two = (f"item,digest,acc\n1,{HASH[name]},1" for name in "ab")
    with pytest.raises(
        FormatError, match=r"one\.csv:2 \(one\) and two\.csv:2 \(two\): item '1' of e is another question"
    ):
        of_tables(tmp_path, one, two)


def test_a_repetition_of_another_question(tmp_path):
    one = f"item,digest,repeat,acc\n1,{HASH['a']},0,1\n1,{HASH['b']},1,1"
    with pytest.raises(FormatError, match=r"one\.csv:3: item '1' is another question than at one\.csv:2"):
        of_tables(tmp_path, one, one)


def test_other_numbers_of_repetitions_within_a_team(tmp_path):
    two = "item,repeat,acc\n1,0,1\n1,1,1\n2,0,1"
    with pytest.raises(FormatError, match=r"two\.csv:4: item '2' of two has 1 repetitions, others have 2"):
        of_tables(tmp_path, "item,acc\n1,1\n2,1", two)


def test_groups_that_teams_state_otherwise(tmp_path):
    said = r"one\.csv:2 and two\.csv:2: subject of item '1' is 'law' and 'sea'"
    with pytest.raises(FormatError, match=said):
        of_tables(tmp_path, "item,subject,acc\n1,law,1", "item,subject,acc\n1,sea,1", group="subject")


def test_tables_of_other_tasks(tmp_path):
    with pytest.raises(FormatError, match=r"one\.csv \(one\) holds the task 'x', and two\.csv \(two\) 'y'"):
        of_tables(tmp_path, "item,task,acc\n1,x,1", "item,task,acc\n1,y,1")


PANEL = event_of("p", EventKind.PANEL, panel=PanelRule(0, 35))
CRITERIA = event_of("p", EventKind.PANEL, panel=PanelRule(0, 10, criteria={"quality": 1.0, "safety": 1.0}))


def of_table(folder: Path, event, text: str):
    return assembled(folder, round_of(event), {"t.csv": text}, f"  - {{event: {event.id}, files: [t.csv]}}")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("a,one,36\na,two,3", r"t\.csv:2: the score is 36; the scale of p is 0 to 35"),
        ("a,one,-1\na,two,3", r"t\.csv:2: the score is -1; the scale"),
        ("a,one,3\na,two,", r"t\.csv:3 \(score\): the cell is empty"),
        ("a,one,3\na,two,nan", r"t\.csv:3 \(score\): found 'nan'"),
        ("a,one,3\na,two,4\na,one,5", r"t\.csv:4: 'a' rated one at t\.csv:2 already"),
        ("a,one,3\na,three,4", r"t\.csv:3: 'three' does not run in p; expected one of one, two"),
        ("a,one,3", r"t\.csv: two has no row of p"),
    ],
)
def test_panel_rows(tmp_path, rows, said):
    with pytest.raises(FormatError, match=said):
        of_table(tmp_path, PANEL, f"rater,team,score\n{rows}\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "rater,team,score\na,one,1\na,two,1",
            r"t\.csv:1: the columns are .*; expected rater, team, criterion, score",
        ),
        ("rater,team,criterion,score\na,one,style,1", r"t\.csv:2: there is no criterion 'style'"),
        (
            "rater,team,criterion,score\na,one,quality,1\na,one,safety,1\na,two,quality,1",
            r"t\.csv:4: 'a' rated two by quality and not by safety",
        ),
    ],
)
def test_panel_criteria(tmp_path, text, said):
    rows = text if "two" in text else f"{text}\na,two,quality,1"
    with pytest.raises(FormatError, match=said):
        of_table(tmp_path, CRITERIA, f"{rows}\n")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("one,1,0,yes\ntwo,1,2,yes", r"t\.csv:2: the value is 0; expected more than zero"),
        ("one,1,-3,no\ntwo,1,2,yes", r"t\.csv:2: the value is -3"),
        ("one,1,,yes\ntwo,1,2,yes", r"t\.csv:2 \(value\): the cell is empty"),
        ("one,1,inf,yes\ntwo,1,2,yes", r"t\.csv:2 \(value\): found 'inf'"),
        ("one,1,3,maybe\ntwo,1,2,yes", r"t\.csv:2: finished is 'maybe'; expected yes or no"),
        ("one,1,3,yes\none,1,4,yes\ntwo,1,2,yes", r"t\.csv:3: run '1' of one is at t\.csv:2 already"),
        ("one,1,3,yes", r"t\.csv: two has no row of s"),
    ],
)
def test_race_rows(tmp_path, rows, said):
    event = event_of("s", EventKind.RACE, race=RaceRule("seconds", WORDS, {}))
    with pytest.raises(FormatError, match=said):
        of_table(tmp_path, event, f"team,run,value,finished\n{rows}\n")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("one,22", r"t\.csv: two has no row of f"),
        ("one,22\ntwo,", r"t\.csv:3 \(value\): the cell is empty; expected a number. Missing is never zero"),
        ("one,22\ntwo,3\none,23", r"t\.csv:4: one has a figure at t\.csv:2 already"),
    ],
)
def test_published_rows(tmp_path, rows, said):
    event = event_of("f", EventKind.PUBLISHED, published=PublishedRule(None, WORDS))
    with pytest.raises(FormatError, match=said):
        of_table(tmp_path, event, f"team,value\n{rows}\n")
