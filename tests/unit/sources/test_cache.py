from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from jokbo.errors import ChangedError, OfflineError, RangeError
from jokbo.sources.base import ByteRange, FileInfo, OpenOptions, Read, SourceIdentity
from jokbo.sources.cache import DiskCache, default_directory
from jokbo.sources.open import open_source
from jokbo.sources.remote import Listing
from jokbo.testing.faults import Fault
from jokbo.testing.hub import LocalHub

WEIGHTS = bytes(range(251)) * 4000
FILES = {"config.json": b'{"hidden_size": 8}', "model.safetensors": WEIGHTS}


@pytest.fixture
def hub(monkeypatch):
    with LocalHub({"org/tiny": FILES}) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.endpoint)
        yield running


def extents(directory) -> list[Path]:
    return sorted(path for path in Path(directory).glob("v1/extents/*/*"))


def read_rows(source):
    return source.read_many(
        [Read("model.safetensors", ByteRange(i * 200_000, i * 200_000 + 500)) for i in range(5)]
    )


def test_second_run_asks_the_network_for_nothing(hub, tmp_path):
    options = OpenOptions(cache_dir=str(tmp_path))
    first = open_source("org/tiny", options)
    rows, config = read_rows(first), first.read_file("config.json", max_bytes=100)
    asked = len(hub.requests)
    assert asked
    second = open_source("org/tiny", options)
    assert read_rows(second) == rows
    assert second.read_file("config.json", max_bytes=100) == config
    assert len(hub.requests) == asked
    assert second.identity == first.identity
    assert second.stats.bytes_read == second.stats.requests == 0
    assert second.stats.bytes_from_cache == 5 * 500 + len(config)


def test_second_run_of_an_address_asks_the_network_for_nothing(hub, tmp_path):
    options = OpenOptions(cache_dir=str(tmp_path))
    address = f"{hub.endpoint}/org/tiny/resolve/main/model.safetensors"
    rows = read_rows(open_source(address, options))
    asked = len(hub.requests)
    assert read_rows(open_source(address, options)) == rows
    assert len(hub.requests) == asked


def test_part_of_what_was_read_comes_from_the_cache(hub, tmp_path):
    options = OpenOptions(cache_dir=str(tmp_path))
    open_source("org/tiny", options).read("model.safetensors", 1000, 9000)
    again = open_source("org/tiny", options)
    assert again.read("model.safetensors", 2000, 2100) == WEIGHTS[2000:2100]
    assert again.stats.bytes_read == 0
    assert again.read("model.safetensors", 8000, 9500) == WEIGHTS[8000:9500]
    assert again.stats.bytes_read == 1500


def test_what_came_before_a_failure_is_kept(hub, tmp_path, monkeypatch):
    monkeypatch.setattr("jokbo.sources.cached.GROUP_REQUESTS", 2)
    options = OpenOptions(cache_dir=str(tmp_path))
    hub.faults.add(Fault("wrong_range", after=4))
    with pytest.raises(RangeError, match="Content-Range"):
        read_rows(open_source("org/tiny", options))
    assert len(extents(tmp_path)) == 4
    hub.faults.clear()
    again = open_source("org/tiny", options)
    assert [len(row) for row in read_rows(again)] == [500] * 5
    assert again.stats.bytes_read == 500


def test_offline_reads_what_is_there(hub, tmp_path):
    rows = read_rows(open_source("org/tiny", OpenOptions(cache_dir=str(tmp_path))))
    asked = len(hub.requests)
    offline = OpenOptions(cache_dir=str(tmp_path), offline=True)
    assert read_rows(open_source("org/tiny", offline)) == rows
    commit = hub.models["org/tiny"].commit
    assert read_rows(open_source(f"org/tiny@{commit}", offline)) == rows
    assert len(hub.requests) == asked


def test_offline_without_the_model(hub, tmp_path):
    with pytest.raises(
        OfflineError, match=r"org/tiny: this model is not in the cache.*once without --offline"
    ):
        open_source("org/tiny", OpenOptions(cache_dir=str(tmp_path), offline=True))
    assert not hub.requests


def test_offline_without_the_bytes(hub, tmp_path):
    open_source("org/tiny", OpenOptions(cache_dir=str(tmp_path)))
    source = open_source("org/tiny", OpenOptions(cache_dir=str(tmp_path), offline=True))
    with pytest.raises(OfflineError, match=r"model.safetensors, bytes 5 to 9 are not in the cache"):
        source.read("model.safetensors", 5, 9)


def test_branch_is_looked_up_again_after_a_while(hub, tmp_path):
    options = OpenOptions(cache_dir=str(tmp_path))
    open_source("org/tiny", options)
    for listing in Path(tmp_path).glob("v1/listings/*"):
        os.utime(listing, (time.time() - 3600,) * 2)
    asked = len(hub.requests)
    open_source("org/tiny", options)
    assert len(hub.requests) == asked + 1


def test_commit_is_never_looked_up_again(hub, tmp_path):
    options = OpenOptions(cache_dir=str(tmp_path))
    name = f"org/tiny@{hub.models['org/tiny'].commit}"
    open_source(name, options)
    for listing in Path(tmp_path).glob("v1/listings/*"):
        os.utime(listing, (1.0, 1.0))
    asked = len(hub.requests)
    open_source(name, options)
    assert len(hub.requests) == asked


