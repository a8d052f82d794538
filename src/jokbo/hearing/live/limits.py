"""Rate limits: so many within so many seconds, by account, mailbox or address; bounded in memory."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable

MAX_NAMES = 200_000


class RateLimiter:
    """Counts in two half-overlapping windows, so that a name costs three numbers, whatever it does.

    Parameters
    ----------
    clock : callable
        Seconds that never run backwards.

    Examples
    --------
    >>> limiter = RateLimiter(clock=lambda: 0.0)
    >>> [limiter.allow("vote", "kim", (2, 60.0)) for _ in range(3)]
    [True, True, False]
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: OrderedDict[tuple[str, str], list[float]] = OrderedDict()

    def allow(self, what: str, who: str, limit: tuple[int, float]) -> bool:
        """Count one more, unless there were enough.

        Parameters
        ----------
        what, who : str
        limit : (int, float)
            How many, in how many seconds.
        """
        most, seconds = limit
        window = self._clock() // seconds
        share = self._clock() / seconds - window
        found = self._seen.setdefault((what, who), [window, 0.0, 0.0])
        self._seen.move_to_end((what, who))
        if found[0] != window:
            found[:] = [window, 0.0, found[1] if found[0] == window - 1 else 0.0]
        if found[1] + found[2] * (1 - share) >= most:
            return False
        found[1] += 1
        while len(self._seen) > MAX_NAMES:
            self._seen.popitem(last=False)
        return True

    def give_back(self, what: str, who: str) -> None:
        """Count one less: what was counted did not come about, through no fault of who asked, or was right."""
        found = self._seen.get((what, who))
        if found is not None and found[1] >= 1:
            found[1] -= 1


def network(address: str) -> str:
    """The part of an address by which limits count: an IPv6 customer has a whole /64.

    Examples
    --------
    >>> network("2001:db8:0:1:ffff::1"), network("192.0.2.7"), network("::ffff:192.0.2.7")
    ('2001:db8:0:1::', '192.0.2.7', '192.0.2.7')
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, 64), strict=False).network_address)
