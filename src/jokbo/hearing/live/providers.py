"""OpenID providers that a host lets people sign in with, as a settings file names them.

Only providers of this file are ever spoken to. A secret stands in the file, which is then for its owner alone, or in
an environment variable; never in a command, which others on the machine can read.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jokbo.errors import FormatError, MissingExtraError, UsageError

MAX_BYTES = 1 << 16
MAX_PROVIDERS = 8
SECRET = "JOKBO_OIDC_SECRET_"
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})

_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
_HOST = re.compile(r"[a-z0-9.-]{1,253}(:[0-9]{1,5})?")
_TEXT = re.compile(r"[^\x00-\x1f\x7f]{1,400}")


@dataclass(frozen=True, slots=True)
class Provider:
    """An OpenID provider.

    Attributes
    ----------
    name : str
        In addresses of the page.
    label : str
        What people read.
    issuer : str
        As the provider states it, to the letter.
    client_id, client_secret : str
        As the provider gave them; an empty secret is that of a public client, which PKCE alone protects.
    hosts : tuple of str
        Hosts beside the issuer's own at which its addresses may be.
    domains : tuple of str
        Domains whose mail addresses it is believed about; empty for all.
    """

    name: str
    label: str
    issuer: str
    client_id: str
    client_secret: str = field(default="", repr=False)
    hosts: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()

    def may_be_reached(self, url: str) -> bool:
        """Whether an address is one that the server connects to for this provider.

        HTTPS, and the issuer's host or one that the settings name; plain HTTP only where the issuer itself is on this
        machine, which is for rehearsals.

        Examples
        --------
        >>> provider = Provider("x", "X", "https://id.example.org", "c", hosts=("keys.example.org",))
        >>> provider.may_be_reached("https://keys.example.org/jwks"), provider.may_be_reached("https://10.0.0.1/")
        (True, False)
        >>> provider.may_be_reached("http://id.example.org/jwks")
        False
        """
        try:
            parts, issuer = urlsplit(url), urlsplit(self.issuer)
            port = parts.port
        except ValueError:
            return False
        if parts.username is not None or parts.password is not None or not parts.hostname:
            return False
        if parts.scheme == "http":
            if issuer.scheme != "http" or parts.hostname not in LOOPBACK:
                return False
        elif parts.scheme != "https":
            return False
        usual = {"https": 443, "http": 80}[parts.scheme]
        host = parts.hostname if port in (None, usual) else f"{parts.hostname}:{port}"
        return host in {issuer.netloc.lower(), *self.hosts}


def read_providers(path: Path, environ: Mapping[str, str]) -> tuple[Provider, ...]:
    """Read a settings file of providers.

    Parameters
    ----------
    path : Path
        TOML with one table a provider: ``issuer`` and ``client_id``, and where needed ``label``, ``client_secret``,
        ``hosts``, ``domains``.
    environ : mapping
        ``JOKBO_OIDC_SECRET_<NAME>`` is the secret of the provider of that name.

    Raises
    ------
    MissingExtraError
        The extra ``hearing-oidc`` is not installed.
    FormatError
        The file does not say what it should.
    UsageError
        A secret stands in a file that others can read.
    """
    from jokbo.hearing.intake import read_small

    try:
        tables = tomllib.loads(read_small(path, MAX_BYTES).decode())
    except (ValueError, RecursionError) as error:
        raise FormatError(
            f"{path} is not TOML ({str(error)[:120]}). Write a table for each provider."
        ) from None
    if not 0 < len(tables) <= MAX_PROVIDERS:
        raise FormatError(f"{path} names {len(tables)} providers; expected 1 to {MAX_PROVIDERS}.")
    found = tuple(_provider(f"{path}, [{name[:40]}]", name, table, environ) for name, table in tables.items())
    if any(isinstance(table, dict) and "client_secret" in table for table in tables.values()):
        _check_private(path)
    _check_extra()
    return found


def _check_extra() -> None:
    from importlib.util import find_spec

    if any(find_spec(name) is None for name in ("authlib", "joserfc", "httpx")):
        raise MissingExtraError('signing in with an OpenID provider needs: pip install "jokbo[hearing-oidc]"')


def _check_private(path: Path) -> None:
    if os.stat(path).st_mode & 0o077:
        raise UsageError(f"{path} holds a secret and can be read by others; run `chmod 600` on it.")


def _provider(where: str, name: str, table: object, environ: Mapping[str, str]) -> Provider:
    if not _NAME.fullmatch(name):
        raise FormatError(
            f"{where}: a provider's name has lower case letters, digits and '-'. Choose another."
        )
    if not isinstance(table, dict):
        raise FormatError(f"{where} is no table. Write [{name}], and its issuer and client_id below.")
    known = {"issuer", "client_id", "label", "client_secret", "hosts", "domains"}
    if extra := sorted(set(table) - known):
        raise FormatError(f"{where}: {extra[0][:40]!r} is unknown; expected {', '.join(sorted(known))}.")
    variable = SECRET + name.upper().replace("-", "_")
    if "client_secret" in table and variable in environ:
        raise FormatError(f"{where}: client_secret stands here and in {variable}. Keep one of the two.")
    text = {key: _text(where, key, table[key]) for key in known - {"hosts", "domains"} if key in table}
    for key in ("issuer", "client_id"):
        if key not in text:
            raise FormatError(f"{where}: {key} is missing.")
    _check_issuer(where, text["issuer"])
    return Provider(
        name,
        text.get("label", name),
        text["issuer"],
        text["client_id"],
        text.get("client_secret", environ.get(variable, "")),
        _names(where, "hosts", table),
        _names(where, "domains", table),
    )


def _text(where: str, key: str, value: object) -> str:
    if not isinstance(value, str) or not _TEXT.fullmatch(value):
        raise FormatError(f"{where}: {key} is no text of one line, at most 400 characters long.")
    return value


def _names(where: str, key: str, table: Mapping[str, Any]) -> tuple[str, ...]:
    found = table.get(key, [])
    if not isinstance(found, list) or not all(
        isinstance(each, str) and _HOST.fullmatch(each) for each in found
    ):
        raise FormatError(f'{where}: {key} is a list of names such as ["id.example.org"], in lower case.')
    return tuple(found)


def _check_issuer(where: str, issuer: str) -> None:
    try:
        parts = urlsplit(issuer)
        local = parts.scheme == "http" and parts.hostname in LOOPBACK
        fine = (parts.scheme == "https" or local) and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fine = False
    if not fine or parts.query or parts.fragment or parts.username is not None:
        raise FormatError(
            f"{where}: the issuer {issuer[:80]!r} is no https address. Write it as the provider states it, such as "
            "https://id.example.org."
        )
