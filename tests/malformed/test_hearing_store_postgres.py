"""The database of a hearing as PostgreSQL: a real cluster, made for the occasion and killed with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("psycopg")
pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
pytest.importorskip("python_multipart")

from hearing_store import HearingStore
from live_room import PEOPLE, hearing, token
from postgres_cluster import Cluster, throw_away_cluster

from jokbo.errors import UsageError
from jokbo.hearing.live.database import open_database

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with throw_away_cluster() as made:
        yield made


class TestPostgres(HearingStore):
    @pytest.fixture
    def url(self, cluster: Cluster) -> str:
        return cluster.new_database()


def test_a_hearing_goes_on_while_its_database_is_down(cluster: Cluster, tmp_path: Path):
    """Reading and voting need the log alone; signing in says what is the matter, and works again afterwards."""
    with hearing(tmp_path, database=cluster.new_database()) as people:
        people.sign_in("pan")
        cluster.kill()
        try:
            assert people.client.get("/en/questions").status_code == 200
            assert people.vote(7, 1).status_code == 200
            people.become("kim")
            page = people.client.get("/ko/sign-in")
            data = {"token": token(page.text), "address": PEOPLE["kim"]}
            answer = people.client.post("/ko/sign-in", data=data)
            assert answer.status_code == 503
            assert "주최자에게 알려" in answer.text
        finally:
            cluster.start()
        people.sign_in("kim")
        assert people.client.get("/en/mine").url.path == "/en/mine"
        people.become("pan")
        assert people.vote(7, -1).status_code == 200
        length = people.room.state.length
    assert length == 11


def test_a_database_that_is_not_there_is_one_sentence():
    with pytest.raises(UsageError, match="cannot open the database"):
        open_database("postgresql://nobody@/none?host=/nonexistent")
