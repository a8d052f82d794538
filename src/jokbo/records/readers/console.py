"""Console output: nanoGPT's, modded-nanogpt's, and any other by a declared pattern.

Known by themselves: ``iter 100: loss 3.21, time 52.10ms, mfu 31.02%`` and ``step 100: train loss 3.2, val
loss 3.3`` (nanoGPT), ``step:125/1480 val_loss:4.36 train_time:19998ms step_avg:160.0ms`` (modded-nanogpt,
whose files begin with the program itself; its lines do not match). Units are kept in the name: ``train_time
(ms)``.

For others ``LogEntry.pattern`` is a regular expression with named groups, searched in each line; a group's
name is a metric's: ``pattern = 'step: *(?P<step>[0-9]+) +loss: *(?P<loss>[0-9.]+)'``. Lines that do not
match are output of another kind.

A pattern comes from the maker of the pack and may be built to take for ever, and Python's engine cannot be
stopped from within. So it has at most 1,000 characters, sees no line longer than 4,096 bytes (how many were
longer is said in the facts), and is run by a process of its own whose processor time the system bounds
(:mod:`jokbo.records.readers.pattern_worker`): 20 seconds, and one more for each four megabytes of the file.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jokbo.errors import FormatError
from jokbo.records.declaration import LogEntry
from jokbo.records.readers import pattern_worker
from jokbo.records.readers.base import LogFile, head_of, number_of
from jokbo.records.readers.builder import LogBuilder
from jokbo.records.readers.lines import Lines
from jokbo.records.readers.pattern_worker import MAX_LINE, STYLE, TOO_LONG
from jokbo.records.readers.tabular import cell_number

MAX_PATTERN = 1000
CPU_SECONDS = 20
BYTES_A_SECOND = 4 << 20

THOUSANDS = re.compile(r"\d{1,3}(,\d{3})+(\.\d+)?")

NANO_ITER = re.compile(r"^iter (\d{1,15}): loss (\S{1,30}), time (\S{1,30})ms(?:, mfu (\S{1,30})%)?")
NANO_STEP = re.compile(r"^step (\d{1,15}): train loss (\S{1,30}), val loss (\S{1,30})")
MODDED = re.compile(r"^step:(\d{1,15})/(\d{1,15})((?: [a-z_]{1,40}:\S{1,40}){1,40})\s*$")
MODDED_FIELD = re.compile(r" ([a-z_]{1,40}):([^\s:]{1,40}?)(ms|s|)(?=\s|$)")
KNOWN = re.compile(
    rb"^(?:iter \d{1,15}: loss |step \d{1,15}: train loss |step:\d{1,15}/\d{1,15} [a-z_]{1,40}:[-\d])",
    re.MULTILINE,
)


def recognises(file: LogFile, head: bytes) -> bool:
    """By a line of a known style in the first 64 KiB, or further down where a program stands before it."""
    if b"\0" in head:
        return False
    if KNOWN.search(head) is not None:
        return True
    return len(head) < file.size <= 256 << 20 and b"print0(" in head and _known_below(file)


def _known_below(file: LogFile) -> bool:
    return any(KNOWN.match(line) for line in Lines(file) if len(line) <= MAX_LINE)


def read(files: Sequence[LogFile], entry: LogEntry, builder: LogBuilder) -> None:
    """Read console output, a segment each.

    Raises
    ------
    FormatError
        The pattern is malformed or takes too long, or no line matches.
    """
    if entry.pattern:
        check_pattern(entry.pattern, entry.path)
    for file in files:
        head_of(file)
        builder.begin(file, "console", entry.metrics)
        lines = _Counted(file)
        rows = _by_pattern(file, entry.pattern, builder, lines) if entry.pattern else _by_style(file, lines)
        n = 0
        for at, row in rows:
            if row:
                builder.row(row, at)
                n += 1
        if not n:
            raise FormatError(
                f"{file.name}: none of its {lines.number:,} lines matches "
                f"{'the declared pattern' if entry.pattern else 'a known style'}. "
                "Declare a 'pattern' with named groups in [[log]] that does."
            )
        if lines.unfinished:
            builder.fault("cut_end", lines.number)
        builder.end(facts={"lines_too_long": str(lines.too_long)} if lines.too_long else {})


@dataclass
class _Counted:
    """A file's lines as far as they were read."""

    file: LogFile
    number: int = 0
    too_long: int = 0
    unfinished: bool = False


def _by_style(file: LogFile, counted: _Counted) -> Iterator[tuple[int, dict[str, float]]]:
    lines = Lines(file)
    for raw in lines:
        counted.number = lines.number
        if len(raw) > MAX_LINE:
            counted.too_long += 1
            continue
        if lines.unfinished:  # its last number may be cut
            counted.unfinished = KNOWN.match(raw) is not None
            continue
        if raw.startswith((b"step", b"iter", b"\x1b")):
            row = row_of(STYLE.sub("", raw.decode("utf-8", "replace")))
            if row is not None:
                yield lines.number, row


