"""Merge nearby byte ranges into few requests: a pure function of what is wanted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from jokbo.sources.base import ByteRange, Read


class Request(NamedTuple):
    """One request: a range of a file, and which wishes it answers."""

    file: str
    range: ByteRange
    members: tuple[int, ...]


def merge_reads(reads: Sequence[Read], *, max_gap_bytes: int, max_request_bytes: int) -> list[Request]:
    """Plan the requests that answer `reads`.

    Two ranges of one file share a request when the gap between them is at most
    `max_gap_bytes` and the merged range at most `max_request_bytes`. A range that
    is larger than `max_request_bytes` stands alone and is not split.

    Parameters
    ----------
    reads : sequence of Read
        Wishes, in any order, overlapping or not.
    max_gap_bytes : int
        Bytes worth reading for nothing to save a request.
    max_request_bytes : int
        Upper bound on a merged request.

    Returns
    -------
    list of Request
        Ordered by file and start. ``members`` are indices into `reads`.

    Examples
    --------
    >>> wishes = [Read("a", ByteRange(90, 99)), Read("a", ByteRange(0, 10)), Read("a", ByteRange(12, 20))]
    >>> merge_reads(wishes, max_gap_bytes=4, max_request_bytes=100)
    [Request(file='a', range=ByteRange(start=0, stop=20), members=(1, 2)), \
Request(file='a', range=ByteRange(start=90, stop=99), members=(0,))]
    """
    order = sorted(
        range(len(reads)), key=lambda i: (reads[i].file, reads[i].range.start, reads[i].range.stop)
    )
    requests: list[Request] = []
    for i in order:
        file, (start, stop) = reads[i].file, reads[i].range
        if requests and requests[-1].file == file:
            last = requests[-1]
            merged = ByteRange(last.range.start, max(last.range.stop, stop))
            if start - last.range.stop <= max_gap_bytes and merged.size <= max_request_bytes:
                requests[-1] = Request(file, merged, (*last.members, i))
                continue
        requests.append(Request(file, ByteRange(start, stop), (i,)))
    return requests


def cut_answers(reads: Sequence[Read], requests: Sequence[Request], answers: Sequence[bytes]) -> list[bytes]:
    """Cut the answers of merged requests back into the wishes, in the order of `reads`."""
    wishes: list[bytes] = [b""] * len(reads)
    for request, answer in zip(requests, answers, strict=True):
        for i in request.members:
            start, stop = reads[i].range
            wishes[i] = answer[start - request.range.start : stop - request.range.start]
    return wishes
