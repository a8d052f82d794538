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
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

from jokbo.errors import OfflineError, SourceError, TransferError
from jokbo.sources.base import OpenOptions

RETRIED_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
"""Refusals that pass by themselves."""

MAX_REDIRECTS = 5

MAX_CONNECTIONS = 16
"""Requests under way at once: 250 requests of 30 ms take half a second, and hubs allow more."""

MAX_BUSY_WAIT_SECONDS = 4.0
"""Longest wait after a 429 that asks for none: a server may well refuse many times in a row and then answer."""

_RATE_LIMIT = re.compile(r";\s*([rt])=(\d{1,9})(?=\s*(?:;|$))", re.ASCII)

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
    patience_seconds : float
        How much longer than `total_seconds` a server that answers 429 (asked too often) is waited for. Hubs count
        requests in windows of minutes, and long runs wait for the next window.

    Notes
    -----
    A 429 is no failure and does not count as a try: the server is there, and asked too often. Where it says how long
    to wait, all requests of the source keep quiet for so long.
    """

    attempts: int = 6
    total_seconds: float = 120.0
    first_wait_seconds: float = 0.25
    max_wait_seconds: float = 16.0
    timeout_seconds: float = 30.0
    patience_seconds: float = 0.0


class Again(Exception):
    """Inside a try: it failed in a way that may pass."""

    def __init__(self, reason: str, *, wait_seconds: float | None = None, busy: bool = False) -> None:
        super().__init__(reason)
        self.wait_seconds = wait_seconds
        self.busy = busy

    @classmethod
    def of_answer(cls, status: int, headers: Mapping[str, str], *, who: str) -> Again:
        """A refusal that passes by itself, and how long the server asks to wait."""
        return cls(f"{who} answered {status}", wait_seconds=asked_wait(headers), busy=status == 429)


@dataclass(slots=True)
class Transport:
    """Sends requests and tries again.

    Attributes
    ----------
    retry : RetryPolicy
        Bounds on trying again.
    connections : int
        Requests of one source under way at once.
    sleep, clock : callable
        Replaced in tests.
    """

    retry: RetryPolicy = field(default_factory=RetryPolicy)
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    connections: int = MAX_CONNECTIONS
    # Own generator: jitter must not touch the random state that evidence depends on.
    _random: random.Random = field(default_factory=random.Random)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _quiet_until: float = 0.0

    @classmethod
    def of_options(cls, options: OpenOptions) -> Transport:
        """As patient, and with as many connections, as the options say."""
        return cls(
            RetryPolicy(patience_seconds=options.patience_seconds),
            connections=options.connections or MAX_CONNECTIONS,
        )

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
        attempts = tries = 0
        while True:
            self._keep_quiet(started)
            attempts += 1
            busy = False
            try:
                return once()
            except OfflineModeIsEnabled:
                raise OfflineError(
                    f"{what}: HF_HUB_OFFLINE forbids the network. Unset it and run again."
                ) from None
            except Again as again:
                reason, asked, busy = str(again), again.wait_seconds, again.busy
            except http_error() as error:
                reason, asked = f"the connection broke ({type(error).__name__}: {error})", None
            tries += not busy
            longest = MAX_BUSY_WAIT_SECONDS if busy else self.retry.max_wait_seconds
            backoff = min(wait, longest) * (0.5 + 0.5 * self._random.random())
            if busy and asked is not None:
                asked = max(asked, backoff)  # "0" again and again is no leave to hammer
            pause = asked if asked is not None else backoff
            limit = self._limit(busy)
            elapsed = self.clock() - started
            if asked is not None and elapsed + pause > limit:
                raise TransferError(
                    f"{what}: {reason}, and the server asks to wait {asked:,.0f} s; expected at most "
                    f"{limit:,.0f} s. Run again later: what came is cached."
                )
            if tries >= self.retry.attempts or elapsed + pause > limit:
                break
            if asked is not None:
                # What one thread was told holds for all: they share the server's patience.
                with self._lock:
                    self._quiet_until = max(self._quiet_until, self.clock() + asked)
            else:
                self.sleep(pause)
            wait = min(2 * wait, self.retry.max_wait_seconds)
        raise TransferError(
            f"{what}: {reason}; expected an answer, gave up after {attempts} tries in "
            f"{self.clock() - started:,.1f} s. Check the network and run again: what came is cached."
        )

    def _limit(self, busy: bool) -> float:
        """Seconds after which a request is given up."""
        return self.retry.total_seconds + (self.retry.patience_seconds if busy else 0.0)

    def _keep_quiet(self, started: float) -> None:
        with self._lock:
            pause = self._quiet_until - self.clock()
        if pause > 0:
            spread = self.retry.first_wait_seconds * self._random.random()  # not all threads at once
            self.sleep(min(pause + spread, max(0.0, started + self._limit(True) - self.clock())))

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
                raise Again.of_answer(response.status_code, response.headers, who="the server")
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


def asked_wait(headers: Mapping[str, str]) -> float | None:
    """Seconds that an answer asks to wait: ``Retry-After``, else the rest of a ``RateLimit`` window that is used up.

    Draft standard of the header: https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/ (``r``
    requests remain, and the window ends in ``t`` seconds), as the Hugging Face hub sends it.

    Examples
    --------
    >>> asked_wait({"RateLimit": '"api";r=0;t=55'}), asked_wait({"RateLimit": '"api";r=12;t=55'})
    (55.0, None)
    """
    wait = parse_retry_after(headers.get("Retry-After"))
    if wait is not None:
        return wait
    found = dict(_RATE_LIMIT.findall(headers.get("RateLimit") or ""))
    return float(found["t"]) if found.get("r") == "0" and "t" in found else None


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
