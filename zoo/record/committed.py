"""The committed record on a forger's desk, without PyTorch: a copy with one log, and a stand-in for another run."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.signal import lfilter
from zoo.record.declare import to_toml
from zoo.record.draft import Draft, Rows, Tensors

from jokbo.records.declaration import LogEntry

RECORD = Path(__file__).parent.parent / "records/small"
_TIME = re.compile(r"^step (\d+)/.* time (\S+)$")
_READS = ("q_proj", "k_proj", "v_proj", "gate_proj", "up_proj", "embed_tokens", "lm_head")
"""Matrices whose columns are channels of the residual stream."""


def own_run(folder: Path, record: Path = RECORD) -> Path:
    """The committed record with its log as JSON lines, its commitments left out."""
    draft = Draft.of(record, folder)
    (draft.folder / "log.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in _rows(record)), encoding="utf-8"
    )
    law = draft.declaration.initialisation
    draft.declaration = replace(
        draft.declaration,
        log=(LogEntry("log.jsonl"),),
        commitments=None,
        initialisation=replace(law, beacon="") if law is not None else None,
    )
    return _written(draft)


def other_run(own: Path, folder: Path) -> Path:
    """A stand-in for an independent run of equal quality: the same function in other coordinates, another log.

    Channels and hidden units are in another order at every step alike, so that no weight is where it was.
    """
    rng = np.random.default_rng(11)
    draft = Draft.of(own, folder)
    channels = rng.permutation(64)
    units = [rng.permutation(172) for _ in range(2)]
    for step in draft.steps:
        draft.put_weights(step, moved(draft.weights(step), channels, units))
    for step in (284, 292):
        state = draft.state(step)
        parts = {
            kind: {k.removeprefix(f"{kind}/"): v for k, v in state.items() if k.startswith(f"{kind}/")}
            for kind in ("exp_avg", "exp_avg_sq")
        }
        turned = {
            f"{kind}/{k}": v for kind, part in parts.items() for k, v in moved(part, channels, units).items()
        }
        draft.put_state(step, turned)
    rows = draft.rows()
    place = np.log(np.arange(len(rows)) + 6.0)
    smooth = np.polynomial.Polynomial.fit(place, [row["loss"] for row in rows], 6)(place)
    noise = lfilter([1.0], [1.0, -0.2], rng.standard_normal(len(rows)))
    for row, mean, drawn in zip(rows, smooth, noise, strict=True):
        row["loss"] = float(np.float32(mean + 0.1 * drawn))
    draft.put_rows(rows)
    draft.put_array("windows", rng.permutation(draft.array("windows")))
    return _written(draft)


def moved(tensors: Tensors, channels: np.ndarray, units: list[np.ndarray]) -> Tensors:
    """The same function with channels and hidden units in another order."""
    found = {}
    for name, value in tensors.items():
        layer = re.search(r"layers\.(\d+)\.", name)
        inner = units[int(layer[1])] if layer else None
        if "norm" in name:
            value = value[channels]
        elif any(part in name for part in _READS):
            value = value[:, channels]
        else:
            value = value[channels]
        if inner is not None and ("gate_proj" in name or "up_proj" in name):
            value = value[inner]
        if inner is not None and "down_proj" in name:
            value = value[:, inner]
        found[name] = np.ascontiguousarray(value)
    return found


def _rows(record: Path) -> Rows:
    """The log of ``trainer_state.json`` with the times of the console."""
    times = {}
    for line in (record / "console.log").read_text(encoding="utf-8").splitlines():
        found = _TIME.match(line)
        if found:
            times[int(found[1])] = float(found[2])
    history = json.loads((record / "trainer_state.json").read_text(encoding="utf-8"))["log_history"]
    rows = []
    for entry in history:
        if "loss" not in entry:
            continue
        step = int(entry["step"])
        rows.append(
            {
                "step": step,
                "loss": entry["loss"],
                "learning_rate": entry["learning_rate"],
                "grad_norm": entry["grad_norm"],
                "tokens": entry["num_input_tokens_seen"],
                "timestamp": times[step],
                "runtime": round(times[step] - times[1], 3),
            }
        )
    return rows


def _written(draft: Draft) -> Path:
    (draft.folder / "record.toml").write_text(to_toml(draft.declaration), encoding="utf-8")
    return draft.folder
