"""Write a run's log in the formats that trainers write, and its published weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from zoo.record.recipes import Recipe
from zoo.record.trainer import DTYPES, Observer, Run

from jokbo.records.declaration import LogEntry


def jsonl(run: Run, folder: Path) -> LogEntry:
    """One row an update, a file for all processes; lost rows are left out."""
    lost = run.recipe.missing_log
    with (folder / "log.jsonl").open("w", encoding="utf-8") as stream:
        for row in run.rows:
            if lost is None or not lost[0] <= row["step"] <= lost[1]:
                stream.write(json.dumps({k: v for k, v in row.items() if k != "process"}) + "\n")
    return LogEntry("log.jsonl")


def publish(run: Run, folder: Path) -> None:
    """Write the released weights: the last state, or the declared average."""
    recipe = run.recipe
    last = folder / f"checkpoints/step-{recipe.steps}"
    shutil.copy(last / "config.json", folder / "config.json")
    published = folder / "published"
    shutil.copytree(last, published)
    if not recipe.average:
        return
    states = [load_file(folder / f"checkpoints/step-{step}/model.safetensors") for step in recipe.average]
    mean = {
        name: torch.stack([state[name].double() for state in states]).mean(0).to(DTYPES[recipe.storage])
        for name in states[0]
    }
    save_file(mean, published / "model.safetensors", metadata={"format": "pt"})
    (published / "model.safetensors").chmod(0o644)
    shutil.copytree(published, folder / "checkpoints/average")


class JsonLines(Observer):
    """One row an update in ``log.jsonl``, written while the run goes on."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def row(self, row: Mapping[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({k: v for k, v in row.items() if k != "process"}) + "\n")


class Console(Observer):
    """What a training script prints, one line an update."""

    def __init__(self, path: Path, steps: int) -> None:
        self.path, self.steps = path, steps

    def row(self, row: Mapping[str, Any]) -> None:
        line = (
            f"step {row['step']}/{self.steps} | loss {row['loss']:.6f} | lr {row['learning_rate']:.6e} | "
            f"grad norm {row['grad_norm']:.4f} | tokens {row['tokens']} | time {row['timestamp']:.3f}\n"
        )
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(line)


CONSOLE_PATTERN = (
    r"^step (?P<step>\d+)/\d+ \| loss (?P<loss>\S+) \| lr (?P<learning_rate>\S+) \| "
    r"grad norm (?P<gradient_norm>\S+) \| tokens (?P<tokens>\d+) \| time (?P<time>\S+)$"
)


class TrainerState(Observer):
    """``trainer_state.json`` as the Hugging Face Trainer 5.23 keeps it, rewritten with every checkpoint."""

    def __init__(self, path: Path, recipe: Recipe, updates_an_epoch: int) -> None:
        self.path, self.recipe, self.each = path, recipe, updates_an_epoch
        self.history: list[dict[str, float]] = []
        self.tokens = 0

    def row(self, row: Mapping[str, Any]) -> None:
        epoch = row["step"] / self.each
        self.tokens = row["tokens"]
        self.history.append(
            {
                "epoch": epoch,
                "grad_norm": row["grad_norm"],
                "learning_rate": row["learning_rate"],
                "loss": row["loss"],
                "num_input_tokens_seen": row["tokens"],
                "step": row["step"],
            }
        )
        if "validation_loss" in row:
            self.history.append({"epoch": epoch, "eval_loss": row["validation_loss"], "step": row["step"]})

    def kept(self, step: int) -> None:
        document = {
            "best_global_step": None,
            "best_metric": None,
            "best_model_checkpoint": None,
            "epoch": step / self.each,
            "eval_steps": 500,
            "global_step": step,
            "is_hyper_param_search": False,
            "is_local_process_zero": True,
            "is_world_process_zero": True,
            "log_history": self.history,
            "logging_steps": 1,
            "max_steps": self.recipe.steps,
            "num_input_tokens_seen": self.tokens,
            "num_train_epochs": 1,
            "save_steps": 500,
            "stateful_callbacks": {},
            "total_flos": 0.0,
            "train_batch_size": int(self.recipe.batch[0].sequences),
            "trial_name": None,
            "trial_params": None,
        }
        self.path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


class WandbOffline(Observer):
    """The ``.wandb`` file that the wandb library itself writes in offline mode."""

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        import wandb

        # No machine, account, path or source code in a file that is to be published.
        settings = wandb.Settings(
            mode="offline",
            console="off",
            disable_git=True,
            disable_code=True,
            x_disable_meta=True,
            x_disable_stats=True,
            x_disable_machine_info=True,
            x_save_requirements=False,
            silent=True,
        )
        self.run = wandb.init(
            dir=str(folder),
            project="jokbo-zoo",
            name=recipe.name,
            id=f"zoo{recipe.seed % 10**8}",
            settings=settings,
        )

    def row(self, row: Mapping[str, Any]) -> None:
        names = {
            "train/loss": "loss",
            "train/learning_rate": "learning_rate",
            "train/grad_norm": "grad_norm",
            "train/tokens": "tokens",
            "eval/loss": "validation_loss",
        }
        found = {name: row[key] for name, key in names.items() if key in row}
        self.run.log(found | {"train/global_step": row["step"]}, step=row["step"])

    def finish(self) -> Path:
        """End the run; the file."""
        self.run.finish()
        (found,) = Path(self.run.settings.sync_dir).glob("*.wandb")
        return found


def array(path: Path, values: np.ndarray) -> None:
    """Keep an array of the disclosure."""
    np.save(path, values)
