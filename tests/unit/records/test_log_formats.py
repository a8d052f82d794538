"""Every reader on files built here: what is found in them, what is odd, and what is a sample."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest

from jokbo.errors import FormatError
from jokbo.records.declaration import BatchPhase, LogEntry
from jokbo.records.readers.choose import READERS, reader_of
from jokbo.records.readers.sampling import irregular
from jokbo.testing import logs
from jokbo.testing.log_reading import read_bytes, read_folder

LOCALES = Path(__file__).resolve().parents[3] / "src/jokbo/report/locales"


def codes(log):
    return [reason.code for reason in log.faults]


def test_every_reader_has_both_functions():
    for name in READERS:
        reader = reader_of(name)
        assert callable(reader.recognises)
        assert callable(reader.read)


@pytest.mark.parametrize("nested", [True, False])
def test_wandb_keys_of_both_kinds(nested):
    rows = [
        {"_step": k, "train/loss": 4.0 - k, "_timestamp": 1.7e9 + k, "_runtime": float(k)} for k in range(3)
    ]
    data = logs.blocks([logs.wandb_run(), *(logs.wandb_history(row, nested=nested) for row in rows)])
    log = read_bytes("run.wandb", data)
    assert log.series("loss").values.tolist() == [4.0, 3.0, 2.0]
    assert log.times.tolist() == [1.7e9, 1.7e9 + 1, 1.7e9 + 2]
    assert log.runtimes.tolist() == [0, 1, 2]
    assert "exit_code" not in log.segments[0].facts


def test_wandb_forks_environment_and_exit():
    records = [
        logs.wandb_run("child", branch=("parent", 40), starting_step=41),
        logs.wandb_environment("NVIDIA B200", 8, "c0ffee"),
        logs.wandb_history({"loss": 1.0}, step=41),
        logs.wandb_exit(1),
    ]
    log = read_bytes("run.wandb", logs.blocks(records))
    (segment,) = log.segments
    assert segment.forked_from == 40
    assert log.steps.tolist() == [41]
    facts = {
        "device": "NVIDIA B200",
        "device_count": "8",
        "git_commit": "c0ffee",
        "exit_code": "1",
        "branch_of": "parent",
    }
    assert facts.items() <= segment.facts.items()


def test_wandb_typed_values():
    def item(name, value):
        return logs.field(1, logs.field(2, name) + value)

    items = [
        item("loss", logs.field(6, 2.5)), item("left", logs.field(5, 3)), item("text", logs.field(7, "x")),
        item("deep", logs.field(8, '{"a": {"b": 7}}')), item("_step", logs.field(5, 8)),
    ]  # fmt: skip
    log = read_bytes("run.wandb", logs.blocks([logs.field(2, b"".join(items))]))
    assert log.steps.tolist() == [4]  # zigzag: 8 is 4, 3 is -2
    assert {name: column.values.tolist() for name, column in log.columns.items()} == {
        "loss": [2.5], "left": [-2.0], "deep/a/b": [7.0],
    }  # fmt: skip


def test_wandb_media_text_and_long_values_are_no_metrics():
    row = {"_step": 1, "loss": 2.0, "image": {"_type": "image-file", "width": 3}, "note": "x", "none": None,
           "table": "y" * 5000, "inner": {"rate": 0.5}}  # fmt: skip
    log = read_bytes("run.wandb", logs.wandb_file([row]))
    assert set(log.columns) == {"loss", "inner/rate"}


def test_wandb_steps_of_the_trainer_come_before_the_count_of_calls():
    rows = [{"_step": k, "train/global_step": 10 * k, "train/loss": 1.0} for k in range(3)]
    log = read_bytes("run.wandb", logs.wandb_file(rows))
    assert log.steps.tolist() == [0, 10, 20]
    assert log.series("_step").values.tolist() == [0, 1, 2]


def test_wandb_records_longer_than_blocks():
    rows = [{"_step": k, **{f"metric-{j}": float(j * k) for j in range(3000)}} for k in range(3)]
    log = read_bytes("run.wandb", logs.wandb_file(rows))
    assert log.series("metric-2999").values.tolist() == [0.0, 2999.0, 5998.0]


def test_a_wandb_file_of_several_pieces():
    rows = [{"_step": k, "loss": 1.0 / (k + 1), "note": "x" * 3000} for k in range(1500)]
    data = logs.wandb_file(rows)
    assert len(data) > 4 << 20
    log = read_bytes("run.wandb", data)
    assert log.series("loss").values.tolist() == [1.0 / (k + 1) for k in range(1500)]


@pytest.mark.parametrize("tensor", [True, False])
def test_tensorboard_scalars_of_both_kinds(tensor):
    events = []
    for step in range(3):
        events.append(logs.scalar_event(1.7e9 + step, step, "Loss/train", 0.5 * step, tensor=tensor))
        events.append(logs.scalar_event(1.7e9 + step + 0.5, step, "lr", 0.25, tensor=tensor))
    log = read_bytes("events.out.tfevents.1.host", logs.event_file(events))
    assert log.steps.tolist() == [0, 1, 2]
    assert log.times.tolist() == [1.7e9, 1.7e9 + 1, 1.7e9 + 2]
    assert log.series("loss").values.tolist() == [0.0, 0.5, 1.0]
    assert log.columns["learning_rate"].rows is None


def test_tensorboard_tags_again_at_a_step_are_new_rows():
    events = [
        logs.scalar_event(1.0, 5, tag, value)
        for tag, value in [("a", 1.0), ("b", 2.0), ("a", 3.0), ("b", 4.0)]
    ]
    log = read_bytes("events.out.tfevents.1", logs.event_file(events))
    assert log.steps.tolist() == [5, 5]
    assert log.series("a").values.tolist() == [1.0, 3.0]
    assert log.series("b").values.tolist() == [2.0, 4.0]


def test_tensorboard_long_records_keep_their_checksums():
    picture = logs.field(1, 1.0) + logs.field(
        5, logs.field(1, logs.field(1, "image") + logs.field(4, b"p" * 9001))
    )
    events = [picture, logs.scalar_event(1.0, 1, "loss", 2.0)]
    assert read_bytes("events.out.tfevents.1", logs.event_file(events)).series("loss").values.tolist() == [
        2.0
    ]


def test_tensorboard_exports_of_a_thousand_points():
    steps = np.sort(np.random.default_rng(0).choice(50_000, 1000, replace=False))
    text = "Wall time,Step,Value\n" + "".join(f"{1.7e9 + s},{s},{1.0 / (s + 1)}\n" for s in steps)
    log = read_bytes("export.csv", text, metrics={"loss": "Value"})
    assert log.segments[0].sampled == "tensorboard_reservoir"
    assert len(log.series("loss")) == 1000
    assert log.times[0] == 1.7e9 + steps[0]


def test_megatron_lines():
    text = (
        "building model ...\n"
        " [2026-01-02 03:04:05] iteration       10/     100 | consumed samples:         2560 | elapsed time per "
        "iteration (ms): 1500.5 | throughput per GPU (TFLOP/s/GPU): 400.0 | "
        "learning rate: 1.500000E-04 | global batch size:   256 | lm loss: 9.512345E+00 | "
        "loss scale: 1.0 | grad norm: 2.125 | number of skipped iterations:   0 |\n"
        " validation loss at iteration 10 | lm loss value: 9.400000E+00 | lm loss PPL: 1.2E+04 | \n"
    )
    log = read_bytes("train.log", text)
    assert log.segments[0].format == "megatron"
    assert log.steps.tolist() == [10, 10]
    assert log.times[0] == 1767323045.0
    assert log.series("loss").values.tolist() == [9.512345]
    assert log.series("validation_loss").values.tolist() == [9.4]
    assert log.series("step_seconds").values.tolist() == [1.5005]
    assert log.series("flops").values.tolist() == [4e14]
    assert log.series("samples").values.tolist() == [2560.0]
    assert log.series("tokens") is None


def test_samples_are_tokens_where_one_length_is_declared(tmp_path):
    (tmp_path / "a.log").write_text(
        " iteration 1/ 10 | consumed samples: 8 | global batch size: 8 | lm loss: 1.0E+00 |\n"
    )
    log = read_folder(tmp_path, "a.log", batch=(BatchPhase(1, 8, 64),))
    assert log.series("tokens").values.tolist() == [512.0]
    assert log.series("batch_tokens").values.tolist() == [512.0]


def test_nanogpt_and_modded_nanogpt():
    text = (
        "step 0: train loss 10.9, val loss 10.8\n"
        "iter 0: loss 10.95, time 5000.00ms, mfu -100.00%\n"
        "iter 10: loss 9.5, time 50.00ms, mfu 31.02%\n"
    )
    log = read_bytes("out.txt", text)
    assert log.series("loss").values.tolist() == [10.95, 9.5]
    assert log.series("validation_loss").values.tolist() == [10.8]
    assert log.series("step_seconds").values.tolist() == [5.0, 0.05]
    program = "import torch\nprint0(f'step:{step}/{n}')\n" + "x = 1\n" * 20_000
    text = (
        program + "step:1/3 train_loss:9.5 train_time:100ms step_avg:nanms\n"
        "step:2/3 val_loss:8.5 train_time:300ms step_avg:150.0ms\n"
    )
    log = read_bytes("out.txt", text)
    assert log.segments[0].format == "console"
    assert log.runtimes.tolist() == [0.1, 0.3]
    assert log.series("loss").values.tolist() == [9.5]
    assert log.series("validation_loss").values.tolist() == [8.5]
    assert codes(log) == ["not_finite"]


def test_a_console_by_a_declared_pattern():
    text = (
        "start\n\x1b[32mupdate 1,000 | loss=3.25 | lr=1e-3\x1b[0m\n"
        + "y" * 5000
        + "\nupdate 1,001 | loss=n/a | lr=1e-3\n"
    )
    pattern = r"update (?P<step>[0-9,]+) \| loss=(?P<loss>\S+) \| lr=(?P<lr>\S+)"
    log = read_bytes("out.log", text, pattern=pattern)
    assert log.steps.tolist() == [1000, 1001]
    assert log.series("loss").values.tolist() == [3.25]
    assert log.series("learning_rate").values.tolist() == [1e-3, 1e-3]
    assert codes(log) == ["not_number"]
    assert log.faults[0].values["at"] == 4
    assert log.segments[0].facts == {"lines_too_long": "1"}


def test_a_pattern_for_a_folder_of_consoles(tmp_path):
    (tmp_path / "out").mkdir()
    for k in range(2):
        (tmp_path / "out" / f"{k}.txt").write_text(f"it={k}\n")
    (tmp_path / "out" / "weights.bin").write_bytes(bytes(100))
    log = read_folder(tmp_path, LogEntry("out", pattern="it=(?P<step>[0-9]+)"))
    assert log.steps.tolist() == [0, 1]


def test_tables():
    text = (
        "step;note;loss;time\n"
        "1;a;2.5;2026-01-02T03:04:05Z\n"
        "2;b;;2026-01-02T03:04:06Z\n"
        "3;c;x;2026-01-02T03:04:07+00:00\n"
    )
    log = read_bytes("log.csv", text)
    assert log.steps.tolist() == [1, 2, 3]
    assert log.times.tolist() == [1767323045.0, 1767323046.0, 1767323047.0]
    assert log.series("loss").rows.tolist() == [0]
    assert codes(log) == ["not_number"]
    assert log.segments[0].facts == {"text_columns": "note"}


def test_json_lines_nested_and_odd():
    rows = [
        '{"train": {"loss": 2.5}, "step": 1, "tags": ["a"]}',
        "",
        '{"train.loss": NaN, "step": 2, "big": 1' + "0" * 400 + "}",
    ]
    log = read_bytes("log.jsonl", "\r\n".join(rows) + "\n")
    assert log.series("loss").values.tolist()[:1] == [2.5]
    assert log.series("big").values.tolist() == [float("inf")]
    assert codes(log).count("not_finite") == 2


def test_faults_have_their_places_and_are_counted():
    rows = [(1, 1.7e9, 1.0), (5, 1.7e9 + 5, "nan"), (3, 1.7e9 + 1, "inf"), ("", 3e9, 2.0)]
    text = "step,timestamp,loss\n" + "".join(",".join(map(str, row)) + "\n" for row in rows)
    log = read_bytes("log.csv", text)
    found = {reason.code: reason.values for reason in log.faults}
    assert set(found) == {"not_finite", "step_back", "clock_back", "clock_future", "no_step"}
    assert found["step_back"] == {"file": "log.csv", "at": 4, "step": 3, "before": 5}
    assert found["no_step"]["at"] == 5
    assert log.n_faults == 6
    assert log.steps.tolist() == [1, 5, 3, -1]


def test_at_most_a_hundred_faults_are_kept():
    columns = [f"m{k}" for k in range(30)]
    text = ",".join(["step", *columns]) + "\n" + "".join(f"{k}" + ",nan" * 30 + "\n" for k in range(50))
    log = read_bytes("log.csv", text)
    assert len(log.faults) == 100
    assert log.n_faults == 1500


def test_declared_names_come_first_and_must_be_there(tmp_path):
    text = "it,loss,my_loss\n1,1.0,5.0\n2,1.0,6.0\n"
    log = read_bytes("log.csv", text, metrics={"step": "it", "loss": "my_loss"})
    assert log.steps.tolist() == [1, 2]
    assert log.series("loss").values.tolist() == [5.0, 6.0]
    assert log.series("loss (as named)").values.tolist() == [1.0, 1.0]
    with pytest.raises(FormatError, match=r"column 'my_los'; .*did you mean 'my_loss'"):
        read_bytes("log.csv", text, metrics={"loss": "my_los"})
    with pytest.raises(FormatError, match=r"metric 'los'; expected a standard name.*did you mean 'loss'"):
        read_bytes("log.csv", text, metrics={"los": "my_loss"})


def test_logs_are_joined_in_their_order(tmp_path):
    (tmp_path / "b.csv").write_text("step,loss\n1,4.0\n2,3.0\n")
    (tmp_path / "a.jsonl").write_text('{"step": 3, "lr": 0.5}\n{"step": 4, "loss": 1.0, "lr": 0.25}\n')
    log = read_folder(tmp_path, "b.csv", LogEntry("a.jsonl", sampled=True))
    assert log.steps.tolist() == [1, 2, 3, 4]
    assert log.series("loss").rows.tolist() == [0, 1, 3]
    assert log.series("learning_rate").rows.tolist() == [2, 3]
    assert [segment.sampled for segment in log.segments] == ["", "declared"]


def test_sampled_history_of_wandb():
    kept = np.unique(np.linspace(0, 9_999, 500).astype(int))
    head, rows = "_step,_timestamp,train/loss\n", [f"{k},{1.7e9 + k},{1.0 / (k + 1)}\n" for k in kept]
    log = read_bytes("history.csv", head + "".join(rows))
    assert log.segments[0].format == "wandb_export"
    assert log.segments[0].sampled == "wandb_history"
    whole = [f"{k},{1.7e9 + k},{1.0 / (k + 1)}\n" for k in range(500)]
    assert read_bytes("history.csv", head + "".join(whole)).segments[0].sampled == ""
    as_json = [json.dumps({"_step": int(k), "train/loss": 1.0}) + "\n" for k in kept]
    assert read_bytes("history.jsonl", "".join(as_json)).segments[0].sampled == "wandb_history"
    chart = '"Step","run - train/loss","run - train/loss__MIN","run - train/loss__MAX"\n1,2.0,1.0,3.0\n'
    assert read_bytes("chart.csv", chart).segments[0].sampled == "wandb_chart"


@pytest.mark.parametrize("kept", [0.02, 0.5, 0.9])
def test_thinned_logs_are_irregular(kept):
    steps = np.flatnonzero(np.random.default_rng(1).random(4000) < kept)
    text = "step,loss\n" + "".join(f"{k},1.0\n" for k in steps)
    assert read_bytes("log.csv", text).segments[0].sampled == "irregular_steps"


def test_honest_gaps_are_not_a_sample():
    assert not irregular(np.arange(0, 5000, 10))
    resumed = np.concatenate([np.arange(0, 1037), np.arange(1000, 2000)])
    assert not irregular(resumed)
    phases = np.concatenate([np.arange(1, 100), np.arange(100, 1000, 10), np.arange(1000, 90_000, 100)])
    assert not irregular(phases)
    holes = np.setdiff1d(np.arange(1000), [100, 101, 300, 555])
    assert not irregular(holes)


def test_every_code_has_a_sentence_in_both_languages():
    fault = {"not_finite", "no_step", "step_back", "clock_back", "clock_future", "cut_end", "not_number"}
    sampled = {"declared", "irregular_steps", "wandb_history", "wandb_chart", "tensorboard_reservoir"}
    for language in ("en", "ko"):
        table = tomllib.loads((LOCALES / language / "record_readers.toml").read_text())["record"]["log"]
        assert set(table["fault"]) == fault
        assert set(table["sampled"]) == sampled
