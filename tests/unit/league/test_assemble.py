"""Results of all teams, paired by question; every refusal names files and rows in tests/malformed."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from jokbo.league.round import EventKind, PanelRule, PublishedRule, RaceRule
from jokbo.testing.results import assembled, edit_lines, event_of, round_of

RUNS = Path(__file__).parent / "written"
WORDS = {"en": "", "ko": ""}
BOTH = "  - {team: one, events: [e], files: [one.csv]}\n  - {team: two, events: [e], files: [two.csv]}"


def harness(tmp_path, event, **options):
    for model in ("one", "two"):
        if not (tmp_path / model).exists():
            shutil.copytree(RUNS / "lm_harness" / f"jokbo__{model}", tmp_path / model)
    listed = "".join(f"  - {{team: {team}, events: [e], files: [{team}/]}}\n" for team in ("one", "two"))
    (found,) = assembled(tmp_path, round_of(event, **options), {}, listed)
    return found


def test_a_group_stands_for_its_tasks(tmp_path):
    found = harness(tmp_path, event_of("e", task="mini", metric="acc", group="task", cluster="passage"))
    assert found.entrants == ("one", "two")
    assert found.items[0] == "mini_law/0"
    assert found.items[11] == "mini_law/11"
    assert len(found.items) == 20
    assert found.group_names == ("mini_law", "mini_sea")
    assert np.bincount(found.groups).tolist() == [12, 8]
    assert found.cluster_names[:2] == ("mini_law-0", "mini_law-1")
    assert np.bincount(found.clusters).max() == 3
    assert found.settings == {"num_fewshot": "0", "version": "3.0"}
    assert found.repeats.tolist() == [1, 1]


def test_notes_of_all_teams_are_said_once(tmp_path):
    notes = harness(tmp_path, event_of("e", task="mini", metric="acc")).notes
    (both,) = [note for note in notes if note.code == "group_and_subtasks"]
    assert both.values["who"] == "one, two"
    assert [n.values["who"] for n in notes if n.code == "group_mean_macro"] == ["one", "two"]


def test_one_filter_of_several(tmp_path):
    event = event_of(
        "e", task="mini_number", filter="flexible-extract", pins={"version": "1", "num_fewshot": "0"}
    )
    assert harness(tmp_path, event).scores.shape == (2, 8)


def test_the_order_of_rows_does_not_matter(tmp_path):
    event = event_of("e", task="mini_law", metric="acc")
    before = harness(tmp_path, event)
    (samples,) = (tmp_path / "two").glob("samples_mini_law*")
    # The harness hashes rows in their order, so that a file whose order was changed has to be logged without it.
    (results,) = (tmp_path / "two").glob("results*")
    edit_lines(samples, lambda rows: rows.reverse())
    results.write_text(results.read_text().replace('"task_hashes"', '"other"'))
    after = harness(tmp_path, event)
    assert after.items == before.items
    assert np.array_equal(after.scores, before.scores)


def test_items_are_in_their_natural_order_and_files_are_told(tmp_path):
    files = {"one.csv": "item,acc\n10,1\n9,0\n", "two.csv": "item,acc\n9,1\n10,1\n"}
    (found,) = assembled(tmp_path, round_of(event_of("e")), files, BOTH)
    assert found.items == ("9", "10")
    assert found.scores.tolist() == [[0, 1], [1, 1]]
    assert [file.name for file in found.files] == ["one.csv", "two.csv"]
    assert all(
        len(file.sha256) == 64 and file.reader == "csv_items" and not file.public for file in found.files
    )
    assert found.group_names == ("",)
    assert found.cluster_names == found.items


def test_files_of_events_that_show_items_are_public(tmp_path):
    files = {"one.csv": "item,acc\n1,1\n", "two.csv": "item,acc\n1,1\n"}
    (found,) = assembled(tmp_path, round_of(event_of("e", show_items=True)), files, BOTH)
    assert all(file.public for file in found.files)


def test_repetitions_are_averaged_and_counted(tmp_path):
    files = {"one.csv": "item,repeat,acc\n1,0,1\n1,1,0\n2,0,1\n2,1,1\n", "two.csv": "item,acc\n1,1\n2,0\n"}
    (found,) = assembled(tmp_path, round_of(event_of("e")), files, BOTH)
    assert found.scores.tolist() == [[0.5, 1], [1, 0]]
    assert found.repeats.tolist() == [2, 1]


def test_questions_without_hashes_are_paired_by_number_and_said_to_be(tmp_path):
    digest = "0" * 64
    files = {"one.csv": f"item,digest,acc\n1,{digest},1\n", "two.csv": "item,acc\n1,1\n"}
    (found,) = assembled(tmp_path, round_of(event_of("e")), files, BOTH)
    assert [note.code for note in found.notes] == ["questions_unstated"]
    assert found.notes[0].values["teams"] == "two"


def test_a_round_may_allow_prompts_to_differ_before_results_come_in(tmp_path):
    for model in ("one", "two"):
        shutil.copytree(RUNS / "lm_harness" / f"jokbo__{model}", tmp_path / model)
    (samples,) = (tmp_path / "two").glob("samples_mini_law*")
    (results,) = (tmp_path / "two").glob("results*")
    edit_lines(samples, lambda rows: [row.update(prompt_hash="f" * 64) for row in rows])
    results.write_text(results.read_text().replace('"task_hashes"', '"other"'))
    found = harness(tmp_path, event_of("e", task="mini_law", metric="acc", pins={"prompt_hash": "any"}))
    assert {"setting": "prompt_hash", "team": "two", "task": "mini_law"} in [
        dict(n.values) for n in found.notes
    ]


def test_settings_that_one_team_does_not_state_are_named(tmp_path):
    shutil.copytree(RUNS / "lm_harness" / "jokbo__one", tmp_path / "one")
    rows = "".join(f"{k},1\n" for k in range(12))
    listed = (
        "  - {team: one, events: [e], files: [one/]}\n  - {team: two, events: [e], files: [mini_law.csv]}"
    )
    event = event_of("e", task="mini_law", metric="acc")
    (found,) = assembled(tmp_path, round_of(event), {"mini_law.csv": f"item,acc\n{rows}"}, listed)
    unstated = {n.values["setting"] for n in found.notes if n.code == "setting_unstated"}
    assert {"version", "num_fewshot"} <= unstated


def test_a_team_that_did_not_run_is_no_entrant(tmp_path):
    listed = (
        "  - {team: one, events: [e], files: [one.csv]}\n"
        "did_not_run:\n  - {team: two, event: e, why: no licence for the data}"
    )
    event = event_of("e", missing="floor")
    (found,) = assembled(tmp_path, round_of(event), {"one.csv": "item,acc\n1,1\n"}, listed)
    assert found.entrants == ("one",)
    assert found.notes[0].values == {"team": "two", "why": "no licence for the data"}


PANEL = event_of("p", EventKind.PANEL, panel=PanelRule(0, 10, criteria={"quality": 2.0, "safety": 1.0}))


def test_panel_rows(tmp_path):
    rows = [
        f"{rater},{team},{criterion},{score}"
        for rater, score in (("b", 3), ("a", 7.5))
        for team in ("one", "two")
        for criterion in ("quality", "safety")
        if (rater, team) != ("b", "two")
    ]
    files = {"p.csv": "\n".join(["rater,team,criterion,score", *rows])}
    (found,) = assembled(tmp_path, round_of(PANEL), files, "  - {event: p, files: [p.csv]}")
    assert found.raters == ("a", "b")
    assert found.criteria == ("quality", "safety")
    assert found.rated.tolist() == [[True, True], [True, False]]
    assert found.scores[0, 1].tolist() == [7.5, 7.5]
    assert np.isnan(found.scores[1, 1]).all()
    assert found.notes[0].values == {"missing": 1, "of": 4}
    assert found.files[0].role == "panel"


def test_race_runs(tmp_path):
    event = event_of("s", EventKind.RACE, race=RaceRule("seconds", WORDS, {}))
    files = {"s.csv": "team,run,value,finished\none,1,3.5,yes\none,2,4,yes\ntwo,1,,no\ntwo,2,99,no\n"}
    (found,) = assembled(tmp_path, round_of(event), files, "  - {event: s, files: [s.csv]}")
    assert [runs.tolist() for runs in found.runs] == [[3.5, 4.0], []]
    assert found.started.tolist() == [2, 2]


def test_published_figures(tmp_path):
    event = event_of("f", EventKind.PUBLISHED, published=PublishedRule(None, WORDS))
    (found,) = assembled(
        tmp_path,
        round_of(event),
        {"f.csv": "team,value\ntwo,22.7\none,22.2\n"},
        "  - {event: f, files: [f.csv]}",
    )
    assert found.values.tolist() == [22.2, 22.7]
    assert found.files[0].public


@pytest.mark.parametrize("order", [("one", "two", "three"), ("three", "one", "two")])
def test_entrants_follow_the_rounds_order(tmp_path, order):
    files = {f"{team}.csv": f"item,acc\n1,{k / 4}\n" for k, team in enumerate(("one", "two", "three"))}
    listed = "\n".join(
        f"  - {{team: {team}, events: [e], files: [{team}.csv]}}" for team in ("two", "three", "one")
    )
    (found,) = assembled(tmp_path, round_of(event_of("e"), teams=order), files, listed)
    assert found.entrants == order
    assert found.scores[:, 0].tolist() == [("one", "two", "three").index(team) / 4 for team in order]
