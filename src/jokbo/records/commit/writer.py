"""Write a chain of commitments: one link each time, safe against a kill and against a second writer.

A link is one line, appended by one writer at a time (a lock), flushed to the disk before anything else
happens. A kill in the middle leaves half a line; what stands before it still holds, and nothing is
appended behind it until somebody has cut it off.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time as clock
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from jokbo.errors import EvidenceError, NotFoundError, UsageError
from jokbo.records.attest import dsse
from jokbo.records.commit.chain import Chain, find_problems, read_chain
from jokbo.records.commit.items import COMMITMENTS, collect_items, digest_file, relative_path
from jokbo.records.commit.keys import Signer, load_signer
from jokbo.records.commit.link import MAX_LINE_BYTES, PAYLOAD_TYPE, Genesis, Item, Link, parse_link
from jokbo.records.initialise import seed_from_beacon

CHAIN = f"{COMMITMENTS}/chain.jsonl"
TIMESTAMPS = f"{COMMITMENTS}/timestamps"
SEED_PURPOSE = "initialisation"
MAX_BEACON_BYTES = 1 << 20
WAIT_SECONDS = 600.0
"""How long a writer waits for another: digesting a large checkpoint takes minutes."""

Path_ = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class Committed:
    """What a commitment wrote.

    Attributes
    ----------
    chain : Path
    link : Link
    genesis : Genesis
        Of the chain; holds the seed.
    timestamp : Path or None
        The time stamp's file, where a server gave one.
    """

    chain: Path
    link: Link
    genesis: Genesis
    timestamp: Path | None = None


def commit(
    folder: Path_,
    items: Iterable[Path_] | None = None,
    *,
    key: Signer | Path_,
    step: int | None = None,
    note: str = "",
    name: str = "",
    beacon: Path_ | None = None,
    seed: int | None = None,
    declaration: Path_ | None = None,
    tsa: str = "",
    now: datetime | None = None,
    wait_seconds: float = WAIT_SECONDS,
) -> Committed:
    """Append a link to a run's chain, or begin the chain.

    Parameters
    ----------
    folder : path
        Of the run; the chain is ``commitments/chain.jsonl`` in it.
    items : iterable of paths, optional
        Files and folders to commit to; by default all that no link names yet, and what logs have grown by.
    key : Signer or path
        Private key.
    step : int, optional
        Updates made so far.
    note : str
    name, beacon, seed, declaration
        For the first link alone: the run's name (else the folder's), a file of public randomness from which the
        seed is drawn, a seed without one, and a file of what is declared beforehand.
    tsa : str
        Address of a time stamp server (RFC 3161).
    now : datetime, optional
        What to state as the time; the clock's by default. Never before the link before.
    wait_seconds : float
        How long to wait for another writer.

    Raises
    ------
    UsageError
        The call does not fit the chain: another key, nothing new, a first link's options on a later one.
    InputError
        A file cannot be read, or the chain does not hold or ends in half a line.
    TransferError
        The link is written, and the server gave no time stamp for it.
    """
    root = Path(folder)
    if not root.is_dir():
        raise NotFoundError(f"there is no folder {root}. Give the folder that the training run writes to.")
    signer = key if isinstance(key, Signer) else load_signer(key)
    path = root / CHAIN
    with _only_writer(path, wait_seconds):
        chain = _present(path)
        if chain.links:
            if name or beacon is not None or seed is not None or declaration is not None:
                raise UsageError(
                    f"{path} has begun: name, beacon, seed and declaration are fixed by its first link. "
                    "Leave these options out."
                )
            genesis = _fitting(chain, signer, path)
        else:
            genesis = _begin(root, signer, name=name, beacon=beacon, seed=seed, declaration=declaration)
        committed = {item.path for link in chain.links for item in link.items}
        found = collect_items(root, items, committed=committed, log_stops=chain.log_stops())
        found = _with_beacon(root, found, None if chain.links else beacon)
        if chain.links and not found and not note:
            raise UsageError(
                f"nothing in {root} is new since link {chain.links[-1].index}. No link was written."
            )
        link = _link(chain, genesis, found, signer, step=step, note=note, now=now or datetime.now(UTC))
        _append(path, link.line + b"\n", chain.stop)
    stamp = _stamp(root, link, tsa) if tsa else None
    return Committed(path, link, genesis, stamp)


def _present(path: Path) -> Chain:
    if not path.exists():
        return Chain(())
    chain = read_chain(path)
    if chain.tail:
        raise EvidenceError(
            f"{path} ends in half a line ({chain.tail:,} bytes after byte {chain.stop:,}), as a kill leaves it; the "
            f"{len(chain.links)} links before it are whole. Cut it off with `truncate -s {chain.stop} {path}`, "
            "then commit again."
        )
    problems = find_problems(chain, None)
    if problems and chain.links:
        where = ", ".join(f"{name} {value}" for name, value in problems[0].values.items())
        raise EvidenceError(
            f"{path} does not hold ({problems[0].code}: {where}). Nothing was appended; restore the file."
        )
    return chain


def _fitting(chain: Chain, signer: Signer, path: Path) -> Genesis:
    genesis = chain.genesis
    if genesis is None or signer.public.der not in genesis.keys:
        raise UsageError(
            f"the key {signer.public.keyid[:16]} is not one that the first link of {path} names. "
            "Sign with the key that began the chain."
        )
    return genesis


def _begin(
    root: Path,
    signer: Signer,
    *,
    name: str,
    beacon: Path_ | None,
    seed: int | None,
    declaration: Path_ | None,
) -> Genesis:
    digest = ""
    if beacon is not None:
        data = read_beacon(root / relative_path(root, beacon))
        digest, drawn = hashlib.sha256(data).hexdigest(), seed_from_beacon(data, SEED_PURPOSE)
        if seed is not None and seed != drawn:
            raise UsageError(f"the seed is {seed}, and the beacon gives {drawn}. Give one of them.")
        seed = drawn
    declared = "" if declaration is None else _declared(root, declaration)
    return Genesis(name or root.resolve().name, seed, digest, declared, (signer.public.der,))


def _declared(root: Path, declaration: Path_) -> str:
    return digest_file(root, relative_path(root, declaration), kind="other").sha256


def read_beacon(path: Path_) -> bytes:
    """The bytes of a beacon's file.

    Raises
    ------
    NotFoundError, EvidenceError
        It cannot be read, is empty, or is larger than any beacon.
    """
    try:
        with open(path, "rb") as stream:
            data = stream.read(MAX_BEACON_BYTES + 1)
    except OSError as error:
        raise NotFoundError(f"cannot read the beacon {path}: {error.strerror}.") from None
    if not 0 < len(data) <= MAX_BEACON_BYTES:
        raise EvidenceError(f"the beacon {path} has {len(data):,} bytes; expected 1 to {MAX_BEACON_BYTES:,}.")
    return data


def _with_beacon(root: Path, items: tuple[Item, ...], beacon: Path_ | None) -> tuple[Item, ...]:
    if beacon is None:
        return items
    path = relative_path(root, beacon)
    return (digest_file(root, path, kind="beacon"), *(item for item in items if item.path != path))


def _link(
    chain: Chain,
    genesis: Genesis,
    items: tuple[Item, ...],
    signer: Signer,
    *,
    step: int | None,
    note: str,
    now: datetime,
) -> Link:
    last = chain.links[-1] if chain.links else None
    # A clock that was set back must not make an honest chain look edited.
    stated = now if last is None else max(now, last.time)
    bare = Link(
        index=len(chain.links),
        previous="" if last is None else last.sha256,
        time=stated.astimezone(UTC).replace(microsecond=0),
        step=step,
        items=items,
        note=note,
        genesis=genesis if last is None else None,
    )
    envelope = dsse.sign(bare.to_payload(), PAYLOAD_TYPE, [signer])
    link = replace(bare, envelope=envelope, line=envelope.to_json())
    if len(link.line) >= MAX_LINE_BYTES:
        raise UsageError(
            f"the link has {len(link.line):,} bytes; at most {MAX_LINE_BYTES:,}. Commit to less."
        )
    return parse_link(link.line, "the new link")


@contextmanager
def _only_writer(path: Path, wait_seconds: float) -> Iterator[None]:
    """Hold the chain's lock; the kernel frees it when its holder dies, however it dies."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path.parent / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise UsageError(f"cannot write in {path.parent}: {error.strerror}. Choose another folder.") from None
    try:
        deadline = clock.monotonic() + wait_seconds
        while not _try_lock(handle):
            if clock.monotonic() >= deadline:
                raise UsageError(
                    f"another process has been writing {path} for {wait_seconds:g} s. Try again later."
                )
            clock.sleep(0.02)
        yield
    finally:
        os.close(handle)


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _append(path: Path, line: bytes, expected: int) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        try:
            if os.fstat(handle).st_size != expected:
                raise EvidenceError(
                    f"{path} changed meanwhile by a writer without the lock. Nothing was appended."
                )
            try:
                _write_all(handle, line)
                os.fsync(handle)
            except OSError:
                # A full disk leaves half a line, which would block every later link.
                os.ftruncate(handle, expected)
                raise
        finally:
            os.close(handle)
        if not expected:
            _sync_folder(path.parent)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}. No link was written.") from None


def _write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _stamp(root: Path, link: Link, tsa: str) -> Path:
    from jokbo.records.commit.timestamps import request_timestamp, timestamp_name

    answer = request_timestamp(tsa, link.line, what=f"link {link.index} is written and signed, but")
    folder = root / TIMESTAMPS
    target = folder / timestamp_name(link.index)
    try:
        folder.mkdir(exist_ok=True)
        target.write_bytes(answer)
    except OSError as error:
        raise UsageError(f"link {link.index} is written; cannot write {target}: {error.strerror}.") from None
    return target
