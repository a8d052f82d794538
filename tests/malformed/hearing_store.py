"""What the database of a hearing has to do, whichever it is: subclasses say where it is."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from live_room import hearing
from sqlalchemy import create_engine, text

from jokbo.hearing.case.case import new_case, open_case
from jokbo.hearing.case.chain import verify_log
from jokbo.hearing.case.entry import Author, Draft, Entry
from jokbo.hearing.case.log import read_log
from jokbo.hearing.live.codes import Codes
from jokbo.hearing.live.database import Database, open_database
from jokbo.hearing.live.sessions import Sessions
from jokbo.hearing.live.settings import Settings, read_secret
from jokbo.records.commit.keys import make_key

CHAIR = Author("kim", "chair")
OPENED = {"title": "t", "summary": "s", "language": "en", "queue_order": "public", "reply_hours": 1}
SERVE = (
    "import sys; from jokbo.cli.hearing.serve import command; "
    "sys.exit(command.main(sys.argv[1:], standalone_mode=False))"
)


def at_once(count: int, call: Callable[[int], Any]) -> list[Any]:
    """What a call gives, from many threads at the same moment."""
    barrier = threading.Barrier(count)

    def run(k: int) -> Any:
        barrier.wait(10)
        return call(k)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def indexed(url: str) -> list[tuple[Any, ...]]:
    """The index as it lies in the database."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        query = "SELECT sequence, digest, kind, account, about, time FROM entries ORDER BY sequence"
        rows = [tuple(row) for row in connection.execute(text(query))]
    engine.dispose()
    return rows


def of_log(entries: list[Entry]) -> list[tuple[Any, ...]]:
    """The index as it follows from the log."""
    return [(e.sequence, e.digest, e.kind, e.author.account, e.about, e.time) for e in entries]


def some_case(folder: Path, votes: int = 30) -> list[Entry]:
    with new_case(folder, OPENED, chair="kim", signer=make_key(folder.with_suffix(".pem"))) as case:
        asked = case.add(Draft("question", {"text": "q", "language": "ko"}, CHAIR)).sequence
        case.add(Draft("question_state", {"state": "published"}, CHAIR, asked))
        voters = [Author(f"p-{k % 7}", "public") for k in range(votes)]
        case.add_many([Draft("vote", {"value": 1}, voter, asked) for voter in voters])
        case.add(Draft("residual", {"text": "r", "language": "en"}, CHAIR))
        return list(case.entries)


