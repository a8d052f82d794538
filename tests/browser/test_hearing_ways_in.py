"""In Chromium: signing in with an OpenID provider, with and without script; and a page whose live updates are full."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("playwright")
pytest.importorskip("axe_playwright_python")
pytest.importorskip("authlib")
pytest.importorskip("starlette")

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

sys.path.append(str(Path(__file__).resolve().parents[1] / "malformed"))

from openid_provider import CLIENT, SECRET, OpenIdProvider, running
from test_hearing_live import SERVE, Hall, Person, browser, unused_port

from jokbo.hearing.case.case import new_case
from jokbo.records.commit.keys import make_key

pytestmark = pytest.mark.browser

__all__ = ["browser", "unused_port"]  # fixtures


@pytest.fixture(scope="module")
def provider() -> Iterator[OpenIdProvider]:
    with running(OpenIdProvider()) as made:
        yield made


@contextmanager
def serving(folder: Path, port: int, *options: object) -> Iterator[Hall]:
    payload = {"title": "t", "summary": "s", "language": "en", "queue_order": "public", "reply_hours": 72}
    with new_case(folder / "case", payload, chair="kim", signer=make_key(folder / "host.pem")):
        pass
    (folder / "people.toml").write_text('kim = "kim@example.org"\n')
    output = folder / "output.txt"
    given = ["--key", folder / "host.pem", "--port", port, "--people", folder / "people.toml", "--rehearsal"]
    command = [sys.executable, "-u", "-c", SERVE, str(folder / "case"), *map(str, [*given, *options])]
    environ = os.environ | {"JOKBO_OIDC_SECRET_TEST": SECRET}
    with output.open("a") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT, text=True, env=environ)
    for _ in range(300):
        if "http" in output.read_text():
            break
        assert process.poll() is None, output.read_text()
        time.sleep(0.1)
    yield Hall(f"http://127.0.0.1:{port}", folder, process, output)
    process.terminate()
    process.wait(timeout=30)


@pytest.mark.parametrize("script", [True, False])
def test_somebody_signs_in_with_a_provider(
    browser: Browser, provider: OpenIdProvider, tmp_path: Path, unused_port: int, script: bool
):
    """Through the policy of the page, the cookies of a real browser, and the redirects of two hosts."""
    settings = tmp_path / "providers.toml"
    settings.write_text(
        f'[test]\nlabel = "Test & Co"\nissuer = "{provider.issuer}"\nclient_id = "{CLIENT}"\n'
    )
    with serving(tmp_path, unused_port, "--oidc", settings) as hall:
        person = Person(browser, hall, "ko", script=script)
        person.go("sign-in")
        link = person.page.get_by_role("link", name="Test & Co 계정으로 로그인")
        expect(link).to_be_visible()
        if script:
            found = Axe().run(person.page)
            assert not [
                each for each in found.response["violations"] if each["impact"] in ("serious", "critical")
            ]
        link.focus()
        person.page.keyboard.press("Enter")
        expect(person.page.locator(".visitor strong")).to_be_visible()
        assert person.page.url == f"{hall.url}/ko/"
        assert person.complaints == []
        person.page.go_back()  # an answer is good once, also for whoever goes back
        person.go("mine")
        provider.error = "access_denied"
        other = Person(browser, hall, "en", script=script)
        other.go("sign-in")
        other.page.get_by_role("link", name="Sign in with Test & Co").click()
        expect(other.page.get_by_role("alert")).to_contain_text("did not sign you in")
        provider.error = ""


def test_a_page_without_live_updates_looks_for_news_itself(
    browser: Browser, tmp_path: Path, unused_port: int
):
    with serving(tmp_path, unused_port, "--streams-by-address", 1) as hall:
        first, second = (Person(browser, hall, lang, script=True) for lang in ("en", "ko"))
        first.go("")
        expect(first.page.locator("#live-state")).to_contain_text("by itself")
        expect(first.page.locator("#live")).to_have_attribute("data-state", "open")
        second.go("")
        expect(second.page.locator("#live")).to_have_attribute("data-state", "polled")
        expect(second.page.locator("#live-state")).to_contain_text("30초")
        assert first.complaints == []
