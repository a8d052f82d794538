"""Search a pattern in the lines of a file, in a process whose processor time is bounded.

``python -I pattern_worker.py '{"path": ..., "pattern": ..., "seconds": ...}'`` writes a JSON array a line:
``[line, {group: text}]`` for each line that matches, ``[line, "too_long"]`` for one that was passed over,
and at the end ``[lines, 0]``, or ``[lines, 1]`` where the last line has no end (it is not searched). It
reads the one file and writes to its standard output alone; when its time is up the system ends it.
"""

from __future__ import annotations

import json
import re
import resource
import sys
from pathlib import Path

MAX_LINE = 4096
"""Bytes of a line that is searched."""

TOO_LONG = "too_long"

STYLE = re.compile(r"\x1b\[[0-9;]{0,20}m")
"""Colours of a terminal."""


def main() -> None:
    """Answer the question given as the one argument."""
    question = json.loads(sys.argv[1])
    seconds = int(question["seconds"])
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    search = re.compile(question["pattern"]).search
    number, unfinished, rest_of_long = 0, False, False
    write = sys.stdout.write
    with Path(question["path"]).open("rb") as opened:
        while line := opened.readline(MAX_LINE + 2):
            whole = line.endswith(b"\n")
            if rest_of_long:
                rest_of_long = not whole
                continue
            number += 1
            if not whole and len(line) == MAX_LINE + 2:
                rest_of_long = True
                write(json.dumps([number, TOO_LONG]) + "\n")
                continue
            if not whole:
                unfinished = True
                break
            found = search(STYLE.sub("", line.decode("utf-8", "replace").rstrip("\r\n")))
            if found:
                write(json.dumps([number, found.groupdict()]) + "\n")
    write(json.dumps([number, int(unfinished)]) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
