"""``jokbo hearing serve FOLDER``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from jokbo.cli.hearing.options import host_key
from jokbo.cli.hearing.serve_options import (
    database_of,
    given_url,
    own_url,
    people_of,
    providers_of,
    proxy_of,
    sender_of,
    serving_options,
    settings_of,
)
from jokbo.cli.options import language, language_option


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--key", type=click.Path(path_type=Path), required=True, help="The host's private key (PEM), the latest."
)
@serving_options
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
    oidc: Path | None,
    lang: str | None,
    **given: Any,
) -> int:
    """Serve the live page of the case in FOLDER, and write its archive while the hearing goes on.

    Anybody reads without signing in; panel, parties and the public sign in by a six-digit code sent by mail, or with
    an OpenID provider that --oidc names. The people file holds lines such as kim = "kim@example.org". One process
    serves all; put a proxy with TLS (HTTP/2) before it and name its address in --base-url.

    The server signs with the --key that it was started with. After `jokbo hearing rotate`, for which it has to be
    stopped, start it again with the new key.
    """
    from jokbo.hearing.live.server import build, serve
    from jokbo.report.texts import Texts

    t = Texts(language(lang))
    private = private_dir or folder.with_name(f"{folder.name}.live")
    kept = archive or folder.with_name(f"{folder.name}.archive")
    settings = settings_of(private, own_url(host, port) if base_url is None else given_url(base_url), given)
    app = build(
        folder,
        host_key(key, folder),
        settings,
        sender_of(given["smtp"], given["mail_from"], given["rehearsal"]),
        database=database_of(database, private),
        archive=kept,
        people=people_of(people),
        providers=providers_of(oidc, settings.base_url),
    )
    serve(
        app,
        host=host,
        port=port,
        proxy=proxy_of(proxy, https=settings.https),
        ready=lambda bound: click.echo(t("live.serve.listening", url=settings.base_url, archive=kept)),
    )
    state = app.state.site.room.state
    click.echo(t("live.serve.stopped", entries=state.length, digest=state.head))
    return 0
