"""What is held against a draft before it is entered, beside schema and permission: its signature, characters, file."""

from __future__ import annotations

import base64
import contextlib

from jokbo.errors import FormatError, InputError, UsageError
from jokbo.evidence.canonical import canonical_bytes
from jokbo.hearing.case.chain import public_key, statement_bytes
from jokbo.hearing.case.entry import Draft, Entry
from jokbo.hearing.case.rotation import KIND, countersigned
from jokbo.hearing.case.state import CaseState
from jokbo.hearing.exhibits import ExhibitStore, count_differences, describe_evidence


def check_characters(draft: Draft) -> None:
    """Refuse halves of characters (lone surrogates), which YAML and JSON can spell and no file can hold.

    Raises
    ------
    FormatError
        The payload holds one.
    """
    try:
        canonical_bytes(draft.payload)
    except (ValueError, RecursionError):
        raise FormatError(
            f"this {draft.kind} holds a character or a number that no text file can hold. Take it out."
        ) from None


def check_statement(state: CaseState, draft: Draft) -> None:
    """Hold an author's own signature against the draft, and a new host's key against its rotation.

    Raises
    ------
    UsageError
        It is not one over this draft in this case, or is not given where it has to be.
    """
    case = state.facts
    if draft.kind == KIND:
        assert case is not None, "permissions ask for a case"
        if not countersigned(case.case, state.length, state.head, draft.payload):
            raise UsageError(
                "the new key has not signed that it takes over after this entry of this case. Rotate again."
            )
    if (draft.author.key is None) is not (draft.statement is None):
        raise UsageError("an author's key and signature come together; give both or neither.")
    if draft.author.key is None:
        return
    known = state.keys.get(draft.author.key)
    assert known is not None and case is not None, "permissions ask for a key of the account"
    with contextlib.suppress(ValueError):
        signature = base64.b64decode(draft.statement or "", validate=True)
        if public_key(known.der, "the log").verify(signature, statement_bytes(case.case, draft)):
            return
    raise UsageError(
        f"the signature of {draft.author.account!r} is not one over this {draft.kind} in this case. Sign it again."
    )


def check_file(state: CaseState, draft: Draft, exhibits: ExhibitStore) -> None:
    """Hold what an exhibit or a reproduction says of its file against the file.

    Raises
    ------
    UsageError
        The file is not kept in this case, or the exhibit is not one to be reproduced.
    InputError
        The entry says something else of the file than the file does.
    """
    if draft.kind not in ("exhibit", "reproduction"):
        return
    payload, file = draft.payload, draft.payload["file"]
    if not exhibits.has(file["sha256"], file["size"]):
        raise UsageError(
            f"the file {file['sha256'][:16]}… ({file['size']:,} bytes) is not kept in this case; enter it first."
        )
    if draft.kind == "exhibit" and payload["form"] != "evidence":
        return
    data = exhibits.read(file["sha256"])
    if describe_evidence(data, where="the evidence") != payload["evidence"]:
        raise InputError("the evidence says something else of itself than the entry does. Describe it again.")
    if draft.kind == "reproduction":
        _check_agreement(state, draft, data, exhibits)


def _check_agreement(state: CaseState, draft: Draft, data: bytes, exhibits: ExhibitStore) -> None:
    exhibit = state.items[draft.about] if draft.about is not None else None
    if exhibit is None or exhibit.payload is None or exhibit.payload["form"] != "evidence":
        raise UsageError("only an exhibit that is evidence of this tool, and is not withheld, is reproduced.")
    differ = count_differences(exhibits.read(exhibit.payload["file"]["sha256"]), data)
    if (draft.payload["differences"], draft.payload["agrees"]) != (differ, differ == 0):
        raise InputError(
            f"the reproduction differs in {differ} places from the exhibit; the entry says otherwise."
        )


def files_of(entry: Entry) -> set[str]:
    """SHA-256 of the files that an entry names."""
    if entry.payload is None or entry.kind not in ("exhibit", "reproduction"):
        return set()
    return {entry.payload["file"]["sha256"]}
