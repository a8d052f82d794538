"""A tiny disclosed run on disk, for tests of packs: every kind of file that a declaration can name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from jokbo.formats.dtypes import DType
from jokbo.formats.writer import build_file, to_raw

TINY_STEPS = (0, 2, 4)

TINY_DECLARATION = """\
name = "tiny"
steps = 4

[model]
config = "config.json"

[optimizer]
name = "adamw"
betas = [0.9, 0.95]
weight_decay = 0.1
decays = "matrices"

[schedule]
kind = "linear"
peak = 0.01
warmup_steps = 1
total_steps = 4

[[batch]]
from_step = 1
sequences = 2
sequence_length = 3

[initialisation]
law = "normal"
std = 0.02
seed = 7
procedure = "torch-normal/1"

[hardware]
device = "CPU"
count = 1
peak_flops = 1e11

[data]
windows = "data/windows.npy"
order = "data/order.npy"

[[log]]
path = "log.jsonl"
format = "tabular"

[[checkpoint]]
name = "step-0"
step = 0
path = "checkpoints/step-0"

[[checkpoint]]
name = "step-2"
step = 2
path = "checkpoints/step-2"
optimizer = "optimizer/step-2.safetensors"

[[checkpoint]]
name = "step-4"
step = 4
path = "checkpoints/step-4"

[[event]]
kind = "restart"
step = 2
note = "machine changed"

[environment]
python = "3.11"
"""


def tiny_weights(step: int) -> dict[str, np.ndarray]:
    """Weights of the tiny run after `step` updates: a matrix, and a vector."""
    rng = np.random.default_rng(step)
    return {
        "embed.weight": rng.normal(0, 0.02, (10, 4)).astype(np.float32),
        "norm.weight": np.full(4, 1.0 + step, np.float32),
    }


def write_tiny_run(folder: Path) -> Path:
    """Write a run and its declaration into a folder, and return the declaration's path.

    Examples
    --------
    >>> import tempfile
    >>> write_tiny_run(Path(tempfile.mkdtemp())).name
    'record.toml'
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "unknown", "vocab_size": 10}))
    for step in TINY_STEPS:
        place = folder / "checkpoints" / f"step-{step}"
        place.mkdir(parents=True)
        weights = {name: to_raw(values, DType.F32) for name, values in tiny_weights(step).items()}
        (place / "model.safetensors").write_bytes(build_file(weights))
        (place / "config.json").write_text(json.dumps({"model_type": "unknown", "vocab_size": 10}))
        (place / "rng_state.pth").write_bytes(b"a trainer's, and no part of a record")
    moments = {
        f"{slot}/{name}": to_raw(values * scale, DType.F32)
        for slot, scale in (("exp_avg", 0.1), ("exp_avg_sq", 0.01))
        for name, values in tiny_weights(2).items()
    }
    (folder / "optimizer").mkdir()
    (folder / "optimizer" / "step-2.safetensors").write_bytes(build_file(moments, {"step": "2"}))
    (folder / "data").mkdir()
    np.save(folder / "data" / "windows.npy", np.arange(24, dtype=np.uint16).reshape(8, 3) % 9)
    np.save(folder / "data" / "order.npy", np.array([[0, 1], [2, 3], [4, 5], [6, -1]], dtype=np.int32))
    rows = ({"step": k, "loss": 2.3 - 0.1 * k, "learning_rate": 0.01, "tokens": 6 * k} for k in range(1, 5))
    (folder / "log.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    declaration = folder / "record.toml"
    declaration.write_text(TINY_DECLARATION)
    return declaration
