"""The only connections that a server of a hearing makes to the web: to addresses of the providers that the host named.

Everything goes through one gate. It lets nothing pass to any other host, follows no redirect, uses no proxy that the
environment names, takes at most so many bytes, and gives up after some seconds. What an answer says therefore never
leads the server anywhere else (SSRF).
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping
from typing import Any

import httpx

from jokbo.errors import InputError
from jokbo.hearing.live.providers import Provider

MAX_ANSWER_BYTES = 1 << 19
SECONDS = 10.0


class UnreachableError(InputError):
    """A provider cannot be reached, or does not answer as one does."""


class ForbiddenError(InputError):
    """Something leads to an address that the settings do not name."""


class Gate:
    """Asks a provider.

    Parameters
    ----------
    provider : Provider
    transport : httpx.AsyncBaseTransport, optional
        How bytes travel; the network by default.
    """

    def __init__(self, provider: Provider, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._provider, self._transport = provider, transport
        self._trust: ssl.SSLContext | None = None

    async def get(self, url: str, *, bearer: str | None = None) -> dict[str, Any]:
        """The JSON object at an address.

        Raises
        ------
        ForbiddenError, UnreachableError
        """
        headers = {} if bearer is None else {"Authorization": f"Bearer {bearer}"}
        return await self._ask("GET", url, headers=headers)

    async def post(
        self, url: str, fields: Mapping[str, str], *, auth: tuple[str, str] | None = None
    ) -> dict[str, Any]:
        """The JSON object that an address gives for a form; `auth` is a name and its secret (HTTP Basic).

        Raises
        ------
        ForbiddenError, UnreachableError
        """
        return await self._ask("POST", url, data=dict(fields), auth=auth)

    async def _ask(self, method: str, url: str, **given: Any) -> dict[str, Any]:
        if not self._provider.may_be_reached(url):
            raise ForbiddenError(
                f"{self._provider.name}: {url[:200]!r} is not at {self._provider.issuer} or a host that the settings "
                "name for it."
            )
        try:
            async with asyncio.timeout(SECONDS):
                return _object(await self._read(method, url, given))
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError) as error:
            raise UnreachableError(
                f"{self._provider.name}: {type(error).__name__} at {url[:200]!r}."
            ) from None

    async def _read(self, method: str, url: str, given: Mapping[str, Any]) -> bytes:
        if self._trust is None:  # once, and in a thread: reading all authorities holds everybody up
            self._trust = await asyncio.to_thread(ssl.create_default_context)
        client = httpx.AsyncClient(
            transport=self._transport,
            verify=self._trust,
            trust_env=False,
            follow_redirects=False,
            timeout=SECONDS,
        )
        given = {key: value for key, value in given.items() if value is not None}
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", **given.pop("headers", {})}
        async with client, client.stream(method, url, headers=headers, **given) as answer:
            body = bytearray()
            # Bytes as they come: what is packed could unpack to more than is taken.
            async for piece in answer.aiter_raw():
                body += piece
                if len(body) > MAX_ANSWER_BYTES:
                    raise UnreachableError(
                        f"{self._provider.name}: more than {MAX_ANSWER_BYTES:,} bytes came."
                    )
            if answer.status_code != 200:
                raise UnreachableError(
                    f"{self._provider.name}: status {answer.status_code} at {url[:200]!r}."
                )
            return bytes(body)


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise UnreachableError("an answer of the provider is no JSON object.")
    return found
