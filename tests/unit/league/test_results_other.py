"""The HAE-RAE toolkit, Every Eval Ever, and plain tables."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import jsonschema
import pytest

from jokbo.errors import FormatError, UsageError
from jokbo.league.results.choose import choose, read_files, reader_of
from jokbo.league.results.every_eval_ever import aggregate_schema, instance_schema
from jokbo.league.results.every_eval_ever_export import Origin, export, write_exported
from jokbo.testing.results import edit_json, read_folder, result_files

RUNS = Path(__file__).parent / "written"


def test_hret_is_read_and_suspected(tmp_path):
    shutil.copy(RUNS / "llm_eval" / "one.json", tmp_path)
    (found,) = read_folder(tmp_path, fields=("subject",)).values()
    assert found.task == "mini/law"
    assert found.rows.scores["accuracy"].mean() == pytest.approx(found.published[0].value) == 0.75
    assert found.settings["num_fewshot"] == "0"
    assert {"hret_pairing", "no_row_hashes"} <= {note.code for note in found.notes}
    assert len(set(found.rows.digests)) == 12


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d["samples"][4].pop("evaluation"), "samples/4 has none of is_correct"),
        (lambda d: d["samples"][4]["evaluation"].update(is_correct=None), "samples/4: 'accuracy' is absent"),
        (lambda d: d["samples"].pop(), "states accuracy 0.75, and its 11 rows"),
        (lambda d: d.update(samples=[]), "'samples' is \\[\\]; expected a list"),
    ],
)
def test_hret_that_cannot_be_believed(tmp_path, change, said):
    shutil.copy(RUNS / "llm_eval" / "one.json", tmp_path)
    edit_json(tmp_path / "one.json", change)
    with pytest.raises(FormatError, match=said):
        read_folder(tmp_path)


def copy_eee(tmp_path: Path, task: str) -> tuple[Path, Path]:
    for path in (RUNS / "every_eval_ever" / task).rglob("*.json*"):
        shutil.copy(path, tmp_path)
    (aggregate,) = tmp_path.glob("*[0-9a-f].json")
    (instances,) = tmp_path.glob("*.jsonl")
    return aggregate, instances


def test_what_the_real_converter_wrote_is_read_like_its_source(tmp_path):
    copy_eee(tmp_path, "mini_law")
    (found,) = read_folder(tmp_path).values()
    source = read_folder(RUNS / "lm_harness" / "jokbo__one")["mini_law", "none"]
    assert found.rows.ids == source.rows.ids
    assert found.rows.scores["acc"].tolist() == source.rows.scores["acc"].tolist()
    assert found.published == source.published
    assert found.rows.fields["prompt_hash"] == source.rows.fields["prompt_hash"]


def test_filters_are_evaluations_of_their_own(tmp_path):
    copy_eee(tmp_path, "mini_number")
    assert [task for task, _ in read_folder(tmp_path)] == [
        "mini_number/strict-match",
        "mini_number/flexible-extract",
    ]


def test_a_groups_mean_beside_the_rows_of_one_task_is_refused(tmp_path):
    # The converter of every-eval-ever==0.3.0 puts the rows of a group's last task beside the mean of the group.
    copy_eee(tmp_path, "mini")
    with pytest.raises(FormatError, match=r"mini states 20 items; .* are 8 rows of them"):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d.update(extra=1), "unknown field 'extra'"),
        (lambda d: d["model_info"].pop("id"), "at model_info: field 'id' is missing"),
        (
            lambda d: d["detailed_evaluation_results"].update(checksum="0" * 64),
            "has the SHA-256 6a358aa1692a1b77",
        ),
        (lambda d: d["detailed_evaluation_results"].update(total_rows=9), "has 24 instances; .* states 9"),
        (lambda d: d.update(evaluation_id="other"), "of another evaluation than"),
        (
            lambda d: d["evaluation_results"][1].update(evaluation_result_id="x"),
            "evaluation_result_id is 'acc_norm'; expected one of",
        ),
        (
            lambda d: d["evaluation_results"][0]["score_details"].update(score=0.5),
            "states acc 0.5, and its 12 rows",
        ),
    ],
)
def test_eee_that_cannot_be_believed(tmp_path, change, said):
    aggregate, _ = copy_eee(tmp_path, "mini_law")
    edit_json(aggregate, change)
    with pytest.raises(FormatError, match=said):
        read_folder(tmp_path)


def test_instances_alone_are_refused(tmp_path):
    aggregate, _ = copy_eee(tmp_path, "mini_law")
    aggregate.unlink()
    with pytest.raises(FormatError, match="no aggregate file here names these instances"):
        read_folder(tmp_path)


def test_instances_that_state_an_error_are_refused(tmp_path):
    aggregate, instances = copy_eee(tmp_path, "mini_law")
    edit_json(aggregate, lambda d: d["detailed_evaluation_results"].pop("checksum"))
    lines = instances.read_text().splitlines()
    lines[3] = json.dumps(json.loads(lines[3]) | {"error": "timeout"})
    instances.write_text("\n".join(lines) + "\n")
    with pytest.raises(FormatError, match=r"_samples\.jsonl:4 states an error \('timeout'\)"):
        read_folder(tmp_path)


def test_exports_follow_both_schemas_and_hold_no_questions(tmp_path):
    results = read_files(result_files(RUNS / "lm_harness" / "jokbo__one"))
    write_exported(results, tmp_path / "out", Origin(lower_is_better=["acc"], relationship="third_party"))
    for path in (tmp_path / "out").rglob("*.json*"):
        text = path.read_text()
        assert "colour" not in text
        if path.suffix == ".json":
            jsonschema.validate(json.loads(text), aggregate_schema())
        else:
            for line in text.splitlines():
                jsonschema.validate(json.loads(line), instance_schema())
    whole = "".join(path.read_text() for path in (tmp_path / "out").rglob("*.json"))
    assert '"lower_is_better":true' in whole
    assert '"evaluator_relationship":"third_party"' in whole


def test_exports_are_the_same_bytes_every_time():
    result = read_files(result_files(RUNS / "llm_eval", "one.json"))[0]
    assert export(result, Origin()) == export(result, Origin())
    assert export(result, Origin(retrieved_at=1)).name != export(result, Origin()).name


def test_exports_go_into_an_empty_folder_only(tmp_path):
    result = read_files(result_files(RUNS / "llm_eval", "one.json"))
    (tmp_path / "there").write_text("")
    with pytest.raises(UsageError, match="is not empty"):
        write_exported(result, tmp_path, Origin())
    with pytest.raises(UsageError, match="relationship 'friend'"):
        write_exported(result, tmp_path / "new", Origin(relationship="friend"))


def table(tmp_path: Path, text: str, **options):
    (tmp_path / "exam.csv").write_text(text)
    return list(read_folder(tmp_path, **options).values())


def test_a_table_of_items(tmp_path):
    (found,) = table(tmp_path, "item;subject;acc;f1\na;law;1;0,5\nb;sea;0;0,25\n", fields=("subject",))
    assert found.task == "exam"
    assert found.rows.ids == ("a", "b")
    assert found.rows.scores["f1"].tolist() == [0.5, 0.25]
    assert found.rows.fields == {"subject": ("law", "sea")}
    assert found.rows.places == ("exam.csv:2", "exam.csv:3")


def test_a_table_of_several_tasks_with_repetitions(tmp_path):
    digest = "ab" * 32
    rows = f"item,task,repeat,digest,acc\n1,x,0,{digest},1\n1,x,1,{digest},0\n1,y,0,{digest},1\n"
    x, y = table(tmp_path, rows)
    assert (x.task, y.task) == ("x", "y")
    assert x.rows.repeats.tolist() == [0, 1]
    assert x.rows.digests == (digest, digest)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("item,acc\na,1", "the last line has no line break"),
        ("item,acc\na,\n", r"exam\.csv:2: 'acc' is absent; expected a finite number"),
        ("item,acc\na,NaN\n", r"exam\.csv:2 \(acc\): found 'NaN'"),
        ("item,acc\na,inf\n", r"exam\.csv:2 \(acc\): found 'inf'"),
        ("item,acc\na,1\na,0\n", r"exam\.csv:3: item 'a' of exam is there already, at exam\.csv:2"),
        ("item\na\n", "expected item, at least one column of scores"),
        ("item,acc\n", "expected item, at least one column of scores"),
        ("item,repeat,acc\na,first,1\n", r"exam\.csv:2: repeat is 'first'"),
        ("item,digest,acc\na,xyz,1\n", r"exam\.csv:2: digest is 'xyz'"),
    ],
)
def test_tables_that_cannot_be_believed(tmp_path, text, said):
    with pytest.raises(FormatError, match=said):
        table(tmp_path, text)


def test_a_file_of_no_known_format_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    (file,) = result_files(tmp_path)
    with pytest.raises(FormatError, match=r"notes\.txt is in no format that is known here \(lm_harness"):
        choose(file)
    with pytest.raises(UsageError, match="there is no reader 'helm'; the readers are lm_harness"):
        reader_of("helm")
