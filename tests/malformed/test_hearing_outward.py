"""A server connects to providers that its settings name, and to nothing that anybody says (SSRF)."""

from __future__ import annotations

import asyncio
import gzip
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("authlib")
pytest.importorskip("httpx")

import httpx

from jokbo.errors import FormatError, InputError, MissingExtraError, UsageError
from jokbo.hearing.live.openid import Attempt, OpenId
from jokbo.hearing.live.outward import ForbiddenError, Gate, UnreachableError
from jokbo.hearing.live.providers import Provider, read_providers

ISSUER = "https://id.example.org"
PROVIDER = Provider("test", "Test", ISSUER, "client", "secret", hosts=("keys.example.org",))
ATTEMPT = Attempt("s" * 64, "n" * 64, "v" * 64)
METADATA = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/authorize",
    "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": "https://keys.example.org/jwks",
}


def reply(status: int, body: bytes = b"", **headers: str) -> httpx.Response:
    """As a connection gives it: bytes that are still to be read."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, headers=names, stream=httpx.ByteStream(body))


def asking(metadata: dict[str, Any], **answers: Any) -> tuple[OpenId, list[str]]:
    """A provider that says this of itself, and the addresses that the server then connects to."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        path = request.url.path.rpartition("/")[2]
        if path == "openid-configuration":
            return reply(200, json.dumps(metadata).encode())
        return answers.get(path) or reply(200, b'{"keys": []}')

    gate = Gate(PROVIDER, transport=httpx.MockTransport(answer))
    return OpenId(PROVIDER, "https://hearing.example.org/back", gate=gate), asked


def test_metadata_as_it_should_be_is_taken():
    openid, asked = asking(METADATA)
    url = asyncio.run(openid.address_to_ask(ATTEMPT, "ko"))
    assert url.startswith(f"{ISSUER}/authorize?response_type=code&client_id=client&")
    assert "code_challenge_method=S256" in url
    assert "v" * 64 not in url
    assert asked == [f"{ISSUER}/.well-known/openid-configuration", "https://keys.example.org/jwks"]


ELSEWHERE = [
    "http://169.254.169.254/latest/meta-data",
    "http://id.example.org/plain",
    "https://evil.example/x",
    "https://id.example.org:8443/x",
    "https://id.example.org@evil.example/x",
    "https://user:pw@id.example.org/x",
    "https://id.example.org.evil.example/x",
    "https://127.0.0.1/x",
    "http://localhost/x",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "gopher://id.example.org/x",
    "//id.example.org/x",
    "https:///x",
    "https://[::1",
]


@pytest.mark.parametrize("url", ELSEWHERE)
@pytest.mark.parametrize("key", ["authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"])
def test_nothing_in_the_metadata_leads_elsewhere(key: str, url: str):
    openid, asked = asking(METADATA | {key: url})
    with pytest.raises(ForbiddenError, match="add the host to `hosts`"):
        asyncio.run(openid.address_to_ask(ATTEMPT, "en"))
    assert asked == [f"{ISSUER}/.well-known/openid-configuration"]


@pytest.mark.parametrize("url", ELSEWHERE)
def test_the_gate_lets_nothing_pass_itself(url: str):
    asked: list[httpx.Request] = []
    gate = Gate(PROVIDER, transport=httpx.MockTransport(asked.append))  # type: ignore[arg-type]
    for call in (gate.get(url), gate.post(url, {})):
        with pytest.raises(ForbiddenError):
            asyncio.run(call)
    assert asked == []


def test_plain_http_is_for_an_issuer_on_this_machine_alone():
    local = Provider("x", "X", "http://127.0.0.1:8080", "c")
    assert local.may_be_reached("http://127.0.0.1:8080/jwks")
    assert not local.may_be_reached("http://127.0.0.1:8081/jwks")
    assert not local.may_be_reached("http://localhost:8080/jwks")


@pytest.mark.parametrize(
    "answer",
    [
        lambda: reply(302, location="http://169.254.169.254/"),
        lambda: reply(200, b'{"keys": []' + b" " * (1 << 20) + b"}"),
        lambda: reply(200, gzip.compress(b"{}"), content_encoding="gzip"),
        lambda: reply(200, b"[" * 200_000),
        lambda: reply(200, b"[]"),
        lambda: reply(500, b"{}"),
        lambda: reply(206, b'{"keys": []}'),
    ],
)
def test_answers_that_are_none_are_refused_and_redirects_not_followed(answer: Callable[[], httpx.Response]):
    openid, asked = asking(METADATA, jwks=answer())
    with pytest.raises(UnreachableError):
        asyncio.run(openid.address_to_ask(ATTEMPT, "en"))
    assert len(asked) == 2
    with pytest.raises(UnreachableError, match="a moment ago"):  # and it is left in peace for a while
        asyncio.run(openid.address_to_ask(ATTEMPT, "en"))
    assert len(asked) == 2