class HearingStore:
    """Tests of a database; a subclass gives the fixture ``url``, an empty one."""

    @pytest.fixture
    def url(self) -> str:
        raise NotImplementedError

    @pytest.fixture
    def database(self, url: str) -> Iterator[Database]:
        opened = open_database(url)
        yield opened
        opened.close()

    def test_the_index_is_the_logs(self, url: str, database: Database, tmp_path: Path):
        entries = some_case(tmp_path / "case", votes=1200)  # more than goes in at once
        assert database.follow(entries[:5]) == 5
        assert database.follow(entries) == len(entries) - 5
        assert database.follow(entries) == 0
        assert indexed(url) == of_log(entries)
        assert database.by_account("kim") == [1203, 2, 1, 0]
        assert database.votes_of("p-0") == 172

    def test_an_index_of_another_log_or_a_damaged_one_is_made_again(
        self, url: str, database: Database, tmp_path: Path
    ):
        mine, other = some_case(tmp_path / "mine"), some_case(tmp_path / "other", votes=60)
        database.follow(other)
        database.follow(mine)
        assert indexed(url) == of_log(mine)
        database.follow(mine[:4])  # a log that was restored from before
        assert indexed(url) == of_log(mine[:4])
        database.follow(mine)
        engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
        with engine.begin() as connection:
            connection.execute(text("DELETE FROM entries WHERE sequence = 3"))
        engine.dispose()
        database.follow(mine)
        assert indexed(url) == of_log(mine)

    def test_a_code_is_spent_once_whoever_tries_at_the_same_moment(self, database: Database):
        codes = Codes(Settings(secret=b"s" * 32), database)
        for k in range(5):
            box = codes.mailbox(f"v{k}@example.org")
            code = codes.make(box, "browser")
            assert sum(at_once(12, lambda _, box=box, code=code: codes.check(box, "browser", code))) == 1

    def test_of_two_who_read_the_same_code_one_uses_it_up(self, database: Database):
        database.keep_code("place", "mark", expires=100.0, tries=5, now=0.0)
        assert [database.spend_try("place", now=1.0) for _ in range(2)] == ["mark", "mark"]
        assert [database.void_code("place", "mark") for _ in range(2)] == [True, False]

    def test_tries_run_out_whoever_tries_at_the_same_moment(self, database: Database):
        database.keep_code("place", "mark", expires=100.0, tries=5, now=0.0)
        found = at_once(12, lambda _: database.spend_try("place", now=1.0))
        assert sorted(found, key=str) == [None] * 7 + ["mark"] * 5
        database.keep_code("late", "mark", expires=100.0, tries=5, now=0.0)
        assert database.spend_try("late", now=101.0) is None
        database.keep_code("new", "mark", expires=300.0, tries=5, now=200.0)  # what is over goes
        assert database.spend_try("late", now=1.0) is None

    def test_the_same_row_at_the_same_moment_is_no_error(self, database: Database):
        at_once(12, lambda k: database.name_mailbox("box", f"account{k}"))
        assert list(database.named_mailboxes()) == ["box"]
        at_once(12, lambda k: database.end_session("session", 1000 + k))
        assert list(database.ended_sessions(now=999)) == ["session"]
        at_once(12, lambda k: database.keep_code("place", f"{k}", expires=9e9, tries=1, now=0.0))
        assert database.spend_try("place", now=1.0) is not None
        assert database.spend_try("place", now=1.0) is None

    def test_a_hearing_is_held_on_it(self, url: str, tmp_path: Path):
        with hearing(tmp_path, database=url) as people:
            for k in range(3):
                people.sign_in(f"v{k}", f"v{k}@example.org")
                assert people.vote(7, 1).status_code == 200
            assert people.write("question", {"text": "한글 질문?", "language": "ko"}).status_code == 303
            page = people.client.get("/ko/mine")
            assert "한글 질문?" in page.text
            people.client.post("/ko/sign-out", data={"token": people.tokens["v2"]})
            assert people.client.get("/ko/mine").url.path == "/ko/sign-in"
            old = people._jars["v1"]
            entries = list(people.room.entries)
        assert indexed(url) == of_log(entries)
        (tmp_path / "again").mkdir()
        with open_case(tmp_path / "case") as case:
            assert case.state.tallies[7]["public"].up == 3
        assert old

    def test_a_kill_under_votes_loses_nothing_that_was_acknowledged(self, url: str, tmp_path: Path):
        hall = Hall(tmp_path, url)
        told: list[tuple[int, str]] = []
        with hall.serving() as process:
            stop = threading.Event()
            threads = [
                threading.Thread(target=hall.votes, args=(f"p-{k:016x}", stop, told)) for k in range(8)
            ]
            for thread in threads:
                thread.start()
            while len(told) < 150:
                time.sleep(0.01)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            stop.set()
            for thread in threads:
                thread.join()
        with hall.serving():
            more: list[tuple[int, str]] = []
            hall.votes("p-later", threading.Event(), more, most=3)
            assert len(more) == 3
        read = read_log(tmp_path / "case" / "log.jsonl")
        assert verify_log(read.lines, torn=read.torn).problems == ()
        entries = [line for line in read.lines if isinstance(line, Entry)]
        digests = {entry.sequence: entry.digest for entry in entries}
        assert [number for number, digest in told + more if digests.get(number) != digest] == []
        assert indexed(url) == of_log(entries)
        # The same index from the log alone, on an empty database.
        again = open_database(url)
        again.follow([])
        assert indexed(url) == []
        again.follow(entries)
        assert indexed(url) == of_log(entries)
        again.close()


class Hall:
    """A case with a question (entry 1), and a server of it in a process of its own."""

    def __init__(self, folder: Path, database: str) -> None:
        import socket

        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.folder, self.database = folder, database
        with new_case(folder / "case", OPENED, chair="kim", signer=make_key(folder / "host.pem")) as case:
            case.add(Draft("question", {"text": "q", "language": "en"}, CHAIR))
            case.add(Draft("question_state", {"state": "published"}, CHAIR, 1))
        url = f"http://127.0.0.1:{self.port}"
        self.sessions = Sessions(Settings(secret=read_secret(folder / "live" / "secret"), base_url=url))

    @contextmanager
    def serving(self) -> Iterator[subprocess.Popen[bytes]]:
        options = ["--key", self.folder / "host.pem", "--port", self.port, "--private", self.folder / "live"]
        options += ["--archive", self.folder / "archive", "--rehearsal", "--database", self.database]
        command = [sys.executable, "-c", SERVE, str(self.folder / "case"), *map(str, options)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            for _ in range(300):
                assert process.poll() is None, "the server ended"
                try:
                    connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
                    connection.request("GET", "/health")
                    connection.getresponse().read()
                    break
                except OSError:
                    time.sleep(0.1)
            yield process
        finally:
            process.terminate()
            process.wait(timeout=30)

    def votes(
        self, account: str, stop: threading.Event, told: list[tuple[int, str]], *, most: int = 29
    ) -> None:
        """Vote until told to stop, the server dies, or the limit of an account is near."""
        import json

        session = self.sessions.begin(account)
        headers = {
            "Cookie": f"{self.sessions.name}={self.sessions.write(session)}",
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
        }
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        for k in range(most):
            fields = {"token": self.sessions.token(session), "about": 1, "value": 1 if k % 2 else -1}
            try:
                connection.request("POST", "/en/vote", urlencode(fields), headers)
                answer = connection.getresponse()
                body = answer.read()
            except (OSError, http.client.HTTPException):
                return
            if answer.status == 200:
                found = json.loads(body)
                told.append((found["entry"], found["digest"]))
            if stop.is_set():
                return
