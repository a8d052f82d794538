"""A repository on a Hugging Face hub: identity from the library, bytes by our own ranges.

A revision is resolved to its commit before anything is read. Each file is
looked up at the hub once; the hub answers with a signed address on another
host, which is read until it expires and then looked up again. The token goes
to the hub and to nobody else.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from jokbo.errors import AccessError, ChangedError, NotFoundError, SourceError, UsageError
from jokbo.sources.base import FileInfo, OpenOptions, Source, SourceIdentity
from jokbo.sources.progress import Progress
from jokbo.sources.remote import Listing, Location, Refused, RemoteSource, follow, read_validator
from jokbo.sources.transport import (
    MAX_REDIRECTS,
    RETRIED_STATUSES,
    Again,
    Transport,
    http_error,
    origin,
    prepare_hub_library,
    shown,
)

DEFAULT_ENDPOINT = "https://huggingface.co"

_COMMIT = re.compile(r"[0-9a-f]{40}")


class HubSource(RemoteSource):
    """A model repository at one commit.

    Its files are those at the root of the repository: as with a folder, what
    lies in folders below is not the model's own.

    Parameters
    ----------
    repository : str
        ``org/name`` or ``org/name@revision``; a revision is a branch, tag or commit.
    endpoint : str, optional
        The hub; ``HF_ENDPOINT``, then huggingface.co.
    token : str, optional
        ``HF_TOKEN``, then what ``hf auth login`` saved.
    listing : Listing, optional
        What an earlier opening learned; without it the hub is asked.
    transport : Transport, optional
        How requests are sent and tried again.
    progress : Progress, optional
        Told of bytes wanted and come.

    Raises
    ------
    NotFoundError
        No such repository or revision.
    AccessError
        Private, gated or disabled.

    Notes
    -----
    ``identity.public_since`` is the hub's own date of the last change, for
    public repositories: the commit was public then at the latest.
    """

    def __init__(
        self,
        repository: str,
        *,
        endpoint: str | None = None,
        token: str | None = None,
        listing: Listing | None = None,
        transport: Transport | None = None,
        progress: Progress | None = None,
    ) -> None:
        transport = transport or Transport()
        self._repository, _, self._revision = repository.partition("@")
        self._endpoint = hub_endpoint(OpenOptions(endpoint=endpoint))
        self._given_token = token
        fresh = listing is None
        listing = listing or self._ask(transport)
        super().__init__(listing, transport=transport, progress=progress)
        self.stats.add(requests=int(fresh))

    def cache_key(self, file: str) -> str | None:
        """Hub, repository, commit and file: immutable."""
        return f"hub {self._endpoint} {self._repository}@{self.identity.commit} {file}"

    @property
    def _token(self) -> str | None:
        """Looked up only when something is sent: reading a saved token may itself use the network."""
        return self._given_token or saved_token()

    def _ask(self, transport: Transport) -> Listing:
        """Ask the hub for the commit, the files and their digests."""
        prepare_hub_library()
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HFValidationError

        api = HfApi(endpoint=self._endpoint, token=self._token or False)

        def once() -> Any:
            try:
                return api.model_info(
                    self._repository,
                    revision=self._revision or None,
                    files_metadata=True,
                    timeout=transport.retry.timeout_seconds,
                )
            except http_error() as error:
                response = getattr(error, "response", None)
                if response is None:
                    raise
                if response.status_code in RETRIED_STATUSES:
                    raise Again.of_answer(response.status_code, response.headers, who="the hub") from None
                raise Refused(response.status_code, response.headers) from None

        try:
            return self._read_answer(transport.attempt(self._repository, once))
        except Refused as refused:
            raise self._explain(self._repository, refused) from None
        except HFValidationError as error:
            raise UsageError(f"{self._repository!r} is not a hub id: {error}") from None
        except (TypeError, KeyError, ValueError, AttributeError):
            raise SourceError(
                f"{self._repository}: {shown(self._endpoint)} did not answer as a hub does; expected the "
                "repository's commit and its files with sizes. Check HF_ENDPOINT."
            ) from None

    def _read_answer(self, info: Any) -> Listing:
        if not _COMMIT.fullmatch(info.sha):
            raise ValueError(info.sha)
        files: dict[str, FileInfo] = {}
        for sibling in info.siblings:
            if "/" in sibling.rfilename:
                continue
            if type(sibling.size) is not int or sibling.size < 0:
                raise ValueError(sibling.size)
            files[sibling.rfilename] = FileInfo(sibling.size, sibling.lfs.sha256 if sibling.lfs else None)
        date = info.last_modified
        public = info.private is False and date is not None
        return Listing(
            SourceIdentity(
                kind="hub",
                name=self._repository,
                commit=info.sha,
                public_since=date.isoformat() if public else None,
                public_from=info.created_at.isoformat() if public and info.created_at else None,
            ),
            files,
        )

    def _resolve(self, file: str) -> Location:
        """Look a file up at the hub: one request, or two when the hub redirects within itself."""
        first = f"{self._endpoint}/{self._repository}/resolve/{self.identity.commit}/{quote(file)}"

        def once() -> Location:
            url = first
            token = self._token
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            for _ in range(MAX_REDIRECTS + 1):
                self.stats.add(requests=1)
                with self._transport.stream("HEAD", url, headers) as response:
                    if response.status_code >= 400:
                        raise Refused(response.status_code, response.headers)
                    self._check_lookup(file, response.headers)
                    if not response.has_redirect_location:
                        return Location(url, headers, read_validator(response.headers))
                    url, headers = follow(url, response, headers)
                if origin(url) != origin(self._endpoint):
                    return Location(url, {}, None)
            raise SourceError(
                f"{self._repository}: {file}: more than {MAX_REDIRECTS} redirects. Check HF_ENDPOINT."
            )

        return self._transport.attempt(f"{self._repository}: {file}", once)

    def _check_lookup(self, file: str, headers: Mapping[str, str]) -> None:
        """Hold what the hub says of a file against the listing."""
        info = self.files[file]
        told = (
            ("commit", headers.get("X-Repo-Commit"), self.identity.commit),
            ("size", headers.get("X-Linked-Size"), str(info.size)),
            ("digest", headers.get("X-Linked-ETag", "").strip('"') or None, info.sha256),
        )
        for what, found, expected in told:
            if found is not None and expected is not None and found != expected:
                raise ChangedError(
                    f"{self._repository}: {file}: the hub gives {what} {found} now; expected {expected}, as "
                    "when the model was opened. Run again, with a commit: org/name@commit."
                )

    def _explain_refusal(self, file: str, refused: Refused) -> SourceError:
        return self._explain(f"{self._repository}: {file}", refused)

    def _explain(self, where: str, refused: Refused) -> SourceError:
        code, message = refused.headers.get("X-Error-Code"), refused.headers.get("X-Error-Message", "")
        status, page = refused.status, f"{shown(self._endpoint)}/{self._repository}"
        if code == "RevisionNotFound":
            return NotFoundError(
                f"{where}: there is no revision {self._revision or 'main'!r} in this repository. "
                f"Check the branches and tags at {page}."
            )
        if code == "EntryNotFound":
            return NotFoundError(f"{where}: no such file at this commit. Check {page}.")
        if code == "GatedRepo":
            return AccessError(
                f"{where}: this repository is gated ({status}). Accept its licence at {page}, then set "
                "HF_TOKEN to a token of the account that accepted, or run 'hf auth login'."
            )
        if "disabled" in message:
            return AccessError(f"{where}: the hub has disabled this repository ({status}). See {page}.")
        if status == 401 and (self._token is not None and "credentials" in message):
            return AccessError(
                f"{where}: the hub does not accept this token (401). Set HF_TOKEN to a valid one."
            )
        if status in (401, 404):
            error = NotFoundError if status == 404 else AccessError
            seen = "this token does not see it" if self._token else "it is private; no token was sent"
            return error(
                f"{where}: the hub answered {status}: the repository does not exist, or {seen}. Check the "
                f"spelling at {page}; if it is private, set HF_TOKEN or run 'hf auth login'."
            )
        if status == 403:
            return AccessError(
                f"{where}: access is forbidden (403{': ' + message[:200] if message else ''}). Check at "
                f"{page} that your account may read it, and that HF_TOKEN has the read permission."
            )
        return SourceError(f"{where}: the hub answered {status}; expected the repository. Check {page}.")


def hub_endpoint(options: OpenOptions) -> str:
    """The hub in effect: the option, ``HF_ENDPOINT`` as it is now, or huggingface.co.

    Raises
    ------
    UsageError
        It is not a web address.
    """
    endpoint = (options.endpoint or os.environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/")
    try:
        scheme, host, _ = origin(endpoint)
    except ValueError:
        scheme = host = ""
    if scheme not in ("http", "https") or not host:
        raise UsageError(
            f"the hub's endpoint {endpoint!r} is not a web address. Set HF_ENDPOINT to https://host."
        )
    return endpoint


def open_hub(repository: str, options: OpenOptions) -> Source:
    """Open a repository through the disk cache; a commit never changes, a branch is looked up again."""
    from jokbo.sources.cached import open_cached

    endpoint = hub_endpoint(options)
    return open_cached(
        f"hub {endpoint} {repository}",
        name=repository,
        build=lambda listing: HubSource(
            repository,
            endpoint=endpoint,
            token=options.token,
            listing=listing,
            transport=Transport.of_options(options),
            progress=options.progress,
        ),
        options=options,
        immutable=bool(_COMMIT.fullmatch(repository.partition("@")[2])),
    )


def saved_token() -> str | None:
    """What `hf auth login` saved, unless the user forbids its use unasked."""
    prepare_hub_library()
    from huggingface_hub import constants, get_token

    return None if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN else get_token()
