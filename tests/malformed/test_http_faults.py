"""Servers that misbehave: one named test a fault, for a hub and, where it differs, for a plain server."""

from __future__ import annotations

import random

import pytest

from jokbo.errors import AccessError, ChangedError, NotFoundError, RangeError, SourceError, TransferError
from jokbo.sources.base import ByteRange, Read
from jokbo.sources.http import HttpSource
from jokbo.sources.hub import HubSource
from jokbo.sources.transport import RetryPolicy, Transport
from jokbo.testing.faults import Fault
from jokbo.testing.hub import LocalHub

WEIGHTS = random.Random(7).randbytes(300_000)
FILES, NAME = {"config.json": b'{"hidden_size": 8}', "model.safetensors": WEIGHTS}, "org/tiny"


@pytest.fixture
def hub():
    with LocalHub({NAME: FILES}) as running:
        yield running


@pytest.fixture(autouse=True)
def _no_saved_token(monkeypatch):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.delenv("HUGGING_FACE_HUB_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", "/nonexistent/token")


def quick(**options) -> Transport:
    return Transport(retry=RetryPolicy(first_wait_seconds=0.001, **options))


def open_hub(hub, name=NAME, **options) -> HubSource:
    return HubSource(name, endpoint=hub.endpoint, transport=options.pop("transport", quick()), **options)


def read_weights(source, start=1000, stop=2000) -> bytes:
    return source.read("model.safetensors", start, stop)


def test_range_ignored_is_refused(hub):
    hub.faults.add(Fault("ignore_range"))
    with pytest.raises(
        RangeError, match=r"model.safetensors, bytes 1,000 to 2,000: the server ignores Range.*206"
    ):
        read_weights(open_hub(hub))


def test_range_ignored_on_a_huge_file_is_cut_off_at_the_headers():
    from jokbo.testing.serving import Content

    with LocalHub({NAME: {"model.safetensors": Content(100 << 30)}}) as hub:
        hub.faults.add(Fault("ignore_range"))
        with pytest.raises(RangeError, match="ignores Range"):
            read_weights(open_hub(hub))
        assert hub.bytes_sent < 64 << 20


def test_range_ignored_is_refused_when_a_plain_address_is_opened(hub):
    hub.faults.add(Fault("ignore_range"))
    with pytest.raises(RangeError, match=r"ignores Range and answered 200.*one byte"):
        HttpSource(f"{hub.endpoint}/{NAME}/resolve/main/model.safetensors", transport=quick())


def test_connection_dropped_half_way_is_tried_again(hub):
    hub.faults.add(Fault("drop", times=2))
    assert read_weights(open_hub(hub)) == WEIGHTS[1000:2000]
    assert len(hub.requests_to("content")) == 3


def test_connection_dropped_always_gives_up(hub):
    hub.faults.add(Fault("drop"))
    with pytest.raises(
        TransferError, match=r"bytes 1,000 to 2,000: the connection broke .*gave up after 3 tries"
    ):
        read_weights(open_hub(hub, transport=quick(attempts=3)))


def test_429_waits_as_long_as_asked(hub):
    hub.faults.add(Fault("status", status=429, headers={"Retry-After": "2"}, times=2))
    slept: list[float] = []
    transport = quick()
    transport.sleep = slept.append
    assert read_weights(open_hub(hub, transport=transport)) == WEIGHTS[1000:2000]
    assert len([seconds for seconds in slept if 1.5 < seconds < 2.1]) >= 2


def test_429_without_retry_after_backs_off(hub):
    hub.faults.add(Fault("status", status=429, times=3))
    slept: list[float] = []
    transport = Transport(sleep=slept.append)
    read_weights(open_hub(hub, transport=transport))
    assert len(slept) == 3
    assert all(0.5 * wait <= seconds <= wait for seconds, wait in zip(slept, (0.25, 0.5, 1.0), strict=True))


def test_429_that_asks_for_too_long_is_an_error_at_once(hub):
    hub.faults.add(Fault("status", status=429, headers={"Retry-After": "86400"}))
    with pytest.raises(TransferError, match=r"answered 429.*asks to wait 86,400 s; expected at most 120 s"):
        read_weights(open_hub(hub))
    assert len(hub.requests_to("content")) == 1


