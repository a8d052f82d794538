"""Read logs that a test has at hand, as a record's are read."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from jokbo.records.declaration import Declaration, LogEntry
from jokbo.records.readers.choose import read_logs
from jokbo.records.record import PackFile, Record
from jokbo.records.series import Log

NOW = 2e9
"""In the future of every test's clocks."""


def record_of(folder: Path, *logs: LogEntry | str, **declared: Any) -> Record:
    """A record with these logs, every regular file of the folder being part of the pack."""
    files = {
        path.relative_to(folder).as_posix(): PackFile(path.stat().st_size, "")
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    entries = tuple(log if isinstance(log, LogEntry) else LogEntry(log) for log in logs)
    return Record(folder, Declaration("test", 1, log=entries, **declared), files, "")


def read_folder(folder: Path, *logs: LogEntry | str, now: float = NOW, **declared: Any) -> Log:
    """Logs of a folder."""
    return read_logs(record_of(folder, *logs, **declared), now=now)


def read_bytes(name: str, data: bytes | str, *, now: float = NOW, **entry: Any) -> Log:
    """A log of one file.

    Examples
    --------
    >>> read_bytes("log.csv", "step,loss\\n1,3.5\\n2,3.25\\n").series("loss").values.tolist()
    [3.5, 3.25]
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return read_folder(Path(folder), LogEntry(name, **entry), now=now)
