"""Hostile files, forms, hosts and addresses: paths, uploads without end, SSRF, headers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("starlette")
pytest.importorskip("sqlalchemy")
pytest.importorskip("python_multipart")

from live_room import People, hearing

from jokbo.errors import UsageError
from jokbo.hearing.case.case import open_case
from jokbo.hearing.case.chain import verify_log
from jokbo.hearing.case.log import LogWriter, read_log


@pytest.fixture
def people(tmp_path: Path) -> Iterator[People]:
    with hearing(tmp_path) as found:
        yield found


def test_forged_and_reordered_entries_are_seen(people: People, tmp_path: Path):
    people.sign_in("pan")
    for k in range(3):
        people.write("rebuttal", {"about": 6, "text": f"text {k}", "language": "en"})
    people.client.__exit__(None, None, None)
    log = tmp_path / "case" / "log.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    with open_case(tmp_path / "case") as case:
        assert case.state.length == len(lines)
    forged = lines[-1].replace(b"text 2", b"text 9")
    for changed in ([*lines[:-1], forged], [*lines[:-2], lines[-1], lines[-2]], [*lines[:4], *lines[5:]]):
        log.write_bytes(b"".join(changed))
        assert verify_log(read_log(log).lines).problems
    people.client.__enter__ = lambda: None  # the fixture's exit has nothing left to do


@pytest.mark.parametrize(
    "name",
    ["../host.pem", "..%2f..%2fhost.pem", "%2e%2e%2fhost.pem", "host.pem", "a" * 64 + ".bin", "%00"],
)
def test_no_path_leads_out_of_the_exhibits(people: People, name: str):
    for where in ("/file/", "/static/", "/en/exhibit/", "/en/claim/"):
        assert people.client.get(where + name).status_code == 404


def test_files_are_named_by_digest_and_never_opened(people: People):
    people.sign_in("accuser")
    fields = {"about": 6, "title": "x", "form": "file", "command": "make"}
    made = people.write(
        "exhibit", fields, {"file": ("../../../etc/evil.html", b"<script>1</script>", "text/html")}
    )
    number = int(made.headers["location"].rpartition("/")[2])
    file = people.room.state.items[number].payload["file"]
    assert file["name"] == "evil.html"
    stored = sorted(path.name for path in (people.folder / "case" / "exhibits").iterdir())
    assert stored == [file["sha256"]]
    answer = people.client.get(f"/file/{file['sha256']}.bin")
    assert answer.content == b"<script>1</script>"
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_held_file_is_not_handed_out(people: People):
    people.sign_in("accuser")
    fields = {"about": 6, "title": "x", "form": "file", "command": "make"}
    made = people.write("exhibit", fields, {"file": ("a", b"private")})
    number = int(made.headers["location"].rpartition("/")[2])
    sha256 = people.room.state.items[number].payload["file"]["sha256"]
    assert people.client.get(f"/file/{sha256}.bin").status_code == 200
    people.sign_in("mod")
    held = {"about": number, "action": "hold", "reason": "privacy", "asked_by": "affected_party", "days": 3}
    assert people.write("moderation", held).status_code == 303
    assert people.client.get(f"/file/{sha256}.bin").status_code == 404


def test_an_upload_of_ten_gigabytes_is_cut_off_at_the_limit(tmp_path: Path):
    """The body comes as a server hands it over; it announces nothing, and never ends by itself."""
    limit = 4 << 20
    with hearing(tmp_path, max_upload_bytes=limit) as people:
        people.sign_in("accuser")
        fields = {
            "token": people.tokens["accuser"],
            "about": "6",
            "title": "x",
            "form": "file",
            "command": "make",
        }
        head = "".join(
            f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in fields.items()
        )
        head += '--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        cookie = f"jokbo={people.client.cookies['jokbo']}"
        taken, started = [0], []

        async def receive() -> dict[str, object]:
            if not taken[0]:
                taken[0] = len(head)
                return {"type": "http.request", "body": head.encode(), "more_body": True}
            taken[0] += 1 << 20
            assert taken[0] < 10 << 30, "all ten gigabytes were taken"
            return {"type": "http.request", "body": bytes(1 << 20), "more_body": True}

        async def send(message: dict[str, object]) -> None:
            if message["type"] == "http.response.start":
                started.append(message)

        headers = {"host": "testserver", "cookie": cookie, "content-type": "multipart/form-data; boundary=b"}
        scope = {
            "type": "http", "method": "POST", "path": "/en/write/exhibit", "raw_path": b"/en/write/exhibit",
            "query_string": b"", "headers": [(k.encode(), v.encode()) for k, v in headers.items()],
            "client": ("192.0.2.1", 1), "server": ("testserver", 80), "scheme": "http", "http_version": "1.1",
            "root_path": "", "state": {},
        }  # fmt: skip
        people.client.portal.call(people.client.app, scope, receive, send)
        assert started[0]["status"] == 413
        assert taken[0] < limit + (3 << 20)
        assert not list((tmp_path / "case" / "exhibits").iterdir())
        announced = {"Content-Length": str(10 << 30), "Content-Type": "multipart/form-data; boundary=b"}
        answer = people.client.post("/en/write/exhibit", content=b"x", headers=announced)
        assert answer.status_code == 413


def test_nothing_of_a_refused_upload_is_kept(people: People):
    people.sign_in("accuser")
    fields = {"about": 6, "title": "x", "form": "evidence", "command": "make"}
    answer = people.write("exhibit", fields, {"file": ("a.json", b"{}")})
    assert answer.status_code == 422
    people.sign_in("v", "v@example.org")
    answer = people.write("exhibit", {**fields, "form": "file"}, {"file": ("a", b"a" * 100_000)})
    assert answer.status_code == 403
    assert not list((people.folder / "case" / "exhibits").iterdir())


def test_forms_are_bounded(people: People):
    people.sign_in("pan")
    answer = people.write("rebuttal", {"about": 6, "text": "x" * 500_000, "language": "en"})
    assert answer.status_code == 413
    answer = people.write("rebuttal", {"about": 6, "language": "en", **{f"f{k}": "x" for k in range(200)}})
    assert answer.status_code == 400
    answer = people.write("rebuttal", {"about": 6, "text": "x" * 30_000, "language": "en"})
    assert answer.status_code == 422


def test_the_server_fetches_nothing(people: People, monkeypatch: pytest.MonkeyPatch):
    """SSRF: addresses in artefacts, claims and texts are shown, and nobody connects to them."""
    import socket

    def refuse(*args: object) -> None:
        raise AssertionError(f"something connects to {args}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    people.sign_in("accuser")
    target = "http://169.254.169.254/latest/meta-data"
    assert people.write("artefact", {"name": target, "repository": target}).status_code == 303
    claim = f"jokbo: claim/1\nmodels: {{a: {{name: '{target}'}}}}\n".encode()
    answer = people.write(
        "claim", {"language": "en", "title": target, "text": target}, {"claim_file": ("c.yaml", claim)}
    )
    assert answer.status_code in (303, 422)
    people.write("question", {"text": target, "language": "en"})
    for page in ("", "questions", "entries", "mine"):
        assert f'href="{target}' not in people.client.get(f"/en/{page}").text


def test_every_answer_has_the_headers(people: People):
    for address in ("/en/", "/nothing", "/static/live.js", "/log.jsonl", "/en/sign-in", "/head.json"):
        answer = people.client.get(address)
        policy = answer.headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "server" not in answer.headers


def test_other_hosts_are_not_answered_for(people: People):
    assert people.client.get("/en/", headers={"Host": "evil.example"}).status_code == 421


def test_errors_say_nothing_of_the_inside(people: People):
    for address in (
        "/en/nothing",
        "/xx/",
        "/en/claim/999999999",
        "/en/claim/1e9",
        "/en/write/vote",
        "/en/exhibit/6",
    ):
        answer = people.client.get(address)
        assert answer.status_code == 404
        assert "Traceback" not in answer.text
        assert str(people.folder) not in answer.text


def test_a_full_disk_gives_errors_and_nothing_else(people: People, monkeypatch: pytest.MonkeyPatch):
    people.sign_in("pan")
    before = people.room.state.length

    def full(self: LogWriter, lines: object) -> None:
        raise UsageError("cannot write the log: No space left on device.")

    with monkeypatch.context() as patched:
        patched.setattr(LogWriter, "append", full)
        assert people.vote(7, 1).status_code == 503
        assert people.write("rebuttal", {"about": 6, "text": "t", "language": "en"}).status_code == 503
        assert people.client.get("/en/questions").status_code == 200
    assert people.room.state.length == before
    assert people.vote(7, 1).json()["entry"] == before
