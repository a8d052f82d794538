"""A host's key takes the place of another: an entry that the old key signs, or the one kept for its loss, and the new.

The entry is signed like any other, by the key that it replaces; or, where that is lost or stolen, by the *recovery
key* that the first entry declared. In its payload the new key signs that it takes over here and nowhere else: after
this very entry, in this very case. So nobody can be made host of a log without knowing it.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jokbo.errors import FormatError
from jokbo.evidence.canonical import canonical_bytes
from jokbo.hearing.case.entry import Author, Draft
from jokbo.hearing.case.state import CaseState

if TYPE_CHECKING:
    from jokbo.records.commit.keys import Signer

KIND = "key_rotated"
CONTEXT = b"jokbo.hearing/1 rotation\n"


def rotation_bytes(case: str, sequence: int, previous: str, payload: Mapping[str, Any]) -> bytes:
    """What a new key signs.

    Parameters
    ----------
    case : str
        Digest of the case's first entry.
    sequence, previous : int, str
        Place of the entry, and digest of the one before it.
    payload : mapping
        Of the kind ``key_rotated``.
    """
    document = {
        "case": case,
        "sequence": sequence,
        "previous": previous,
        "keeper": payload["keeper"],
        "signed_by": payload["signed_by"],
    }
    return CONTEXT + canonical_bytes(document)


def make_rotation(
    state: CaseState, new: Signer, *, signed_by: str, account: str, why: str = "", language: str = "en"
) -> Draft:
    """The draft by which a new key takes over, to be entered next.

    Parameters
    ----------
    state : CaseState
        As it is now.
    new : Signer
        The new key.
    signed_by : str
        ``"keeper"`` (the key that is replaced) or ``"recovery"``.
    account : str
        The chair that enters it.
    why : str
        For people; not needed.
    """
    from jokbo.hearing.case.chain import check_algorithm

    assert state.facts is not None, "a case has a first entry"
    check_algorithm(new.public)
    payload: dict[str, Any] = {
        "keeper": base64.b64encode(new.public.der).decode(),
        "signed_by": signed_by,
    }
    if why:
        payload |= {"why": why, "language": language}
    signature = new.sign(rotation_bytes(state.facts.case, state.length, state.head, payload))
    payload["countersignature"] = base64.b64encode(signature).decode()
    return Draft(KIND, payload, Author(account, state.role(account)))


def countersigned(case: str, sequence: int, previous: str, payload: Mapping[str, Any]) -> bool:
    """Whether the new key of a rotation signed this rotation, at this place of this case."""
    from jokbo.hearing.case.chain import public_key

    try:
        key = public_key(payload["keeper"], f"entry {sequence}")
        signature = base64.b64decode(payload["countersignature"], validate=True)
    except (FormatError, ValueError):
        return False
    return key.verify(signature, rotation_bytes(case, sequence, previous, payload))
