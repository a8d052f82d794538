"""A PostgreSQL cluster that is thrown away: on a socket in a folder of its own, for one user, never as root."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

USER = "postgres"
"""Whom Debian's package makes; PostgreSQL refuses root, so root runs it as this user."""


def programs() -> Path | None:
    """Folder of ``initdb`` and its like: on the path, or where Debian puts them."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    known = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda each: int(each.parts[4]))
    return known[-1].parent if known else None


class Cluster:
    """A cluster in a folder.

    Parameters
    ----------
    folder : Path
        Its user's own.
    """

    def __init__(self, folder: Path, binaries: Path) -> None:
        self._folder, self._binaries = folder, binaries
        self._databases = 0
        self._run(
            "initdb", "-D", folder / "data", "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C", "-N"
        )
        self.start()

    def start(self) -> None:
        options = f"-c listen_addresses= -c unix_socket_directories={self._folder} -c max_connections=60 -c fsync=off"
        log = self._folder / "log"
        self._run("pg_ctl", "-D", self._folder / "data", "-w", "-l", log, "-o", options, "start")

    def kill(self) -> None:
        """End it as a crash does: nothing is written any more."""
        self._run("pg_ctl", "-D", self._folder / "data", "-m", "immediate", "stop")

    def new_database(self) -> str:
        """The URL of an empty database."""
        self._databases += 1
        name = f"hearing{self._databases}"
        with psycopg.connect(
            host=str(self._folder), user=USER, dbname="postgres", autocommit=True
        ) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"postgresql://{USER}@/{name}?host={self._folder}"

    def _run(self, program: str, *options: object) -> None:
        done = subprocess.run(
            [self._binaries / program, *map(str, options)],
            user=USER if os.geteuid() == 0 else None,
            capture_output=True,
            text=True,
            timeout=60,
            cwd=self._folder,
            check=False,
        )
        assert done.returncode == 0, done.stderr


@contextmanager
def throw_away_cluster() -> Iterator[Cluster]:
    """A cluster for some tests; skipped with a sentence where PostgreSQL is not installed."""
    binaries = programs()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed; on Debian run: apt install postgresql")
    # Not pytest's own folder, which is root's alone; short, since a socket's path has at most 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="jokbo-pg-"))
    if os.geteuid() == 0:
        shutil.chown(folder, USER)
    cluster = Cluster(folder, binaries)
    try:
        yield cluster
    finally:
        cluster.kill()
        shutil.rmtree(folder)
