"""A chain beside the files of a record: what was committed is what is disclosed, at the step that is claimed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jokbo.records.commit.chain import Chain
from jokbo.records.commit.items import COMMITMENTS, guess_kind
from jokbo.records.commit.link import Item, Link
from jokbo.records.declaration import CheckpointEntry, EventKind
from jokbo.records.record import Record
from jokbo.views.component import Reason

FIXED = ("weights", "optimizer", "data", "beacon")
"""Kinds of files that have no business changing after they were committed to."""

_CHUNK_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class Beside:
    """What holding a chain against a record's files gave.

    Attributes
    ----------
    problems : tuple of Reason
        Codes ``item_differs``, ``step_differs``, ``steps_run_back``, ``log_differs``, ``log_cut``.
    notes : tuple of Reason
        ``log_edited``: a log differs and an edit is declared.
    covered, uncovered : tuple of str
        Names of training checkpoints whose weights the chain names, and of those that it does not.
    logs : int
        Logs whose committed ranges are the record's own bytes.
    events : tuple of int
        Declared events taken into account.
    """

    problems: tuple[Reason, ...]
    notes: tuple[Reason, ...]
    covered: tuple[str, ...]
    uncovered: tuple[str, ...]
    logs: int
    events: tuple[int, ...]


def hold_against(chain: Chain, record: Record, chain_path: str) -> Beside:
    """Compare a chain with the files of a record.

    Parameters
    ----------
    chain : Chain
    record : Record
    chain_path : str
        Of the chain's file in the record: items are named below the folder that holds ``commitments``.
    """
    base = _base(chain_path)
    index = _Index(chain, base)
    problems, notes, events = list(_items(index, record)), [], set[int]()
    covered, uncovered = [], []
    for entry in record.training_checkpoints():
        files = weight_digests(entry, record)
        links = [index.digests.get(digest, []) for digest in files]
        if not files:
            continue
        if not all(links):
            uncovered.append(entry.name)
            continue
        covered.append(entry.name)
        steps = {link.step for found in links for link in found}
        if entry.step not in steps and None not in steps:
            found = min(s for s in steps if s is not None)
            declared = record.events(EventKind.DUPLICATE_CHECKPOINTS, first=entry.step, last=entry.step)
            events.update(declared)
            if not declared:
                values: dict[str, int | str] = {
                    "checkpoint": entry.name,
                    "step": entry.step,
                    "committed": found,
                }
                problems.append(Reason("step_differs", values))
    for step, before in _backward(chain):
        declared = record.events(EventKind.ROLLBACK, EventKind.RESTART, first=step, last=before)
        events.update(declared)
        if not declared:
            problems.append(Reason("steps_run_back", {"step": step, "before": before}))
    edits = record.events(EventKind.LOG_EDIT)
    whole = 0
    for reason in _logs(index, record):
        if reason is None:
            whole += 1
        elif edits:
            events.update(edits)
            notes.append(Reason("log_edited", dict(reason.values)))
        else:
            problems.append(reason)
    return Beside(
        tuple(problems), tuple(notes), tuple(covered), tuple(uncovered), whole, tuple(sorted(events))
    )


def _base(chain_path: str) -> str:
    folder, _, _ = chain_path.rpartition("/")
    if folder == COMMITMENTS:
        return ""
    return folder.removesuffix(COMMITMENTS) if folder.endswith(f"/{COMMITMENTS}") else ""


class _Index:
    """Items by path in the record, and links by digest."""

    def __init__(self, chain: Chain, base: str) -> None:
        self.paths: dict[str, list[Item]] = {}
        self.digests: dict[str, list[Link]] = {}
        for link in chain.links:
            for item in link.items:
                self.paths.setdefault(base + item.path, []).append(item)
                self.digests.setdefault(item.sha256, []).append(link)


def weight_files(entry: CheckpointEntry, record: Record) -> list[tuple[str, str]]:
    """Weight files of a checkpoint in the pack, with their SHA-256."""
    if not entry.path:
        return []
    return [
        (path, file.sha256)
        for path, file in sorted(record.files.items())
        if (path == entry.path or path.startswith(f"{entry.path}/"))
        and guess_kind(path) == "weights"
        and not path.endswith(".rows.safetensors")
        and path != entry.optimizer
    ]


def weight_digests(entry: CheckpointEntry, record: Record) -> list[str]:
    """Digests of a checkpoint's weight files, also where they are not in the pack; none where nobody knows them."""
    own = [sha256 for _, sha256 in weight_files(entry, record)]
    return own or ([entry.digest] if entry.digest else [])


def _items(index: _Index, record: Record) -> Iterator[Reason]:
    for path, items in index.paths.items():
        file = record.files.get(path)
        if file is None or items[-1].kind not in FIXED or file.sha256 in index.digests:
            continue
        values = {"path": path, "committed": items[-1].sha256[:16], "found": file.sha256[:16]}
        yield Reason("item_differs", values)


def _backward(chain: Chain) -> Iterator[tuple[int, int]]:
    before = 0
    for link in chain.links:
        if link.step is not None:
            if link.step < before:
                yield link.step, before
            before = link.step


def _logs(index: _Index, record: Record) -> Iterator[Reason | None]:
    for path, items in index.paths.items():
        ranges = [item for item in items if item.kind == "log"]
        if ranges and path in record.files and record.path(path).is_file():
            yield _log(record.path(path), path, ranges, record.files[path].size)


def _log(file: str | os.PathLike[str], path: str, ranges: Sequence[Item], size: int) -> Reason | None:
    """None where every committed range is what the file holds there."""
    with open(file, "rb") as stream:
        for item in ranges:
            assert item.start is not None and item.stop is not None
            if item.stop > size:
                return Reason("log_cut", {"path": path, "committed": item.stop, "bytes": size})
            stream.seek(item.start)
            digest, left = hashlib.sha256(), item.size
            while left and (chunk := stream.read(min(left, _CHUNK_BYTES))):
                digest.update(chunk)
                left -= len(chunk)
            if digest.hexdigest() != item.sha256:
                return Reason("log_differs", {"path": path, "start": item.start, "stop": item.stop})
    return None
