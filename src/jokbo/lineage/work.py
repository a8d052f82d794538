"""Do one task: open its own sources, return a plain document.

What travels to a worker is a spec, and what comes back is a small document. A fingerprint's bytes do not travel: the
worker writes them where the spec says, on storage that all workers share, and returns their digest.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from jokbo import __version__
from jokbo.errors import ChangedError, JokboError, NotFoundError, UsageError
from jokbo.lineage.tasks import CONFIRM, FINGERPRINT, PAIR
from jokbo.sources.base import OpenOptions

WORK = "jokbo.lineage.work:run_task"
"""What workers run, as ``module:function``; it comes from the program, never from a plan."""

PATIENCE_SECONDS = 900.0
"""How long a hub that says "asked too often" is waited for: the windows in which hubs count last five minutes."""

Work = Callable[[Mapping[str, Any], OpenOptions], dict[str, Any]]


def run_task(document: Mapping[str, Any], options: OpenOptions | None = None) -> dict[str, Any]:
    """Do one task.

    Parameters
    ----------
    document : mapping
        ``kind`` and ``spec`` of a :class:`~jokbo.lineage.tasks.Task`.
    options : OpenOptions, optional
        How this machine reaches and caches remote models.

    Returns
    -------
    dict
        Plain JSON, the same on every machine.

    Raises
    ------
    UsageError
        The kind is not known.
    JokboError
        A source cannot be read or believed.
    """
    kind, spec = document["kind"], document["spec"]
    if kind not in _KINDS:
        raise UsageError(f"task kind {str(kind)[:40]!r} is not known; expected {', '.join(_KINDS)}.")
    given = options or OpenOptions()
    patience = max(given.patience_seconds, PATIENCE_SECONDS)
    return _KINDS[kind](spec, replace(given, progress=None, patience_seconds=patience))


def _fingerprint(spec: Mapping[str, Any], options: OpenOptions) -> dict[str, Any]:
    from jokbo.lineage.fingerprint import make_fingerprint

    made = make_fingerprint(spec["model"], salt=spec["salt"], private=spec["private"], options=options)
    path = Path(spec["out"])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        made.write(path)
    except OSError as error:
        raise UsageError(
            f"cannot write the fingerprint {path}: {error.strerror}. Make room or choose another place; "
            "a rerun goes on from here."
        ) from None
    header = made.header
    return {
        "schema": "jokbo.fingerprint_made/1",
        "name": header.name,
        "commit": header.commit,
        "digest": header.digest,
        "parameters": header.parameters,
        "sha256": made.sha256,
        "bytes": len(made.data),
    }


def _pair(spec: Mapping[str, Any], options: OpenOptions) -> dict[str, Any]:
    from jokbo.lineage.pairs import compare_pair

    for end in ("reference", "candidate"):
        _check_end(spec, end)
    return compare_pair(
        spec["reference"],
        spec["candidate"],
        among=spec["among"],
        reference_first=spec["reference_first"],
        seed=spec["seed"],
        bounds=spec["bounds"],
        full=spec["full"],
        options=options,
    )


def _check_end(spec: Mapping[str, Any], end: str) -> None:
    """Refuse another fingerprint than the plan named: the task's key would vouch for the wrong bytes."""
    kind, _, expected = spec[f"{end}_id"].partition(":")
    if kind != "sha256":
        return
    path = spec[end]
    try:
        status = os.stat(path)
        found = _file_sha256(path, status.st_size, status.st_mtime_ns, status.st_ino)
    except OSError as error:
        raise NotFoundError(
            f"fingerprint {path} cannot be read ({error.strerror}). It must lie where every worker can read it."
        ) from None
    if found != expected:
        raise ChangedError(
            f"{path}: this is fingerprint {found}; expected {expected}, as planned. It was replaced since: plan again."
        )


@lru_cache(maxsize=4096)
def _file_sha256(path: str, size: int, modified: int, inode: int) -> str:
    """Digest of a file, once as long as it stays as it is: a worker sees the same fingerprint in many pairs."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_KINDS: Mapping[str, Callable[[Mapping[str, Any], OpenOptions], dict[str, Any]]] = {
    FINGERPRINT: _fingerprint,
    PAIR: _pair,
    CONFIRM: _pair,
}


def attempt(work: Work, document: Mapping[str, Any], options: OpenOptions) -> dict[str, Any]:
    """Do one task with one BLAS thread; a failure becomes a sentence, for one failing task must not end the others.

    Returns
    -------
    dict
        ``key`` and either ``result`` or ``error``.
    """
    key = document["key"]
    if document.get("jokbo", __version__) != __version__:
        return {
            "key": key,
            "error": f"this worker runs Jokbo {__version__}, and the plan is run by {document['jokbo']}: "
            "their results may differ. Install one version everywhere.",
        }
    try:
        # With two threads some BLAS kernels give other last bits than with one.
        with threadpool_limits(limits=1):
            return {"key": key, "result": work(document, options)}
    except JokboError as error:
        return {"key": key, "error": str(error)}
    except MemoryError:
        return {
            "key": key,
            "error": "the worker had too little memory. Run again with fewer workers, or on a larger machine.",
        }
    except Exception as error:
        return {
            "key": key,
            "error": f"an unexpected failure ({type(error).__name__}: {str(error)[:500]}). This is a fault of "
            "Jokbo: please report it.",
        }


def load_work(name: str) -> Work:
    """The function that ``module:function`` names.

    Examples
    --------
    >>> load_work(WORK).__name__
    'run_task'
    """
    module, _, function = name.partition(":")
    work: Work = getattr(import_module(module), function)
    return work


def pack_options(options: OpenOptions, *, token: bool) -> dict[str, Any]:
    """Options as plain JSON; the token only where it stays on this machine.

    Examples
    --------
    >>> "token" in pack_options(OpenOptions(token="secret"), token=False)
    False
    """
    packed = asdict(replace(options, progress=None))
    del packed["progress"]
    if not token:
        del packed["token"]
    return packed
