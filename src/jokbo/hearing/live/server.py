"""One process, one worker: open a case, serve it, close it."""

from __future__ import annotations

import gc
import logging
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jokbo.errors import MissingExtraError, UsageError
from jokbo.hearing.case.case import open_case
from jokbo.hearing.live.settings import Settings

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from jokbo.hearing.live.clock import Clocks
    from jokbo.hearing.live.mail import Sender
    from jokbo.hearing.live.providers import Provider
    from jokbo.records.commit.keys import Signer

BACKLOG = 4096
USER_TIMEOUT_MS = 30_000
SWITCH_SECONDS = 0.00005
SEND_BUFFER_BYTES = 32 << 10


def build(
    folder: Path,
    signer: Signer,
    settings: Settings,
    send_mail: Sender,
    *,
    database: str,
    archive: Path | None = None,
    people: dict[str, str] | None = None,
    providers: Sequence[Provider] = (),
    clocks: Clocks | None = None,
) -> Starlette:
    """The application of a case in a folder.

    Parameters
    ----------
    folder : Path
    signer : Signer
        The host's key.
    settings : Settings
    send_mail : callable
    database : str
        URL of the database.
    archive : Path, optional
        Where the archive is written while the hearing goes on.
    people : mapping of str to str, optional
        Account to mail address: who signs in as whom.
    providers : sequence of Provider
        OpenID providers that people may sign in with, beside codes by mail.
    clocks : Clocks, optional
        Those of this machine by default.

    Raises
    ------
    MissingExtraError
        The extra ``hearing`` is not installed.
    UsageError, InputError
        The case, the database or the archive cannot be opened.
    """
    try:
        from jokbo.hearing.live.app import make_app
    except ImportError:
        raise MissingExtraError('a live hearing needs: pip install "jokbo[hearing]"') from None
    from jokbo.hearing.live.clock import Clocks
    from jokbo.hearing.live.codes import Codes
    from jokbo.hearing.live.database import open_database
    from jokbo.hearing.live.room import Room

    clocks = clocks or Clocks()
    opened = open_database(database)
    Codes(
        settings, opened, people=people
    )  # a name or an address that is none is said before the case is opened
    case = open_case(folder, signer, clock=clocks.moment)
    room = Room(case, settings, opened, archive=archive)
    return make_app(room, send_mail, clocks=clocks, providers=providers, people=people)


def serve(
    app: Starlette,
    *,
    host: str,
    port: int,
    proxy: str | None = None,
    ready: Callable[[int], None] | None = None,
) -> None:
    """Serve until told to end.

    Parameters
    ----------
    host, port
        Where to listen; port 0 takes a free one.
    proxy : str, optional
        Address of the proxy that stands before this server: only what it says of a client's address is believed.
    ready : callable, optional
        Called with the port once the socket listens.

    Raises
    ------
    UsageError
        The port cannot be listened on.
    """
    import uvicorn

    from jokbo.hearing.live.protocol import HearingProtocol

    config = uvicorn.Config(
        app,
        http=HearingProtocol,
        workers=1,
        backlog=BACKLOG,
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=True,
        proxy_headers=proxy is not None,
        forwarded_allow_ips=proxy,
        timeout_keep_alive=20,
        timeout_graceful_shutdown=5,
        ws="none",
        h11_max_incomplete_event_size=1 << 15,
    )
    _allow_many_sockets()
    listening = _listen(host, port)
    if ready is not None:
        ready(listening.getsockname()[1])
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    # Each of thousands of writes lets go of the interpreter, and gets it back from a thread that draws the archive
    # only after this long: by default (5 ms) one event to 2,500 readers would take twelve seconds.
    sys.setswitchinterval(SWITCH_SECONDS)
    # What is there at the start stays; looking through it again and again would hold everybody up.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    hub = app.state.site.room.hub

    class _Server(uvicorn.Server):
        async def shutdown(self, sockets: list[Any] | None = None) -> None:
            hub.close()  # streams never end by themselves
            await super().shutdown(sockets)

    # uvicorn raises the signal that ended it once more; by then all is closed, and the caller has a last word.
    before = {each: signal.signal(each, _ended) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        _Server(config).run(sockets=[listening])
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _ended(number: int, frame: object) -> None:
    """All is closed already."""


def _allow_many_sockets() -> None:
    """As many open files as this user may have: each reader is one."""
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _listen(host: str, port: int) -> Any:
    import socket

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        # Bytes that nobody takes for half a minute end a connection, its buffers with it.
        listening.setsockopt(socket.IPPROTO_TCP, getattr(socket, "TCP_USER_TIMEOUT", 18), USER_TIMEOUT_MS)
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise UsageError(f"cannot listen on {host}:{port}: {error.strerror}. Choose another port.") from None
    return listening