def test_change_on_the_server_makes_the_next_run_look_again(hub, tmp_path):
    options = OpenOptions(cache_dir=str(tmp_path))
    source = open_source("org/tiny", options)
    source.read("model.safetensors", 0, 10)
    hub.faults.add(Fault("changed_etag"))
    with pytest.raises(ChangedError, match="changed on the server"):
        source.read("model.safetensors", 500_000, 500_010)
    hub.faults.clear()
    asked = len(hub.requests)
    open_source("org/tiny", options)
    assert len(hub.requests) == asked + 1


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty"])
def test_damaged_extent_is_fetched_again(hub, tmp_path, damage, caplog):
    options = OpenOptions(cache_dir=str(tmp_path))
    rows = read_rows(open_source("org/tiny", options))
    for path in extents(tmp_path):
        data = path.read_bytes()
        path.write_bytes(
            {"flip": data[:-1] + bytes([data[-1] ^ 1]), "truncate": data[:-1], "empty": b""}[damage]
        )
    source = open_source("org/tiny", options)
    assert read_rows(source) == rows
    assert source.stats.bytes_read == 5 * 500
    assert "damaged and is fetched again" in caplog.text


def test_damaged_listing_is_fetched_again(hub, tmp_path):
    options = OpenOptions(cache_dir=str(tmp_path))
    open_source("org/tiny", options)
    for path in Path(tmp_path).glob("v1/listings/*"):
        path.write_bytes(path.read_bytes().replace(b"model.", b"nodel."))
    assert "model.safetensors" in open_source("org/tiny", options).files


def test_cache_keeps_its_limit_and_what_was_used_last(tmp_path):
    cache = DiskCache(tmp_path, max_bytes=100_000)
    for i in range(30):
        cache.write(f"file-{i}", ByteRange(0, 5000), bytes([i]) * 5000)
        for age, path in enumerate(extents(tmp_path)):
            if path.parent.name == cache._folder("file-0").name:
                os.utime(path)  # used
            elif path.parent.name == cache._folder(f"file-{i}").name:
                os.utime(path, (1000 + i, 1000 + i))
            assert age < 21
    assert sum(path.stat().st_size for path in extents(tmp_path)) <= 100_000
    fresh = DiskCache(tmp_path, max_bytes=100_000)
    assert fresh.read("file-0", ByteRange(10, 20)) == bytes(10)
    assert fresh.read("file-29", ByteRange(10, 20)) == bytes([29]) * 10
    assert fresh.read("file-1", ByteRange(10, 20)) is None


def test_extent_that_would_fill_the_cache_is_not_kept(tmp_path):
    cache = DiskCache(tmp_path, max_bytes=1000)
    cache.write("key", ByteRange(0, 500), bytes(500))
    assert not extents(tmp_path)


def test_extent_deleted_by_another_process_is_a_miss(tmp_path):
    cache = DiskCache(tmp_path)
    cache.write("key", ByteRange(0, 500), bytes(500))
    extents(tmp_path)[0].unlink()
    assert cache.read("key", ByteRange(0, 5)) is None


def test_cache_is_for_its_owner_only(tmp_path):
    DiskCache(tmp_path / "cache").write("key", ByteRange(0, 5), bytes(5))
    assert (tmp_path / "cache" / "v1").stat().st_mode & 0o077 == 0


def test_cache_that_cannot_be_written_is_done_without(hub, tmp_path, caplog):
    (tmp_path / "file").write_bytes(b"")
    source = open_source("org/tiny", OpenOptions(cache_dir=str(tmp_path / "file")))
    assert source.read("model.safetensors", 0, 5) == WEIGHTS[:5]
    assert caplog.text.count("reading goes on without it") == 1


def test_listing_keeps_every_field(tmp_path):
    identity = SourceIdentity("hub", "org/tiny", "0" * 40, "2026-01-01T00:00:00+00:00")
    listing = Listing(identity, {"a": FileInfo(5, "ff"), "b": FileInfo(7)}, {"a": '"tag"'})
    cache = DiskCache(tmp_path)
    cache.store_listing("key", listing)
    assert cache.load_listing("key", max_age_seconds=None) == listing
    assert cache.load_listing("other", max_age_seconds=None) is None


def test_default_directory(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    monkeypatch.delenv("JOKBO_CACHE", raising=False)
    assert default_directory() == Path("/x/jokbo")
    monkeypatch.setenv("JOKBO_CACHE", "/y")
    assert default_directory() == Path("/y")


def _hammer(directory, seed):
    cache = DiskCache(directory, max_bytes=200_000)
    for i in range(100_000):
        n = (i * 7 + seed) % 40
        wanted = ByteRange(0, 1000 + n)
        found = cache.read(f"key-{n}", wanted)
        assert found in (None, bytes([n]) * (1000 + n))
        cache.write(f"key-{n}", ByteRange(0, 9000 + n), bytes([n]) * (9000 + n))


def test_processes_share_it_and_one_is_killed_in_the_middle(tmp_path):
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_hammer, args=(tmp_path, seed), daemon=True) for seed in range(3)]
    for worker in workers:
        worker.start()
    deadline = time.monotonic() + 20
    while len(extents(tmp_path)) < 10 and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)
    os.kill(workers[0].pid, signal.SIGKILL)
    time.sleep(0.3)
    assert [worker.is_alive() for worker in workers] == [False, True, True]
    for worker in workers[1:]:
        worker.kill()
    for worker in workers:
        worker.join()
    cache = DiskCache(tmp_path)
    sound = [cache.read(f"key-{n}", ByteRange(0, 9000 + n)) for n in range(40)]
    assert any(sound)
    assert all(data is None or data == bytes([n]) * (9000 + n) for n, data in enumerate(sound))
