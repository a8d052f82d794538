"""From what people have (a file, a form's fields, evidence, a claim) to the payload of an entry."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from jokbo.errors import FormatError, NotFoundError, UsageError
from jokbo.formats.strict_json import strict_loads
from jokbo.hearing.case.entry import MAX_LINE_BYTES
from jokbo.hearing.case.holds import latest_end
from jokbo.hearing.case.kinds import KINDS, schema
from jokbo.hearing.case.state import CaseState, stamp
from jokbo.hearing.exhibits import (
    StoredFile,
    count_differences,
    describe_evidence,
    display_name,
)
from jokbo.sources.regular_files import open_regular


class Files(Protocol):
    """Where files of a case can be read from: its own store, or an archive."""

    def read(self, sha256: str) -> bytes:
        """A small file whole."""


def read_payload(path: Path, kind: str) -> dict[str, Any]:
    """A payload from a YAML or JSON file; numbers and truth values where the kind's schema wants them.

    Raises
    ------
    NotFoundError
        There is no such file.
    FormatError
        It is neither, or no mapping.
    """
    with open_regular(path) as stream:
        data = stream.read(MAX_LINE_BYTES + 1)
    if len(data) > MAX_LINE_BYTES:
        raise FormatError(
            f"{path.name} is larger than {MAX_LINE_BYTES:,} bytes; enter long texts as an exhibit."
        )
    if path.suffix == ".json":
        try:
            found = strict_loads(data)
        except (ValueError, RecursionError) as error:
            raise FormatError(f"{path.name} is not JSON ({str(error)[:120]}). Correct it.") from None
    else:
        from jokbo.formats.strict_yaml import parse_yaml

        found = _typed(parse_yaml(data, where=path.name).value, kind)
    if not isinstance(found, dict):
        raise FormatError(f"{path.name} holds no mapping of fields to values. Write `field: value` lines.")
    return found


def parse_fields(pairs: Iterable[str], kind: str) -> dict[str, Any]:
    """A payload from ``field=value`` texts.

    Raises
    ------
    UsageError
        One is not of this form, or names a field twice.

    Examples
    --------
    >>> parse_fields(["value=1"], "vote")
    {'value': 1}
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        field, equals, value = pair.partition("=")
        if not equals or not field or field in found:
            raise UsageError(f"{pair[:80]!r}: expected FIELD=VALUE, each field once.")
        found[field] = value
    typed: dict[str, Any] = _typed(found, kind)
    return typed


def _typed(tree: Any, kind: str) -> Any:
    from jokbo.hearing.claims.schema import typed

    if kind not in KINDS:
        raise UsageError(f"there is no kind of entry {kind[:40]!r}; one of {', '.join(KINDS)}.")
    whole = schema()
    rule = whole["$defs"][kind]
    if isinstance(tree, dict) and kind == "vote" and isinstance(tree.get("value"), str):
        # An enumeration of numbers says no type.
        rule = {"properties": {"value": {"type": "integer"}}}
        tree = {**tree, "value": int(tree["value"]) if tree["value"] in ("-1", "0", "1") else tree["value"]}
    return typed(tree, rule, whole)


def with_file(payload: Mapping[str, Any], stored: StoredFile, name: str) -> dict[str, Any]:
    """The payload of an exhibit that is any file."""
    file = {"name": display_name(name), "size": stored.size, "sha256": stored.sha256}
    return {**payload, "form": "file", "file": file}


def with_evidence(payload: Mapping[str, Any], stored: StoredFile, name: str, files: Files) -> dict[str, Any]:
    """The payload of an exhibit that is evidence of this tool.

    Raises
    ------
    EvidenceError
        The file is no evidence.
    """
    found = with_file(payload, stored, name)
    evidence = describe_evidence(files.read(stored.sha256), where=found["file"]["name"])
    return {**found, "form": "evidence", "evidence": evidence}


def reproduction(
    payload: Mapping[str, Any], data: bytes, stored: StoredFile, name: str, exhibit: bytes
) -> dict[str, Any]:
    """The payload of a reproduction: what it says, and in how many places it differs from the exhibit.

    Parameters
    ----------
    data, exhibit : bytes
        Evidence of the reproduction and of the exhibit.

    Raises
    ------
    EvidenceError
        One of them is no evidence.
    """
    differ = count_differences(exhibit, data)
    return {
        **payload,
        "file": {"name": display_name(name), "size": stored.size, "sha256": stored.sha256},
        "evidence": describe_evidence(data, where=display_name(name)),
        "agrees": differ == 0,
        "differences": differ,
    }


