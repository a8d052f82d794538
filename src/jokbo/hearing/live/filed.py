"""Entries that come with files: exhibits, reproductions, claims to be linted, statements signed elsewhere."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from jokbo.errors import UsageError
from jokbo.hearing import intake
from jokbo.hearing.case.drafts import parse_draft
from jokbo.hearing.case.entry import MAX_LINE_BYTES, Author, Draft
from jokbo.hearing.case.state import CaseState
from jokbo.hearing.exhibits import ExhibitStore, StoredFile
from jokbo.hearing.live.forms import payload_of
from jokbo.hearing.live.upload import Uploaded

MAX_CLAIM_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Filed:
    """A filled form with files, and who sent it.

    Attributes
    ----------
    kind : str
    uploaded : Uploaded
    account, role : str
    now : datetime
    """

    kind: str
    uploaded: Uploaded
    account: str
    role: str
    now: datetime


def read_filed(filed: Filed, state: CaseState, store: ExhibitStore) -> Draft:
    """The draft of a form with files. Nothing is opened that a file names, and nothing fetched.

    Raises
    ------
    UsageError, InputError
        A file is missing, or is not what the form says.
    """
    if filed.kind == "signed":
        return _signed(filed, state, store)
    values = filed.uploaded.values
    payload = payload_of(filed.kind, values, now=filed.now)
    about = _number(values, "about")
    if filed.kind == "claim":
        payload = _claim(filed, payload, state, store)
    elif filed.kind == "exhibit":
        name, stored = _file(filed, "file")
        form = payload.pop("form")
        if form == "evidence":
            payload = intake.with_evidence(payload, stored, name, store)
        else:
            payload = intake.with_file(payload, stored, name)
    else:
        name, stored = _file(filed, "file")
        exhibit = store.read(intake.exhibit_digest(state, about))
        payload = intake.reproduction(payload, store.read(stored.sha256), stored, name, exhibit)
    author = Author(filed.account, filed.role)
    return Draft(filed.kind, payload, author, about, _number(values, "supersedes"))


def _file(filed: Filed, field: str) -> tuple[str, StoredFile]:
    found = filed.uploaded.files.get(field)
    if found is None:
        raise UsageError("no file was sent. Choose one.")
    return found


def _number(values: Mapping[str, str], name: str) -> int | None:
    text = values.get(name, "").strip()
    if text and not (text.isascii() and text.isdigit() and len(text) < 10):
        raise UsageError(f"the field {name!r} needs the number of an entry.")
    return int(text) if text else None


def _claim(filed: Filed, payload: dict[str, Any], state: CaseState, store: ExhibitStore) -> dict[str, Any]:
    """A claim; with a file, as the linter reads it. The linter computes from the table and opens no model."""
    if "claim_file" not in filed.uploaded.files:
        return payload
    with tempfile.TemporaryDirectory(prefix="jokbo-claim-") as folder:
        for field, (name, stored) in filed.uploaded.files.items():
            # Names of files are kept: a claim names its table. They are single names, never paths.
            target = Path(folder) / ("claim.yaml" if field == "claim_file" else name)
            data = store.read(stored.sha256, max_bytes=MAX_CLAIM_BYTES)
            try:
                target.write_bytes(data)
            except OSError as error:
                raise UsageError(
                    f"the file {name[:40]!r} cannot be kept: {error.strerror}. Rename it."
                ) from None
        return intake.with_lint(payload, Path(folder) / "claim.yaml", payload["language"])


def _signed(filed: Filed, state: CaseState, store: ExhibitStore) -> Draft:
    """A statement that its author signed elsewhere; only its author hands it in."""
    assert state.facts is not None, "a case has a first entry"
    name, stored = _file(filed, "draft_file")
    data = store.read(stored.sha256, max_bytes=MAX_LINE_BYTES)
    draft = parse_draft(data, case=state.facts.case, where=name)
    intake.refuse_lint(draft.kind, draft.payload)
    if draft.author.account != filed.account:
        raise UsageError(
            f"this statement is by {draft.author.account!r}, and you are signed in as {filed.account!r}."
        )
    return draft
