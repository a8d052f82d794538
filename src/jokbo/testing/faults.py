"""What can go wrong between a reader and a server, one name each."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from jokbo.testing.serving import Answer, Content

Kind = Literal[
    "status",
    "ignore_range",
    "drop",
    "short_body",
    "long_body",
    "unannounced_short_body",
    "endless_body",
    "wrong_range",
    "no_range",
    "changed_etag",
    "changed_size",
    "compressed",
    "multipart",
]


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Attributes
    ----------
    kind : str
        ``status`` answers `status` and `headers`; the others spoil a sound answer:
        the range ignored (200 and the whole file), the connection dropped half-way,
        a body shorter or longer than asked (its length told or not), another or no ``Content-Range``, another
        ETag or total length, compression, several parts.
    where : str
        Stage: ``"api"`` (metadata), ``"lookup"`` (hub's address of a file) or
        ``"content"`` (bytes). Only ``status`` applies to the first two.
    file : str or None
        Only this file.
    after : int
        Let this many requests pass first.
    times : int or None
        How often; None is always.
    status : int
        Of ``status``.
    headers : mapping of str to str
        Of ``status``: ``Retry-After`` for example.
    """

    kind: Kind
    where: Literal["api", "lookup", "content"] = "content"
    file: str | None = None
    after: int = 0
    times: int | None = None
    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)

    def spoil(self, answer: Answer, content: Content) -> Answer:
        """Turn a sound answer of bytes into the faulty one."""
        size, n_bytes = content.size, answer.stop - answer.start
        headers = dict(answer.headers)
        if self.kind == "status":
            return Answer(self.status, dict(self.headers))
        if self.kind == "ignore_range":
            headers.pop("Content-Range", None)
            return Answer(200, headers, content, 0, size)
        if self.kind == "drop":
            return replace(answer, stop_after=n_bytes // 2)
        if self.kind == "short_body":
            return replace(answer, stop=answer.stop - max(1, n_bytes // 2))
        if self.kind == "long_body":
            return replace(answer, stop=min(size, answer.stop + 4096))
        if self.kind == "unannounced_short_body":
            return replace(answer, stop=answer.stop - 1, announced=False)
        if self.kind == "endless_body":
            return replace(answer, stop=size, announced=False)
        changed = {
            "wrong_range": {"Content-Range": f"bytes {answer.start + 1}-{answer.stop}/{size}"},
            "changed_etag": {"ETag": '"another"'},
            "changed_size": {"Content-Range": f"bytes {answer.start}-{answer.stop - 1}/{size + 8}"},
            "compressed": {"Content-Encoding": "gzip"},
            "multipart": {"Content-Type": "multipart/byteranges; boundary=x"},
        }
        headers |= changed.get(self.kind, {})
        if self.kind in ("no_range", "multipart"):
            del headers["Content-Range"]
        return replace(answer, headers=headers)


class FaultList:
    """Faults in effect, counted as they happen; safe for the threads of a server."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._lock = threading.Lock()
        self._entries: list[list[int | Fault]] = []
        for fault in faults:
            self.add(fault)

    def add(self, fault: Fault) -> None:
        """Put one more in effect."""
        with self._lock:
            self._entries.append([fault, 0])

    def clear(self) -> None:
        """Heal."""
        with self._lock:
            self._entries.clear()

    def take(self, where: str, file: str | None) -> Fault | None:
        """The fault that strikes this request, counted, or None."""
        struck: Fault | None = None
        with self._lock:
            for entry in self._entries:
                fault, seen = entry
                assert isinstance(fault, Fault)
                assert isinstance(seen, int)
                if fault.where != where or fault.file not in (None, file):
                    continue
                entry[1] = seen + 1
                due = seen >= fault.after and (fault.times is None or seen < fault.after + fault.times)
                if struck is None and due:
                    struck = fault
        return struck