def test_429_on_metadata_is_tried_again(hub):
    hub.faults.add(Fault("status", where="api", status=429, headers={"Retry-After": "0"}, times=2))
    assert read_weights(open_hub(hub)) == WEIGHTS[1000:2000]


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_5xx_is_tried_again(hub, status):
    for where in ("api", "lookup", "content"):
        hub.faults.add(Fault("status", where=where, status=status, times=2))
    assert read_weights(open_hub(hub)) == WEIGHTS[1000:2000]


def test_500_always_gives_up(hub):
    hub.faults.add(Fault("status", status=500))
    with pytest.raises(
        TransferError, match="the server answered 500; expected an answer, gave up after 3 tries"
    ):
        read_weights(open_hub(hub, transport=quick(attempts=3)))


def test_no_server_at_all_gives_up():
    with pytest.raises(TransferError, match=r"org/tiny: the connection broke .*Check the network"):
        HubSource(NAME, endpoint="http://127.0.0.1:9", transport=quick(attempts=2))


def test_wrong_content_range_is_refused(hub):
    hub.faults.add(Fault("wrong_range"))
    with pytest.raises(
        RangeError, match="Content-Range 'bytes 1001-2000/300000'; expected 'bytes 1000-1999/300000'"
    ):
        read_weights(open_hub(hub))


@pytest.mark.parametrize("kind", ["no_range", "multipart"])
def test_missing_content_range_is_refused(hub, kind):
    hub.faults.add(Fault(kind))
    with pytest.raises(RangeError, match="Content-Range None; expected 'bytes 1000-1999/300000'"):
        read_weights(open_hub(hub))


@pytest.mark.parametrize("kind", ["short_body", "long_body"])
def test_body_of_another_length_is_refused(hub, kind):
    hub.faults.add(Fault(kind))
    with pytest.raises(RangeError, match=r"the server announces \d+ bytes; expected 1,000"):
        read_weights(open_hub(hub))


def test_unannounced_body_that_ends_early_is_refused(hub):
    hub.faults.add(Fault("unannounced_short_body"))
    with pytest.raises(RangeError, match=r"bytes 1,000 to 2,000: the server sent 999 bytes; expected 1,000"):
        read_weights(open_hub(hub))


def test_endless_body_is_cut_off():
    from jokbo.testing.serving import Content

    with LocalHub({NAME: {"model.safetensors": Content(100 << 30)}}) as hub:
        hub.faults.add(Fault("endless_body"))
        with pytest.raises(RangeError, match=r"the server sent more than that; expected 1,000"):
            read_weights(open_hub(hub))
        assert hub.bytes_sent < 64 << 20


def test_dripping_server_counts_as_broken(hub):
    import itertools

    ticks = itertools.count(step=70)
    transport = Transport(
        retry=RetryPolicy(attempts=2, first_wait_seconds=0.0, total_seconds=1e9),
        clock=lambda: float(next(ticks)),
    )
    with pytest.raises(
        TransferError, match=r"the server sent [\d,]+ bytes in 70 s; expected an answer, gave up after 2"
    ):
        read_weights(open_hub(hub, transport=transport), 0, 300_000)


def test_credentials_stay_behind_when_a_redirect_leaves_the_origin():
    from types import SimpleNamespace

    from jokbo.sources.remote import follow

    def headers_after(location):
        answer = SimpleNamespace(headers={"Location": location})
        return follow("https://hub/a/b", answer, {"Authorization": "Bearer hf_x", "Range": "bytes=0-1"})

    assert headers_after("/c") == ("https://hub/c", {"Authorization": "Bearer hf_x", "Range": "bytes=0-1"})
    for elsewhere in ("https://cdn/c", "https://hub:8443/c", "https://hub.evil/c"):
        assert headers_after(elsewhere) == (elsewhere, {"Range": "bytes=0-1"})
    with pytest.raises(SourceError, match="redirects to something that is not an address"):
        headers_after("https://[::1/c")


