"""A hub on which an organisation publishes: new revisions, lists by author, conditional requests, limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from jokbo.testing.hub import HubModel, LocalHub
from jokbo.testing.serving import Answer, LoggedRequest


class PublishingHub(LocalHub):
    """A :class:`~jokbo.testing.hub.LocalHub` that keeps old revisions, lists an author's models and tells its limits.

    Parameters
    ----------
    models : mapping of str to folder or to files
        The first revision of each, as of a local hub.
    page : int
        Models a page of a list.
    etags : bool
        Whether metadata carries an ETag, so that asking again can be answered with 304.
    limit : tuple of (int, int) or None
        Told in a ``RateLimit`` header: requests that remain after the first, and the seconds of the window.
    options
        Of the local hub.

    Examples
    --------
    >>> from jokbo.sources.hub import HubSource
    >>> with PublishingHub({"org/tiny": {"config.json": b"{}"}}) as hub:
    ...     first = hub.models["org/tiny"].commit
    ...     hub.publish("org/tiny", {"config.json": b"[]"}) != first
    True
    """

    def __init__(
        self,
        models: Mapping[str, Any],
        *,
        page: int = 100,
        etags: bool = True,
        limit: tuple[int, int] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(models, **options)
        self.page = page
        self.etags = etags
        self.limit = limit
        self._revisions = {(name, model.commit): model for name, model in self.models.items()}

    def publish(self, repository: str, files: Any) -> str:
        """Put up a repository's next revision, or its first; returns the commit."""
        model = HubModel(repository, files)
        self.models[repository] = model
        self._revisions[repository, model.commit] = model
        return model.commit

    def answer(self, request: LoggedRequest) -> Answer:
        """As a local hub, with lists, ETags and limits; a commit is answered with its own files."""
        parts = urlsplit(request.path)
        path = unquote(parts.path).strip("/").split("/")
        if request.role == "hub" and path == ["api", "models"]:
            answer = self._answer_list(parse_qs(parts.query))
        else:
            answer = self._answer_revision(request, path)
        if request.role == "hub" and answer.status == 200 and path[:2] == ["api", "models"]:
            answer = self._condition(request, answer)
        if request.role == "hub" and self.limit is not None:
            remaining, seconds = self.limit
            answer.headers["RateLimit"] = f'"api";r={remaining};t={seconds}'
            self.limit = (remaining - 1 if remaining else 100, seconds)
        return answer

    def _answer_list(self, query: Mapping[str, list[str]]) -> Answer:
        if fault := self.faults.take("api", None):
            return Answer(fault.status, dict(fault.headers))
        author, start = query.get("author", [""])[0], int(query.get("cursor", ["0"])[0])
        names = sorted(n for n in self.models if n.startswith(f"{author}/") and n not in self.private)
        listed = [{"_id": n, "id": n, "sha": self.models[n].commit} for n in names[start : start + self.page]]
        answer = Answer.json(listed)
        if start + self.page < len(names):
            following = f"{self.endpoint}/api/models?author={author}&cursor={start + self.page}"
            answer.headers["Link"] = f'<{following}>; rel="next"'
        return answer

    def _answer_revision(self, request: LoggedRequest, path: list[str]) -> Answer:
        """Answer for the revision that a request names, whatever is newest."""
        repository, revision = _named(path)
        query = parse_qs(urlsplit(request.path).query)
        wanted = self._revisions.get((repository, revision))
        if request.role == "content":
            wanted = self._holding(query.get("repository", [""])[0], path[0])
            repository = query.get("repository", [""])[0]
        if wanted is None or wanted is self.models.get(repository):
            return super().answer(request)
        newest = self.models[repository]
        self.models[repository] = wanted
        try:
            return super().answer(request)
        finally:
            self.models[repository] = newest

    def _holding(self, repository: str, sha256: str) -> HubModel | None:
        """The revision that holds a content."""
        return next(
            (
                model
                for (name, _), model in self._revisions.items()
                if name == repository and any(f.sha256 == sha256 for f in model.files.values())
            ),
            None,
        )

    def _condition(self, request: LoggedRequest, answer: Answer) -> Answer:
        if not self.etags or answer.content is None:
            return answer
        tag = f'W/"{answer.content.sha256[:32]}"'
        if request.headers.get("if-none-match") == tag:
            return Answer(304, {"ETag": tag})
        answer.headers["ETag"] = tag
        return answer


def _named(path: list[str]) -> tuple[str, str]:
    """Repository and revision in the path of a request; empty where it names none."""
    if path[:2] == ["api", "models"] and len(path) >= 6:
        return "/".join(path[2:4]), path[5]
    if len(path) == 5 and path[2] == "resolve":
        return "/".join(path[:2]), path[3]
    return "", ""
