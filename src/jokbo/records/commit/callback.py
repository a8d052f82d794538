"""A callback for the Hugging Face Trainer that commits to each checkpoint and to what the log has grown by."""

from __future__ import annotations

import json
import logging
import os
import time
from pathlib import Path
from typing import Any

from jokbo.errors import JokboError, MissingExtraError, UsageError
from jokbo.records.commit.keys import Signer, load_signer
from jokbo.records.commit.writer import CHAIN, commit

LOG = "train_log.jsonl"
_LOGGER = logging.getLogger(__name__)


def commitment_callback(
    key: Signer | str | os.PathLike[str],
    *,
    name: str = "",
    beacon: str | os.PathLike[str] | None = None,
    tsa: str = "",
    save_start: bool = True,
) -> Any:
    """Make a ``TrainerCallback``: ``Trainer(..., callbacks=[commitment_callback("commit.key")])``.

    It keeps a log of its own, ``train_log.jsonl`` in the output folder: one row for each row that the Trainer
    logs, with step and time. The first link is written when training begins, another at each save and one at the end.

    Parameters
    ----------
    key : Signer or path
        Private key, kept outside of the output folder.
    name, beacon, tsa
        As for :func:`~jokbo.records.commit.writer.commit`; the beacon's file lies in the output folder.
    save_start : bool
        Save the model as ``checkpoint-0`` before the first update, so that step 0 is committed to as well.

    Notes
    -----
    A commitment that fails is logged as an error and training goes on: the next link covers what is new since.
    A first link that fails stops the training, since everything after it would be worth nothing.

    Raises
    ------
    MissingExtraError
        Transformers is not installed.
    """
    try:
        from transformers import TrainerCallback
    except ImportError:
        raise MissingExtraError(
            "the callback is for the Hugging Face Trainer: pip install transformers. "
            "Without it, call jokbo.records.commit.writer.commit after each save."
        ) from None
    signer = key if isinstance(key, Signer) else load_signer(key)

    class CommitmentCallback(TrainerCallback):  # type: ignore[misc, unused-ignore]
        """Commits in the process that writes the checkpoints, and in no other."""

        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if not state.is_world_process_zero:
                return
            folder = Path(args.output_dir)
            folder.mkdir(parents=True, exist_ok=True)
            model = kwargs.get("model")
            if save_start and state.global_step == 0 and model is not None:
                model.save_pretrained(folder / "checkpoint-0")
            if (folder / CHAIN).exists():
                _commit(folder, signer, state.global_step, "training continues", tsa)
            else:
                commit(
                    folder,
                    key=signer,
                    step=state.global_step,
                    note="training begins",
                    name=name,
                    beacon=beacon,
                    tsa=tsa,
                )

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            if state.is_world_process_zero:
                row = {"step": state.global_step, "time": time.time(), **(logs or {})}
                with open(Path(args.output_dir) / LOG, "a", encoding="utf-8") as stream:
                    stream.write(json.dumps(row, default=str) + "\n")

        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.is_world_process_zero:
                _commit(Path(args.output_dir), signer, state.global_step, "", tsa)

        def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.is_world_process_zero:
                _commit(Path(args.output_dir), signer, state.global_step, "training ends", tsa)

    return CommitmentCallback()


def _commit(folder: Path, signer: Signer, step: int, note: str, tsa: str) -> None:
    try:
        commit(folder, key=signer, step=step, note=note, tsa=tsa)
    except UsageError as error:
        _LOGGER.warning("no commitment at step %d: %s", step, error)
    except JokboError as error:
        _LOGGER.error("no commitment at step %d: %s", step, error)
