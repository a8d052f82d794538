"""Signing in with an OpenID provider: the authorization code flow with PKCE, state and nonce.

Signatures and claims of ID tokens are checked by Authlib and joserfc; nothing cryptographic is our own. What is ours
is what to insist on: the issuer to the letter, this client as the audience, an asymmetric signature by a key of the
issuer, our nonce, a mail address that the provider says it verified.

Sources: OpenID Connect Core 1.0, sections 3.1.2 and 3.1.3.7; OpenID Connect Discovery 1.0, section 4; RFC 7636 (PKCE);
RFC 9207 (the issuer in the answer); RFC 9700, sections 2.1 and 4.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus

from jokbo.errors import InputError
from jokbo.hearing.live.outward import ForbiddenError, Gate, UnreachableError
from jokbo.hearing.live.providers import Provider

ALGORITHMS = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "Ed25519",
    "EdDSA",
)
"""Signatures by a key that only the issuer has: never ``none``, never a shared secret (RFC 8725, section 3.1)."""

KEPT_SECONDS = 3600.0
RETRY_SECONDS = 5.0
"""Between two attempts to reach a provider that is down, however many people ask."""
KEYS_SECONDS = 60.0
"""Between two looks for new keys."""
LEEWAY_SECONDS = 60
MAX_TOKEN_BYTES = 32 << 10
LEAST_RSA_BITS = 2048
MALFORMED = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)
"""What reading a token raises beside the library's own errors, where it is no token."""


class UnbelievedError(InputError):
    """What a provider says cannot be believed: nobody is signed in."""


class UnverifiedError(InputError):
    """The provider does not say that the mail address is the person's."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a provider says of itself, and its keys."""

    authorization: str
    token: str
    keys_url: str
    userinfo: str
    algorithms: tuple[str, ...]
    post: bool
    keys: Mapping[str, Any]
    names_itself: bool


@dataclass(frozen=True, slots=True)
class Attempt:
    """Secrets of one attempt to sign in, each drawn from its session: nothing of them is kept anywhere.

    Attributes
    ----------
    state : str
        Comes back with the answer.
    nonce : str
        Stands in the token.
    verifier : str
        Proves to the provider that the code is handed in by whoever asked for it.
    """

    state: str
    nonce: str
    verifier: str


