"""One writer for all: what people send is entered in batches, and answered once it is on the disk.

A thread of its own takes everything that waits, enters it with one flush (group commit), and only then are those who
wait told. Two people never write at once, whatever the number of requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from jokbo.errors import JokboError, UsageError
from jokbo.hearing.case.case import Case
from jokbo.hearing.case.entry import Draft, Entry

log = logging.getLogger("jokbo.hearing.live")

T = TypeVar("T")

MAX_WAITING = 4000
MAX_BATCH = 400


class BusyError(JokboError):
    """More waits to be entered than the server can take in a few seconds."""


class StorageError(JokboError):
    """Nothing can be entered now: a full or failing disk."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    work: Draft | Callable[[Case], Any]
    answer: asyncio.Future[Any]


class Writer:
    """Enters drafts into a case, one batch after the other.

    Parameters
    ----------
    case : Case
        Touched by this writer alone from now on; others read its state.
    entered : callable
        Called in the event loop with the entries of each batch, after the answers are given.
    """

    def __init__(self, case: Case, entered: Callable[[Sequence[Entry]], None]) -> None:
        self._case, self._entered = case, entered
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue(MAX_WAITING)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="jokbo-writer")
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Finish what waits, and end."""
        if self._task is None:
            return
        while not self._queue.empty() and not self._task.done():
            await asyncio.sleep(0.01)
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._pool.shutdown(wait=True)

    async def enter(self, draft: Draft) -> Entry:
        """Enter one thing; it is on the disk when this returns.

        Raises
        ------
        BusyError
            Too much waits.
        StorageError
            Nothing can be entered.
        UsageError, InputError
            This cannot be entered; the message says why.
        """
        entry: Entry = await self._ask(draft)
        return entry

    async def with_case(self, work: Callable[[Case], T]) -> T:
        """Do something with the case in the writer's thread, between two batches.

        Raises
        ------
        BusyError
            Too much waits.
        """
        found: T = await self._ask(work)
        return found

    async def _ask(self, work: Draft | Callable[[Case], Any]) -> Any:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        try:
            self._queue.put_nowait(_Waiting(work, answer))
        except asyncio.QueueFull:
            raise BusyError(
                "more is being entered than the server can take. Try again in a few seconds."
            ) from None
        return await answer

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            batch = [await self._queue.get()]
            while len(batch) < MAX_BATCH and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            # Shielded: what the thread has begun to write is answered, also when the server is told to end.
            await asyncio.shield(loop.run_in_executor(self._pool, self._do, batch, loop))

    def _do(self, batch: Sequence[_Waiting], loop: asyncio.AbstractEventLoop) -> None:
        """In the writer's thread."""
        drafts = [each for each in batch if isinstance(each.work, Draft)]
        outcomes: list[Any] = []
        try:
            outcomes = list(
                self._case.add_many([each.work for each in drafts if isinstance(each.work, Draft)])
            )
        except (JokboError, OSError) as error:
            outcomes = [StorageError(str(error))] * len(drafts)
        except Exception as error:  # a fault of ours ends nobody else's hearing
            log.exception("a batch could not be entered")
            outcomes = [StorageError(type(error).__name__)] * len(drafts)
        answers = list(zip(drafts, outcomes, strict=True))
        for each in batch:
            if not isinstance(each.work, Draft):
                answers.append((each, self._called(each.work)))
        loop.call_soon_threadsafe(self._answer, answers)

    def _called(self, work: Callable[[Case], Any]) -> Any:
        try:
            return work(self._case)
        except (JokboError, OSError) as error:
            return error if isinstance(error, JokboError) else UsageError(f"{error.strerror}.")
        except Exception as error:
            log.exception("work on the case failed")
            return StorageError(type(error).__name__)

    def _answer(self, answers: Sequence[tuple[_Waiting, Any]]) -> None:
        """In the event loop."""
        for waiting, outcome in answers:
            if waiting.answer.done():
                continue  # whoever asked has gone; the entry stands
            if isinstance(outcome, BaseException):
                waiting.answer.set_exception(outcome)
            else:
                waiting.answer.set_result(outcome)
        entries = [outcome for _, outcome in answers if isinstance(outcome, Entry)]
        if entries:
            self._entered(entries)
