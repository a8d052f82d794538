"""Fan-out: each event is encoded once, and waits for each reader in a short queue of its own.

A reader that does not keep up is dropped, not buffered: it comes back with the number of the last event it saw, and
is given what it missed from the log.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable


class Reader:
    """One open stream.

    Parameters
    ----------
    backlog : int
        Events that may wait.
    drop : callable
        Called once when the reader does not keep up.
    address : str
        The network it comes from.
    """

    __slots__ = ("_backlog", "_direct", "_drop", "_waiting", "_wake", "address", "closed", "lang")

    def __init__(self, lang: str, backlog: int, drop: Callable[[], None], address: str = "") -> None:
        self.lang, self.closed, self.address = lang, False, address
        self._backlog, self._drop = backlog, drop
        self._waiting: deque[bytes] = deque()
        self._wake: asyncio.Future[None] | None = None
        self._direct: Callable[[bytes], bool] | None = None

    def put(self, event: bytes, frame: bytes) -> bool:
        """Hand over an event; never waits.

        Parameters
        ----------
        event, frame : bytes
            The event, and the same as a chunk of HTTP/1.1.

        Returns
        -------
        bool
            False where this reader does not keep up, and was dropped.
        """
        if self.closed:
            return True
        if self._direct is not None:
            kept = self._direct(frame)
        else:
            kept = len(self._waiting) < self._backlog
            self._waiting.append(event)
            self._rouse()
        if not kept:
            self.close()
            self._drop()
        return kept

    def now_directly(self, write: Callable[[bytes], bool]) -> bytes:
        """From now on hand chunks straight to a connection, which costs a fraction of waking a task.

        Parameters
        ----------
        write : callable
            Takes a chunk; False where the connection's buffer is full.

        Returns
        -------
        bytes
            What waits still. Where it is not empty nothing has changed yet: send it, and ask again.
        """
        found = b"".join(self._waiting)
        self._waiting.clear()
        if not found:
            self._direct = write
        return found

    def close(self) -> None:
        """End the stream; what waits is given up."""
        self.closed = True
        self._waiting.clear()
        self._rouse()

    async def take(self) -> bytes:
        """All that waits, as one piece; empty once the stream is at its end."""
        while not self._waiting and not self.closed:
            self._wake = asyncio.get_running_loop().create_future()
            await self._wake
        found = b"".join(self._waiting)
        self._waiting.clear()
        return found

    def _rouse(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)


class Hub:
    """All readers.

    Parameters
    ----------
    most : int
        Readers at a time.
    backlog : int
        Events that may wait for one of them.
    by_address : int, optional
        Readers at a time of one address.

    Attributes
    ----------
    dropped : int
        Readers that did not keep up, so far.
    """

    def __init__(self, most: int, backlog: int, by_address: int | None = None) -> None:
        self._most, self._backlog = most, backlog
        self._by_address = most if by_address is None else by_address
        self._readers: dict[str, set[Reader]] = {}
        self._addresses: Counter[str] = Counter()
        self.dropped = 0

    def __len__(self) -> int:
        return sum(len(readers) for readers in self._readers.values())

    @property
    def full(self) -> bool:
        """Whether no more can join."""
        return len(self) >= self._most

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages that somebody reads."""
        return tuple(lang for lang, readers in self._readers.items() if readers)

    def crowded(self, address: str) -> bool:
        """Whether one address has as many streams open as it may."""
        return self._addresses[address] >= self._by_address

    def join(self, lang: str, drop: Callable[[], None], address: str = "") -> Reader:
        """A new reader; events from now on are its."""
        reader = Reader(lang, self._backlog, drop, address)
        self._readers.setdefault(lang, set()).add(reader)
        self._addresses[address] += 1
        return reader

    def leave(self, reader: Reader) -> None:
        """A reader has gone; to say so twice changes nothing."""
        reader.close()
        known = self._readers.get(reader.lang, set())
        if reader not in known:
            return
        known.discard(reader)
        self._addresses[reader.address] -= 1
        if not self._addresses[reader.address]:
            del self._addresses[reader.address]  # or every address that ever came would be kept

    def publish(self, lang: str, event: bytes) -> None:
        """Hand an event to all readers of a language."""
        frame = b"%x\r\n%b\r\n" % (len(event), event)
        for reader in tuple(self._readers.get(lang, ())):
            if not reader.put(event, frame):
                self.dropped += 1
                self.leave(reader)

    def close(self) -> None:
        """End all streams."""
        for readers in self._readers.values():
            for reader in tuple(readers):
                self.leave(reader)
