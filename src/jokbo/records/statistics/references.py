"""Logs that a record is compared with: those of the things an auditor named that can be read as a log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jokbo.errors import InputError
from jokbo.records.declaration import Declaration, LogEntry
from jokbo.records.record import PackFile, Record
from jokbo.records.series import Log, Series

WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".gguf", ".npz", ".npy")
FOLDER_READERS = ("wandb_offline", "tensorboard", "trainer_state")
"""Formats that a folder is searched for: those that no other file looks like."""

MAX_FILES = 1_000


@dataclass(frozen=True, slots=True)
class Reference:
    """A log to compare with: what it was called, its run's own name (or the same), and its losses."""

    name: str
    run: str
    loss: Series


def read_references(against: Sequence[str]) -> tuple[Reference, ...]:
    """Losses of packs, of single log files, and of folders that hold W&B, TensorBoard or Trainer logs.

    Whatever cannot be read as a log (models by name, folders of weights, damaged files) is left out: it is
    there for other checks, and its reader will say what is wrong with it.
    """
    found = []
    for name in against:
        opened = _open(Path(name)) if not name.startswith(("http:", "https:", "hf:", "s3:", "gs:")) else None
        if opened is None:
            continue
        run, log = opened
        loss = log.effective("loss")
        if loss is not None:
            found.append(Reference(Path(name).name, run, loss))
    return tuple(found)


def _open(path: Path) -> tuple[str, Log] | None:
    try:
        if (path / "manifest.json").is_file():
            from jokbo.records.pack import open_pack

            pack = open_pack(path)
            log = pack.log
            return (pack.declaration.name, log) if log is not None else None
        if path.is_file() and path.suffix.lower() not in WEIGHTS:
            return path.name, _read(path.parent, (path.name,), "auto")
        if path.is_dir():
            files = tuple(
                sorted(str(f.relative_to(path)) for f in path.rglob("*") if f.is_file())[:MAX_FILES]
            )
            for reader in FOLDER_READERS:
                try:
                    return path.name, _read(path, files, reader)
                except InputError:
                    continue
    except (InputError, OSError, ValueError):
        return None
    return None


def _read(folder: Path, files: Sequence[str], reader: str) -> Log:
    from jokbo.records.readers.choose import read_logs

    sizes = {name: PackFile((folder / name).stat().st_size, "") for name in files}
    entry = LogEntry(files[0] if len(files) == 1 else ".", format=reader)
    return read_logs(Record(folder, Declaration("reference", 1, log=(entry,)), sizes, ""))
