"""A record on a forger's desk: an honest run's folder, linked, of which any part can be rewritten."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file
from zoo.record.declare import to_toml

from jokbo.records.declaration import CheckpointRole, Declaration
from jokbo.records.manifest import parse_manifest, read_declaration
from jokbo.records.pack import MANIFEST, write_pack

Tensors = dict[str, np.ndarray]
Rows = list[dict[str, Any]]


@dataclass
class Draft:
    """A record being written.

    Attributes
    ----------
    folder : Path
        Its files; unchanged ones are hard links to the honest run's.
    declaration : Declaration
        As it will be said.
    """

    folder: Path
    declaration: Declaration

    @classmethod
    def of(cls, honest: Path, folder: Path) -> Draft:
        """Begin with all of an honest run."""
        shutil.rmtree(folder, ignore_errors=True)
        kept = shutil.ignore_patterns(MANIFEST, "record.toml")
        shutil.copytree(honest, folder, copy_function=os.link, ignore=kept)
        return cls(folder, declared(honest))

    @property
    def steps(self) -> tuple[int, ...]:
        """Steps of the training checkpoints, ascending."""
        found = (c.step for c in self.declaration.checkpoint if c.role is CheckpointRole.TRAINING)
        return tuple(sorted(found))

    def weights(self, step: int) -> Tensors:
        """Weights of a training checkpoint."""
        return load_file(self.folder / f"checkpoints/step-{step}/model.safetensors")

    def put_weights(self, step: int, tensors: Mapping[str, np.ndarray]) -> None:
        """Replace a training checkpoint; the last step's is what is published, too."""
        names = [f"checkpoints/step-{step}"]
        if step == self.declaration.steps:
            names.append("published")
        for name in names:
            self.put_file(f"{name}/model.safetensors", tensors)

    def put_file(
        self, name: str, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None
    ) -> None:
        """Replace a file of tensors without touching the honest run's."""
        path = self.folder / name
        path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(
            {k: np.ascontiguousarray(v) for k, v in tensors.items()}, path, dict(metadata or {"format": "pt"})
        )

    def state(self, step: int) -> Tensors:
        """A disclosed optimizer state."""
        return load_file(self.folder / f"optimizer/step-{step}.safetensors")

    def put_state(self, step: int, tensors: Mapping[str, np.ndarray]) -> None:
        """Replace a disclosed optimizer state."""
        self.put_file(f"optimizer/step-{step}.safetensors", tensors, {"step": str(step)})

    def drop_states(self) -> None:
        """Disclose no optimizer state: a forger has none that would fit."""
        entries = tuple(replace(entry, optimizer="") for entry in self.declaration.checkpoint)
        self.declaration = replace(self.declaration, checkpoint=entries)
        shutil.rmtree(self.folder / "optimizer", ignore_errors=True)

    def rows(self) -> Rows:
        """Rows of the log."""
        return read_rows(self.folder)

    def put_rows(self, rows: Rows) -> None:
        """Replace the log."""
        path = self.folder / "log.jsonl"
        path.unlink(missing_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    def array(self, name: str) -> np.ndarray:
        """``windows``, ``order`` or ``held_out``."""
        return np.load(self.folder / f"{name}.npy")

    def put_array(self, name: str, values: np.ndarray) -> None:
        """Replace one of the arrays."""
        path = self.folder / f"{name}.npy"
        path.unlink(missing_ok=True)
        np.save(path, values)

    def pack(self, out: Path) -> Path:
        """Write the declaration, and the pack to `out`."""
        (self.folder / "record.toml").write_text(to_toml(self.declaration), encoding="utf-8")
        shutil.rmtree(out, ignore_errors=True)
        out.parent.mkdir(parents=True, exist_ok=True)
        write_pack(self.folder / "record.toml", out, copy=False)
        return out


def declared(folder: Path) -> Declaration:
    """The declaration of a run's folder, or of a pack."""
    if (folder / MANIFEST).exists():
        return parse_manifest((folder / MANIFEST).read_bytes()).declaration
    return read_declaration((folder / "record.toml").read_bytes(), where="record.toml")


def read_rows(folder: Path) -> Rows:
    """Rows of a run's log."""
    with (folder / "log.jsonl").open(encoding="utf-8") as stream:
        return [json.loads(line) for line in stream]


def read_weights(folder: Path, step: int) -> Tensors:
    """Weights of a run's training checkpoint."""
    return load_file(folder / f"checkpoints/step-{step}/model.safetensors")
