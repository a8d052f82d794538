"""inspect-ai: logs that it wrote, members compressed with zstd, and its traps."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jokbo.errors import FormatError
from jokbo.league.results.base import ResultFile
from jokbo.league.results.zip_members import open_archive
from jokbo.testing.results import read_folder

RUN = Path(__file__).parent / "written" / "inspect_ai" / "one.eval"


def rewritten(folder: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    """The log with its members changed, deflated instead of compressed with zstd."""
    with open_archive(ResultFile(RUN.name, RUN, RUN.stat().st_size)) as archive:
        members = {name: json.loads(archive.read(name)) for name in archive.names}
    change(members)
    path = folder / "log.eval"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name, value in members.items():
            out.writestr(name, json.dumps(value))
    return path


def the_result(folder: Path, **options: Any) -> Any:
    (found,) = read_folder(folder, "*.eval", **options).values()
    return found


def codes(result: Any) -> dict[str, Any]:
    return {note.code: note.values for note in result.notes}


def test_members_of_method_93_are_read(tmp_path):
    shutil.copy(RUN, tmp_path)
    with zipfile.ZipFile(RUN) as archive:
        assert {info.compress_type for info in archive.infolist()} == {93}
    found = the_result(tmp_path, fields=("subject",))
    assert found.task == "mini_sea"
    assert found.settings == {"dataset": "mini", "epochs": "2", "version": "3"}
    assert set(found.rows.fields["subject"]) == {"sea"}


def test_epochs_are_repetitions_and_words_are_numbers_by_inspects_table(tmp_path):
    shutil.copy(RUN, tmp_path)
    rows = the_result(tmp_path).rows
    assert sorted(set(rows.repeats.tolist())) == [0, 1]
    assert len(rows.ids) == 16
    with open_archive(ResultFile("one.eval", RUN, RUN.stat().st_size)) as archive:
        for k, place in enumerate(rows.places):
            sample = json.loads(archive.read(place.partition("#")[2]))
            assert rows.scores["match"][k] == {"C": 1.0, "I": 0.0}[sample["scores"]["match"]["value"]]
            assert (rows.ids[k], rows.repeats[k]) == (str(sample["id"]), sample["epoch"] - 1)


def test_scorers_are_metrics(tmp_path):
    shutil.copy(RUN, tmp_path)
    found = the_result(tmp_path)
    assert list(found.rows.scores) == ["match", "includes"]
    assert codes(found)["several_scorers"]["count"] == 2


@pytest.mark.parametrize(
    ("value", "number"), [("P", 0.5), ("N", 0.0), ("yes", 1.0), ("0.25", 0.25), (True, 1.0), (3, 3.0)]
)
def test_values_by_the_table(tmp_path, value, number):
    def change(members):
        for name, sample in members.items():
            if name.startswith("samples/"):
                sample["scores"] = {"match": {"value": value}}
        members["header.json"]["results"]["scores"] = []

    rewritten(tmp_path, change)
    assert set(the_result(tmp_path).rows.scores["match"].tolist()) == {number}


def test_words_outside_the_table_are_no_scores(tmp_path):
    def change(members):
        members["samples/3_epoch_1.json"]["scores"]["match"]["value"] = "quite good"
        members["header.json"]["results"]["scores"] = []

    rewritten(tmp_path, change)
    found = the_result(tmp_path)
    assert list(found.rows.scores) == ["includes"]
    assert codes(found)["metric_not_scalar"]["place"] == "log.eval#samples/3_epoch_1.json"


def test_scores_of_several_parts_get_a_name_each(tmp_path):
    def change(members):
        for name, sample in members.items():
            if name.startswith("samples/"):
                sample["scores"] = {"judge": {"value": {"style": 3, "truth": 4}}}
        members["header.json"]["results"]["scores"] = [
            {"name": "style", "scorer": "judge", "metrics": {"mean": {"name": "mean", "value": 3.0}}}
        ]

    rewritten(tmp_path, change)
    found = the_result(tmp_path)
    assert list(found.rows.scores) == ["judge.style", "judge.truth"]
    assert found.published[0].metric == "judge.style"


def test_a_clustered_error_of_zero_is_missing(tmp_path):
    def change(members):
        members["header.json"]["results"]["scores"][0]["metrics"]["stderr"]["value"] = 0.0

    rewritten(tmp_path, change)
    found = the_result(tmp_path)
    assert found.published[0].standard_error is None
    assert codes(found)["error_zero"]["metric"] == "match"


def test_edited_scores_and_limits_are_named(tmp_path):
    def change(members):
        members["samples/0_epoch_1.json"]["scores"]["match"]["history"] = [{"value": "I"}]
        members["samples/1_epoch_1.json"]["error"] = {"message": "timeout"}
        members["header.json"]["eval"]["config"]["limit"] = 8

    rewritten(tmp_path, change)
    assert {"scores_edited", "scored_on_error", "limit_used"} <= set(codes(the_result(tmp_path)))


def test_messages_are_hashed_without_their_numbers(tmp_path):
    def change(members):
        for name, sample in members.items():
            if name.startswith("samples/"):
                sample["input"] = [{"id": name, "role": "user", "content": sample["input"]}]

    rewritten(tmp_path, change)
    rows = the_result(tmp_path).rows
    assert len(set(rows.digests)) == 8


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda m: m["header.json"].update(status="error"), "has the status 'error'; expected 'success'"),
        (lambda m: m["header.json"].update(status="started"), "has the status 'started'"),
        (lambda m: m["header.json"].update(invalidated=True), "marked as invalidated"),
        (lambda m: m.pop("samples/3_epoch_2.json"), "holds 15 samples, and its header states 16"),
        (lambda m: m.pop("header.json"), "the member 'header.json' is missing"),
        (lambda m: m["samples/3_epoch_2.json"].update(scores={}), "samples/3_epoch_2.json has no score"),
        (lambda m: m["samples/3_epoch_2.json"].update(epoch=1), "repetition|is there already, at"),
        (lambda m: m["samples/3_epoch_2.json"].update(epoch=0), "epoch is 0; expected a number from 1"),
        (
            lambda m: m["samples/3_epoch_2.json"]["scores"]["match"].update(value=float("nan")),
            r"samples/3_epoch_2\.json is not JSON \(NaN is no JSON number",
        ),
        (
            lambda m: m["header.json"]["results"]["scores"][0]["metrics"]["accuracy"].update(value=0.9),
            r"states match 0\.9, and its 16 rows .* have the mean 0\.1875",
        ),
        (
            lambda m: m["header.json"]["results"]["scores"][0].update(unscored_samples=2),
            "2 samples have no score of match",
        ),
    ],
)
def test_logs_that_cannot_be_believed(tmp_path, change, said):
    rewritten(tmp_path, change)
    with pytest.raises(FormatError, match=said):
        read_folder(tmp_path)
