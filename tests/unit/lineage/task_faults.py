"""What a worker runs in tests of executors: tasks that kill their worker, fail, or wait, by the name of their model."""

from __future__ import annotations

import os
import secrets
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jokbo.errors import NotFoundError
from jokbo.lineage.tasks import PAIR, Task, make_task
from jokbo.lineage.work import run_task
from jokbo.sources.base import OpenOptions

WORK = "task_faults:run"
DYING_WORK = "task_faults:run_and_die_once"
MARK = "JOKBO_TEST_MARK"
"""Names the environment variable that holds the path of a file: the worker that makes it dies."""


def ray_token() -> None:
    """A token for clusters that tests begin; Ray else writes one into the user's home when it is imported early."""
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


def task(reference: str, candidate: str = "c") -> Task:
    """A comparison of two models that are only names."""
    names = {
        "reference": reference,
        "reference_id": reference,
        "candidate": candidate,
        "candidate_id": candidate,
    }
    choices = {"among": 1, "reference_first": False, "seed": 0, "bounds": False, "full": True}
    return make_task("confirm", names | choices)


def run(document: Mapping[str, Any], options: OpenOptions) -> dict[str, Any]:
    """Do what the reference's name says, then answer with the spec."""
    what, _, rest = document["spec"]["reference"].partition(":")
    if what == "kill_always":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "kill_once" and not Path(rest).exists():
        Path(rest).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "missing":
        raise NotFoundError(f"{rest}: there is no such model.")
    if what == "broken":
        raise ZeroDivisionError("a fault")
    if what == "out_of_memory":
        raise MemoryError
    if what == "wait":
        Path(rest).write_text(str(os.getpid()))
        time.sleep(60)
    if what == "environment":
        return {"value": os.environ.get(rest), "token": options.token}
    if what == "noisy":
        print("a library says something")
        os.system("echo a child says something")
    if what == "large":
        return {"text": "가" * int(rest)}
    return {"spec": dict(document["spec"]), "float": 0.1}


def run_and_die_once(document: Mapping[str, Any], options: OpenOptions) -> dict[str, Any]:
    """The real work, but that the first worker to come to a pair is killed in the middle of it."""
    if document["kind"] == PAIR:
        try:
            Path(os.environ[MARK]).touch(exist_ok=False)
        except FileExistsError:
            return run_task(document, options)
        os.kill(os.getpid(), signal.SIGKILL)
    return run_task(document, options)
