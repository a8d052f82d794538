"""Repeat a search, and compare field by field with what was claimed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jokbo.errors import EvidenceError, NotFoundError, UsageError
from jokbo.evidence.canonical import digest
from jokbo.evidence.compare import ModelSpec
from jokbo.lineage.fingerprint import Fingerprint
from jokbo.lineage.register import Register
from jokbo.lineage.search import search
from jokbo.lineage.search_document import MAX_SEARCH_BYTES, SCHEMA, parse_search
from jokbo.sources.base import OpenOptions

MAX_DIFFERENCES = 200
MISSING = "(nothing)"

UNCOMPARED = frozenset({"software", "jokbo"})
"""What a repetition elsewhere may change."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One field that a repetition gave otherwise."""

    path: str
    claimed: str
    found: str


@dataclass(frozen=True, slots=True)
class SearchVerification:
    """What repeating a search gave.

    Attributes
    ----------
    digest : str
        Of the document that was verified.
    differences : tuple of Difference
    """

    digest: str
    differences: tuple[Difference, ...]

    @property
    def holds(self) -> bool:
        """Nothing differs."""
        return not self.differences


def is_search(path: Path) -> bool:
    """Whether a file claims to be the document of a search.

    Raises
    ------
    NotFoundError
        It cannot be read.
    """
    import json

    data = _read(path)
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return False
    return isinstance(document, dict) and document.get("schema") == SCHEMA


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_SEARCH_BYTES + 1)
    except OSError as error:
        raise NotFoundError(f"cannot read {path}: {error.strerror}.") from None
    if len(data) > MAX_SEARCH_BYTES:
        raise EvidenceError(f"{path.name} is larger than any search ({MAX_SEARCH_BYTES:,} bytes).")
    return data


def verify_search(
    document: Path | Mapping[str, Any],
    *,
    register: Register,
    candidate: ModelSpec | Fingerprint,
    options: OpenOptions | None = None,
    progress: Callable[[str, str], None] | None = None,
) -> SearchVerification:
    """Search again with the parameters of a document, and list every field that differs.

    Parameters
    ----------
    document : path or mapping
        Checked against its schema first.
    register : Register
        The one that was searched: it must have the digest that the document names.
    candidate : str, path, Source, Model or Fingerprint
        The model or the fingerprint that was searched for.
    options : OpenOptions, optional
    progress : callable, optional

    Raises
    ------
    EvidenceError
        The document is damaged.
    UsageError
        The register is another one, or has changed since.
    """
    claimed = parse_search(_read(document), where=document.name) if isinstance(document, Path) else document
    if register.digest != claimed["register"]["digest"]:
        raise UsageError(
            f"the register {register.folder} has the digest {register.digest[:16]}…, and the search names "
            f"{claimed['register']['digest'][:16]}…: it is another one, or models were added or removed. "
            "Give the register that was searched."
        )
    given = claimed["parameters"]
    found = search(
        candidate,
        register,
        seed=given["seed"],
        top=given["top"],
        measured=given["measured"],
        candidate_since=given["candidate_since"],
        declare=given["declare"],
        confirm=given["confirm"],
        keep_going=given["keep_going"],
        options=options,
        progress=progress,
    ).document
    different = _differences(_kept(claimed), _kept(found), "")
    return SearchVerification(
        digest(dict(claimed)), tuple(d for d, _ in zip(different, range(MAX_DIFFERENCES), strict=False))
    )


def _kept(document: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in UNCOMPARED}


def _differences(claimed: Any, found: Any, path: str) -> Iterator[Difference]:
    if isinstance(claimed, Mapping) and isinstance(found, Mapping):
        for key in sorted({*claimed, *found}):
            yield from _differences(
                claimed.get(key, MISSING), found.get(key, MISSING), f"{path}/{key}" if path else str(key)
            )
    elif isinstance(claimed, list) and isinstance(found, list) and len(claimed) == len(found):
        for k, (a, b) in enumerate(zip(claimed, found, strict=True)):
            yield from _differences(a, b, f"{path}/{k}")
    elif claimed != found or type(claimed) is not type(found):
        yield Difference(path, _brief(claimed), _brief(found))


def _brief(value: Any) -> str:
    if isinstance(value, list):
        return f"{len(value)} entries"
    return str(value)[:80]
