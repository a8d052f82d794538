"""lighteval: files that it wrote, under the names it gives them, and its traps."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from jokbo.testing.results import assembled, edit_json, event_of, read_folder, round_of

RUNS = Path(__file__).parent / "written" / "lighteval"


def original_name(path: Path) -> str:
    """The name that lighteval gave, with its colon and pipe."""
    return path.name.replace("mini_law_0", "mini:law|0").replace("mini_sea_0", "mini:sea|0")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    for path in RUNS.rglob("*"):
        if path.is_file() and "one" in path.parts:
            shutil.copy(path, tmp_path / original_name(path))
    return tmp_path


def test_rows_are_read_from_nested_columns(run):
    import pyarrow.parquet as pq

    rows = read_folder(run, fields=("subject",))["mini:law|0", None].rows
    (path,) = run.glob("details_mini:law*")
    written = pq.read_table(path).to_pylist()
    assert rows.ids == tuple(row["doc"]["id"] for row in written)
    assert rows.scores["acc"].tolist() == [row["metric"]["acc"] for row in written]
    assert set(rows.fields["subject"]) == {"law"}
    assert len(set(rows.digests)) == 12


def test_pipes_and_colons_stay_in_names_and_state_the_examples(run):
    found = read_folder(run)
    assert found["mini:law|0", None].settings == {"num_fewshot": "0", "version": "1"}
    assert found["mini:law|0", None].published[0].value == pytest.approx(0.75)


def test_averages_are_groups_and_their_errors_none(run):
    group = read_folder(run)["mini:_average|0", None]
    assert group.subtasks == ("mini:law|0", "mini:sea|0")
    assert group.published[0].standard_error is None
    assert {"average_of_errors", "group_mean_macro", "group_and_subtasks"} <= {
        note.code for note in group.notes
    }


def test_files_may_be_renamed(tmp_path):
    for path in RUNS.rglob("*one*/**/*"):
        if path.is_file():
            shutil.copy(path, tmp_path)
    assert read_folder(tmp_path)["mini:law|0", None].rows is not None


def test_a_limit_is_named(run):
    (path,) = run.glob("results_*")
    config = {"mini:law|0": {"original_num_docs": 99, "effective_num_docs": 12}}
    edit_json(path, lambda d: d.update(config_tasks=config))
    noted = {note.code: note.values for note in read_folder(run)["mini:law|0", None].notes}
    assert noted["limited"]["original"] == 99


def test_details_without_results_are_read_and_said_to_be(run):
    (path,) = run.glob("results_*")
    path.unlink()
    assert [note.code for note in read_folder(run)["mini:law|0", None].notes] == ["samples_alone"]


def test_two_models_are_paired_under_the_files_own_names(tmp_path):
    for model in ("one", "two"):
        for path in (RUNS / "details" / "jokbo" / model).rglob("*.parquet"):
            (tmp_path / model).mkdir(exist_ok=True)
            shutil.copy(path, tmp_path / model / original_name(path))
        for path in (RUNS / "results" / "jokbo" / model).iterdir():
            shutil.copy(path, tmp_path / model)
    listed = "".join(f"  - {{team: {team}, events: [mini], files: [{team}/]}}\n" for team in ("one", "two"))
    event = event_of(
        "mini", task="mini:_average|0", group="task", cluster="passage", pins={"num_fewshot": "0"}
    )
    (found,) = assembled(tmp_path, round_of(event), {}, listed)
    assert found.group_names == ("mini:law|0", "mini:sea|0")
    assert np.bincount(found.groups).tolist() == [12, 8]
    assert found.scores.mean(axis=1) == pytest.approx([0.6, 9 / 20], abs=0.3)
    assert len(found.cluster_names) == 7


def test_published_and_rows_of_two_runs_are_refused(run):
    from jokbo.errors import FormatError

    (path,) = run.glob("results_*")
    edit_json(path, lambda d: d["results"]["mini:law|0"].update(acc=0.9))
    with pytest.raises(FormatError, match=r"states acc 0\.9, and its 12 rows .* have the mean 0\.75"):
        read_folder(run)


def test_what_is_read_is_what_the_file_says(run):
    (path,) = run.glob("results_*")
    stated = json.loads(path.read_text())["results"]["mini:sea|0"]["acc"]
    assert read_folder(run)["mini:sea|0", None].rows.scores["acc"].mean() == pytest.approx(stated)