def row_of(line: str) -> dict[str, float] | None:
    """The numbers of a line in a known style; None for any other.

    Examples
    --------
    >>> row_of("iter 100: loss 3.2105, time 52.10ms, mfu 31.02%")
    {'iter': 100.0, 'loss': 3.2105, 'time (ms)': 52.1, 'mfu (%)': 31.02}
    >>> row_of("step 100: train loss 3.2, val loss 3.3")
    {'step': 100.0, 'train loss': 3.2, 'val loss': 3.3}
    >>> row_of("step:125/1480 val_loss:4.36 train_time:19998ms step_avg:nanms")
    {'step': 125.0, 'steps': 1480.0, 'val_loss': 4.36, 'train_time (ms)': 19998.0, 'step_avg (ms)': nan}
    """
    found = NANO_ITER.match(line)
    if found:
        return _numbers(zip(("iter", "loss", "time (ms)", "mfu (%)"), found.groups(), strict=True))
    found = NANO_STEP.match(line)
    if found:
        return _numbers(zip(("step", "train loss", "val loss"), found.groups(), strict=True))
    found = MODDED.match(line)
    if found:
        fields = [
            (f"{name} ({unit})" if unit else name, value)
            for name, value, unit in MODDED_FIELD.findall(found[3])
        ]
        return _numbers([("step", found[1]), ("steps", found[2]), *fields])
    return None


def _numbers(pairs: Iterator[tuple[str, str | None]] | Sequence[tuple[str, str]]) -> dict[str, float]:
    found = {}
    for name, text in pairs:
        number = number_of(text) if text is not None else None
        if number is not None:
            found[name] = number
    return found


def check_pattern(pattern: str, log: str) -> None:
    """Whether a declared pattern can be used.

    Raises
    ------
    FormatError
        It is too long, is no regular expression, or names no group.
    """
    if len(pattern) > MAX_PATTERN:
        raise FormatError(
            f"log {log!r}: its pattern has {len(pattern):,} characters; at most {MAX_PATTERN:,} are used. Shorten it."
        )
    try:
        names = re.compile(pattern).groupindex
    except (re.error, OverflowError, RecursionError) as error:
        raise FormatError(
            f"log {log!r}: its pattern is no regular expression ({str(error)[:80]}). Correct 'pattern' in [[log]]."
        ) from None
    if not names:
        raise FormatError(
            f"log {log!r}: its pattern names no group; expected groups like (?P<step>[0-9]+) and (?P<loss>[0-9.]+). "
            "Name what is to be read."
        )


def _by_pattern(
    file: LogFile, pattern: str, builder: LogBuilder, counted: _Counted
) -> Iterator[tuple[int, dict[str, float]]]:
    """Rows that the worker finds; it is stopped with this iterator."""
    seconds = CPU_SECONDS + file.size // BYTES_A_SECOND
    question = json.dumps({"path": str(file.path.absolute()), "pattern": pattern, "seconds": seconds})
    # Isolated: nothing in the working folder or the environment can take the place of a module.
    command = [sys.executable, "-I", pattern_worker.__file__, question]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as worker:
        try:
            for answer in worker.stdout or ():
                at, groups = json.loads(answer)
                if isinstance(groups, dict):
                    counted.number = at
                    yield at, _row(groups, at, builder)
                elif groups == TOO_LONG:
                    counted.too_long += 1
                else:
                    counted.number, counted.unfinished = at, bool(groups)
        except BaseException:  # whoever reads stopped; nobody waits for the rest
            worker.kill()
            raise
    if worker.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        raise FormatError(
            f"{file.name}: the declared pattern was still searching after {seconds:,} seconds of processor time, "
            f"near line {counted.number + 1:,}. Write it so that no part can match "
            "in many ways (no '.*' beside '.*', no '(x+)+')."
        )
    if worker.returncode != 0:
        raise FormatError(
            f"{file.name}: searching the declared pattern ended with {worker.returncode}, near line "
            f"{counted.number + 1:,}. Write a simpler pattern."
        )


def _row(groups: dict[str, str | None], at: int, builder: LogBuilder) -> dict[str, float]:
    row = {}
    for name, text in groups.items():
        if text is None:
            continue
        plain = text.replace(",", "") if THOUSANDS.fullmatch(text) else text
        number = cell_number(name, plain)
        if number is None:
            builder.fault("not_number", at, metric=name, value=text[:40])
        else:
            row[name] = number
    return row