def exhibit_digest(state: CaseState, about: int | None) -> str:
    """SHA-256 of the evidence of an exhibit that is to be reproduced.

    Raises
    ------
    UsageError
        There is no such exhibit, or it is no evidence.
    """
    item = state.items.get(about if about is not None else -1)
    if item is None or item.kind != "exhibit" or item.payload is None or item.payload["form"] != "evidence":
        raise UsageError(f"entry {about} is no exhibit with evidence. Say which one with --about.")
    sha256: str = item.payload["file"]["sha256"]
    return sha256


def with_lint(payload: Mapping[str, Any], claim: Path, language: str) -> dict[str, Any]:
    """The payload of a claim whose file the linter checks now; title and text are the claim's where none are given.

    Raises
    ------
    InputError
        The claim cannot be read.
    """
    from jokbo.hearing.claims.lint import lint_claim

    document = dict(lint_claim(claim).document)
    said = document["claim"]
    return {
        "title": said["title"][:300],
        "text": said["text"],
        "language": language,
        **payload,
        "lint": document,
    }


def refuse_lint(kind: str, payload: Mapping[str, Any]) -> None:
    """Refuse what a claim says of its own linting: the linter runs where the claim is entered.

    Raises
    ------
    UsageError
        The payload of a claim comes with a result.
    """
    if kind == "claim" and "lint" in payload:
        raise UsageError(
            "a claim does not bring what the linter said of it. Hand in its file, to be linted here."
        )


def with_key(payload: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The payload that enters somebody's public key.

    Raises
    ------
    InputError
        The file holds no public key.
    """
    from jokbo.records.commit.keys import load_public_key

    key = load_public_key(path)
    return {"valid": True, **payload, "key": base64.b64encode(key.der).decode()}


def with_dates(
    kind: str, payload: Mapping[str, Any], state: CaseState, now: datetime, about: int | None = None
) -> dict[str, Any]:
    """Ends that nobody stated: the right of reply as the case has it, a hold as long as the law allows.

    Parameters
    ----------
    about : int, optional
        What is held: time that it was held before counts.
    """
    found = dict(payload)
    if kind == "reply_timer" and "until" not in found and state.facts is not None:
        found["until"] = stamp(now + timedelta(hours=state.facts.payload["reply_hours"]))
    if kind == "moderation" and found.get("action") == "hold" and "until" not in found:
        found["until"] = stamp(latest_end(state, about, str(found.get("asked_by", "")), stamp(now)))
    return found


class ArchiveFiles:
    """Files of an archive.

    Parameters
    ----------
    folder : Path
        Of the archive.
    """

    def __init__(self, folder: Path) -> None:
        from jokbo.hearing.archive.site import FILES
        from jokbo.hearing.exhibits import ExhibitStore

        self._folder, self._store = folder / FILES, ExhibitStore(folder / FILES)

    def read(self, sha256: str) -> bytes:
        """A small file whole, its digest checked.

        Raises
        ------
        NotFoundError, FormatError
            It is not there, or is damaged.
        """
        import hashlib

        from jokbo.hearing.exhibits import MAX_EVIDENCE_BYTES

        name = self._store.path(sha256).name
        with open_regular(self._folder / f"{name}.bin") as stream:
            data = stream.read(MAX_EVIDENCE_BYTES + 1)
        if hashlib.sha256(data).hexdigest() != sha256:
            raise FormatError(f"file {sha256[:16]}… of the archive is damaged. Get the archive again.")
        return data


def read_small(path: Path, limit: int) -> bytes:
    """A file of a bounded size, whole.

    Raises
    ------
    NotFoundError, FormatError
        There is none, or it is larger.
    """
    try:
        with open_regular(path) as stream:
            data = stream.read(limit + 1)
    except OSError as error:
        raise NotFoundError(f"cannot read {path}: {error.strerror}.") from None
    if len(data) > limit:
        raise FormatError(f"{path} is larger than {limit:,} bytes.")
    return data
