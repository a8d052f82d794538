"""Options of ``jokbo hearing serve``, and what becomes of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from jokbo.hearing.live.mail import Sender
    from jokbo.hearing.live.providers import Provider
    from jokbo.hearing.live.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])


OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on."),
    click.option(
        "--port",
        type=click.IntRange(0, 65535),
        default=8000,
        show_default=True,
        help="Port; 0 takes any.",
    ),
    click.option(
        "--base-url",
        metavar="URL",
        help="Where people reach the page, if a proxy with TLS stands before it.",
    ),
    click.option(
        "--proxy",
        metavar="ADDRESS",
        help="The proxy whose word on a client's address is believed; else 127.0.0.1 with an https --base-url.",
    ),
    click.option(
        "--archive",
        type=click.Path(path_type=Path),
        help="Where the archive is written; else FOLDER.archive.",
    ),
    click.option(
        "--private",
        "private_dir",
        type=click.Path(path_type=Path),
        help="Secret and database; else FOLDER.live.",
    ),
    click.option("--database", metavar="URL", help="postgresql://… instead of SQLite in the private folder."),
    click.option(
        "--people",
        type=click.Path(path_type=Path),
        help="TOML file of accounts and the mail addresses that sign in as them.",
    ),
    click.option(
        "--oidc",
        type=click.Path(path_type=Path),
        help="TOML file of OpenID providers to sign in with; needs the extra hearing-oidc.",
    ),
    click.option("--smtp", metavar="URL", help="smtps://user@host; the password in JOKBO_SMTP_PASSWORD."),
    click.option("--mail-from", metavar="ADDRESS", help="Sender of the codes."),
    click.option("--rehearsal", is_flag=True, help="Print codes here instead of sending them."),
    click.option(
        "--max-upload",
        type=click.IntRange(1, 1024),
        default=256,
        show_default=True,
        metavar="MB",
        help="The largest file that is taken.",
    ),
    click.option(
        "--votes-by-address",
        type=click.IntRange(min=1),
        default=3000,
        show_default=True,
        metavar="N",
        help="Votes a minute that one address may send; a hall or a carrier is one address.",
    ),
    click.option(
        "--streams-by-address",
        type=click.IntRange(min=1),
        default=500,
        show_default=True,
        metavar="N",
        help="Live updates that one address may have open; the page works without.",
    ),
    click.option(
        "--sign-ins-by-address",
        type=click.IntRange(min=1),
        default=300,
        show_default=True,
        metavar="N",
        help="Codes that one address may ask for in a quarter of an hour.",
    ),
)
"""As the help lists them."""


def serving_options(command: F) -> F:
    """Add the options that say how a hearing is served."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def settings_of(private: Path, base_url: str, given: dict[str, Any]) -> Settings:
    """The settings of a server; its secret is made where there is none."""
    from jokbo.hearing.live.settings import Limits, Settings, read_secret

    asked = int(given["sign_ins_by_address"])
    return Settings(
        secret=read_secret(private / "secret"),
        base_url=base_url,
        max_upload_bytes=given["max_upload"] * 1_000_000,
        streams_by_address=given["streams_by_address"],
        limits=Limits(
            votes_by_address=(given["votes_by_address"], 60.0),
            codes_by_address=(asked, 900.0),
            tries_by_address=(2 * asked, 3600.0),
        ),
    )


def own_url(host: str, port: int) -> str:
    """The address of the page where no proxy stands before it."""
    from jokbo.errors import UsageError

    if port == 0 or host in ("0.0.0.0", "::"):
        raise UsageError(
            "say where people reach the page with --base-url; this address or port does not tell."
        )
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def given_url(url: str) -> str:
    """Scheme and host alone: whatever else it says, no request would fit it."""
    from urllib.parse import urlsplit

    from jokbo.errors import UsageError

    try:
        parts = urlsplit(url.rstrip("/"))
        port = parts.port
    except ValueError:
        raise UsageError(f"--base-url: {url[:80]!r} is no address of a page.") from None
    if (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        or parts.path
        or parts.query
        or parts.username
    ):
        raise UsageError(
            f"--base-url: {url[:80]!r} is not scheme and host alone. Write one such as https://hearing.example.org."
        )
    plain = port in (None, {"http": 80, "https": 443}[parts.scheme])  # browsers leave a usual port out
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{'' if plain else f':{port}'}"


def database_of(given: str | None, private: Path) -> str:
    """The URL of the database; a password does not belong in a command, which others on the machine can read."""
    from urllib.parse import urlsplit

    from jokbo.errors import UsageError

    if given is None:
        return f"sqlite:///{private / 'live.sqlite'}"
    try:
        parts = urlsplit(given)
        secret = parts.password is not None or "password" in parts.query
    except ValueError:
        raise UsageError("--database: this is no URL. Write postgresql://user@host/name.") from None
    if secret:
        raise UsageError("--database: leave the password out, and give it in PGPASSWORD or ~/.pgpass.")
    return given


def proxy_of(given: str | None, *, https: bool) -> str | None:
    """The proxy that is believed about addresses: one, or one network, and never anybody."""
    import ipaddress

    from jokbo.errors import UsageError

    if given is None:
        return "127.0.0.1" if https else None
    try:
        if ipaddress.ip_network(given, strict=False).prefixlen > 0:
            return given
    except ValueError:
        pass
    raise UsageError(f"--proxy: {given[:60]!r} is no address of a proxy. Write one such as 127.0.0.1.")


def providers_of(path: Path | None, base_url: str) -> tuple[Provider, ...]:
    """OpenID providers; what they send back must not cross a network in the clear."""
    from urllib.parse import urlsplit

    from jokbo.errors import UsageError
    from jokbo.hearing.live.providers import LOOPBACK, read_providers

    if path is None:
        return ()
    parts = urlsplit(base_url)
    if parts.scheme != "https" and parts.hostname not in LOOPBACK:
        raise UsageError("--oidc needs people to reach the page over TLS: give --base-url https://…")
    return read_providers(path, os.environ)


def people_of(path: Path | None) -> dict[str, str]:
    """Accounts and addresses."""
    import tomllib

    from jokbo.errors import FormatError
    from jokbo.hearing.case.entry import is_account
    from jokbo.hearing.intake import read_small

    if path is None:
        return {}
    try:
        found = tomllib.loads(read_small(path, 1 << 20).decode())
    except (ValueError, RecursionError) as error:
        raise FormatError(
            f'{path} is not TOML ({str(error)[:120]}). Write lines such as kim = "kim@example.org".'
        ) from None
    for account, address in found.items():
        if not is_account(account) or not isinstance(address, str):
            raise FormatError(
                f'{path}: {account[:60]!r} is no account with an address. Write kim = "kim@example.org".'
            )
    return found


def sender_of(smtp: str | None, mail_from: str | None, rehearsal: bool) -> Sender:
    """How codes reach people."""
    from jokbo.errors import UsageError
    from jokbo.hearing.live.mail import parse_mail_server, smtp_sender

    if rehearsal is (smtp is not None):
        raise UsageError("give --smtp and --mail-from, or --rehearsal to print codes here.")
    if smtp is not None:
        if not mail_from:
            raise UsageError("the sender of the codes is missing: --mail-from.")
        return smtp_sender(
            parse_mail_server(smtp, mail_from, password=os.environ.get("JOKBO_SMTP_PASSWORD", ""))
        )
    return lambda address, subject, text: click.echo(f"{address}: {subject}")