def test_a_provider_that_never_ends_its_answer_is_given_up(monkeypatch: pytest.MonkeyPatch):
    from jokbo.hearing.live import outward

    async def never(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(60)
        raise AssertionError

    monkeypatch.setattr(outward, "SECONDS", 0.05)
    gate = Gate(PROVIDER, transport=httpx.MockTransport(never))
    with pytest.raises(UnreachableError, match="TimeoutError"):
        asyncio.run(gate.get(f"{ISSUER}/x"))


def test_an_issuer_is_who_the_settings_say():
    openid, _ = asking(METADATA | {"issuer": f"{ISSUER}/"})
    with pytest.raises(InputError, match="Correct the settings"):
        asyncio.run(openid.address_to_ask(ATTEMPT, "en"))


def test_the_environment_names_no_proxy(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    openid, _ = asking(METADATA)
    assert asyncio.run(openid.address_to_ask(ATTEMPT, "en"))


GOOD = f"""
[google]
label = "Google"
issuer = "{ISSUER}"
client_id = "client"
hosts = ["keys.example.org"]
domains = ["example.org"]
"""


def test_settings_of_providers_are_read(tmp_path: Path):
    path = tmp_path / "oidc.toml"
    path.write_text(GOOD)
    (found,) = read_providers(path, {"JOKBO_OIDC_SECRET_GOOGLE": "hush"})
    assert found == Provider(
        "google", "Google", ISSUER, "client", "hush", ("keys.example.org",), ("example.org",)
    )
    assert "hush" not in repr(found)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names 0 providers"),
        ("x = 1", "no table"),
        ("[", "not TOML"),
        (GOOD.replace("google", "Goo gle").replace("[Goo gle]", '["Goo gle"]'), "name"),
        (GOOD + "x = 1", "'x' is unknown"),
        (GOOD.replace(f'issuer = "{ISSUER}"', ""), "issuer is missing"),
        (GOOD.replace('client_id = "client"', ""), "client_id is missing"),
        (GOOD.replace("https://id", "http://id"), "no https address"),
        (GOOD.replace(ISSUER, f"{ISSUER}?x=1"), "no https address"),
        (GOOD.replace(ISSUER, "https://user@id.example.org"), "no https address"),
        (GOOD.replace(ISSUER, "https://[::1"), "no https address"),
        (GOOD.replace('"keys.example.org"', '"https://keys.example.org/"'), "list of names"),
        (GOOD.replace('["example.org"]', '"example.org"'), "list of names"),
        (GOOD.replace('label = "Google"', "label = 7"), "no text of one line"),
        (GOOD.replace('label = "Google"', 'label = "a\\nb"'), "no text of one line"),
        (GOOD + 'client_secret = "x"', "Keep one of the two"),
    ],
)
def test_settings_that_say_something_else_are_refused(tmp_path: Path, text: str, said: str):
    path = tmp_path / "oidc.toml"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(FormatError, match=said):
        read_providers(path, {"JOKBO_OIDC_SECRET_GOOGLE": "hush"})


def test_a_secret_in_a_file_is_for_its_owner_alone(tmp_path: Path):
    path = tmp_path / "oidc.toml"
    path.write_text(GOOD + 'client_secret = "hush"')
    path.chmod(0o640)
    with pytest.raises(UsageError, match="chmod 600"):
        read_providers(path, {})
    path.chmod(0o600)
    assert read_providers(path, {})[0].client_secret == "hush"


def test_without_the_extra_its_command_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "oidc.toml"
    path.write_text(GOOD)
    known = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "authlib" else known(name, *rest)
    )
    with pytest.raises(MissingExtraError, match=r'pip install "jokbo\[hearing-oidc\]"'):
        read_providers(path, {})


def test_what_a_provider_sends_back_crosses_no_network_in_the_clear(tmp_path: Path):
    from jokbo.cli.hearing.serve_options import providers_of

    path = tmp_path / "oidc.toml"
    path.write_text(GOOD)
    with pytest.raises(UsageError, match="over TLS"):
        providers_of(path, "http://hearing.example.org")
    for url in ("https://hearing.example.org", "http://127.0.0.1:8000"):
        assert len(providers_of(path, url)) == 1
    assert providers_of(None, "http://hearing.example.org") == ()
