from __future__ import annotations

import sys

import pytest

from jokbo.errors import MissingExtraError, NotFoundError, UsageError
from jokbo.sources.base import OpenOptions
from jokbo.sources.memory import MemorySource
from jokbo.sources.open import open_source
from jokbo.testing.hub import LocalHub

FILES = {"config.json": b"{}", "model.safetensors": bytes(1000)}


@pytest.fixture
def hub(monkeypatch):
    with LocalHub({"org/tiny": FILES}) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.endpoint)
        yield running


@pytest.fixture
def options(tmp_path):
    return OpenOptions(cache_dir=str(tmp_path / "cache"))


def test_source_is_returned_as_it_is():
    source = MemorySource(FILES)
    assert open_source(source) is source


def test_folder_and_file(tmp_path):
    for file, data in FILES.items():
        (tmp_path / file).write_bytes(data)
    assert open_source(tmp_path).identity.kind == "local"
    assert open_source(str(tmp_path / "model.safetensors")).identity.kind == "local"


def test_path_that_exists_wins_over_a_hub_id(tmp_path, monkeypatch, hub):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "org" / "tiny").mkdir(parents=True)
    (tmp_path / "org" / "tiny" / "config.json").write_bytes(b"{}")
    assert open_source("org/tiny").identity.kind == "local"
    assert not hub.requests


def test_hub_id_with_and_without_revision(hub, options):
    commit = hub.models["org/tiny"].commit
    for name in ("org/tiny", "org/tiny@main", f"org/tiny@{commit}"):
        source = open_source(name, options)
        assert source.identity.kind == "hub"
        assert source.identity.name == "org/tiny"
        assert source.identity.commit == commit
        assert source.identity.public_since == "2026-01-01T12:00:00+00:00"


def test_page_of_a_hub_repository_is_its_id(hub, options):
    for path in ("org/tiny", "org/tiny/", "org/tiny/tree/main"):
        assert open_source(f"{hub.endpoint}/{path}", options).identity.kind == "hub"


def test_endpoint_option_wins_over_the_environment(hub, options, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    chosen = OpenOptions(cache_dir=options.cache_dir, endpoint=hub.endpoint + "/")
    assert open_source("org/tiny", chosen).identity.kind == "hub"


@pytest.mark.parametrize("endpoint", ["huggingface.co", "ftp://host", "http://[::1"])
def test_endpoint_that_is_no_address(endpoint, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    with pytest.raises(UsageError, match=r"is not a web address. Set HF_ENDPOINT"):
        open_source("org/tiny")


def test_web_address_of_a_file(hub, options):
    address = f"{hub.endpoint}/org/tiny/resolve/main/model.safetensors"
    source = open_source(f"{address}?signature=secret", options)
    assert source.identity.kind == "http"
    assert source.identity.name == address
    assert sorted(source.files) == ["config.json", "model.safetensors"]


@pytest.mark.parametrize(
    "spec", ["", "  ", "gpt2", "two words", "org/", "ftp://host/x", "file:///etc/passwd", "a\0b", "org/na me"]
)
def test_nonsense_names_the_accepted_forms(spec):
    with pytest.raises((UsageError, NotFoundError), match=r"named by a folder|no such file"):
        open_source(spec)


def test_single_word_says_what_a_hub_id_is():
    with pytest.raises(UsageError, match="not a hub id, which has two parts: org/name"):
        open_source("gpt2")


@pytest.mark.parametrize(
    "spec", ["./absent", "/absent/model", "absent.safetensors", "a/b/c", "~/absent-model"]
)
def test_what_looks_like_a_path_is_looked_for_on_disk_only(spec, hub):
    with pytest.raises(NotFoundError, match="no such file or folder"):
        open_source(spec)
    assert not hub.requests


def test_unencrypted_address_is_refused():
    with pytest.raises(UsageError, match=r"http://host/model.safetensors is not encrypted"):
        open_source("http://me:secret@host/model.safetensors?key=secret")


@pytest.mark.parametrize("address", ["https://", "https:///x", "https://host:port/x", "https://[::1/x"])
def test_address_that_is_none(address):
    with pytest.raises(UsageError, match="https://host/path"):
        open_source(address)


@pytest.mark.parametrize(
    ("address", "package"), [("s3://bucket/model", "s3fs"), ("gs://bucket/model", "gcsfs")]
)
def test_cloud_without_its_extra(address, package, options, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf'needs {package}.*pip install "jokbo\[cloud\]"'):
        open_source(address, options)
