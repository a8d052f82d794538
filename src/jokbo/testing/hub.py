"""A hub on this machine: enough of a Hugging Face hub to read models from, with faults on demand.

Two servers, as in life: the hub itself answers metadata and lookups, and
redirects large files to signed addresses on another origin, which serves the
bytes. Small files that are not weights come from the hub itself. Every request
is logged with its headers, so a test can show what was sent where.

``python -m jokbo.testing.hub --latency 0.03 FOLDER...`` runs one in a process of
its own and prints its endpoint; each folder is served as ``local/<its name>``,
and ``GET /_stats`` tells what it has served.
"""

from __future__ import annotations

import hashlib
import json
import socketserver
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from jokbo.testing.faults import Fault, FaultList
from jokbo.testing.serving import Answer, Content, LoggedRequest, as_content, cut_range

SMALL_FILE_BYTES = 10 << 20


class HubModel:
    """The files of one repository at its one commit."""

    def __init__(self, repository: str, files: Any) -> None:
        self.repository = repository
        if not isinstance(files, Mapping):
            files = {path.name: path for path in sorted(Path(files).iterdir()) if path.is_file()}
        self.files: dict[str, Content] = {name: as_content(content) for name, content in files.items()}
        digests = json.dumps([repository, sorted((name, f.sha256) for name, f in self.files.items())])
        self.commit = hashlib.sha1(digests.encode()).hexdigest()

    def is_large(self, file: str) -> bool:
        """Whether the file lies on the content host."""
        return file.endswith(".safetensors") or self.files[file].size > SMALL_FILE_BYTES

    def document(self, *, private: bool, gated: bool) -> dict[str, Any]:
        """What the hub's interface tells of the repository."""
        siblings: list[dict[str, Any]] = []
        for name, content in self.files.items():
            sibling: dict[str, Any] = {"rfilename": name, "size": content.size, "blobId": content.sha256[:40]}
            if self.is_large(name):
                sibling["lfs"] = {"sha256": content.sha256, "size": content.size, "pointerSize": 135}
            siblings.append(sibling)
        return {
            "_id": "0",
            "id": self.repository,
            "modelId": self.repository,
            "sha": self.commit,
            "lastModified": "2026-01-01T12:00:00.000Z",
            "createdAt": "2025-12-01T12:00:00.000Z",
            "private": private,
            "gated": "manual" if gated else False,
            "disabled": False,
            "tags": [],
            "siblings": siblings,
        }


