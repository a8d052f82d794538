"""Ray: many machines, or this one; the extra named ray.

Only specs go out and only small documents come back. Workers open their own sources, write fingerprints to storage
that all share, and need the same version of Jokbo. The driver alone writes the results folder.

Whoever reaches a cluster and is let in can run code on it, so it belongs in a network of its own, with Ray's token
authentication. One that is started here has no dashboard, sends no usage reports, and asks for a token that is drawn
for it alone: Ray listens on every interface of the machine.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import socket
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from jokbo.errors import MissingExtraError, SourceError, UsageError
from jokbo.evidence.canonical import canonical_bytes
from jokbo.lineage.executors.base import (
    MAX_ATTEMPTS,
    Executor,
    Outcome,
    Settings,
    death,
    message,
    own_place,
    processors,
)
from jokbo.lineage.tasks import Task
from jokbo.lineage.work import attempt, load_work, pack_options
from jokbo.sources.base import OpenOptions

CONNECT_SECONDS = 10.0


class RayExecutor(Executor):
    """Runs tasks on a Ray cluster.

    Without ``ray_address`` a cluster of this machine alone is started and ended; inside a program that has already
    connected to one, that one is used and left as it is.

    Raises
    ------
    MissingExtraError
        Ray is not installed.
    SourceError
        No cluster answers at the address.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._ray = _import_ray(alone=settings.ray_address is None)
        self._began = not self._ray.is_initialized()
        if self._began:
            self._begin()
        # Ray's own retries are off: a task is tried again as every executor does it.
        self._remote = self._ray.remote(num_cpus=1, max_retries=0)(_attempt_remotely)
        self._options = pack_options(settings.options, token=False)

    def place(self, count: int) -> int:
        """A place of its own."""
        return own_place(count)

    def run(self, tasks: Iterator[Task]) -> Iterator[Outcome]:
        """Run tasks, as many at once as the cluster has processors, or as there are workers."""
        limit = self.settings.workers or max(1, int(self._ray.cluster_resources().get("CPU", 1)))
        again: deque[Task] = deque()
        deaths: dict[str, int] = {}
        flying: dict[Any, Task] = {}
        while True:
            while len(flying) < limit:
                task = again.popleft() if again else next(tasks, None)
                if task is None:
                    break
                flying[self._send(task)] = task
            if not flying:
                return
            for ref in self._ray.wait(list(flying), num_returns=1)[0]:
                task = flying.pop(ref)
                outcome, how = self._receive(ref, task)
                if outcome is None:
                    deaths[task.key] = deaths.get(task.key, 0) + 1
                    if deaths[task.key] < MAX_ATTEMPTS:
                        again.append(task)
                        continue
                    outcome = Outcome(task.key, error=death(MAX_ATTEMPTS, how))
                yield outcome

    def close(self) -> None:
        """End what was begun here."""
        if self._began:
            self._ray.shutdown()

    def _send(self, task: Task) -> Any:
        return self._remote.remote(self.settings.work, message(task), self._options)

    def _receive(self, ref: Any, task: Task) -> tuple[Outcome | None, str]:
        """What a worker sent; without an outcome, how it died."""
        errors = self._ray.exceptions
        try:
            return Outcome.from_document(json.loads(self._ray.get(ref))), ""
        except errors.RayTaskError as error:
            cause = str(error.cause).strip().splitlines() or [""]
            return Outcome(
                task.key,
                error=f"the Ray worker could not begin this task ({type(error.cause).__name__}: "
                f"{cause[-1][:300]}). Install the same version of Jokbo on every machine of the cluster.",
            ), ""
        except errors.RayError as error:
            return None, type(error).__name__

    def _begin(self) -> None:
        address = self.settings.ray_address
        quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": logging.ERROR}
        if address is None:
            # "local": a cluster that the environment names is not used unasked.
            cpus = self.settings.workers or processors()
            with _own_import_path():
                self._ray.init(address="local", num_cpus=cpus, **quiet)
            return
        _check_address(address)
        try:
            self._ray.init(address=address, **quiet)
        except (
            ConnectionError,
            ValueError,
            RuntimeError,
            TimeoutError,
            self._ray.exceptions.RayError,
        ) as error:
            raise _no_cluster(address, str(error)) from None


@contextmanager
def _own_import_path() -> Iterator[None]:
    """Workers on this machine import from where this process does."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def _check_address(address: str) -> None:
    """Knock first: Ray itself tries for minutes before it says that nobody is there."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not port.isdecimal() or not host or "/" in host:
        raise UsageError(
            f"Ray address {address!r}: expected host:port, as 'ray start --head' prints it, or auto."
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise _no_cluster(address, str(error)) from None


def _no_cluster(address: str, reason: str) -> SourceError:
    first = (reason.strip().splitlines() or [""])[0][:200]
    return SourceError(
        f"no Ray cluster answers at {address} ({first}). Check the address that 'ray start --head' printed, "
        "that RAY_AUTH_TOKEN is the cluster's, and that this machine runs the same versions of Ray and Python."
    )


def _attempt_remotely(work: str, document: Mapping[str, Any], options: Mapping[str, Any]) -> bytes:
    """Runs in a worker."""
    return canonical_bytes(attempt(load_work(work), document, OpenOptions(**options)))


def _import_ray(*, alone: bool) -> Any:
    # Ray reports usage unless told not to, and reads this when it is imported.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if alone and "ray" not in sys.modules and not any(name.startswith("RAY_AUTH_") for name in os.environ):
        # Otherwise Ray keeps a token in the user's home, where others of the machine may read it.
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    try:
        import ray
    except ImportError:
        raise MissingExtraError(
            "the executor 'ray' needs the package ray: pip install 'jokbo[ray]'. "
            "The executors 'serial' and 'processes' need nothing."
        ) from None
    return ray
