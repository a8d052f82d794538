"""Files of a case, kept by digest: bounded, streamed, never named by what somebody called them.

An exhibit is evidence of this tool, parsed and checked on entry, or any other file with its digest and the command
that makes it. Reproductions hold evidence of somebody else's run against that of an exhibit.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from jokbo.errors import FormatError, UsageError
from jokbo.formats.strict_json import strict_loads
from jokbo.sources.regular_files import CHUNK_BYTES, open_regular

FOLDER = "exhibits"
MAX_FILE_BYTES = 256 << 20
MAX_EVIDENCE_BYTES = 64 << 20

_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that is kept."""

    size: int
    sha256: str


class ExhibitStore:
    """Files in a folder, each under its SHA-256.

    Parameters
    ----------
    folder : Path
        Made when the first file comes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, sha256: str) -> Path:
        """Where a file is or would be.

        Raises
        ------
        FormatError
            `sha256` is no digest: no other text becomes a path.
        """
        if not _DIGEST.fullmatch(sha256):
            raise FormatError(f"{sha256[:80]!r} is no SHA-256; files of a case are named by nothing else.")
        return self.folder / sha256

    def has(self, sha256: str, size: int) -> bool:
        """Whether a file of this digest and size is kept; its bytes are not read."""
        try:
            status = self.path(sha256).lstat()
        except OSError:
            return False
        return stat.S_ISREG(status.st_mode) and status.st_size == size

    def receive(self, *, max_bytes: int = MAX_FILE_BYTES) -> Receiving:
        """Begin to take in a file whose bytes come piece by piece, as an upload does."""
        return Receiving(self, max_bytes)

    def add(self, path: Path, *, max_bytes: int = MAX_FILE_BYTES) -> StoredFile:
        """Take in a file of this machine.

        Raises
        ------
        NotFoundError
            There is none, or it is no ordinary file.
        UsageError
            It is larger than `max_bytes`, or cannot be kept.
        """
        with open_regular(path) as stream, self.receive(max_bytes=max_bytes) as receiving:
            while chunk := stream.read(CHUNK_BYTES):
                receiving.write(chunk)
            return receiving.finish()

    def read(self, sha256: str, *, max_bytes: int = MAX_EVIDENCE_BYTES) -> bytes:
        """A small file whole, its digest checked.

        Raises
        ------
        NotFoundError, FormatError
            It is not kept, too large, or not what its name says.
        """
        with open_regular(self.path(sha256)) as stream:
            data = stream.read(max_bytes + 1)
        if len(data) > max_bytes:
            raise FormatError(f"exhibit {sha256[:16]}… is larger than {max_bytes:,} bytes; no evidence is.")
        if hashlib.sha256(data).hexdigest() != sha256:
            raise FormatError(f"exhibit {sha256[:16]}… is damaged: its bytes have another digest.")
        return data

    def chunks(self, sha256: str) -> Iterator[bytes]:
        """The bytes of a file, piece by piece."""
        with open_regular(self.path(sha256)) as stream:
            while chunk := stream.read(CHUNK_BYTES):
                yield chunk

    def remove(self, sha256: str) -> None:
        """Delete a file, where it is kept at all."""
        self.path(sha256).unlink(missing_ok=True)


class Receiving:
    """A file on its way into a store; what is not finished leaves nothing behind."""

    def __init__(self, store: ExhibitStore, max_bytes: int) -> None:
        self._store, self._max, self._size = store, max_bytes, 0
        self._digest = hashlib.sha256()
        self._temporary = store.folder / f"incoming-{secrets.token_hex(8)}"
        try:
            store.folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise UsageError(f"cannot keep a file in {store.folder}: {error.strerror}.") from None
        self._stream: IO[bytes] = os.fdopen(handle, "wb")

    def __enter__(self) -> Receiving:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._stream.close()
        self._temporary.unlink(missing_ok=True)

    def write(self, chunk: bytes) -> None:
        """Take one piece.

        Raises
        ------
        UsageError
            The file grows beyond what is allowed, or the disk is full.
        """
        self._size += len(chunk)
        if self._size > self._max:
            raise UsageError(
                f"the file is larger than {self._max:,} bytes, the most that is kept. "
                "Enter a smaller one with the command that makes the whole."
            )
        self._digest.update(chunk)
        try:
            self._stream.write(chunk)
        except OSError as error:
            raise UsageError(f"cannot keep a file in {self._store.folder}: {error.strerror}.") from None

    def finish(self) -> StoredFile:
        """Keep the file under its digest, once it is on the disk.

        Raises
        ------
        UsageError
            The disk is full.
        """
        stored = StoredFile(self._size, self._digest.hexdigest())
        try:
            self._stream.flush()
            os.fsync(self._stream.fileno())
            self._stream.close()
            self._temporary.replace(self._store.path(stored.sha256))
        except OSError as error:
            raise UsageError(f"cannot keep a file in {self._store.folder}: {error.strerror}.") from None
        return stored


def display_name(name: str) -> str:
    """A file's name for people, from whatever somebody called it: its last part, no control characters.

    Examples
    --------
    >>> display_name("../../etc/passwd")
    'passwd'
    """
    last = re.split(r"[/\\]", name)[-1]
    kept = "".join(c for c in last if c.isprintable())[:200].strip()
    return kept if kept.strip(".") else "file"


def describe_evidence(data: bytes, *, where: str) -> dict[str, Any]:
    """What evidence says of itself: what an entry states, and is held against.

    Evidence is what `jokbo compare --json` writes, about two models, or `jokbo record audit --json`, about a record.

    Raises
    ------
    EvidenceError
        It is no evidence of this tool, or does not follow its schema.
    """
    from jokbo.evidence.evidence import parse_evidence
    from jokbo.records.audit import audit_digest
    from jokbo.report.texts import clean

    audit = parse_as_audit(data, where=where)
    if audit is not None:
        name = clean(audit["record"]["name"], limit=200) or "–"
        return {
            "schema": audit["schema"],
            "digest": audit_digest(audit),
            "verdict": audit["verdict"]["kind"],
            "record": {"name": name, "digest": audit["record"]["digest"]},
        }
    evidence = parse_evidence(data, where=where)
    document = evidence.document

    def model(side: str) -> dict[str, Any]:
        named = document[side]
        return {
            "name": clean(named["name"], limit=200) or "–",
            "commit": None if not named["commit"] else clean(named["commit"], limit=200),
            "digest": named["digest"],
        }

    return {
        "schema": document["schema"],
        "digest": evidence.digest,
        "verdict": document["verdict"]["kind"],
        "reference": model("reference"),
        "candidate": model("candidate"),
    }


def parse_as_audit(data: bytes, *, where: str) -> dict[str, Any] | None:
    """The audit of a training record that a file holds; None where it is no audit, whatever else it is.

    Raises
    ------
    EvidenceError
        It says that it is an audit, and does not follow the schema of one.
    """
    from jokbo.records.document import FAMILY, parse_audit

    if len(data) > MAX_EVIDENCE_BYTES:
        return None
    try:
        document = strict_loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or not str(document.get("schema", "")).startswith(FAMILY):
        return None
    return parse_audit(data, where=where)


def count_differences(claimed: bytes, found: bytes) -> int:
    """Places in which two pieces of evidence disagree, 100 at most; 0 is agreement.

    Names, dates and where the models lay may differ, and the software that ran; their digests may not, nor any number.

    Raises
    ------
    EvidenceError
        One is no evidence.
    """
    from jokbo.evidence.verify import differences

    return len(differences(_comparable(claimed, "the exhibit"), _comparable(found, "the reproduction")))


def _comparable(data: bytes, where: str) -> dict[str, Any]:
    from jokbo.evidence.evidence import parse_evidence

    audit = parse_as_audit(data, where=where)
    if audit is not None:
        kept = {key: value for key, value in audit.items() if key not in ("software", "jokbo", "schema")}
        kept["record"] = {key: value for key, value in audit["record"].items() if key != "name"}
        return kept
    document = parse_evidence(data, where=where).document
    kept = {key: value for key, value in document.items() if key not in ("software", "jokbo", "schema")}
    place = ("name", "kind", "public_since", "public_from", "commit")
    for side in ("reference", "candidate"):
        kept[side] = {key: value for key, value in kept[side].items() if key not in place}
    return kept
