"""A real socket: heads and bodies that come slowly or never end, and what stays open."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

pytest.importorskip("starlette")
pytest.importorskip("sqlalchemy")
pytest.importorskip("python_multipart")
pytest.importorskip("httptools")

import uvicorn
from live_room import People, hearing

from jokbo.hearing.live import protocol
from jokbo.hearing.live.protocol import MAX_HEAD_BYTES, HearingProtocol

HOST = b"Host: testserver\r\n"


@contextmanager
def listening(people: People) -> Iterator[int]:
    """The same hearing on a socket; the room is started already."""
    held = socket.socket()
    held.bind(("127.0.0.1", 0))
    # The room lives in the loop of the test client, so this socket is served there too.
    config = uvicorn.Config(
        people.client.app,
        http=HearingProtocol,
        ws="none",
        log_config=None,
        lifespan="off",
        timeout_keep_alive=20,
    )
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    task = people.client.portal.start_task_soon(server._serve, [held])
    while not server.started:
        time.sleep(0.01)
    yield held.getsockname()[1]
    server.should_exit = server.force_exit = True
    with contextlib.suppress(Exception):
        task.result(timeout=10)
    held.close()


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[People, int]]:
    settings: dict[str, Any] = {"form_seconds": 0.4, "least_upload_bytes_a_second": 20_000.0}
    with hearing(tmp_path_factory.mktemp("wire"), **settings) as people, listening(people) as port:
        yield people, port


@pytest.fixture
def port(hall: tuple[People, int], monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.3)
    return hall[1]


def connect(port: int) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", port), timeout=5)
    made.settimeout(5)
    return made


def rest(connection: socket.socket) -> bytes:
    """Everything until the server closes; it does, or the time-out of the socket is an error."""
    found = b""
    with contextlib.suppress(ConnectionError):
        while piece := connection.recv(65536):
            found += piece
    return found


def answer(connection: socket.socket) -> bytes:
    """One answer with a length."""
    found = b""
    while b"\r\n\r\n" not in found:
        found += connection.recv(65536)
    head, _, body = found.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65536)
    return head


def test_a_client_that_says_nothing_is_let_go(port: int):
    began = time.monotonic()
    with connect(port) as made:
        assert rest(made) == b""
    assert 0.2 < time.monotonic() - began < 4


def test_a_head_that_comes_byte_by_byte_is_cut_off(port: int):
    """Slowloris: each byte is progress, and the head is never whole."""
    began = time.monotonic()
    with connect(port) as made, contextlib.suppress(ConnectionError):
        made.sendall(b"GET /health HTTP/1.1\r\n" + HOST)
        while time.monotonic() - began < 4:
            made.sendall(b"X")
            time.sleep(0.02)
    assert time.monotonic() - began < 4


def test_a_head_that_never_ends_is_refused(port: int):
    with connect(port) as made:
        made.sendall(b"GET /health HTTP/1.1\r\n" + HOST + b"X: ")
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 50 << 20:
                sent += made.send(b"x" * 65536)
    assert sent < MAX_HEAD_BYTES + (8 << 20)  # what the two kernels hold


def test_many_small_headers_are_no_way_round(port: int):
    with connect(port) as made:
        made.sendall(b"GET /health HTTP/1.1\r\n" + HOST)
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 50 << 20:
                sent += made.send(b"X: y\r\n" * 10_000)
        assert b"431" in rest(made) or sent < MAX_HEAD_BYTES + (8 << 20)


def test_an_honest_client_keeps_its_connection(port: int):
    with connect(port) as made:
        for wait in (0.0, 0.1, 0.5):  # longer than a head may take: between requests another timer runs
            time.sleep(wait)
            made.sendall(b"GET /health HTTP/1.1\r\n" + HOST + b"\r\n")
            assert answer(made).startswith(b"HTTP/1.1 200")
        made.sendall((b"GET /health HTTP/1.1\r\n" + HOST + b"\r\n") * 2)
        assert answer(made).startswith(b"HTTP/1.1 200")


def test_bytes_that_begin_no_request_hold_no_connection(port: int):
    began = time.monotonic()
    with connect(port) as made:
        made.sendall(b"GET /health HTTP/1.1\r\n" + HOST + b"\r\n")
        answer(made)
        made.sendall(b"\r\n")
        rest(made)
    assert time.monotonic() - began < 4


def test_a_body_that_nobody_asked_for_holds_no_connection(port: int):
    began = time.monotonic()
    with connect(port) as made, contextlib.suppress(ConnectionError):
        made.sendall(b"GET /health HTTP/1.1\r\n" + HOST + b"Content-Length: 100000\r\n\r\n")
        while time.monotonic() - began < 4:
            made.sendall(b"x")
            time.sleep(0.02)
    assert time.monotonic() - began < 4


FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"


def test_a_form_that_comes_byte_by_byte_is_refused(port: int):
    with connect(port) as made:
        made.sendall(b"POST /en/sign-in HTTP/1.1\r\n" + HOST + FORM + b"Content-Length: 5000\r\n\r\n")
        until = time.monotonic() + 1.0

        def drip() -> None:
            with contextlib.suppress(OSError):
                while time.monotonic() < until:
                    made.sendall(b"x")
                    time.sleep(0.02)

        thread = threading.Thread(target=drip)
        thread.start()
        found = rest(made)
        thread.join()
    assert b" 408 " in found.partition(b"\r\n")[0]
    assert b"too slowly" in found


@pytest.mark.parametrize("pause", [0.02, 1.0])
def test_a_file_that_drips_is_cut_off_and_nothing_of_it_kept(
    hall: tuple[People, int], port: int, pause: float
):
    people, _ = hall
    people.client.cookies.clear()
    people.now = f"nobody {pause}"
    people.sign_in("accuser")
    fields = {
        "token": people.tokens["accuser"],
        "about": "6",
        "title": "x",
        "form": "file",
        "command": "make",
    }
    body = "".join(
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    body += '--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    cookie = f"Cookie: jokbo={people.client.cookies['jokbo']}\r\n".encode()
    head = b"POST /en/write/exhibit HTTP/1.1\r\n" + HOST + cookie
    head += b"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 500000\r\n\r\n"
    began = time.monotonic()
    with connect(port) as made:
        made.sendall(head + body.encode())
        with contextlib.suppress(OSError):
            while time.monotonic() - began < 4:
                made.sendall(b"x")
                time.sleep(pause)
    assert time.monotonic() - began < 4
    assert not list((people.folder / "case" / "exhibits").iterdir())


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET /file/../../host.pem HTTP/1.1",
        b"GET /file/..%2f..%2fhost.pem HTTP/1.1",
        b"GET /static/%2e%2e/live.css HTTP/1.1",
        b"GET //etc/passwd HTTP/1.1",
        b"GET /en/%00 HTTP/1.1",
        b"GET /en/claim/%C2%B2 HTTP/1.1",
        b"OPTIONS * HTTP/1.1",
        b"TRACE /en/ HTTP/1.1",
        b"GET http://evil.example/ HTTP/1.1",
    ],
)
def test_odd_addresses_are_nothing_of_ours(port: int, request_line: bytes):
    with connect(port) as made:
        made.sendall(request_line + b"\r\n" + HOST + b"Connection: close\r\n\r\n")
        found = rest(made)
    status = int(found.split(b" ", 2)[1])
    assert status in (303, 400, 404, 405)
    assert b"PRIVATE KEY" not in found
    assert b"evil.example" not in found


@pytest.mark.parametrize(
    "hosts",
    [
        b"",
        b"Host: evil.example\r\n",
        b"Host: testserver\r\nHost: evil.example\r\n",
        b"Host: testserver:1\r\n",
        b"Host: testserver@evil.example\r\n",
        b"X-Forwarded-Host: evil.example\r\nHost: \r\n",
    ],
)
def test_one_host_is_answered_for(port: int, hosts: bytes):
    with connect(port) as made:
        made.sendall(b"GET /en/ HTTP/1.1\r\n" + hosts + b"Connection: close\r\n\r\n")
        found = rest(made)
    assert int(found.split(b" ", 2)[1]) in (400, 421)
    assert b"<html" not in found


@pytest.mark.parametrize(
    "headers",
    [
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: \xb2\r\n",
        b"Content-Length: -1\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
    ],
)
def test_a_request_has_one_length(port: int, headers: bytes):
    """Smuggling: a proxy before this server and the server must not see two requests in one, or one in two."""
    with connect(port) as made:
        made.sendall(
            b"POST /en/vote HTTP/1.1\r\n" + HOST + FORM + headers + b"\r\n0\r\n\r\nGET /health HTTP/1.1\r\n"
        )
        found = rest(made)
    assert found == b"" or int(found.split(b" ", 2)[1]) in (400, 403, 408)
    assert found.count(b"HTTP/1.1 ") <= 1
