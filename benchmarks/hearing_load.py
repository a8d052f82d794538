"""A live hearing under load, on this machine: readers, events, votes, a kill, readers that do not read.

A real server process is started; readers, speakers and voters are sockets of one asyncio client on loopback. Voters
and speakers are signed in with the server's own secret, since signing in thousands by mail is what limits forbid.

Run it as ``python -m benchmarks.hearing_load --markdown docs/reference/hearing-load.md``; with ``--kill`` for the
faults; with ``--from docs/reference/hearing-load.json`` to write the pages anew from what was measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.hearing_load_page import FIGURES, bars, keep, read_figures, write_pages
from benchmarks.hearing_readers import Client, Reader, Seen, stalled

QUESTIONS, SPEAKERS, EARLIER = 20, 5, 400
SETTLE_SECONDS = 4.0
"""Between the last reader's coming and the first vote."""

SERVE = (
    "import sys; from jokbo.cli.hearing.serve import command; "
    "sys.exit(command.main(sys.argv[1:], standalone_mode=False))"
)


class Hall:
    """A case in a folder, and a server of it."""

    def __init__(self, folder: Path, port: int, voters: int) -> None:
        from jokbo.hearing.case.case import new_case
        from jokbo.hearing.case.entry import Author, Draft
        from jokbo.hearing.live.sessions import Sessions
        from jokbo.hearing.live.settings import Settings, read_secret
        from jokbo.records.commit.keys import make_key

        self.folder, self.port = folder, port
        signer = make_key(folder / "host.pem")
        opened = {
            "title": "Load",
            "summary": "Load",
            "language": "en",
            "queue_order": "public",
            "reply_hours": 72,
        }
        chair = Author("chair", "chair")
        with new_case(folder / "case", opened, chair="chair", signer=signer) as case:
            names = [f"m{k}" for k in range(SPEAKERS)]
            case.add_many([Draft("role", {"account": name, "role": "moderator"}, chair) for name in names])
            asked = case.add_many(
                [
                    Draft("question", {"text": f"Question {k}?", "language": "en"}, chair)
                    for k in range(QUESTIONS)
                ]
            )
            self.questions = [entry.sequence for entry in asked]
            case.add_many([Draft("question_state", {"state": "published"}, chair, q) for q in self.questions])
            said = {"start_seconds": 0, "stop_seconds": 1, "speaker": "s", "language": "en"}
            case.add_many(
                [Draft("transcript", {**said, "text": f"said {k} " * 30}, chair) for k in range(EARLIER)]
            )
        sessions = Sessions(Settings(secret=read_secret(folder / "live" / "secret"), base_url=self.url))
        lines = [f'{name} = "{name}@example.org"\n' for name in names]
        (folder / "people.toml").write_text("".join(lines), encoding="utf-8")
        self.speakers = [self._client(sessions, name) for name in names]
        self.voters = [self._client(sessions, f"p-{k:016x}") for k in range(voters)]
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _client(self, sessions: Any, account: str) -> Client:
        mailbox = sessions.settings.mark("mailbox", f"{account}@example.org")
        session = sessions.begin(account, mailbox=mailbox)
        return Client(self.port, f"{sessions.name}={sessions.write(session)}", sessions.token(session))

    async def start(self) -> None:
        options = ["--key", self.folder / "host.pem", "--port", self.port, "--private", self.folder / "live"]
        options += ["--archive", self.folder / "archive", "--rehearsal", "--votes-by-address", 1_000_000]
        options += ["--people", self.folder / "people.toml"]
        options += ["--streams-by-address", 100_000]  # all readers come from this machine
        command = [sys.executable, "-c", SERVE, str(self.folder / "case"), *map(str, options)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        for _ in range(300):
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.close()
                return
            except OSError:
                await asyncio.sleep(0.1)
        raise RuntimeError("the server did not start")

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=60)

    def memory(self) -> int:
        """Resident bytes of the server now."""
        assert self.process is not None
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(text.partition("VmRSS:")[2].split()[0]) * 1024

    def cpu_seconds(self) -> float:
        assert self.process is not None
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Load:
    """Speaks, votes and breaks connections for a time."""

    def __init__(self, hall: Hall, args: argparse.Namespace) -> None:
        self.hall, self.args, self.seen = hall, args, Seen()
        self.rng = random.Random(args.seed)
        self.acknowledged: list[tuple[int, str]] = []
        self.vote_seconds: list[float] = []
        self.refused: dict[int, int] = {}
        self.gone = 0
        self.memory = 0
        self.lags: list[float] = []

    async def readers(self) -> list[Reader]:
        made = [Reader(self.hall.port, "en" if k % 2 else "ko", self.seen) for k in range(self.args.readers)]
        for start in range(0, len(made), 100):
            await asyncio.gather(*(reader.connect() for reader in made[start : start + 100]))
        return made

    async def _speak(self, k: int, until: float) -> None:
        client = self.hall.speakers[k % SPEAKERS]
        await asyncio.sleep(k / self.args.events)
        while (now := time.monotonic()) < until:
            fields = {"start_seconds": 1, "stop_seconds": 2, "speaker": "s", "language": "en"}
            try:
                status, _ = await client.post(
                    "/en/write/transcript", {**fields, "text": f"said sent={now:.6f}"}
                )
                self._count(status)
            except (OSError, EOFError):
                self.gone += 1
            await asyncio.sleep(max(0.0, now + SPEAKERS / self.args.events - time.monotonic()))

    async def _votes(self, until: float) -> None:
        tasks: set[asyncio.Task[None]] = set()
        began, k = time.monotonic(), 0
        while time.monotonic() < until:
            task = asyncio.create_task(self._vote(self.hall.voters[k % len(self.hall.voters)]))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            k += 1
            await asyncio.sleep(max(0.0, began + k / self.args.votes - time.monotonic()))
        await asyncio.gather(*tasks)

    async def _vote(self, client: Client) -> None:
        question, value = self.rng.choice(self.hall.questions), self.rng.choice((-1, 1, 1))
        began = time.monotonic()
        try:
            status, body = await client.post("/en/vote", {"about": question, "value": value})
        except (OSError, EOFError):
            self.gone += 1
            return
        self._count(status)
        if status == 200:
            found = json.loads(body)
            self.acknowledged.append((found["entry"], found["digest"]))
            self.vote_seconds.append(time.monotonic() - began)

    def _count(self, status: int) -> None:
        self.refused[status] = self.refused.get(status, 0) + 1

    async def _break(self, readers: Sequence[Reader], until: float) -> None:
        """One reader in a hundred loses its connection each second, and comes back."""
        while time.monotonic() < until:
            await asyncio.sleep(1.0)
            for reader in self.rng.sample(readers, max(1, len(readers) // 100)):
                if reader.transport is not None:
                    reader.transport.abort()
            if self.hall.process is not None and self.hall.process.poll() is None:
                self.memory = max(self.memory, self.hall.memory())

    async def _lag(self, until: float) -> None:
        """How late the client itself is: it shares the machine, and what it adds is not the server's."""
        while (now := time.monotonic()) < until:
            await asyncio.sleep(0.01)
            self.lags.append(time.monotonic() - now - 0.01)

    async def run(self, readers: Sequence[Reader], seconds: float) -> None:
        until = time.monotonic() + seconds
        await asyncio.gather(
            *(self._speak(k, until) for k in range(SPEAKERS)),
            self._votes(until),
            self._break(readers, until),
            self._lag(until),
        )


def check(hall: Hall, load: Load, readers: Sequence[Reader]) -> dict[str, int]:
    """Hold what readers and voters saw against the log on the disk, and the log against itself."""
    from jokbo.hearing.case.chain import verify_log
    from jokbo.hearing.case.entry import Entry
    from jokbo.hearing.case.log import read_log

    read = read_log(hall.folder / "case" / "log.jsonl")
    entries = [line for line in read.lines if isinstance(line, Entry)]
    told = [entry.sequence for entry in entries if entry.kind != "vote"]
    place = {number: k for k, number in enumerate(told)}
    gaps = 0
    for reader in readers:
        if not reader.numbers:
            gaps += 1
            continue
        begin, end = place[reader.numbers[0]], place[reader.numbers[-1]]
        gaps += reader.numbers != told[begin : end + 1] or end < len(told) - 1
    digests = {entry.sequence: entry.digest for entry in entries}
    return {
        "entries": len(entries),
        "votes_acknowledged": len(load.acknowledged),
        "votes_lost": sum(1 for number, digest in load.acknowledged if digests.get(number) != digest),
        "readers_with_a_gap": gaps,
        "chain_problems": len(verify_log(read.lines, torn=read.torn).problems),
    }


def _share(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else float("nan")


async def measure(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    hall = Hall(folder, args.port, args.voters)
    await hall.start()
    load = Load(hall, args)
    readers = await load.readers()
    await asyncio.sleep(SETTLE_SECONDS)
    idle = hall.memory()
    used, began = hall.cpu_seconds(), time.monotonic()
    stuck = [] if args.kill else [stalled(args.port) for _ in range(args.stalled)]
    if args.kill:
        await asyncio.gather(load.run(readers, args.seconds), _kill(hall, args))
    else:
        await load.run(readers, args.seconds)
    cpu = (hall.cpu_seconds() - used) / (time.monotonic() - began)
    await asyncio.sleep(6.0 if args.kill else 3.0)
    dropped = await _dropped(args.port)
    for reader in readers:
        reader.ending = True
        if reader.transport is not None:
            reader.transport.abort()
    for each in stuck:
        each.close()
    hall.stop()
    found = check(hall, load, readers)
    return {
        "readers": args.readers,
        "events_a_second": args.events,
        "votes_a_second": args.votes,
        "seconds": args.seconds,
        "killed": bool(args.kill),
        **found,
        "events_received": load.seen.events,
        "reconnects": load.seen.reconnects,
        "told_out_of_order": load.seen.out_of_order,
        "delivery_p50_ms": round(1000 * statistics.median(load.seen.delivery), 1),
        "delivery_p99_ms": round(1000 * _share(load.seen.delivery, 0.99), 1),
        "delivery_most_ms": round(1000 * max(load.seen.delivery), 1),
        "vote_p50_ms": round(1000 * statistics.median(load.vote_seconds), 1),
        "vote_p99_ms": round(1000 * _share(load.vote_seconds, 0.99), 1),
        "memory_idle_mb": round(idle / 1e6, 1),
        "memory_most_mb": round(load.memory / 1e6, 1),
        "cpu_share": round(cpu, 3),
        "client_lag_p50_ms": round(1000 * statistics.median(load.lags), 1),
        "client_lag_p99_ms": round(1000 * _share(load.lags, 0.99), 1),
        "client_lag_most_ms": round(1000 * max(load.lags), 1),
        "client_cpu_share": round(time.process_time() / (time.monotonic() - began), 3),
        "machine_load": round(os.getloadavg()[0], 1),
        "answers": {str(status): count for status, count in sorted(load.refused.items())},
        "stalled_readers": len(stuck),
        "readers_dropped": dropped,
    }


async def _kill(hall: Hall, args: argparse.Namespace) -> None:
    await asyncio.sleep(args.seconds / 2)
    hall.kill()
    await hall.start()


async def _dropped(port: int) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /health HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return int(json.loads(answer.partition(b"\r\n\r\n")[2])["dropped"])


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in (("readers", 2500), ("events", 5), ("votes", 100), ("seconds", 60), ("voters", 1000)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--port", type=int, default=18431)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--stalled", type=int, default=5, help="readers that never read")
    parser.add_argument("--kill", action="store_true", help="kill -9 in the middle, and start again")
    parser.add_argument("--json", type=Path, default=FIGURES, help="where figures are kept, with --markdown")
    parser.add_argument(
        "--markdown", type=Path, help="keep the figures, and write the pages of both languages"
    )
    parser.add_argument(
        "--from", dest="kept", type=Path, help="write the pages from these figures; measure nothing"
    )
    args = parser.parse_args()
    if args.kept is not None and args.markdown is None:
        parser.error("--from writes pages: say where with --markdown")
    return args


def main() -> int:
    args = options()
    if args.kept is not None:
        write_pages(args.markdown, read_figures(args.kept))
        return 0
    import uvloop  # the client shares two cores with the server, and must not be what is measured

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory(prefix="jokbo-load-") as folder:
        found = uvloop.run(measure(args, Path(folder)))
    missing = [name for name, (_, reached) in bars(found).items() if not reached]
    print(json.dumps({**found, "not_reached": missing}, indent=1))
    if args.markdown is not None:
        write_pages(args.markdown, keep(args.json, found))
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
