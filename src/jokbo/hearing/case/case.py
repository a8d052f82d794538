"""A case in a folder: its log, its state, its files. What a page or a command works with.

Layout: ``log.jsonl`` (the truth), ``lock``, ``exhibits/<sha256>``. The host's key lies elsewhere.
"""

from __future__ import annotations

import base64
import contextlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from jokbo.errors import FormatError, JokboError, UsageError
from jokbo.hearing.case import rotation
from jokbo.hearing.case.before_entry import check_characters, check_file, check_statement, files_of
from jokbo.hearing.case.chain import (
    Unreadable,
    check_algorithm,
    keeper_key,
    public_key,
    sign_entry,
    verify_log,
)
from jokbo.hearing.case.entry import MAX_LINE_BYTES, Author, Draft, Entry, is_account, payload_digest
from jokbo.hearing.case.kinds import check_payload
from jokbo.hearing.case.log import LOG, LogWriter, read_log
from jokbo.hearing.case.permissions import check_permitted
from jokbo.hearing.case.state import RULES, CaseState, apply, fold, stamp
from jokbo.hearing.case.withheld import public_entries, public_state
from jokbo.hearing.case.witness import Head, make_head
from jokbo.hearing.exhibits import FOLDER, ExhibitStore

if TYPE_CHECKING:
    from jokbo.records.commit.keys import PublicKey, Signer

Clock = Callable[[], datetime]
Salts = Callable[[], str]


def _now() -> datetime:
    return datetime.now(UTC)


def open_case(
    folder: Path,
    signer: Signer | None = None,
    *,
    clock: Clock = _now,
    salts: Salts | None = None,
    wait_seconds: float = 5.0,
    recovering: bool = False,
) -> Case:
    """Open a case; with the host's key, to write.

    Parameters
    ----------
    folder : Path
    signer : Signer, optional
        The host's key; without it the case can only be read.
    clock : callable
        Gives the time that entries state.
    salts : callable, optional
        Gives salts; random by default, fixed for a demonstration that gives the same bytes each time.
    wait_seconds : float
        How long to wait for another writer.
    recovering : bool
        The key is the one that the first entry declares for the loss of the host's: good for a rotation alone.

    Raises
    ------
    InputError
        There is no log, or it does not hold.
    UsageError
        Another process writes it, or the key is not the one that the log names.
    """
    writer = None
    if signer is not None:
        if not (folder / LOG).is_file():
            raise UsageError(f"there is no case in {folder}. Make one with `jokbo hearing new`.")
        writer = LogWriter(folder, wait_seconds=wait_seconds)
    try:
        case = Case(folder, writer, signer, clock, salts)
        case.load(recovering=recovering)
    except BaseException:
        if writer is not None:
            writer.close()
        raise
    return case


def new_case(
    folder: Path,
    payload: Mapping[str, Any],
    *,
    chair: str,
    signer: Signer,
    recovery: PublicKey | None = None,
    clock: Clock = _now,
    salts: Salts | None = None,
) -> Case:
    """Open a new case, and its log with the entry that says so.

    Parameters
    ----------
    folder : Path
        Made; must not hold a log.
    payload : mapping
        Of the kind ``case``, without ``keeper``, ``recovery``, ``rules`` and ``jokbo``, which are added.
    chair : str
        Account of the chair.
    signer : Signer
        The host's key.
    recovery : PublicKey, optional
        A second key of the host, kept apart: with it another key takes over where the host's is lost or stolen.

    Raises
    ------
    UsageError
        There is a case already, or the folder cannot be made.
    FormatError
        The payload does not follow its kind.
    """
    from jokbo import __version__

    check_algorithm(signer.public)
    keeper = base64.b64encode(signer.public.der).decode()
    whole = {**payload, "keeper": keeper, "rules": RULES, "jokbo": __version__}
    if recovery is not None:
        check_algorithm(recovery)
        whole["recovery"] = base64.b64encode(recovery.der).decode()
    check_payload("case", whole, where="the new case")
    if not is_account(chair):
        raise UsageError(f"{chair[:80]!r} cannot name an account: lower case letters, digits, '.', '_', '-'.")
    log = folder / LOG
    # An empty log is what a full disk left of an attempt before this one.
    if log.is_symlink() or (log.exists() and log.stat().st_size > 0):
        raise UsageError(f"there is a case in {folder} already. Choose another folder.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make the folder {folder}: {error.strerror}.") from None
    case = Case(folder, LogWriter(folder), signer, clock, salts)
    try:
        case.add(Draft("case", whole, Author(chair, "chair")))
    except BaseException:
        case.close()
        raise
    return case