class OpenId:
    """A provider as this server speaks to it.

    Parameters
    ----------
    provider : Provider
    redirect_uri : str
        Where the provider sends people back to.
    clock : callable
        Seconds since 1970, as other machines have them.
    gate : Gate, optional
    """

    def __init__(
        self,
        provider: Provider,
        redirect_uri: str,
        *,
        clock: Callable[[], float] = time.time,
        gate: Gate | None = None,
    ) -> None:
        self.provider, self._redirect_uri, self._clock = provider, redirect_uri, clock
        self._gate = gate or Gate(provider)
        self._known: Metadata | None = None
        self._asked, self._failed, self._keys_asked = -1e9, -1e9, -1e9
        self._lock = asyncio.Lock()

    async def address_to_ask(self, attempt: Attempt, lang: str) -> str:
        """Where a browser is sent to sign in.

        Raises
        ------
        UnreachableError, ForbiddenError
        """
        from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
        from authlib.oauth2.rfc7636 import create_s256_code_challenge

        known = await self._metadata()
        return str(
            prepare_grant_uri(
                known.authorization,
                self.provider.client_id,
                "code",
                redirect_uri=self._redirect_uri,
                scope="openid email",
                state=attempt.state,
                nonce=attempt.nonce,
                code_challenge=create_s256_code_challenge(attempt.verifier),
                code_challenge_method="S256",
                ui_locales=lang,
            )
        )

    async def address_of(self, code: str, attempt: Attempt, *, issuer: str | None) -> str:
        """The mail address of whoever came back with a code.

        Parameters
        ----------
        code : str
        attempt : Attempt
        issuer : str or None
            As the answer states it.

        Raises
        ------
        UnreachableError, ForbiddenError
            The provider cannot be asked.
        UnbelievedError, UnverifiedError
            Nobody is signed in on what it says.
        """
        known = await self._metadata()
        if issuer != self.provider.issuer and (issuer is not None or known.names_itself):
            raise UnbelievedError(f"{self.provider.name}: the answer names the issuer {str(issuer)[:80]!r}.")
        answer = await self._redeem(known, code, attempt)
        token, access = answer.get("id_token"), answer.get("access_token")
        if not isinstance(token, str) or len(token) > MAX_TOKEN_BYTES:
            raise UnbelievedError(f"{self.provider.name}: the answer has no ID token.")
        claims = await self._claims(known, token, attempt, access if isinstance(access, str) else None)
        if "email_verified" not in claims and known.userinfo and isinstance(access, str):
            claims = await self._from_userinfo(known, claims, access)
        return self._verified(claims)

    async def _redeem(self, known: Metadata, code: str, attempt: Attempt) -> dict[str, Any]:
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "code_verifier": attempt.verifier,
        }
        name, secret = self.provider.client_id, self.provider.client_secret
        if secret and not known.post:
            # RFC 6749, section 2.3.1: both are encoded as in forms first.
            return await self._gate.post(known.token, fields, auth=(quote_plus(name), quote_plus(secret)))
        fields["client_id"] = name
        return await self._gate.post(known.token, fields | ({"client_secret": secret} if secret else {}))

    async def _claims(
        self, known: Metadata, token: str, attempt: Attempt, access: str | None
    ) -> Mapping[str, Any]:
        """The claims of an ID token, once its signature and every claim hold."""
        from authlib.oidc.core import CodeIDToken
        from joserfc.errors import JoseError

        try:
            try:
                decoded = await asyncio.to_thread(_decode, token, known)
            except _NewKeyError:
                decoded = await asyncio.to_thread(_decode, token, await self._with_new_keys(known))
            options = {
                "iss": {"essential": True, "value": self.provider.issuer},
                "aud": {"essential": True, "value": self.provider.client_id},
                "nonce": {"essential": True, "value": attempt.nonce},
            }
            params = {"nonce": attempt.nonce, "client_id": self.provider.client_id, "access_token": access}
            claims = CodeIDToken(decoded.claims, decoded.header, options, params)
            claims.validate(now=int(self._clock()), leeway=LEEWAY_SECONDS)
        except (JoseError, _NewKeyError, *MALFORMED) as error:
            raise UnbelievedError(
                f"{self.provider.name}: the ID token does not hold ({type(error).__name__})."
            ) from None
        believed: Mapping[str, Any] = claims
        return believed

    async def _from_userinfo(
        self, known: Metadata, claims: Mapping[str, Any], access: str
    ) -> Mapping[str, Any]:
        """Claims on the address from where some providers keep them; of the same person, or of nobody."""
        found = await self._gate.get(known.userinfo, bearer=access)
        if found.get("sub") != claims["sub"]:
            raise UnbelievedError(f"{self.provider.name}: its user information is of somebody else.")
        return found

    def _verified(self, claims: Mapping[str, Any]) -> str:
        address = claims.get("email")
        if not isinstance(address, str) or claims.get("email_verified") is not True:
            raise UnverifiedError(f"{self.provider.name}: no verified mail address.")
        domain = address.rpartition("@")[2].strip().lower()
        if self.provider.domains and domain not in self.provider.domains:
            raise UnverifiedError(f"{self.provider.name}: not believed about addresses of this domain.")
        return address

    async def _metadata(self) -> Metadata:
        async with self._lock:
            now = time.monotonic()
            if self._known is not None and now - self._asked < KEPT_SECONDS:
                return self._known
            if now - self._failed < RETRY_SECONDS:
                raise UnreachableError(f"{self.provider.name}: it did not answer a moment ago.")
            try:
                self._known = await self._discover()
            except (UnreachableError, ForbiddenError):
                self._failed = time.monotonic()
                raise
            self._asked = time.monotonic()
            return self._known

    async def _discover(self) -> Metadata:
        found = await self._gate.get(self.provider.issuer.rstrip("/") + "/.well-known/openid-configuration")
        if found.get("issuer") != self.provider.issuer:
            raise UnreachableError(
                f"{self.provider.name}: it says that it is {str(found.get('issuer'))[:80]!r}, not "
                f"{self.provider.issuer!r}. Correct the settings."
            )
        urls = {}
        for key in ("authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"):
            url = found.get(key, "")
            if not isinstance(url, str) or not (url or key == "userinfo_endpoint"):
                raise UnreachableError(f"{self.provider.name}: it has no {key}.")
            if url and not self.provider.may_be_reached(url):
                raise ForbiddenError(
                    f"{self.provider.name}: its {key} is at {url[:200]!r}. If that is right, add the host to `hosts`."
                )
            urls[key] = url
        offered = found.get("id_token_signing_alg_values_supported", ["RS256"])
        ways = found.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        return Metadata(
            urls["authorization_endpoint"],
            urls["token_endpoint"],
            urls["jwks_uri"],
            urls["userinfo_endpoint"],
            tuple(each for each in ALGORITHMS if isinstance(offered, list) and each in offered),
            isinstance(ways, list) and "client_secret_post" in ways,
            await self._gate.get(urls["jwks_uri"]),
            found.get("authorization_response_iss_parameter_supported") is True,
        )

    async def _with_new_keys(self, known: Metadata) -> Metadata:
        from dataclasses import replace

        async with self._lock:
            if time.monotonic() - self._keys_asked >= KEYS_SECONDS:
                self._keys_asked = time.monotonic()
                self._known = replace(known, keys=await self._gate.get(known.keys_url))
            return self._known or known


class _NewKeyError(Exception):
    """A token names a key that is not known yet."""


def _decode(token: str, known: Metadata) -> Any:
    """The token, its signature checked (joserfc)."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from joserfc import jwt
    from joserfc.errors import InvalidKeyIdError, JoseError, SecurityWarning
    from joserfc.jwk import KeySet, RSAKey
    from joserfc.jws import JWSRegistry

    if not known.algorithms:
        raise ValueError("the provider offers no signature that is believed")
    listed, keys = known.keys.get("keys"), list[Any]()
    for each in listed if isinstance(listed, list) else []:
        # One by one: a key of a kind that nobody here knows leaves the others as good as they are.
        if isinstance(each, dict) and each.get("kty") in ("RSA", "EC", "OKP"):
            with contextlib.suppress(
                JoseError, ValueError, TypeError, KeyError, UnsupportedAlgorithm, SecurityWarning
            ):
                keys += KeySet.import_key_set({"keys": [each]}).keys
    found = KeySet([k for k in keys if not isinstance(k, RSAKey) or k.raw_value.key_size >= LEAST_RSA_BITS])
    registry = JWSRegistry(algorithms=list(known.algorithms), strict_check_header=False)
    try:
        return jwt.decode(token, found, registry=registry)
    except InvalidKeyIdError:
        raise _NewKeyError from None