def test_compressed_answer_is_refused(hub):
    hub.faults.add(Fault("compressed"))
    with pytest.raises(RangeError, match=r"compressed its answer \(gzip\)"):
        read_weights(open_hub(hub))


def test_file_whose_etag_changes_between_reads_is_an_error(hub):
    hub.faults.add(Fault("changed_etag", after=1))
    source = open_hub(hub)
    read_weights(source)
    with pytest.raises(
        ChangedError, match=r'model.safetensors changed on the server.*ETag.*is "another" now'
    ):
        read_weights(source)


def test_file_whose_length_changes_between_reads_is_an_error(hub):
    hub.faults.add(Fault("changed_size", after=1))
    source = open_hub(hub)
    read_weights(source)
    with pytest.raises(ChangedError, match="it has 300008 bytes now, 300000 before"):
        read_weights(source)


def test_plain_file_that_is_replaced_is_refused_by_if_match(tmp_path):
    (tmp_path / "config.json").write_bytes(b"{}")
    (tmp_path / "model.safetensors").write_bytes(WEIGHTS)
    with LocalHub({NAME: tmp_path}) as hub:
        source = HttpSource(f"{hub.endpoint}/{NAME}/resolve/main", transport=quick())
        read_weights(source)
        hub.models[NAME].files["model.safetensors"].sha256 = "0" * 64
        with pytest.raises(ChangedError, match="no longer has the version that was opened"):
            read_weights(source)


def test_small_file_that_grew_is_an_error(hub):
    from jokbo.testing.serving import as_content

    source = open_hub(hub)
    hub.models[NAME].files["config.json"] = as_content(b'{"hidden_size": 4096}')
    with pytest.raises(ChangedError, match=r"config.json changed on the server.*21 bytes now, 18 before"):
        source.read_file("config.json", max_bytes=1000)


def test_commit_that_changes_between_metadata_and_lookup_is_an_error(hub):
    from jokbo.testing.serving import as_content

    source = open_hub(hub)
    hub.models[NAME].files["model.safetensors"] = as_content(WEIGHTS + b"12345678")
    with pytest.raises(ChangedError, match="the hub gives size 300008 now; expected 300000"):
        read_weights(source)


def test_expired_signature_is_resolved_once_more():
    with LocalHub({NAME: FILES}, signature_seconds=0.2) as hub:
        source = open_hub(hub)
        read_weights(source)
        import time

        time.sleep(0.25)
        assert read_weights(source, 5000, 6000) == WEIGHTS[5000:6000]
        lookups = [request for request in hub.requests_to("hub") if request.method == "HEAD"]
        assert len(lookups) == 2


def test_signature_that_is_always_expired_is_an_error():
    with LocalHub({NAME: FILES}, signature_seconds=-1) as hub:
        with pytest.raises(AccessError, match=r"org/tiny: model.safetensors: access is forbidden"):
            read_weights(open_hub(hub))
        assert len(hub.requests_to("content")) == 2


def test_one_lookup_serves_many_ranges(hub):
    source = open_hub(hub)
    for start in range(0, 200_000, 10_000):
        read_weights(source, start, start + 100)
    assert len([request for request in hub.requests_to("hub") if request.method == "HEAD"]) == 1


def test_absent_or_private_repository_says_both(hub):
    with pytest.raises(
        AccessError, match=r"answered 401: the repository does not exist, or it is private.*HF_TOKEN"
    ):
        open_hub(hub, "org/absent")


def test_private_repository_is_read_with_a_token():
    with LocalHub({NAME: FILES}, private=[NAME], tokens=["hf_good"]) as hub:
        with pytest.raises(AccessError, match="set HF_TOKEN or run 'hf auth login'"):
            open_hub(hub)
        source = open_hub(hub, token="hf_good")
        assert read_weights(source) == WEIGHTS[1000:2000]
        assert source.identity.public_since is None


def test_token_that_is_not_valid_is_named():
    refused = pytest.raises(AccessError, match=r"does not accept this token \(401\)")
    with LocalHub({NAME: FILES}, private=[NAME], tokens=["hf_good"]) as hub, refused:
        open_hub(hub, token="hf_bad")


