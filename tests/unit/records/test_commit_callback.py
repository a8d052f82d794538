"""The Trainer's callback, driven by Transformers' own handler."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("transformers")

from transformers.trainer_callback import CallbackHandler, TrainerControl, TrainerState

from jokbo.records.commit.callback import commitment_callback
from jokbo.records.commit.chain import find_problems, read_chain
from jokbo.records.commit.keys import make_key
from jokbo.records.commit.writer import CHAIN

pytestmark = pytest.mark.torch


def test_the_callback_commits_to_start_saves_and_end(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    signer, folder = make_key(tmp_path / "key"), tmp_path / "run"
    folder.mkdir()
    (folder / "beacon.txt").write_bytes(b"round 1")
    callback = commitment_callback(signer, name="hf", beacon=folder / "beacon.txt")

    class Model:
        def save_pretrained(self, where: Path) -> None:
            where.mkdir()
            (where / "model.safetensors").write_bytes(b"start")

    args: Any = SimpleNamespace(output_dir=str(folder))
    handler = CallbackHandler([callback], Model(), None, None, None)
    state, control = TrainerState(is_world_process_zero=True), TrainerControl()
    handler.on_train_begin(args, state, control)
    for step in (1, 2):
        state.global_step = step
        handler.on_log(args, state, control, {"loss": 5.0})
        (folder / f"checkpoint-{step}").mkdir()
        (folder / f"checkpoint-{step}" / "model.safetensors").write_bytes(b"%d" % step)
        handler.on_save(args, state, control)
    handler.on_save(args, state, control)  # nothing new: told, and no reason to stop
    assert "nothing in" in caplog.text
    handler.on_train_end(args, state, control)
    chain = read_chain(folder / CHAIN)
    assert find_problems(chain, [signer.public]) == ()
    assert [(link.step, link.note) for link in chain.links] == [
        (0, "training begins"),
        (1, ""),
        (2, ""),
        (2, "training ends"),
    ]
    named = [i.path for link in chain.links for i in link.items if i.kind == "weights"]
    assert named == [f"checkpoint-{k}/model.safetensors" for k in range(3)]
    # A second process that writes nothing commits to nothing.
    state.is_world_process_zero = False
    handler.on_save(args, state, control)
    assert len(read_chain(folder / CHAIN).links) == 4
