"""What a server of a hearing is told when it starts; nothing of it is in the log."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from jokbo.errors import UsageError
from jokbo.hearing.exhibits import MAX_FILE_BYTES

SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one account or one address may do; a count and the seconds in which it counts.

    Mobile carriers put thousands of people behind one address, so that limits by address are wide. Why codes and
    tries have several: :mod:`jokbo.hearing.live.devices`. Only wrong tries count.
    """

    codes_by_device: tuple[int, float] = (4, 900.0)
    codes_by_pair: tuple[int, float] = (4, 900.0)
    codes_by_mailbox: tuple[int, float] = (20, 900.0)
    codes_by_address: tuple[int, float] = (300, 900.0)
    codes_in_all: tuple[int, float] = (1200, 60.0)
    tries_by_device: tuple[int, float] = (10, 3600.0)
    tries_by_pair: tuple[int, float] = (10, 3600.0)
    tries_by_mailbox: tuple[int, float] = (30, 3600.0)
    tries_by_address: tuple[int, float] = (600, 3600.0)
    votes_by_account: tuple[int, float] = (30, 60.0)
    votes_by_address: tuple[int, float] = (3000, 60.0)
    entries_by_public: tuple[int, float] = (6, 600.0)
    entries_by_role: tuple[int, float] = (120, 60.0)
    uploads_by_account: tuple[int, float] = (30, 600.0)
    uploads_by_public: tuple[int, float] = (4, 600.0)
    uploads_at_once: int = 2
    logs_by_address: tuple[int, float] = (60, 60.0)


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of one server.

    Attributes
    ----------
    secret : bytes
        Of this server alone: cookies, codes and the names of public accounts are bound to it.
    base_url : str
        Where people reach the page, such as ``"https://hearing.example.org"``.
    limits : Limits
    max_upload_bytes : int
        Of one file.
    max_form_bytes : int
        Of a form without a file.
    max_public_upload_bytes : int
        Of one file that somebody without a role sends: the evidence of a reproduction.
    max_readers : int
        Open streams; more are told to come again.
    streams_by_address : int
        Open streams of one address: a hall, a ministry or a mobile carrier is one.
    reader_backlog : int
        Events that may wait for one reader before it is dropped.
    form_seconds : float
        In which a form without a file has come whole, and after which a file has to come at some speed.
    least_upload_bytes_a_second : float
    ping_seconds, tally_seconds : float
    """

    secret: bytes = field(repr=False)
    base_url: str = "http://127.0.0.1:8000"
    limits: Limits = Limits()
    max_upload_bytes: int = MAX_FILE_BYTES
    max_public_upload_bytes: int = 16_000_000
    max_form_bytes: int = 1 << 18
    form_seconds: float = 30.0
    least_upload_bytes_a_second: float = 2000.0
    max_readers: int = 6000
    streams_by_address: int = 500
    reader_backlog: int = 64
    ping_seconds: float = 15.0
    tally_seconds: float = 0.5
    code_seconds: float = 600.0
    code_tries: int = 5
    session_seconds: float = 43200.0

    @property
    def https(self) -> bool:
        """Whether people reach the page over TLS."""
        return self.base_url.startswith("https://")

    @property
    def origin(self) -> str:
        """Scheme, host and port, as browsers name an origin."""
        parts = urlsplit(self.base_url)
        return f"{parts.scheme}://{parts.netloc}".lower()

    @property
    def host(self) -> str:
        """Host and port."""
        return urlsplit(self.base_url).netloc.lower()

    def key(self, purpose: str) -> bytes:
        """A key for one purpose, derived from the secret (HMAC-SHA-256)."""
        return hmac.new(self.secret, b"jokbo.hearing.live/1 " + purpose.encode(), hashlib.sha256).digest()

    def mark(self, purpose: str, text: str) -> str:
        """A keyed digest of a text: equal texts can be told, and nobody without the secret can guess them."""
        return hmac.new(self.key(purpose), text.encode(), hashlib.sha256).hexdigest()


def read_secret(path: Path) -> bytes:
    """The server's secret, made where there is none; for its owner alone.

    Raises
    ------
    UsageError
        The file cannot be made, can be read by others, or is too short.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        return _kept_secret(path)
    except OSError as error:
        raise UsageError(
            f"cannot make {path}: {error.strerror}. Give a folder that can be written."
        ) from None
    with os.fdopen(handle, "wb") as stream:
        stream.write(secrets.token_bytes(SECRET_BYTES))
        stream.flush()
        os.fsync(stream.fileno())
    return _kept_secret(path)


def _kept_secret(path: Path) -> bytes:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}.") from None
    with os.fdopen(handle, "rb") as stream:
        if os.fstat(stream.fileno()).st_mode & 0o077:
            raise UsageError(f"{path} can be read by others; run `chmod 600` on it.")
        found = stream.read(4096)
    if len(found) < SECRET_BYTES:
        raise UsageError(
            f"{path} holds {len(found)} bytes; a secret has {SECRET_BYTES}. Delete it to have one made."
        )
    return found
