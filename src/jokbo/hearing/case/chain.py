"""Signatures and the chain: what is signed, and what of a log does not hold.

The host signs the head of every entry with the key that the first entry names (Ed25519, RFC 8032), or with the one that
took its place (:mod:`jokbo.hearing.case.rotation`). An author with a
key of their own signs the *statement*: case, kind, author, what it is about and the digest of the payload. So a host
cannot put words into an author's mouth, nor can anybody use a statement in another case.

What is signed begins with a line of its own kind, so that a signature made for one purpose is none for another.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from jokbo.errors import FormatError, UsageError
from jokbo.evidence.canonical import canonical_bytes
from jokbo.hearing.case import rotation
from jokbo.hearing.case.entry import Author, Draft, Entry, payload_digest
from jokbo.hearing.case.kinds import KINDS, check_payload
from jokbo.hearing.case.permissions import check_permitted
from jokbo.hearing.case.state import CaseState, apply
from jokbo.hearing.case.withheld import withheld

if TYPE_CHECKING:
    from jokbo.records.commit.keys import PublicKey, Signer

ENTRY_CONTEXT = b"jokbo.hearing/1 entry\n"
STATEMENT_CONTEXT = b"jokbo.hearing/1 statement\n"
MAX_PROBLEMS = 100


def check_algorithm(key: PublicKey) -> None:
    """Refuse keys of another kind than Ed25519: one kind of signature, of one length, in all logs.

    Raises
    ------
    UsageError
        The key is of another kind.
    """
    if key.algorithm != "ed25519":
        raise UsageError(
            f"a hearing is signed with Ed25519 keys, and this key is {key.algorithm}. "
            "Make one with `jokbo hearing key`."
        )


def sign_entry(entry: Entry, signer: Signer) -> Entry:
    """The entry with the host's signature over its head."""
    return replace(entry, signature=signer.sign(ENTRY_CONTEXT + canonical_bytes(entry.head())))


def statement_bytes(case: str, entry: Entry | Draft) -> bytes:
    """What an author signs: all that is the author's own, and the case it is meant for."""
    digest = entry.payload_sha256 if isinstance(entry, Entry) else payload_digest(entry.payload, entry.salt)
    document = {
        "case": case,
        "kind": entry.kind,
        "author": entry.author.to_document(),
        "about": entry.about,
        "supersedes": entry.supersedes,
        "payload_sha256": digest,
    }
    return STATEMENT_CONTEXT + canonical_bytes(document)


def sign_draft(draft: Draft, case: str, signer: Signer) -> Draft:
    """A draft signed by its author, for one case.

    Parameters
    ----------
    case : str
        Digest of the case's first entry.
    signer : Signer
        The author's own key.
    """
    check_algorithm(signer.public)
    author = Author(draft.author.account, draft.author.role, signer.public.keyid)
    named = replace(draft.salted(), author=author)
    return replace(named, statement=base64.b64encode(signer.sign(statement_bytes(case, named))).decode())


def keeper_key(payload: Any) -> PublicKey:
    """The host's key that a first entry's payload names.

    Raises
    ------
    FormatError
        It is no Ed25519 key.
    """
    return public_key(payload["keeper"], "entry 0")


def public_key(der: str, where: str) -> PublicKey:
    """A key of an entry.

    Raises
    ------
    FormatError
        It is no Ed25519 key.
    """
    from jokbo.errors import EvidenceError
    from jokbo.records.commit.keys import public_key_from_der

    try:
        key = public_key_from_der(base64.b64decode(der, validate=True), where)
    except (ValueError, EvidenceError):
        raise FormatError(f"{where} names a key that is none. Make one with `jokbo hearing key`.") from None
    if key.algorithm != "ed25519":
        raise FormatError(f"{where} names a key that is not Ed25519. Make one with `jokbo hearing key`.")
    return key


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that does not hold: a code that ``hearing.problem`` or ``hearing.unchecked`` explains, and its values.

    Every problem of an entry has its number as ``sequence``.
    """

    code: str
    values: Mapping[str, int | str]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A line that is no entry, with its place (from zero) and what is wrong with it."""

    line: int
    problem: str