def test_404_with_a_token():
    refused = pytest.raises(
        NotFoundError, match="answered 404: the repository does not exist, or this token does not"
    )
    with LocalHub({NAME: FILES}, tokens=["hf_good"]) as hub, refused:
        open_hub(hub, "org/absent", token="hf_good")


def test_gated_repository_names_licence_and_token():
    with LocalHub({NAME: FILES}, gated=[NAME], tokens=["hf_good"]) as hub:
        source = open_hub(hub)
        with pytest.raises(
            AccessError, match=rf"gated \(401\). Accept its licence at {hub.endpoint}/org/tiny.*HF_TOKEN"
        ):
            read_weights(source)
        assert read_weights(open_hub(hub, token="hf_good")) == WEIGHTS[1000:2000]


def test_403_on_metadata(hub):
    hub.faults.add(Fault("status", where="api", status=403, headers={"X-Error-Message": "not for you"}))
    with pytest.raises(AccessError, match=r"access is forbidden \(403: not for you\)"):
        open_hub(hub)


def test_absent_revision(hub):
    with pytest.raises(NotFoundError, match="no revision 'v9' in this repository"):
        open_hub(hub, f"{NAME}@v9")


def test_absent_file(hub):
    hub.faults.add(Fault("status", where="lookup", status=404, headers={"X-Error-Code": "EntryNotFound"}))
    with pytest.raises(NotFoundError, match=r"model.safetensors: no such file at this commit"):
        read_weights(open_hub(hub))


def test_metadata_that_is_no_hubs(hub):
    hub.faults.add(Fault("status", where="api", status=200))
    with pytest.raises(SourceError, match="did not answer as a hub does"):
        open_hub(hub)


def test_token_never_reaches_the_content_host():
    with LocalHub({NAME: FILES}, private=[NAME], tokens=["hf_good"]) as hub:
        source = open_hub(hub, token="hf_good")
        read_weights(source)
        source.read_file("config.json", max_bytes=100)
        assert all("authorization" in request.headers for request in hub.requests_to("hub"))
        content = hub.requests_to("content")
        assert content
        assert not any("authorization" in request.headers for request in content)
        assert not any("hf_good" in str(request) for request in content)


def test_token_is_not_in_messages_or_representations():
    from jokbo.sources.base import OpenOptions

    assert "hf_secret" not in repr(OpenOptions(token="hf_secret"))


def test_redirect_away_from_encryption_is_refused():
    from jokbo.sources.transport import check_downgrade

    with pytest.raises(SourceError, match="redirects to http://host/b; expected an https:// address"):
        check_downgrade("https://host/a", "http://host/b?signature=1")


def test_redirect_loop_is_an_error(hub):
    address = f"{hub.endpoint}/{NAME}/resolve/main/model.safetensors"
    hub.faults.add(Fault("status", where="lookup", status=302, headers={"Location": address}))
    with pytest.raises(SourceError, match="more than 5 redirects"):
        HttpSource(address, transport=quick())


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [
        (401, AccessError, r"the server refuses access \(401\)"),
        (403, AccessError, r"the server refuses access \(403\)"),
        (404, NotFoundError, r"the server has no such file \(404\)"),
        (418, SourceError, "the server answered 418; expected the file"),
    ],
)
def test_plain_server_refuses(hub, status, error, message):
    hub.faults.add(Fault("status", file="model.safetensors", status=status))
    with pytest.raises(error, match=message):
        HttpSource(f"{hub.endpoint}/{NAME}/resolve/main/model.safetensors", transport=quick())


def test_one_failure_among_many_requests_is_raised_and_ends_the_rest(hub):
    hub.faults.add(Fault("wrong_range", after=3, times=1))
    wishes = [
        Read("model.safetensors", ByteRange(0, 10)),
        Read("model.safetensors", ByteRange(299_000, 300_000)),
    ]
    source = open_hub(hub)
    assert source.read_many(wishes)
    with pytest.raises(RangeError, match="Content-Range"):
        source.read_many(wishes)
