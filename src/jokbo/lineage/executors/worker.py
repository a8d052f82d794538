"""A worker process: tasks come as lines of JSON on its standard input, outcomes leave on its standard output.

A fresh interpreter, not a fork, so nothing of the parent leaks in and nothing of the caller's own script runs
again. It ends when its input ends: when the parent is done, or was killed.
"""

from __future__ import annotations

import json
import os
import signal
import sys

from jokbo.evidence.canonical import canonical_bytes
from jokbo.lineage.work import attempt, load_work
from jokbo.sources.base import OpenOptions


def main() -> None:
    """Serve tasks until the input ends."""
    # Ctrl-C reaches all processes of a terminal; the parent decides what ends when.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # whatever a library prints must not stand among the outcomes
    hello = json.loads(sys.stdin.buffer.readline())
    work, options = load_work(hello["work"]), OpenOptions(**hello["options"])
    try:
        out.write(b'{"ready":true}\n')
        for line in sys.stdin.buffer:
            out.write(canonical_bytes(attempt(work, json.loads(line), options)) + b"\n")
    except BrokenPipeError:
        os._exit(0)  # the parent is gone, and nobody waits for this


if __name__ == "__main__":
    main()
