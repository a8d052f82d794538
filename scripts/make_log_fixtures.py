"""Write small logs with the real libraries: ``python scripts/make_log_fixtures.py``, into ``tests/unit/records/logs``.

Needs wandb, mlflow, torch, tensorboard, transformers and accelerate; the files were written with wandb 0.31.0,
mlflow 3.17.2, torch 2.13.0, tensorboard 2.21.0 and transformers 5.23.0. Nothing of the machine may stay in them:
names of host and user, paths and hardware are switched off or left out, and the script ends by looking for them
in every file. What was logged is a formula (:func:`values`), so that tests need no record of it.
"""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import sqlite3
import tempfile
from pathlib import Path

LOGS = Path(__file__).resolve().parents[1] / "tests" / "unit" / "records" / "logs"
STEPS = 12
RESUMED_AT = 8


def values(step: int) -> dict[str, float]:
    """What is logged at a step."""
    return {"train/loss": 6.0 / (1 + step), "lr": 1e-3 * (step + 1) / STEPS, "grad_norm": 0.5 + 0.25 * step}


def write_wandb(folder: Path) -> None:
    """A run, a resumed one that goes back two steps, and values that are no plain numbers."""
    import wandb

    settings = wandb.Settings(
        mode="offline", silent=True, console="off", root_dir=str(folder), host="host", username="user",
        program="train.py", disable_git=True, disable_code=True, x_disable_meta=True, x_disable_machine_info=True,
        x_disable_stats=True, x_save_requirements=False,
    )  # fmt: skip
    for name, first, last, resume in (
        ("run", 0, RESUMED_AT, None),
        ("resumed", RESUMED_AT - 2, STEPS, "must"),
    ):
        run = wandb.init(project="project", id="abc", settings=settings, resume=resume, config={"lr": 1e-3})
        for step in range(first, last):
            odd = {"note": "text", "nested": {"part": step}, "odd": float("nan"), "wide": float("inf")}
            run.log({**values(step), **(odd if step == 3 else {})}, step=step)
        run.finish()
        wandb.teardown()  # only now is the file whole
        (written,) = (folder / "wandb").glob("offline-run-*/*.wandb")
        shutil.copy(written, LOGS / f"{name}.wandb")
        shutil.rmtree(folder / "wandb")


def write_tensorboard(folder: Path) -> None:
    """Scalars, old and new, a text and a histogram; and the file of a writer that was resumed."""
    import numpy as np
    from torch.utils.tensorboard import SummaryWriter

    (LOGS / "tensorboard").mkdir()
    for number, first, last, purge in ((0, 0, RESUMED_AT, None), (1, RESUMED_AT - 2, STEPS, RESUMED_AT - 2)):
        own = folder / str(number)
        with SummaryWriter(str(own), purge_step=purge) as writer:
            for step in range(first, last):
                for name, value in values(step).items():
                    writer.add_scalar(name, value, step, new_style=name == "lr", walltime=1.7e9 + step)
            writer.add_text("note", "text", first)
            writer.add_histogram("weights", np.linspace(0, 1, 50), first)
        (written,) = own.glob("events.*")
        shutil.copy(written, LOGS / "tensorboard" / f"events.out.tfevents.170000000{number}.host.1.{number}")


def write_trainer_state(folder: Path) -> None:
    """A tiny model by the Trainer, evaluated on the way."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments, set_seed

    set_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=32, hidden_size=8, intermediate_size=16, num_hidden_layers=1, num_attention_heads=1
        )
    )
    rows = [{"input_ids": ids, "labels": ids} for ids in torch.randint(0, 32, (48, 8))]
    arguments = TrainingArguments(
        output_dir=str(folder), max_steps=STEPS, per_device_train_batch_size=4, logging_steps=1, eval_strategy="steps",
        eval_steps=4, save_strategy="no", report_to="none", use_cpu=True, disable_tqdm=True, learning_rate=1e-3,
    )  # fmt: skip
    trainer = Trainer(model, arguments, train_dataset=rows, eval_dataset=rows[:8])
    trainer.train()
    trainer.save_state()
    shutil.copy(folder / "trainer_state.json", LOGS / "trainer_state.json")


def write_mlflow(folder: Path) -> None:
    """The same run in both stores; of each only what holds metrics is kept."""
    os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
    import mlflow

    for uri in (f"sqlite:///{folder}/mlflow.db", f"file://{folder}/mlruns"):
        mlflow.set_tracking_uri(uri)
        with mlflow.start_run():
            for step in range(STEPS):
                mlflow.log_metrics(values(step), step=step)
            mlflow.log_metric("odd", float("nan"), step=STEPS - 1)
    (metrics,) = (folder / "mlruns").glob("*/*/metrics")
    shutil.copytree(metrics, LOGS / "mlruns" / "0" / "run" / "metrics")
    store = sqlite3.connect(folder / "mlflow.db")
    store.execute("PRAGMA foreign_keys = OFF")
    store.execute("PRAGMA journal_mode = DELETE")
    for (name,) in store.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
        if name != "metrics" and not name.startswith("sqlite_"):
            store.execute(f'DROP TABLE "{name}"')
    store.commit()
    store.execute("VACUUM")
    store.close()
    shutil.copy(folder / "mlflow.db", LOGS / "mlflow.db")


def check_nothing_stays(folder: Path) -> None:
    """Look for what would tell of this machine."""
    names = {
        socket.gethostname(),
        socket.getfqdn(),
        getpass.getuser(),
        str(folder),
        str(Path.home()),
        tempfile.gettempdir(),
    }
    for path in LOGS.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            found = [name for name in names if len(name) > 2 and name.encode() in data]
            if found:
                raise SystemExit(f"{path} tells {found}")


def main() -> None:
    """Write all of them anew."""
    shutil.rmtree(LOGS, ignore_errors=True)
    LOGS.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for write in (write_wandb, write_tensorboard, write_trainer_state, write_mlflow):
            own = folder / write.__name__
            own.mkdir()
            write(own)
        check_nothing_stays(folder)


if __name__ == "__main__":
    main()
