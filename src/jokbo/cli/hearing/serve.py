"""``jokbo hearing serve FOLDER``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jokbo.cli.hearing.options import host_key
from jokbo.cli.options import language, language_option

if TYPE_CHECKING:
    from jokbo.hearing.live.mail import Sender


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--key", type=click.Path(path_type=Path), required=True, help="The host's private key (PEM).")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="Port; 0 takes any."
)
@click.option(
    "--base-url", metavar="URL", help="Where people reach the page, if a proxy with TLS stands before it."
)
@click.option(
    "--proxy",
    metavar="ADDRESS",
    help="The proxy whose word on a client's address is believed; else 127.0.0.1 with an https --base-url.",
)
@click.option(
    "--archive", type=click.Path(path_type=Path), help="Where the archive is written; else FOLDER.archive."
)
@click.option(
    "--private", "private_dir", type=click.Path(path_type=Path), help="Secret and database; else FOLDER.live."
)
@click.option("--database", metavar="URL", help="postgresql://… instead of SQLite in the private folder.")
@click.option(
    "--people",
    type=click.Path(path_type=Path),
    help="TOML file of accounts and the mail addresses that sign in as them.",
)
@click.option("--smtp", metavar="URL", help="smtps://user@host; the password in JOKBO_SMTP_PASSWORD.")
@click.option("--mail-from", metavar="ADDRESS", help="Sender of the codes.")
@click.option("--rehearsal", is_flag=True, help="Print codes here instead of sending them.")
@click.option(
    "--max-upload",
    type=click.IntRange(1, 1024),
    default=256,
    show_default=True,
    metavar="MB",
    help="The largest file that is taken.",
)
@click.option(
    "--votes-by-address",
    type=click.IntRange(min=1),
    default=3000,
    show_default=True,
    metavar="N",
    help="Votes a minute that one address may send; a hall or a carrier is one address.",
)
@language_option
def command(
    folder: Path,
    key: Path,
    host: str,
    port: int,
    base_url: str | None,
    proxy: str | None,
    archive: Path | None,
    private_dir: Path | None,
    database: str | None,
    people: Path | None,
    smtp: str | None,
    mail_from: str | None,
    rehearsal: bool,
    max_upload: int,
    votes_by_address: int,
    lang: str | None,
) -> int:
    """Serve the live page of the case in FOLDER, and write its archive while the hearing goes on.

    Anybody reads without signing in; panel, parties and the public sign in by a six-digit code sent by mail. The
    people file holds lines such as kim = "kim@example.org". One process serves all; put a proxy with TLS (HTTP/2)
    before it and name its address in --base-url.
    """
    from jokbo.hearing.live.server import build, serve
    from jokbo.hearing.live.settings import Limits, Settings, read_secret
    from jokbo.report.texts import Texts

    t = Texts(language(lang))
    private = private_dir or folder.with_name(f"{folder.name}.live")
    kept = archive or folder.with_name(f"{folder.name}.archive")
    settings = Settings(
        secret=read_secret(private / "secret"),
        base_url=_own_url(host, port) if base_url is None else _given_url(base_url),
        max_upload_bytes=max_upload * 1_000_000,
        limits=Limits(votes_by_address=(votes_by_address, 60.0)),
    )
    app = build(
        folder,
        host_key(key, folder),
        settings,
        _sender(smtp, mail_from, rehearsal, t),
        database=database or f"sqlite:///{private / 'live.sqlite'}",
        archive=kept,
        people=_people(people),
    )
    serve(
        app,
        host=host,
        port=port,
        proxy=proxy or ("127.0.0.1" if settings.https else None),
        ready=lambda bound: click.echo(t("live.serve.listening", url=settings.base_url, archive=kept)),
    )
    state = app.state.site.room.state
    click.echo(t("live.serve.stopped", entries=state.length, digest=state.head))
    return 0


def _own_url(host: str, port: int) -> str:
    from jokbo.errors import UsageError

    if port == 0 or host in ("0.0.0.0", "::"):
        raise UsageError(
            "say where people reach the page with --base-url; this address or port does not tell."
        )
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _given_url(url: str) -> str:
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


def _people(path: Path | None) -> dict[str, str]:
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


def _sender(smtp: str | None, mail_from: str | None, rehearsal: bool, t: object) -> Sender:
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
