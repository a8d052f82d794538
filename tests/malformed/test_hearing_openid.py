"""Signing in with an OpenID provider: a real one on the loopback, and everything that one can do wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

pytest.importorskip("authlib")
pytest.importorskip("starlette")
pytest.importorskip("sqlalchemy")
pytest.importorskip("uvicorn")

import httpx
from joserfc.jwk import RSAKey
from live_room import PEOPLE, People, hearing, token
from openid_provider import CLIENT, SECRET, OpenIdProvider, running

from jokbo.hearing.live.providers import Provider


@pytest.fixture(scope="module")
def made() -> Iterator[OpenIdProvider]:
    with running(OpenIdProvider()) as provider:
        yield provider


@pytest.fixture
def provider(made: OpenIdProvider) -> OpenIdProvider:
    made.reset()
    return made


@pytest.fixture
def people(tmp_path: Path, provider: OpenIdProvider) -> Iterator[People]:
    with hearing(tmp_path, providers=[named(provider)]) as found:
        yield found


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory, made: OpenIdProvider) -> Iterator[People]:
    made.reset()
    with hearing(tmp_path_factory.mktemp("hall"), providers=[named(made)]) as found:
        yield found


@pytest.fixture
def visitor(hall: People, provider: OpenIdProvider) -> People:
    """A browser without a cookie, in a hearing that others were in before."""
    hall.client.cookies.clear()
    return hall


def named(provider: OpenIdProvider, **given: Any) -> Provider:
    return Provider("test", "Test & Co", provider.issuer, CLIENT, SECRET, **given)


def go(people: People, lang: str = "en") -> Any:
    return people.client.get(f"/{lang}/sign-in/with/test", follow_redirects=False)


def there(answer: Any) -> str:
    """What a browser does at the provider: it comes back with an address of ours."""
    assert answer.status_code == 303, answer.text
    back = httpx.get(answer.headers["location"], trust_env=False).headers["location"]
    assert back.startswith("http://testserver/sign-in/back/test?")
    return back.removeprefix("http://testserver")


def sign_in(people: People) -> Any:
    return people.client.get(there(go(people)))


def signed_in(people: People) -> bool:
    return people.client.get("/en/mine").url.path == "/en/mine"


def test_a_panel_member_signs_in_and_has_the_account_that_the_host_named(people: People):
    page = people.client.get("/ko/sign-in")
    assert 'href="/ko/sign-in/with/test"' in page.text
    assert "Test &amp; Co" in page.text
    assert sign_in(people).status_code == 200
    assert "kim" in people.client.get("/en/mine").text
    assert people.client.get("/en/write/role").status_code == 200  # kim is the chair


def test_one_mailbox_has_one_vote_however_it_was_proven(people: People, provider: OpenIdProvider):
    people.sign_in("v", "voter@example.org")
    assert people.vote(7, 1).status_code == 200
    for address in ("voter@example.org", "Voter@Example.org", "voter+2@example.org"):
        people.become(address)
        provider.claims = {"email": address}
        people.tokens[address] = token(sign_in(people).text)
        assert people.vote(7, 1).status_code == 200
    (tally,) = people.room.state.tallies[7].values()
    assert (tally.up, tally.down) == (1, 0)


def test_a_planted_cookie_never_becomes_a_session_here_either(visitor: People):
    visitor.client.get("/en/sign-in")
    planted = visitor.client.cookies["jokbo"]
    back = there(go(visitor))
    waiting = visitor.client.cookies["jokbo"]
    visitor.client.get(back)
    signed = visitor.client.cookies["jokbo"]
    assert len({planted, waiting, signed}) == 3
    for old in (planted, waiting):
        visitor.client.cookies.clear()
        visitor.client.cookies.set("jokbo", old)
        assert not signed_in(visitor)


BAD_CLAIMS = {
    "wrong issuer": {"iss": "https://evil.example"},
    "wrong audience": {"aud": "somebody else"},
    "several audiences, ours not the one it was made for": {"aud": [CLIENT, "other"], "azp": "other"},
    "several audiences and nobody it was made for": {"aud": [CLIENT, "other"]},
    "expired": {"exp": 1_000_000_000},
    "never expires": {"exp": None},
    "expires at no number": {"exp": "tomorrow"},
    "expires at infinity": {"exp": float("1e400")},
    "issued in the future": {"iat": 99_999_999_999},
    "wrong nonce": {"nonce": "0" * 64},
    "no nonce": {"nonce": None},
    "nobody": {"sub": None},
    "wrong digest of the access token": {"at_hash": "0" * 22},
}


@pytest.mark.parametrize("case", BAD_CLAIMS)
def test_a_token_that_says_something_wrong_signs_nobody_in(
    visitor: People, provider: OpenIdProvider, case: str
):
    provider.claims = BAD_CLAIMS[case]
    answer = sign_in(visitor)
    assert answer.status_code == 403
    assert "cannot be believed" in answer.text
    assert not signed_in(visitor)


@pytest.mark.parametrize(
    "how", ["none", "unsigned", "public key as secret", "other key", "changed", "missing"]
)
def test_a_token_that_the_issuer_did_not_sign_signs_nobody_in(
    visitor: People, provider: OpenIdProvider, how: str
):
    provider.how = how
    answer = sign_in(visitor)
    assert answer.status_code == 403
    assert "cannot be believed" in answer.text
    assert not signed_in(visitor)


@pytest.mark.parametrize(
    "claims",
    [
        {"email_verified": False},
        {"email_verified": None},
        {"email_verified": "true"},
        {"email_verified": 1},
        {"email": None},
        {"email": ["kim@example.org"]},
        {"email": "kim"},
        {"email": "kim@example.org\nBcc: x@example.org"},
        {"email": "kim+evil@example.org"},
    ],
)
def test_an_address_that_is_not_verified_is_nobodys(
    visitor: People, provider: OpenIdProvider, claims: dict[str, Any]
):
    provider.claims = claims
    answer = sign_in(visitor)
    assert answer.status_code in (403, 503)
    assert not signed_in(visitor)


def test_the_address_may_stand_in_the_user_information_of_the_same_person(
    visitor: People, provider: OpenIdProvider
):
    provider.claims = {"email": None, "email_verified": None}
    provider.userinfo = {"sub": "somebody else", "email": "kim@example.org", "email_verified": True}
    assert sign_in(visitor).status_code == 403
    provider.userinfo["sub"] = "someone"
    assert sign_in(visitor).status_code == 200
    assert signed_in(visitor)


def test_a_provider_is_believed_about_its_domains_alone(tmp_path: Path, provider: OpenIdProvider):
    with hearing(tmp_path, providers=[named(provider, domains=("corp.example",))]) as people:
        assert sign_in(people).status_code == 403
        provider.claims = {"email": "lee@corp.example"}
        assert sign_in(people).status_code == 200


def test_an_answer_is_good_once_in_the_browser_that_asked(visitor: People):
    back = there(go(visitor))
    mine = dict(visitor.client.cookies)
    visitor.client.cookies.clear()
    # Somebody else's browser, with and without an attempt of its own: signing in a victim as the attacker.
    assert visitor.client.get(back).status_code == 403
    go(visitor)
    assert visitor.client.get(back).status_code == 403
    assert not signed_in(visitor)
    visitor.client.cookies.clear()
    visitor.client.cookies.update(mine)
    assert visitor.client.get(back).status_code == 200
    visitor.client.cookies.clear()
    visitor.client.cookies.update(mine)
    answer = visitor.client.get(back)  # replayed, with the cookie of then
    assert answer.status_code == 403
    assert "used already" in answer.text
    assert not signed_in(visitor)


def test_a_wrong_state_ends_the_attempt(visitor: People):
    back = there(go(visitor))
    mine = dict(visitor.client.cookies)
    assert visitor.client.get(back.replace("state=", "state=0")).status_code == 403
    visitor.client.cookies.clear()
    visitor.client.cookies.update(mine)
    assert visitor.client.get(back).status_code == 403
    assert not signed_in(visitor)


def test_a_code_is_no_use_without_what_only_its_browser_makes_us_send(
    visitor: People, provider: OpenIdProvider
):
    """PKCE: a code that was taken on its way and put into an attempt of another browser."""
    code = parse_qs(urlsplit(there(go(visitor))).query)["code"][0]
    visitor.client.cookies.clear()
    mine = there(go(visitor))
    own = parse_qs(urlsplit(mine).query)["code"][0]
    assert visitor.client.get(mine.replace(own, code)).status_code == 503
    assert not signed_in(visitor)


@pytest.mark.parametrize(("says", "status"), [("https://evil.example", 403), ("right", 200)])
def test_the_answer_is_of_the_issuer_that_was_asked(
    visitor: People, provider: OpenIdProvider, says: str, status: int
):
    provider.says_issuer = provider.issuer if says == "right" else says
    assert sign_in(visitor).status_code == status


def test_a_provider_that_says_its_name_says_it(people: People, provider: OpenIdProvider):
    provider.metadata = {"authorization_response_iss_parameter_supported": True}
    assert sign_in(people).status_code == 403


@pytest.mark.parametrize(("lang", "said"), [("en", "did not sign you in"), ("ko", "로그인하지 못했습니다")])
def test_whoever_says_no_at_the_provider_is_told_so_in_their_language(
    visitor: People, provider: OpenIdProvider, lang: str, said: str
):
    provider.error = "access_denied"
    answer = visitor.client.get(there(go(visitor, lang)))
    assert answer.status_code == 403
    assert said in answer.text
    assert 'name="address"' in answer.text  # the other way in is on the same page


def test_a_provider_that_is_down_is_said_to_be_and_the_mail_code_works(tmp_path: Path):
    gone = Provider("test", "Test", "http://127.0.0.1:9", CLIENT, SECRET)
    with hearing(tmp_path, providers=[gone]) as people:
        for _ in range(2):
            answer = go(people)
            assert answer.status_code == 503
            assert "cannot be reached" in answer.text
        people.sign_in("kim")
        assert signed_in(people)
        # And whoever is signed in stays so.
        assert go(people).status_code == 503
        assert signed_in(people)


def test_a_client_may_prove_itself_in_the_form(tmp_path: Path, provider: OpenIdProvider):
    provider.metadata = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    with hearing(tmp_path, providers=[named(provider)]) as people:
        assert sign_in(people).status_code == 200
        assert signed_in(people)


def test_new_keys_of_the_issuer_are_looked_for_once(visitor: People, provider: OpenIdProvider):
    """A key that nobody knows yet makes the server look again; tokens by unknown keys do not make it look each time."""
    known = provider.key
    assert sign_in(visitor).status_code == 200
    provider.asked.clear()
    provider.key = RSAKey.generate_key(2048, parameters={"kid": "two", "use": "sig"})
    provider.kid = "two"
    try:
        visitor.client.cookies.clear()
        assert sign_in(visitor).status_code == 200
        assert provider.asked.count("/jwks") == 1
        provider.kid = "three"
        for _ in range(3):
            visitor.client.cookies.clear()
            assert sign_in(visitor).status_code == 403
        assert provider.asked.count("/jwks") == 1
    finally:
        provider.key = known


def test_short_keys_are_not_believed(tmp_path: Path, provider: OpenIdProvider):
    import warnings

    known = provider.key
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        provider.key = RSAKey.generate_key(1024, parameters={"kid": "one", "use": "sig"})
    try:
        with hearing(tmp_path, providers=[named(provider)]) as people:
            assert sign_in(people).status_code == 403
    finally:
        provider.key = known


def test_a_provider_that_breaks_down_on_the_way_signs_nobody_in(visitor: People, provider: OpenIdProvider):
    back = there(go(visitor))
    provider._codes.clear()
    answer = visitor.client.get(back)
    assert answer.status_code == 503
    assert not signed_in(visitor)


def test_another_site_does_not_send_anybody_off(visitor: People, provider: OpenIdProvider):
    headers = {"Sec-Fetch-Site": "cross-site"}
    answer = visitor.client.get("/en/sign-in/with/test", headers=headers, follow_redirects=False)
    assert answer.status_code == 403
    assert provider.asked == []


def test_attempts_are_limited(tmp_path: Path, provider: OpenIdProvider):
    from dataclasses import replace

    from live_room import WIDE

    limits = replace(WIDE, tries_by_address=(3, 900.0))
    with hearing(tmp_path, providers=[named(provider)], limits=limits) as people:
        for _ in range(5):  # whoever comes back right does not count
            people.client.cookies.clear()
            assert sign_in(people).status_code == 200
        people.client.cookies.clear()
        assert [go(people).status_code for _ in range(5)] == [303] * 3 + [429] * 2
        # Codes are counted apart: nobody shuts a whole hall out by following a link.
        people.client.cookies.clear()
        assert people.sign_in("pan")


def test_nothing_of_an_attempt_can_be_cached_or_read_by_scripts(visitor: People):
    answer = go(visitor)
    assert answer.headers["cache-control"] == "no-store"
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert "SameSite=Lax" in answer.headers["set-cookie"]
    asked = parse_qs(urlsplit(answer.headers["location"]).query)
    assert asked["nonce"][0] not in answer.headers["set-cookie"]
    assert "code_verifier" not in asked
    assert PEOPLE["kim"] not in answer.headers["location"]
