"""A real OpenID provider on the loopback, which does everything right until it is told to do something wrong."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from cryptography.hazmat.primitives import serialization
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

CLIENT, SECRET = "hearing", "a secret of the client"


class OpenIdProvider:
    """The provider.

    Attributes
    ----------
    claims : dict
        What tokens say beside or instead of what is right; None takes a claim away.
    metadata : dict
        What it says of itself beside or instead of what is right.
    how : str
        How tokens are signed: ``"right"``, ``"none"``, ``"unsigned"``, ``"public key as secret"``, ``"other key"``.
    asked : list
        Paths of all requests.
    """

    def __init__(self) -> None:
        self.key = RSAKey.generate_key(2048, parameters={"kid": "one", "use": "sig"})
        self.other = RSAKey.generate_key(2048, parameters={"kid": "one", "use": "sig"})
        self.issuer = ""
        self.reset()

    def reset(self) -> None:
        self.claims: dict[str, Any] = {}
        self.metadata: dict[str, Any] = {}
        self.userinfo: dict[str, Any] | None = None
        self.keys: list[Any] | None = None
        self.how, self.status, self.error, self.says_issuer = "right", 200, "", ""
        self.kid = "one"
        self.asked: list[str] = []
        self._codes: dict[str, dict[str, str]] = {}

    @property
    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._discovery),
                Route("/authorize", self._authorize),
                Route("/token", self._token, methods=["POST"]),
                Route("/jwks", self._jwks),
                Route("/me", self._me),
                Route("/moved", lambda request: RedirectResponse("http://127.0.0.1:9/elsewhere")),
                Route("/huge", lambda request: Response(b" " * (1 << 20), media_type="application/json")),
            ]
        )

    async def _discovery(self, request: Request) -> Response:
        self.asked.append(request.url.path)
        found = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "userinfo_endpoint": f"{self.issuer}/me",
            "id_token_signing_alg_values_supported": ["RS256", "none", "HS256"],
        }
        return JSONResponse(found | self.metadata, self.status)

    async def _jwks(self, request: Request) -> Response:
        self.asked.append(request.url.path)
        return JSONResponse({"keys": self.keys or [self.key.as_dict(private=False)]})

    async def _authorize(self, request: Request) -> Response:
        given = request.query_params
        assert given["response_type"] == "code"
        assert given["client_id"] == CLIENT
        assert given["code_challenge_method"] == "S256"
        assert {"openid", "email"} <= set(given["scope"].split())
        assert len(given["state"]) >= 43
        assert len(given["nonce"]) >= 43
        code = secrets.token_urlsafe(16)
        self._codes[code] = dict(given)
        answer = f"error={self.error}" if self.error else f"code={code}"
        answer += f"&iss={self.says_issuer}" if self.says_issuer else ""
        return RedirectResponse(f"{given['redirect_uri']}?{answer}&state={given['state']}")

    async def _token(self, request: Request) -> Response:
        self.asked.append(request.url.path)
        form = await request.form()
        basic = base64.b64encode(f"{CLIENT}:{SECRET.replace(' ', '+')}".encode()).decode()
        proven = request.headers.get("authorization") == f"Basic {basic}"
        assert proven or (form["client_id"], form["client_secret"]) == (CLIENT, SECRET)
        asked = self._codes.pop(str(form["code"]), None)
        challenge = hashlib.sha256(str(form["code_verifier"]).encode()).digest()
        if asked is None or asked["code_challenge"] != base64.urlsafe_b64encode(challenge).decode().rstrip(
            "="
        ):
            return JSONResponse({"error": "invalid_grant"}, 400)
        assert asked["redirect_uri"] == form["redirect_uri"]
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "sub": "someone",
            "aud": CLIENT,
            "exp": now + 300,
            "iat": now,
            "nonce": asked["nonce"],
            "email": "kim@example.org",
            "email_verified": True,
        } | self.claims
        token = self._signed({key: value for key, value in claims.items() if value is not None})
        found = {"access_token": "access", "token_type": "Bearer", "id_token": token}
        return JSONResponse({key: value for key, value in found.items() if value is not None})

    async def _me(self, request: Request) -> Response:
        assert request.headers["authorization"] == "Bearer access"
        return JSONResponse(self.userinfo or {}, 200 if self.userinfo else 403)

    def _signed(self, claims: dict[str, Any]) -> str | None:
        head = {"alg": "RS256", "kid": self.kid}
        if self.how == "missing":
            return None
        if self.how == "right":
            return jwt.encode(head, claims, self.key)
        if self.how == "other key":
            return jwt.encode(head, claims, self.other)
        if self.how == "changed":
            first, _, signature = jwt.encode(head, claims, self.key).split(".")
            return ".".join([first, _base64(json.dumps(claims | {"sub": "other"}).encode()), signature])
        body = _base64(json.dumps(claims).encode())
        if self.how == "unsigned":
            return _base64(json.dumps(head).encode()) + f".{body}."
        head = {"alg": "none" if self.how == "none" else "HS256", "kid": "one"}
        signed = f"{_base64(json.dumps(head).encode())}.{body}"
        if self.how == "none":
            return f"{signed}."
        public = self.key.raw_value.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return f"{signed}.{_base64(hmac.new(public, signed.encode(), hashlib.sha256).digest())}"


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@contextmanager
def running(provider: OpenIdProvider) -> Iterator[OpenIdProvider]:
    """Serve it in a thread, on a free port of the loopback."""
    import socket

    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    provider.issuer = f"http://127.0.0.1:{listening.getsockname()[1]}"
    server = uvicorn.Server(uvicorn.Config(provider.app, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield provider
    server.should_exit = True
    thread.join(timeout=10)
    listening.close()
