"""One HTTP exchange at a time, with retries, and nothing believed that was not checked.

The client is huggingface_hub's session, so proxies, certificates and a client
factory that the user has set apply here too. It is httpx in some versions of
that library and httpx2 in others; their exceptions are found through the
library's own error class, which inherits from the right one.
"""

from __future__ import annotations

import email.utils
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

from jokbo.errors import OfflineError, SourceError, TransferError

RETRIED_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
"""Refusals that pass by themselves."""

MAX_REDIRECTS = 5

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """When to ask again, and when to give up.

    Attributes
    ----------
    attempts : int
        Tries in all.
    total_seconds : float
        No wait begins that would end later than this after the first try.
    first_wait_seconds, max_wait_seconds : float
        The wait doubles from the first to the longest; half of it is random, so that
        threads refused together do not come back together.
    timeout_seconds : float
        How long one try may be silent.
    """

    attempts: int = 6
    total_seconds: float = 120.0
    first_wait_seconds: float = 0.25
    max_wait_seconds: float = 16.0
    timeout_seconds: float = 30.0


class Again(Exception):
    """Inside a try: it failed in a way that may pass."""

    def __init__(self, reason: str, *, wait_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.wait_seconds = wait_seconds


@dataclass(slots=True)
class Transport:
    """Sends requests and tries again.

    Attributes
    ----------
    retry : RetryPolicy
        Bounds on trying again.
    sleep, clock : callable
        Replaced in tests.
    """

    retry: RetryPolicy = field(default_factory=RetryPolicy)
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    # Own generator: jitter must not touch the random state that evidence depends on.
    _random: random.Random = field(default_factory=random.Random)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _quiet_until: float = 0.0

    def attempt(self, what: str, once: Callable[[], T]) -> T:
        """Call `once` until it does not raise :class:`Again` or a broken connection.

        Parameters
        ----------
        what : str
            Opens the error message: which source, file and bytes.

        Raises
        ------
        TransferError
            The tries or the time are used up.
        OfflineError
            The environment forbids the network (``HF_HUB_OFFLINE``).
        """
        prepare_hub_library()
        from huggingface_hub.errors import OfflineModeIsEnabled

        started = self.clock()
        wait = self.retry.first_wait_seconds
        for attempt in range(1, self.retry.attempts + 1):
            self._keep_quiet(started)
            try:
                return once()
            except OfflineModeIsEnabled:
                raise OfflineError(
                    f"{what}: HF_HUB_OFFLINE forbids the network. Unset it and run again."
                ) from None
            except Again as again:
                reason, asked = str(again), again.wait_seconds
            except http_error() as error:
                reason, asked = f"the connection broke ({type(error).__name__}: {error})", None
            pause = asked if asked is not None else wait * (0.5 + 0.5 * self._random.random())
            elapsed = self.clock() - started
            if asked is not None and elapsed + pause > self.retry.total_seconds:
                raise TransferError(
                    f"{what}: {reason}, and the server asks to wait {asked:,.0f} s; expected at most "
                    f"{self.retry.total_seconds:,.0f} s. Run again later: what came is cached."
                )
            if attempt == self.retry.attempts or elapsed + pause > self.retry.total_seconds:
                break
            if asked is not None:
                # What one thread was told holds for all: they share the server's patience.
                with self._lock:
                    self._quiet_until = max(self._quiet_until, self.clock() + asked)
            else:
                self.sleep(pause)
            wait = min(2 * wait, self.retry.max_wait_seconds)
        raise TransferError(
            f"{what}: {reason}; expected an answer, gave up after {attempt} tries in "
            f"{self.clock() - started:,.1f} s. Check the network and run again: what came is cached."
        )

    def _keep_quiet(self, started: float) -> None:
        with self._lock:
            pause = self._quiet_until - self.clock()
        if pause > 0:
            spread = self.retry.first_wait_seconds * self._random.random()  # not all threads at once
            self.sleep(min(pause + spread, max(0.0, started + self.retry.total_seconds - self.clock())))

    @contextmanager
    def stream(self, method: str, url: str, headers: Mapping[str, str]) -> Iterator[Any]:
        """One request without redirects; the body is not read unless asked for, and closed at the end.

        Raises
        ------
        Again
            A status that passes by itself.
        """
        from huggingface_hub import get_session

        client = get_session()
        try:
            request = client.build_request(
                method,
                url,
                headers={"Accept-Encoding": "identity", "User-Agent": "jokbo"} | dict(headers),
                timeout=self.retry.timeout_seconds,
            )
        except Exception as error:
            # Both clients raise an InvalidURL that inherits from Exception alone.
            if type(error).__name__ != "InvalidURL":
                raise
            raise SourceError(f"{shown(url)} is not a web address ({error}). Check it.") from None
        response = client.send(request, stream=True, follow_redirects=False)
        try:
            if response.status_code in RETRIED_STATUSES:
                wait = parse_retry_after(response.headers.get("Retry-After"))
                raise Again(f"the server answered {response.status_code}", wait_seconds=wait)
            yield response
        finally:
            response.close()


@cache
def http_error() -> type[Exception]:
    """The base of the client's exceptions, whichever client huggingface_hub uses."""
    from huggingface_hub.errors import HfHubHTTPError

    return next(base for base in HfHubHTTPError.__mro__ if base.__name__ == "HTTPError")


def prepare_hub_library() -> None:
    """Import huggingface_hub so that it sends nothing that was not asked for."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from huggingface_hub import constants

    constants.HF_HUB_DISABLE_TELEMETRY = True  # it reads the environment only when first imported


def parse_retry_after(value: str | None) -> float | None:
    """Seconds that a ``Retry-After`` header asks for: a number or a date; None when there is neither.

    Examples
    --------
    >>> parse_retry_after("7"), parse_retry_after("soon")
    (7.0, None)
    """
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, moment.timestamp() - time.time())


def origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port: credentials are for one origin only."""
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, (parts.hostname or "").lower(), port


def is_loopback(url: str) -> bool:
    """Whether an address leads to this machine."""
    return urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")


def shown(url: str) -> str:
    """An address as it may be shown: without credentials, query and fragment.

    Examples
    --------
    >>> shown("https://me:secret@host:8443/model.safetensors?signature=abc")
    'https://host:8443/model.safetensors'
    """
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def check_downgrade(before: str, after: str) -> None:
    """Refuse a redirect that leaves encryption, or leads to something that is not HTTP."""
    if urlsplit(after).scheme == "https" or (urlsplit(before).scheme, urlsplit(after).scheme) == (
        "http",
        "http",
    ):
        return
    raise SourceError(
        f"{shown(before)} redirects to {shown(after)}; expected an https:// address. "
        "The server is set up wrongly or hostile: use another address."
    )
