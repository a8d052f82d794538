"""What a second hostile reading found: each once was a way in, a way to stop a hearing, or a way to hide."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("starlette")
pytest.importorskip("sqlalchemy")
pytest.importorskip("python_multipart")
pytest.importorskip("cryptography")

from live_room import WIDE, People, hearing, token
from starlette.testclient import TestClient

from jokbo.cli.hearing.serve_options import given_url
from jokbo.errors import FormatError, UsageError
from jokbo.formats.strict_yaml import parse_yaml
from jokbo.hearing.case.case import Case
from jokbo.hearing.case.entry import Author, Draft
from jokbo.hearing.live.forms import FORMS
from jokbo.testing.hearings import words


@pytest.fixture
def people(tmp_path: Path) -> Iterator[People]:
    with hearing(tmp_path) as found:
        yield found


FIELDS = {
    "title": "t", "text": "t", "language": "en", "command": "make", "form": "file", "name": "n", "account": "kim",
    "about": "6", "state": "answered", "why": "w", "hours": "3", "start_seconds": "1", "stop_seconds": "2",
    "speaker": "s", "outcome": "proven", "action": "hold", "reason": "other", "asked_by": "author", "to": "author",
    "how": "mail", "role": "chair", "key": "k",
}  # fmt: skip


def test_the_public_writes_questions_and_nothing_of_anybody_else(people: People):
    people.sign_in("v", "voter@example.org")
    before = people.room.state.length
    for kind in sorted(set(FORMS) - {"question", "withdrawal", "reproduction", "signed"}):
        answer = people.write(kind, FIELDS, {"file": ("a", b"x")} if kind in ("claim", "exhibit") else None)
        assert answer.status_code == 403, kind
    assert people.room.state.length == before
    # Its own questions alone are taken back.
    assert people.write("withdrawal", {**FIELDS, "about": "7"}).status_code == 422
    assert people.room.state.length == before


@pytest.mark.parametrize("kind", ["finding", "question_state", "reply", "role"])
def test_a_statement_by_the_public_does_not_become_an_office_by_its_own_word(people: People, kind: str):
    case: Case = people.room._case
    public = case.state.role("p-somebody")
    assert public == "public"
    payload = {
        "finding": {"outcome": "proven", **words("Guilty.")},
        "question_state": {"state": "answering"},
        "reply": words("We admit it."),
        "role": {"account": "p-somebody", "role": "chair"},
    }[kind]
    about = {"finding": 6, "question_state": 7, "reply": 6, "role": None}[kind]
    for role in ("public", "chair", "panel", "respondent"):
        with pytest.raises(UsageError):
            people.client.portal.call(
                people.room.enter, Draft(kind, payload, Author("p-somebody", role), about)
            )


@pytest.mark.parametrize(
    "kind", ["sign-in", "sign-in/code", "sign-out", "vote", "write/question", "write/exhibit"]
)
def test_every_form_asks_for_its_token(people: People, kind: str):
    people.sign_in("pan")
    before = people.room.state.length
    data = {
        "address": "a@example.org",
        "code": "123456",
        "about": "7",
        "value": "1",
        "text": "t",
        "language": "en",
    }
    for sent in ("", "0" * 64, "토큰"):
        files = {"file": ("a", b"x")} if kind == "write/exhibit" else None
        answer = people.client.post(f"/en/{kind}", data={"token": sent, **data}, files=files)
        assert answer.status_code == 403
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        mine = {"token": people.tokens["pan"], **data}
        assert people.client.post(f"/en/{kind}", data=mine, headers=headers, files=files).status_code == 403
    assert people.room.state.length == before
    assert people.client.get("/en/mine").status_code == 200  # still signed in


def test_one_machine_does_not_use_up_everybodys_codes(tmp_path: Path):
    limits = replace(WIDE, codes_by_address=(3, 900.0), codes_in_all=(6, 900.0))
    with hearing(tmp_path, limits=limits) as people:

        def ask(k: int) -> int:
            sent = token(people.client.get("/en/sign-in").text)
            data = {"token": sent, "address": f"v{k}@example.org"}
            return int(people.client.post("/en/sign-in", data=data, follow_redirects=False).status_code)

        assert [ask(k) for k in range(20)] == [303] * 3 + [429] * 17
        limiter, settings = people.client.app.state.site.limiter, limits
        assert limiter.allow("code in all", "", settings.codes_in_all)


def test_half_a_character_ends_no_hearing(people: People):
    with pytest.raises(FormatError, match="half a character"):
        parse_yaml(b'title: "a\\ud800b"\n', where="claim.yaml")
    draft = Draft("question", words("a\ud800b"), Author("kim", "chair"))
    with pytest.raises(FormatError, match="no text file can hold"):
        people.client.portal.call(people.room.enter, draft)
    people.sign_in("pan")
    assert people.vote(7, 1).status_code == 200


def test_a_fault_of_ours_ends_no_hearing(people: People, monkeypatch: pytest.MonkeyPatch):
    people.sign_in("pan")
    before = people.room.state.length

    def broken(self: Case, drafts: object) -> None:
        raise KeyError("x")

    with monkeypatch.context() as patched:
        patched.setattr(Case, "add_many", broken)
        assert people.vote(7, 1).status_code == 503
    assert people.vote(7, 1).json()["entry"] == before


def test_a_form_that_is_cut_keeps_no_file(people: People):
    people.sign_in("accuser")
    head = "".join(
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in {"token": people.tokens["accuser"], **FIELDS}.items()
    )
    part = '--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n{}\r\n'
    bodies = {
        "cut": head + part.format("one") + part.format("two"),
        "twice": head + part.format("one") + part.format("two") + "--b--\r\n",
    }
    kept = {}
    for name, body in bodies.items():
        answer = people.client.post(
            "/en/write/exhibit",
            content=body.encode(),
            headers={"Content-Type": "multipart/form-data; boundary=b"},
            follow_redirects=False,
        )
        kept[name] = (answer.status_code, len(list((people.folder / "case" / "exhibits").iterdir())))
    assert kept == {"cut": (422, 0), "twice": (303, 1)}


def test_a_file_name_that_no_disk_takes_is_an_answer_and_no_crash(people: People):
    people.sign_in("accuser")
    files = {"claim_file": ("c.yaml", b"x: 1"), "table_file": ("표" * 150 + ".csv", b"a,b\n")}
    answer = people.write("claim", {"language": "en", "title": "t", "text": "t"}, files)
    assert answer.status_code == 422


def test_taking_back_a_question_is_no_way_around_its_review(people: People):
    people.sign_in("v", "voter@example.org")
    people.write("question", {"text": "a question", "language": "en"})
    number = people.room.state.length - 1
    assert (
        people.write("withdrawal", {"about": number, "text": "AN INSULT", "language": "en"}).status_code
        == 303
    )
    people.become("nobody")
    for address in ("/en/", "/en/entries", "/en/questions", "/en/moderation", "/log.jsonl"):
        assert "AN INSULT" not in people.client.get(address).text
    assert b"AN INSULT" not in people.room.missed("en", -1)


def test_a_page_that_says_something_broke_has_the_headers(people: People, monkeypatch: pytest.MonkeyPatch):
    def broken(*args: object) -> None:
        raise KeyError("the inside")

    monkeypatch.setattr(people.client.app.state.site.pages, "shared", broken)
    client = TestClient(people.client.app, raise_server_exceptions=False)
    answer = client.get("/en/")
    assert answer.status_code == 500
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "the inside" not in answer.text


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("https://hearing.example.org", "https://hearing.example.org"),
        ("https://hearing.example.org:443/", "https://hearing.example.org"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_the_address_of_the_page(given: str, expected: str):
    assert given_url(given) == expected


@pytest.mark.parametrize(
    "given",
    ["hearing.example.org", "ftp://a.org", "https://", "https://a.org/x", "https://u@a.org", "https://a:x"],
)
def test_an_address_that_no_request_would_fit_is_refused(given: str):
    with pytest.raises(UsageError, match="--base-url"):
        given_url(given)


def test_nobody_brings_a_linters_word_along(people: People, tmp_path: Path):
    """A claim that its author signed elsewhere could else say of itself that the linter found no fault."""
    import base64
    import json

    from jokbo.cli.hearing.add import command
    from jokbo.hearing.case.chain import sign_draft
    from jokbo.hearing.case.drafts import draft_to_bytes
    from jokbo.hearing.claims.lint import lint_claim
    from jokbo.testing.claims import sound_claim, write_claim
    from jokbo.testing.hearings import fixed_signer

    lint = dict(lint_claim(write_claim(tmp_path, *sound_claim())).document)
    payload = {"title": "t", **words("t"), "lint": lint}
    signer = fixed_signer("accuser")
    people.sign_in("kim")
    key = base64.b64encode(signer.public.der).decode()
    assert people.write("key", {"account": "accuser", "key": key, "valid": "yes"}).status_code == 303
    case = people.room.state.facts.case
    people.sign_in("accuser")

    def hand_in(payload: dict[str, object]) -> int:
        draft = sign_draft(Draft("claim", payload, Author("accuser", "claimant")), case, signer)
        return int(
            people.write("signed", {}, {"draft_file": ("d.json", draft_to_bytes(draft, case))}).status_code
        )

    before = people.room.state.length
    assert hand_in(payload) == 422
    assert people.room.state.length == before
    assert hand_in({"title": "t", **words("t")}) == 303
    people.client.__exit__(None, None, None)
    people.client.__enter__ = lambda: None
    (tmp_path / "c.json").write_text(json.dumps(payload), encoding="utf-8")
    words_ = [
        tmp_path / "case",
        "claim",
        "--key",
        tmp_path / "host.pem",
        "--as",
        "accuser",
        "--file",
        tmp_path / "c.json",
    ]
    with pytest.raises(UsageError, match="what the linter said"):
        command.main([str(each) for each in words_], standalone_mode=False)


def test_an_archive_that_cannot_be_read_stops_nothing(people: People):
    class Failing:
        def export(self, *args: object) -> None:
            raise OSError(5, "Input/output error")

    people.client.portal.call(people.room._export, Failing())
    people.sign_in("pan")
    assert people.vote(7, 1).status_code == 200


def test_the_private_folder_is_for_its_owner(people: People):
    assert (people.folder / "live").stat().st_mode & 0o077 == 0