class LocalHub:
    """A hub on the loopback interface, for as long as a ``with`` block lasts.

    Parameters
    ----------
    models : mapping of str to folder or to files
        By ``org/name``; a mapping of file names to bytes, paths or
        :class:`~jokbo.testing.serving.Content` in place of a folder.
    latency_seconds : float
        Waited before every answer.
    faults : iterable of Fault
        What goes wrong; :attr:`faults` may be changed while it runs.
    private, gated : iterable of str
        Repositories that need a token of `tokens`, and that need it for their files only.
    tokens : iterable of str
        Tokens that are let in; others are refused, unless there are none at all.
    signature_seconds : float
        How long the address of a large file is good for.

    Attributes
    ----------
    endpoint : str
        What ``HF_ENDPOINT`` is set to.
    requests : list of LoggedRequest
        Everything asked so far, in order.

    Examples
    --------
    >>> from jokbo.sources.hub import HubSource
    >>> with LocalHub({"org/tiny": {"config.json": b"{}"}}) as hub:
    ...     HubSource("org/tiny", endpoint=hub.endpoint).read("config.json", 0, 2)
    b'{}'
    """

    def __init__(
        self,
        models: Mapping[str, Any],
        *,
        latency_seconds: float = 0.0,
        faults: Iterable[Fault] = (),
        private: Iterable[str] = (),
        gated: Iterable[str] = (),
        tokens: Iterable[str] = (),
        signature_seconds: float = 3600.0,
    ) -> None:
        self.models = {repository: HubModel(repository, files) for repository, files in models.items()}
        self.latency_seconds = latency_seconds
        self.faults = FaultList(faults)
        self.private, self.gated, self.tokens = set(private), set(gated), set(tokens)
        self.signature_seconds = signature_seconds
        self.requests: list[LoggedRequest] = []
        self.bytes_sent = 0
        self._servers = [_Server(self, "hub"), _Server(self, "content")]
        self.endpoint, self.content_endpoint = (server.address for server in self._servers)

    def __enter__(self) -> LocalHub:
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def requests_to(self, role: str) -> list[LoggedRequest]:
        """The log of one of the two servers, ``"hub"`` or ``"content"``."""
        return [request for request in self.requests if request.role == role]

    def answer(self, request: LoggedRequest) -> Answer:
        """What to answer, faults aside from those of the body."""
        path = unquote(urlsplit(request.path).path)
        if request.role == "content":
            return self._answer_content(request)
        if path == "/_stats":
            return Answer.json({"requests": len(self.requests), "bytes_sent": self.bytes_sent})
        parts = path.strip("/").split("/")
        if parts[:2] == ["api", "models"] and len(parts) >= 4:
            return self._answer_api(request, "/".join(parts[2:4]), parts[4:])
        if len(parts) == 5 and parts[2] == "resolve":
            return self._answer_lookup(request, "/".join(parts[:2]), parts[3], parts[4])
        return Answer.error(404, "EntryNotFound", "Not found")

    def _answer_api(self, request: LoggedRequest, repository: str, rest: list[str]) -> Answer:
        if fault := self.faults.take("api", None):
            return Answer(fault.status, dict(fault.headers))
        if refusal := self._refuse(request, repository):
            return refusal
        model = self.models[repository]
        if len(rest) > 1 and rest[1] not in ("main", model.commit):
            return Answer.error(404, "RevisionNotFound", f"Invalid rev id: {rest[1]}")
        if rest[:1] == ["tree"]:
            return Answer.json(
                [
                    {"type": "file", "path": name, "size": f.size, "oid": f.sha256[:40]}
                    for name, f in model.files.items()
                ]
            )
        return Answer.json(model.document(private=repository in self.private, gated=repository in self.gated))

    def _answer_lookup(self, request: LoggedRequest, repository: str, revision: str, file: str) -> Answer:
        if fault := self.faults.take("lookup", file):
            return Answer(fault.status, dict(fault.headers))
        if refusal := self._refuse(request, repository):
            return refusal
        if repository in self.gated and self._token(request) not in self.tokens:
            status = 403 if self._token(request) else 401
            return Answer.error(status, "GatedRepo", f"Access to model {repository} is restricted.")
        model = self.models[repository]
        if revision not in ("main", model.commit):
            return Answer.error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        if file not in model.files:
            return Answer.error(404, "EntryNotFound", "Entry not found")
        content = model.files[file]
        headers = {"X-Repo-Commit": model.commit}
        if not model.is_large(file):
            return cut_range(content, request.headers, headers | {"ETag": f'"{content.sha256[:40]}"'})
        expires = time.time() + self.signature_seconds
        headers |= {
            "X-Linked-Size": str(content.size),
            "X-Linked-ETag": f'"{content.sha256}"',
            "Location": f"{self.content_endpoint}/{content.sha256}?repository={quote(repository)}"
            f"&file={quote(file)}&Expires={expires:.3f}&Signature=secret",
        }
        return Answer(302, headers)

    def _answer_content(self, request: LoggedRequest) -> Answer:
        query = parse_qs(urlsplit(request.path).query)
        try:
            file, expires = query["file"][0], float(query["Expires"][0])
            content = self.models[query["repository"][0]].files[file]
        except (KeyError, ValueError):
            return Answer(404, {})
        if time.time() > expires:
            return Answer(403, {"X-Error-Message": "Request has expired"})
        answer = cut_range(content, request.headers, {"ETag": f'"{content.sha256}"'})
        fault = self.faults.take("content", file)
        return fault.spoil(answer, content) if fault else answer

    def _refuse(self, request: LoggedRequest, repository: str) -> Answer | None:
        token = self._token(request)
        if token is not None and token not in self.tokens:
            return Answer.error(401, None, "Invalid credentials in Authorization header")
        if repository not in self.models or (repository in self.private and token is None):
            # As the real hub does: without a token, absent and private look the same.
            return Answer.error(404 if token else 401, "RepoNotFound", "Repository not found")
        return None

    def _token(self, request: LoggedRequest) -> str | None:
        if not self.tokens:
            return None  # nobody is known here: a token saved on the developer's machine changes nothing
        return request.headers.get("authorization", "").removeprefix("Bearer ") or None


class _Server(socketserver.ThreadingTCPServer):
    request_queue_size = 512  # the default of 5 stalls 16 connections that come at once for a second
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def __init__(self, hub: LocalHub, role: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hub = hub
        self.role = role
        self.address = f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news; anything else is a fault of the emulator."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else every answer waits for a delayed acknowledgement
    server: _Server

    def do_GET(self) -> None:
        self._serve(with_body=True)

    def do_HEAD(self) -> None:
        self._serve(with_body=False)

    def _serve(self, *, with_body: bool) -> None:
        hub = self.server.hub
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = LoggedRequest(self.server.role, self.command, self.path, headers)
        if not self.path.startswith("/_stats"):
            hub.requests.append(request)
        if hub.latency_seconds:
            time.sleep(hub.latency_seconds)
        answer = hub.answer(request)
        sent, whole = answer.send(self.connection, with_body=with_body)
        hub.bytes_sent += sent
        self.close_connection = not whole

    def log_message(self, *_: object) -> None:
        """The log is :attr:`LocalHub.requests`."""


def main(arguments: list[str] | None = None) -> None:
    """Serve folders until the standard input ends."""
    import argparse

    parser = argparse.ArgumentParser(prog="python -m jokbo.testing.hub", description=__doc__)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before every answer")
    parser.add_argument("folders", nargs="+", metavar="FOLDER", help="a folder, or org/name=FOLDER")
    options = parser.parse_args(arguments)
    models = {}
    for text in options.folders:
        repository, _, folder = text.rpartition("=")
        models[repository or f"local/{Path(folder).resolve().name}"] = folder
    with LocalHub(models, latency_seconds=options.latency) as hub:
        print(hub.endpoint, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
