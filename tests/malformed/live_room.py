"""A live hearing without a socket, and people who sign in to it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from jokbo.hearing.case.case import new_case
from jokbo.hearing.case.entry import Author, Draft
from jokbo.hearing.live.server import build
from jokbo.hearing.live.settings import Limits, Settings, read_secret
from jokbo.records.commit.keys import make_key

PEOPLE = {
    "kim": "kim@example.org",
    "mod": "mod@example.org",
    "pan": "pan@example.org",
    "accuser": "accuser@example.org",
    "accused": "accused@example.org",
}
ROLES = {"mod": "moderator", "pan": "panel", "accuser": "claimant", "accused": "respondent"}
WIDE = Limits(
    codes_by_device=(1000, 900.0),
    codes_by_pair=(1000, 900.0),
    codes_by_mailbox=(1000, 900.0),
    codes_by_address=(1000, 900.0),
    tries_by_device=(1000, 900.0),
    tries_by_pair=(1000, 900.0),
    tries_by_mailbox=(1000, 900.0),
    tries_by_address=(1000, 900.0),
    entries_by_public=(1000, 60.0),
    entries_by_role=(1000, 60.0),
    uploads_by_account=(1000, 60.0),
)


class People:
    """Browsers of several persons on one live hearing."""

    def __init__(self, client: TestClient, mail: list[tuple[str, str]], folder: Path) -> None:
        self.client, self.mail, self.folder = client, mail, folder
        self._jars: dict[str, dict[str, str]] = {}
        self.tokens: dict[str, str] = {}
        self.now = ""

    @property
    def room(self) -> Any:
        return self.client.app.state.site.room

    def become(self, who: str) -> People:
        """Use somebody's browser from now on."""
        if who == self.now:
            return self
        self._jars[self.now] = dict(self.client.cookies)
        self.client.cookies.clear()
        self.client.cookies.update(self._jars.get(who, {}))
        self.now = who
        return self

    def sign_in(self, who: str, address: str | None = None) -> str:
        """Sign somebody in; gives the token of the session."""
        self.become(who)
        page = self.client.get("/en/sign-in")
        page = self.client.post(
            "/en/sign-in", data={"token": token(page.text), "address": address or PEOPLE[who]}
        )
        page = self.client.post(
            "/en/sign-in/code", data={"token": token(page.text), "code": self.mail[-1][1][:6]}
        )
        assert page.status_code == 200, page.text
        self.tokens[who] = token(page.text)
        return self.tokens[who]

    def write(self, kind: str, fields: Mapping[str, Any], files: Any = None) -> Any:
        """Fill a form in as whoever has the browser."""
        return self.client.post(
            f"/en/write/{kind}",
            data={"token": self.tokens.get(self.now, ""), **fields},
            files=files,
            follow_redirects=False,
        )

    def vote(self, question: int, value: int, **fields: Any) -> Any:
        """Vote as whoever has the browser."""
        data = {"token": self.tokens.get(self.now, ""), "about": question, "value": value, **fields}
        return self.client.post("/en/vote", data=data, headers={"Accept": "application/json"})


def token(page: str) -> str:
    """The token of a page's forms."""
    found = re.search(r'name="token" value="([0-9a-f]+)"', page)
    assert found, page
    return found[1]


@contextmanager
def hearing(
    folder: Path,
    *,
    send_mail: Any = None,
    database: str | None = None,
    providers: Any = (),
    clocks: Any = None,
    **changes: Any,
) -> Iterator[People]:
    """A live hearing with a claim (entry 6) and a published question (entry 7); `changes` are of its settings."""
    signer = make_key(folder / "host.pem")
    payload = {
        "title": "Case",
        "summary": "About",
        "language": "en",
        "queue_order": "public",
        "reply_hours": 72,
    }
    chair = Author("kim", "chair")
    with new_case(folder / "case", payload, chair="kim", signer=signer) as case:
        for account, role in ROLES.items():
            case.add(Draft("role", {"account": account, "role": role}, chair))
        case.add(Draft("artefact", {"name": "base0"}, chair))
        claim = {"title": "Derived", "text": "It is derived.", "language": "en"}
        case.add(Draft("claim", claim, Author("accuser", "claimant")))
        case.add(Draft("question", {"text": "Why?", "language": "en"}, chair))
        case.add(Draft("question_state", {"state": "published"}, chair, 7))
    settings = Settings(
        secret=read_secret(folder / "live" / "secret"), base_url="http://testserver", limits=WIDE
    )
    mail: list[tuple[str, str]] = []
    app = build(
        folder / "case",
        signer,
        replace(settings, **changes),
        send_mail or (lambda address, subject, text: mail.append((address, subject))),
        database=database or f"sqlite:///{folder / 'live' / 'live.sqlite'}",
        archive=folder / "archive",
        people=PEOPLE,
        providers=providers,
        clocks=clocks,
    )
    with TestClient(app) as client:
        yield People(client, mail, folder)