@dataclass(frozen=True, slots=True)
class Checked:
    """What verifying a log gave.

    Attributes
    ----------
    problems : tuple of Problem
        What does not hold, at most 100; codes ``unreadable``, ``missing``, ``repeated``, ``out_of_place``,
        ``previous_differs``, ``signature_bad``, ``statement_bad``, ``countersignature_bad``, ``not_permitted``,
        ``hole``, ``no_entries``, ``torn``, ``head_not_found``, ``keeper_differs``.
    state : CaseState
        Of the entries that could be taken.
    keeper : str
        Digest of the key that the log names as its host's, the latest.
    keepers : tuple of str
        Digests of all keys that were the host's, in order.
    """

    problems: tuple[Problem, ...]
    state: CaseState
    keeper: str
    keepers: tuple[str, ...]


def verify_log(
    lines: Iterable[Entry | Unreadable],
    *,
    torn: int = 0,
    head: str | None = None,
    keeper: str | None = None,
) -> Checked:
    """Verify a whole log.

    Parameters
    ----------
    lines : iterable of Entry or Unreadable
        In the order of the file; :func:`jokbo.hearing.case.log.read_log` gives them.
    torn : int
        Bytes of an incomplete last line.
    head : str, optional
        Digest of an entry that somebody kept (a witness): the log has to contain it. Without one, nobody can know
        whether the end of a log was cut off, or all of it signed again by its host.
    keeper : str, optional
        Digest of the key that the host is known by: the first, the last, or one between. Each of them handed over to
        the next, and each agreed to take over.
    """
    verifier = _Verifier()
    for line in lines:
        verifier.take(line)
        if len(verifier.problems) >= MAX_PROBLEMS:
            break
    return verifier.checked(torn, head, keeper)


