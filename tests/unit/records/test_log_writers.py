"""Logs written on the spot by the real libraries (the full environment), and read."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
tensorboard = pytest.importorskip("torch.utils.tensorboard")
transformers = pytest.importorskip("transformers")
pytest.importorskip("accelerate")

from jokbo.testing.log_reading import read_folder  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]


@pytest.mark.parametrize("new_style", [False, True])
def test_a_summary_writer(tmp_path, new_style):
    rng = np.random.default_rng(0)
    losses, rates = rng.random(300), rng.random(300)
    with tensorboard.SummaryWriter(str(tmp_path / "events")) as writer:
        for step in range(300):
            writer.add_scalar("train/loss", losses[step], step, new_style=new_style)
            writer.add_scalar("lr", rates[step], step, new_style=new_style)
            if step % 100 == 99:
                writer.add_scalar("val/loss", losses[step] + 1, step, new_style=new_style)
                writer.add_histogram("weights", rng.normal(size=1000), step)
                writer.add_text("note", "text " * 1000, step)
    log = read_folder(tmp_path, "events")
    assert log.steps.tolist() == list(range(300))
    assert log.series("loss").values.tolist() == losses.astype(np.float32).tolist()
    assert log.series("learning_rate").values.tolist() == rates.astype(np.float32).tolist()
    assert log.series("validation_loss").steps.tolist() == [99, 199, 299]
    assert set(log.columns) == {"loss", "learning_rate", "validation_loss"}
    assert log.n_faults == 0
    assert log.segments[0].sampled == ""


def test_a_writer_that_was_resumed(tmp_path):
    for purge, first, last in ((None, 0, 50), (40, 40, 100)):
        with tensorboard.SummaryWriter(
            str(tmp_path / "events"), purge_step=purge, filename_suffix=f".{first}"
        ) as writer:
            for step in range(first, last):
                writer.add_scalar("loss", 1.0 + step, step)
    log = read_folder(tmp_path, "events")
    assert sorted(segment.resumed for segment in log.segments) == [False, True]
    assert log.n_rows == 110


def test_a_trainer(tmp_path):
    transformers.set_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=32, hidden_size=8, intermediate_size=16, num_hidden_layers=1, num_attention_heads=1
    )
    rows = [{"input_ids": ids, "labels": ids} for ids in torch.randint(0, 32, (64, 8))]
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path / "out"), max_steps=20, per_device_train_batch_size=4, logging_steps=1, save_steps=10,
        eval_strategy="steps", eval_steps=5, report_to="none", use_cpu=True, disable_tqdm=True,
        lr_scheduler_type="cosine", warmup_steps=4, learning_rate=1e-3,
    )  # fmt: skip
    trainer = transformers.Trainer(
        transformers.LlamaForCausalLM(config), arguments, train_dataset=rows, eval_dataset=rows[:8]
    )
    trainer.train()
    trainer.save_state()
    log = read_folder(tmp_path, "out")  # with two checkpoints, their pickles and their weights
    told = [row for row in trainer.state.log_history if "loss" in row]
    assert log.segments[0].format == "trainer_state"
    assert log.series("loss").steps.tolist() == list(range(1, 21))
    assert log.series("loss").values.tolist() == [row["loss"] for row in told]
    assert log.series("gradient_norm").values.tolist() == [row["grad_norm"] for row in told]
    assert log.series("learning_rate").values.tolist() == [row["learning_rate"] for row in told]
    assert log.series("validation_loss").steps.tolist() == [5, 10, 15, 20]
    assert log.n_faults == 0