class Case:
    """A case that was opened (:func:`open_case`, :func:`new_case`). Not safe to share between threads.

    Attributes
    ----------
    folder : Path
    state : CaseState
        With everything that the host knows.
    exhibits : ExhibitStore
    entries : list of Entry
    repaired : int
        Bytes of an incomplete last line that opening cut off.
    """

    def __init__(
        self, folder: Path, writer: LogWriter | None, signer: Signer | None, clock: Clock, salts: Salts | None
    ) -> None:
        self.folder, self.exhibits = folder, ExhibitStore(folder / FOLDER)
        self.state, self.entries = CaseState(), list[Entry]()
        self.repaired = 0 if writer is None else writer.repaired
        self._writer, self._signer, self._clock, self._salts = writer, signer, clock, salts
        self._payloads, self._to_erase = set[str](), set[int]()
        self._recovering, self._rotating = False, False

    def __enter__(self) -> Case:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def load(self, *, recovering: bool = False) -> None:
        """Read and verify the log; finish an erasure that a crash interrupted.

        Parameters
        ----------
        recovering : bool
            See :func:`open_case`.

        Raises
        ------
        InputError
            The log does not hold.
        """
        read = read_log(self.folder / LOG)
        checked = verify_log(read.lines)
        if checked.problems:
            first = checked.problems[0]
            said = first.values.get("problem", "")
            raise FormatError(
                f"the log {self.folder / LOG} does not hold: entry {first.values['sequence']}, {first.code}"
                f"{f' ({said})' if said else ''}. Show all with `jokbo hearing verify`."
            )
        self.entries = [line for line in read.lines if not isinstance(line, Unreadable)]
        self.state = checked.state
        self._payloads = {entry.payload_sha256 for entry in self.entries}
        if self._signer is not None:
            self._check_key(self._signer.public.keyid, recovering)
        if self._writer is not None:
            self._erase(self.state.erased)

    def _check_key(self, keyid: str, recovering: bool) -> None:
        der = self.state.keepers[-1]
        if recovering:
            der = self.state.facts.payload.get("recovery", "") if self.state.facts is not None else ""
            if not der:
                raise UsageError(
                    "the case declared no recovery key when it was opened, so that only the host's own key replaces it."
                )
        named = public_key(der, "the log").keyid
        if keyid != named:
            kind = "recovery key" if recovering else "host's key"
            raise UsageError(
                f"the log names the {kind} {named[:16]}…, and this key is {keyid[:16]}…. "
                "Give the key that the case was made with, or the one that took its place."
            )
        self._recovering = recovering

    @property
    def public(self) -> CaseState:
        """The state as the public sees it."""
        return public_state(self.state)

    def public_log(self) -> list[Entry]:
        """The entries as the public sees them."""
        return list(public_entries(self.entries, self.state))

    def head(self) -> Head:
        """The head of the log, for witnesses."""
        assert self.state.facts is not None, "a case has a first entry"
        return make_head(self.state.facts.case, self.entries[-1])

    def add(self, draft: Draft) -> Entry:
        """Enter one thing; it is on the disk when this returns.

        Raises
        ------
        UsageError
            It is not permitted, the case is open for reading only, or the disk is full.
        InputError
            It does not follow its kind, or its file is not what it says.
        """
        (found,) = self.add_many([draft])
        if isinstance(found, JokboError):
            raise found
        return found

    def add_many(self, drafts: Sequence[Draft]) -> tuple[Entry | JokboError, ...]:
        """Enter several things in order with one flush to the disk; what is refused does not hold up the rest.

        Returns
        -------
        tuple of Entry or JokboError
            For each draft what was entered, or why not.

        Raises
        ------
        UsageError
            The case is open for reading only, or the log cannot be written: then nothing was entered.
        """
        if self._writer is None or self._signer is None:
            raise UsageError("the case is open for reading. Give the host's key to write.")
        state, outcomes, made = self.state, list[Entry | JokboError](), list[Entry]()
        new: set[str] = set()
        for draft in drafts:
            try:
                entry = self._made(state, draft, new)
            except JokboError as error:
                outcomes.append(error)
                continue
            state = apply(state, entry)
            new.add(entry.payload_sha256)
            outcomes.append(entry)
            made.append(entry)
        self._writer.append([entry.to_line() for entry in made])
        self._to_erase |= state.erased - self.state.erased
        self.entries += made
        self.state = state
        self._payloads |= new
        # What is in the log stands, also where the disk has no room for the log without the text: then that waits.
        with contextlib.suppress(UsageError):
            self._erase(self._to_erase)
            self._to_erase = set()
        return tuple(outcomes)

    def rotate(self, new: Signer, *, account: str, why: str = "", language: str = "en") -> Entry:
        """Let another key of the host take the place of the one that this case was opened with.

        Parameters
        ----------
        new : Signer
            Signs every entry from now on.
        account : str
            Of the chair.

        Raises
        ------
        UsageError
            It is not permitted: the new key was the host's before, or the account is no chair's.
        """
        signed_by = "recovery" if self._recovering else "keeper"
        draft = rotation.make_rotation(
            self.state, new, signed_by=signed_by, account=account, why=why, language=language
        )
        self._rotating = True
        try:
            entry = self.add(draft)
        finally:
            self._rotating = False
        self._signer, self._recovering = new, False
        return entry

    def draw_salt(self) -> str:
        """A salt as entries of this case get one, for a draft that is signed before it is entered."""
        return self._salts() if self._salts is not None else secrets.token_hex(16)

    def close(self) -> None:
        """Let another process write."""
        if self._writer is not None:
            self._writer.close()

    def _made(self, state: CaseState, draft: Draft, new: set[str]) -> Entry:
        assert self._signer is not None
        draft = draft.salted(self._salts)
        check_payload(draft.kind, draft.payload, where=draft.kind[:40])
        check_characters(draft)
        time = stamp(self._clock())
        check_permitted(state, draft, time=time)
        digest = payload_digest(draft.payload, draft.salt)
        if digest in self._payloads or digest in new:
            raise UsageError(
                f"this {draft.kind} with this salt is in the log already; nothing is entered twice."
            )
        check_statement(state, draft)
        check_file(state, draft, self.exhibits)
        entry = Entry(
            state.length,
            state.head,
            time,
            draft.author,
            draft.kind,
            draft.about,
            draft.supersedes,
            digest,
            dict(draft.payload),
            draft.salt,
            draft.statement,
        )
        if draft.kind == "case":
            keeper_key(draft.payload)
            if "recovery" in draft.payload:
                public_key(draft.payload["recovery"], "entry 0")
        elif draft.kind == "key":
            keeper_key({"keeper": draft.payload["key"]})
        if (draft.kind == rotation.KIND and draft.payload["signed_by"] == "recovery") is not self._recovering:
            raise UsageError("a recovery key signs a rotation that names it, and nothing else.")
        if draft.kind == rotation.KIND and not self._rotating:
            # Whoever enters it holds the new key, and is not yet the host: a chair on the live page, for one.
            raise UsageError("a host's key is replaced with `jokbo hearing rotate`, and by no draft.")
        signed = sign_entry(entry, self._signer)
        if len(signed.to_line()) > MAX_LINE_BYTES:
            raise FormatError(
                f"this {draft.kind} is larger than {MAX_LINE_BYTES:,} bytes; enter a file as an exhibit."
            )
        return signed

    def _erase(self, erased: frozenset[int] | set[int]) -> None:
        """Take texts away for good, and files that nothing else names."""
        if not erased:
            return
        gone = [entry for entry in self.entries if entry.sequence in erased and entry.payload is not None]
        if not gone or self._writer is None:
            return
        left = [e.without_payload() if e.sequence in erased else e for e in self.entries]
        self._writer.rewrite([entry.to_line() for entry in left])
        self.entries, self.state = left, fold(left)
        named = {file for entry in left for file in files_of(entry)}
        for entry in gone:
            for sha256 in files_of(entry) - named:
                self.exhibits.remove(sha256)