class _Verifier:
    """Walks a log once; each entry is held against those before it."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.state = CaseState()
        self.expected = 0
        self.previous: str | None = ""
        self.seen: dict[str, int] = {}
        self.payloads: dict[str, int] = {}
        self.holes: list[int] = []
        self.key: PublicKey | None = None
        self.recovery: PublicKey | None = None
        self.keepers: list[str] = []
        self.keys: dict[str, PublicKey] = {}

    def take(self, line: Entry | Unreadable) -> None:
        if isinstance(line, Unreadable):
            self.problems.append(Problem("unreadable", {"sequence": line.line, "problem": line.problem}))
            # Which entry stood there cannot be known; the next says what it follows.
            self.expected, self.previous = self.expected + 1, None
            return
        digest = line.digest
        if digest in self.seen:
            self._problem("repeated", line.sequence)
            return
        self.seen[digest] = line.sequence
        if self._in_place(line):
            signed = self._signatures(line)
            if self._fold(line) and signed and line.kind == rotation.KIND:
                self._hand_over(line)
            self.expected, self.previous = line.sequence + 1, digest

    def _problem(self, code: str, sequence: int, **values: str | int) -> None:
        self.problems.append(Problem(code, {"sequence": sequence, **values}))

    def _in_place(self, entry: Entry) -> bool:
        if entry.sequence < self.expected:
            self._problem("out_of_place", entry.sequence, expected=self.expected)
            return False
        if entry.sequence > self.expected:
            for lost in range(self.expected, min(entry.sequence, self.expected + MAX_PROBLEMS)):
                self._problem("missing", lost)
        elif self.previous is not None and entry.previous != self.previous:
            self._problem("previous_differs", entry.sequence)
        return True

    def _signatures(self, entry: Entry) -> bool:
        """Check the signatures of an entry; whether the host's is right."""
        if self.key is None and entry.kind == "case" and entry.payload is not None:
            self._opened(entry.payload, entry.sequence)
        message = ENTRY_CONTEXT + canonical_bytes(entry.head())
        recovered = entry.kind == rotation.KIND and (entry.payload or {}).get("signed_by") == "recovery"
        key = self.recovery if recovered else self.key
        signed = key is not None and key.verify(entry.signature, message)
        if not signed:
            self._problem("signature_bad", entry.sequence)
        if entry.author.key is not None and not self._statement_holds(entry):
            self._problem("statement_bad", entry.sequence, account=entry.author.account)
        return signed

    def _opened(self, payload: Mapping[str, Any], sequence: int) -> None:
        try:
            check_payload("case", payload, where="entry 0")
            self.key = keeper_key(payload)
            self.keepers.append(self.key.keyid)
            if "recovery" in payload:
                self.recovery = public_key(payload["recovery"], "entry 0")
        except FormatError as error:
            self._problem("not_permitted", sequence, problem=str(error))

    def _hand_over(self, entry: Entry) -> None:
        """Another key is the host's from here on, if it agreed to be."""
        assert entry.payload is not None and self.state.facts is not None, "it was permitted"
        case = self.state.facts.case
        if not rotation.countersigned(case, entry.sequence, entry.previous, entry.payload):
            self._problem("countersignature_bad", entry.sequence)
            return
        self.key = public_key(entry.payload["keeper"], f"entry {entry.sequence}")
        self.keepers.append(self.key.keyid)

    def _statement_holds(self, entry: Entry) -> bool:
        known = self.state.keys.get(entry.author.key or "")
        if known is None or self.state.facts is None:
            return False
        key = self.keys.get(known.der)
        if key is None:
            try:
                key = self.keys.setdefault(known.der, public_key(known.der, f"entry {known.sequence}"))
            except FormatError:
                return False
        signature = base64.b64decode(entry.statement or "")
        return key.verify(signature, statement_bytes(self.state.facts.case, entry))

    def _fold(self, entry: Entry) -> bool:
        """Bring the state up to an entry; whether it is permitted."""
        problem = next(entry_problems(self.state, entry), None)
        if problem is None and entry.payload is None:
            self.holes.append(entry.sequence)
        if problem is None and entry.payload_sha256 in self.payloads:
            problem = f"it repeats the salted text of entry {self.payloads[entry.payload_sha256]}"
        if problem is not None:
            self._problem("not_permitted", entry.sequence, problem=problem)
            return False
        self.payloads[entry.payload_sha256] = entry.sequence
        self.state = apply(self.state, entry)
        return True

    def checked(self, torn: int, head: str | None, keeper: str | None) -> Checked:
        """The outcome, with what can only be said at the end."""
        explained = withheld(self.state)
        for hole in self.holes:
            if hole not in explained:
                self._problem("hole", hole)
        if not self.seen and not self.problems:
            self._problem("no_entries", 0)
        if torn:
            self._problem("torn", self.expected, bytes=torn)
        if head is not None and not any(digest.startswith(head) for digest in self.seen):
            self._problem("head_not_found", self.expected, head=head)
        found = "" if self.key is None else self.key.keyid
        if keeper is not None and not any(known.startswith(keeper) for known in self.keepers):
            self._problem("keeper_differs", 0, keeper=found)
        return Checked(tuple(self.problems[:MAX_PROBLEMS]), self.state, found, tuple(self.keepers))


def entry_problems(state: CaseState, entry: Entry) -> Iterator[str]:
    """Why an entry does not follow its kind, or is not permitted in a state."""
    if entry.kind not in KINDS:
        yield f"there is no kind of entry {entry.kind!r}"
        return
    if entry.payload is None and not KINDS[entry.kind].holdable:
        yield f"a {entry.kind} has no text that could be taken away"
        return
    try:
        if entry.payload is not None:
            check_payload(entry.kind, entry.payload, where=f"entry {entry.sequence}")
        check_permitted(state, entry, time=entry.time)
    except (FormatError, UsageError) as error:
        yield str(error)
