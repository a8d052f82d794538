"""What a W&B run file says of its run: whether it continued or branched off, its machines, code and end."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from jokbo.records.readers.wire import fields_of, int_of, text_of

RUN, EXIT, HEADER, PREEMPTING, ENVIRONMENT = 17, 18, 21, 23, 26

MAX_RECORDS = 1000
"""Records of these kinds in one file; a run writes a handful."""


@dataclass
class RunFacts:
    """Facts as their records come by; of several the last counts."""

    resumed: bool = False
    forked_from: int | None = None
    _facts: dict[str, str] = field(default_factory=dict)
    _taken: int = 0

    def take(self, number: int, data: bytes) -> None:
        """Read one record's content, `number` being its field in ``Record``.

        Raises
        ------
        ValueError
            It is malformed, or there are too many of them.
        """
        self._taken += 1
        if self._taken > MAX_RECORDS:
            raise ValueError(f"more than {MAX_RECORDS:,} records that describe the run")
        if number == RUN:
            self._run(data)
        elif number == ENVIRONMENT:
            self._environment(data)
        elif number == EXIT:
            self._facts["exit_code"] = str(int_of(fields_of(data, (1,)), 1))
        elif number == PREEMPTING:
            self._facts["preempted"] = "yes"
        elif number == HEADER:
            version = _message(data, 1)
            self._set("writer", text_of(fields_of(version, (1,)), 1))

    def table(self) -> dict[str, str]:
        """Facts by name; a run that ended has an ``exit_code``."""
        return dict(self._facts)

    def _set(self, name: str, value: str) -> None:
        if value:
            self._facts[name] = value

    def _run(self, data: bytes) -> None:
        fields = fields_of(data, (1, 3, 13, 14, 17, 18, 21, 22, 23, 24))
        self._set("run", text_of(fields, 1))
        self._set("project", text_of(fields, 3))
        self._set("host", text_of(fields, 13))
        start = int_of(fields, 14)
        self._set("starting_step", str(start) if start else "")
        self._set("started", _seconds(fields.get(17)))
        self._git(fields.get(21))
        self.resumed = self.resumed or bool(int_of(fields, 18)) or bool(int_of(fields, 24))
        branches = [b for b in fields.get(23, []) if isinstance(b, bytes)]
        if branches:
            branch = fields_of(branches[-1], (1, 2, 3))
            values = [v for v in branch.get(2, []) if isinstance(v, bytes) and len(v) == 8]
            value = struct.unpack("<d", values[-1])[0] if values else 0.0
            whole = 0 <= value < 2**53 and value == int(value)
            self._set("branch_of", text_of(branch, 1))
            if text_of(branch, 3) in ("", "_step") and whole:
                self.forked_from = int(value)
        elif int_of(fields, 22):
            self.forked_from = start

    def _environment(self, data: bytes) -> None:
        fields = fields_of(data, (1, 2, 3, 9, 12, 18, 19, 25))
        for name, number in (("os", 1), ("python", 2), ("host", 12), ("device", 18), ("cuda", 25)):
            self._set(name, text_of(fields, number))
        count = int_of(fields, 19)
        self._set("device_count", str(count) if count else "")
        self._git(fields.get(9))

    def _git(self, values: list[int | bytes] | None) -> None:
        blobs = [value for value in values or [] if isinstance(value, bytes)]
        if blobs:
            fields = fields_of(blobs[-1], (1, 2))
            self._set("git_remote", text_of(fields, 1))
            self._set("git_commit", text_of(fields, 2))


def _message(data: bytes, number: int) -> bytes:
    found = [value for value in fields_of(data, (number,)).get(number, []) if isinstance(value, bytes)]
    return found[-1] if found else b""


def _seconds(values: list[int | bytes] | None) -> str:
    """Seconds of a ``Timestamp``."""
    blobs = [value for value in values or [] if isinstance(value, bytes)]
    seconds = int_of(fields_of(blobs[-1], (1,)), 1) if blobs else 0
    return str(seconds) if seconds else ""
