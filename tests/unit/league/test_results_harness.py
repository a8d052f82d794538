"""lm-evaluation-harness: files that it wrote, and its traps."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from jokbo.testing.results import edit_json, edit_lines, read_folder

RUNS = Path(__file__).parent / "written" / "lm_harness"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    shutil.copytree(RUNS / "jokbo__one", tmp_path / "run")
    return tmp_path / "run"


def results_of(run: Path) -> Path:
    (found,) = run.glob("results_*.json")
    return found


def samples_of(run: Path, task: str) -> Path:
    (found,) = run.glob(f"samples_{task}_*.jsonl")
    return found


def codes(result) -> dict[str, dict]:
    return {note.code: dict(note.values) for note in result.notes}


def test_rows_are_those_of_the_samples(run):
    found = read_folder(run, fields=("subject", "passage"))
    rows = found["mini_law", "none"].rows
    written = [json.loads(line) for line in samples_of(run, "mini_law").read_text().splitlines()]
    assert rows.ids == tuple(str(row["doc_id"]) for row in written)
    assert rows.digests == tuple(row["doc_hash"] for row in written)
    assert rows.scores["acc"].tolist() == [row["acc"] for row in written]
    assert rows.fields["passage"] == tuple(row["doc"]["passage"] for row in written)
    assert rows.fields["prompt_hash"] == tuple(row["prompt_hash"] for row in written)
    assert rows.places[3].endswith(".jsonl:4")


def test_undeclared_fields_of_a_question_are_not_kept(run):
    rows = read_folder(run)["mini_law", "none"].rows
    assert set(rows.fields) == {"prompt_hash", "target_hash"}


def test_metric_keys_lose_their_filter_and_settings_are_stated(run):
    found = read_folder(run)["mini_law", "none"]
    assert [each.metric for each in found.published] == ["acc", "acc_norm"]
    assert found.published[0].value == pytest.approx(np.mean(found.rows.scores["acc"]))
    assert found.settings["version"] == "3.0"
    assert found.settings["num_fewshot"] == "0"
    assert len(found.settings["task_hash"]) == 64
    assert found.model == "jokbo/one"


def test_one_result_a_filter(run):
    found = read_folder(run)
    strict, flexible = found["mini_number", "strict-match"], found["mini_number", "flexible-extract"]
    assert len(strict.rows.ids) == len(flexible.rows.ids) == 8
    assert codes(strict)["several_filters"]["filters"] == "strict-match, flexible-extract"


def test_a_group_names_its_tasks_and_says_which_mean_it_states(run):
    group = read_folder(run)["mini", "none"]
    assert group.rows is None
    assert group.subtasks == ("mini_law", "mini_sea")
    noted = codes(group)
    assert noted["group_mean_macro"]["metric"] == "acc"
    assert noted["group_mean_micro"]["metric"] == "acc_norm"
    assert noted["group_and_subtasks"]["subtasks"] == 2


def test_a_group_mean_that_is_neither_is_named(run):
    edit_json(results_of(run), lambda d: d["results"]["mini"].__setitem__("acc,none", 0.9))
    assert codes(read_folder(run)["mini", "none"])["group_mean_neither"]["published"] == 0.9


def test_a_mean_by_tasks_with_an_error_by_items_is_named(run):
    # As lm-eval wrote until June 2026: the mean of the tasks' means beside the pooled error of all items.
    means = {"mini_law": 0.25, "mini_sea": 0.5}
    errors, sizes = np.array([0.13055824, 0.18898224]), np.array([12, 8])

    def old(document):
        for task, mean in means.items():
            edit_lines(samples_of(run, task), lambda rows, mean=mean: [
                row.update(acc=float(k < mean * len(rows))) for k, row in enumerate(rows)
            ])  # fmt: skip
            document["results"][task]["acc,none"] = mean
        document["results"]["mini_law"]["acc_stderr,none"] = errors[0]
        document["results"]["mini_sea"]["acc_stderr,none"] = errors[1]
        pooled = np.sqrt(((sizes - 1) * sizes) @ errors**2 / (sizes.sum() - 2) / sizes.sum())
        document["results"]["mini"] |= {"acc,none": 0.375, "acc_stderr,none": float(pooled)}

    edit_json(results_of(run), old)
    noted = codes(read_folder(run)["mini", "none"])["group_error_other"]
    assert noted["expected"] == pytest.approx(np.sqrt(errors @ errors) / 2, abs=1e-6)


@pytest.mark.parametrize(
    ("stated", "code"), [(0.0, "error_zero"), ("N/A", "error_absent")], ids=["zero", "not available"]
)
def test_errors_that_say_nothing_are_missing(run, stated, code):
    edit_json(results_of(run), lambda d: d["results"]["mini_law"].__setitem__("acc_stderr,none", stated))
    found = read_folder(run)["mini_law", "none"]
    assert found.published[0].standard_error is None
    assert codes(found)[code]["metric"] == "acc,none"


def test_an_error_of_zero_at_a_trivial_score_is_missing_without_a_word(run):
    sea = read_folder(run)["mini_sea", "none"]
    assert sea.published[0].value == 0.0
    assert sea.published[0].standard_error is None
    assert "error_zero" not in codes(sea)


def test_empty_task_hashes_are_named(run):
    edit_json(results_of(run), lambda d: d.update(task_hashes={}))
    found = read_folder(run)["mini_law", "none"]
    assert "no_task_hashes" in codes(found)
    assert "task_hash" not in found.settings


def test_a_limit_is_named(run):
    edit_json(results_of(run), lambda d: d["n-samples"]["mini_law"].update(original=40))
    assert codes(read_folder(run)["mini_law", "none"])["limited"] == {
        "task": "mini_law",
        "effective": 12,
        "original": 40,
    }


def test_a_metric_that_is_no_mean_is_compared_by_a_note(run):
    def change(document):
        document["configs"]["mini_law"]["metric_list"][0]["aggregation"] = "perplexity"
        document["results"]["mini_law"]["acc,none"] = 7.5

    edit_json(results_of(run), change)
    assert codes(read_folder(run)["mini_law", "none"])["published_not_mean"]["published"] == 7.5


def test_metrics_that_are_no_number_an_item_are_left_out_by_name(run):
    edit_lines(samples_of(run, "mini_law"), lambda rows: [row.update(acc_norm=[1, 2]) for row in rows])
    found = read_folder(run)["mini_law", "none"]
    assert list(found.rows.scores) == ["acc"]
    assert codes(found)["metric_not_scalar"]["metric"] == "acc_norm"


def test_a_metric_that_some_rows_lack_is_left_out_by_name(run):
    edit_lines(samples_of(run, "mini_law"), lambda rows: rows[4]["metrics"].remove("acc_norm"))
    found = read_folder(run)["mini_law", "none"]
    assert list(found.rows.scores) == ["acc"]
    noted = codes(found)["metric_partial"]
    assert (noted["rows"], noted["of"]) == (11, 12)
    assert noted["place"].endswith(":5")


def test_samples_alone_are_read_and_said_to_be(run):
    results_of(run).unlink()
    found = read_folder(run)
    assert "samples_alone" in codes(found["mini_law", "none"])
    assert found["mini_law", "none"].model is None


def test_means_alone_have_no_rows(run):
    for path in run.glob("samples_*"):
        path.unlink()
    found = read_folder(run)["mini_law", "none"]
    assert found.rows is None
    assert found.published[0].metric == "acc"
    assert "no_rows" in codes(found)


def test_files_of_2023_hold_means_alone(tmp_path):
    old = {
        "results": {"arc_easy": {"acc": 0.38, "acc_stderr": 0.01, "acc_norm": 0.35, "acc_norm_stderr": 0.0}},
        "versions": {"arc_easy": 0},
        "config": {
            "model": "hf-causal",
            "model_args": "pretrained=a/b,revision=step10",
            "num_fewshot": 5,
            "limit": 40,
        },
    }
    (tmp_path / "70m_step1.json").write_text(json.dumps(old))
    (found,) = read_folder(tmp_path).values()
    assert found.model == "a/b"
    assert found.settings == {"version": "0", "num_fewshot": "5"}
    assert [(p.metric, p.value, p.standard_error) for p in found.published] == [
        ("acc", 0.38, 0.01),
        ("acc_norm", 0.35, None),
    ]
    assert {"error_zero", "limit_used", "no_rows"} <= set(codes(found))


def test_a_question_asked_twice_is_named(run):
    edit_json(results_of(run), lambda d: d.update(task_hashes={}))
    edit_lines(samples_of(run, "mini_law"), lambda rows: rows[1].update(doc_hash=rows[0]["doc_hash"]))
    assert codes(read_folder(run)["mini_law", "none"])["same_question_twice"]["count"] == 1
