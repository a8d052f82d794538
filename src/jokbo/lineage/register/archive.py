"""The archive that carries a register: an uncompressed tar (ustar) of which every byte is prescribed.

First member ``manifest.json`` (canonical JSON), then ``models/<key>.fingerprint.safetensors`` in the order of the
manifest. Every header is the one that :func:`member_header` gives for the member's name and size, and what reads an
archive demands exactly that: no links, no folders, no other names, no other order, nothing after the end. So an archive
cannot say more than its manifest, and equal content gives equal bytes.

Format: POSIX.1-2001, ustar interchange format, https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from jokbo.errors import FormatError, NotFoundError
from jokbo.evidence.canonical import canonical_bytes, digest
from jokbo.lineage.register.entries import KEY, Facts, problems_of, tidy
from jokbo.views.fingerprint import MAX_FINGERPRINT_BYTES, SUFFIX
from jokbo.views.sampling import MAX_SALT_LENGTH

SCHEMA = "jokbo.register/1"
MANIFEST = "manifest.json"
MAX_MANIFEST_BYTES = 64 << 20
MAX_MEMBERS = 100_000
BLOCK = 512
END = bytes(2 * BLOCK)

_CHUNK = 1 << 20
_NAME_BYTES = 100
_FACTS = ("name", "parents", "relation", "license", "claimed_since", "claimed_by", "source")
ENTRY_FIELDS = {"key", "size", *_FACTS}
"""What a manifest says of a model."""


@dataclass(frozen=True, slots=True)
class Member:
    """A fingerprint of an archive: its key, its size, and what the exporter says of the model."""

    key: str
    size: int
    facts: Facts

    @property
    def file(self) -> str:
        """Its name in the archive."""
        return f"models/{self.key}{SUFFIX}"

    def to_document(self) -> dict[str, Any]:
        """Plain values."""
        said = {name: getattr(self.facts, name) for name in _FACTS}
        return {**said, "parents": list(self.facts.parents), "key": self.key, "size": self.size}


def member_header(name: str, size: int) -> bytes:
    """The header of a member: read-only, of nobody, at the beginning of time.

    Raises
    ------
    ValueError
        The name or size does not fit a header.

    Examples
    --------
    >>> header = member_header("manifest.json", 12)
    >>> len(header), header[:13], header[124:136]
    (512, b'manifest.json', b'00000000014\\x00')
    """
    raw = name.encode("ascii")
    if len(raw) > _NAME_BYTES or not 0 <= size < 8**11:
        raise ValueError(f"{name} of {size} bytes does not fit")
    fields = (
        raw.ljust(_NAME_BYTES, b"\0"),
        b"0000444\0",
        b"0000000\0",
        b"0000000\0",
        b"%011o\0" % size,
        b"%011o\0" % 0,
        b" " * 8,
        b"0",
        bytes(100),
        b"ustar\x0000",
    )
    block = b"".join(fields).ljust(BLOCK, b"\0")
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def manifest_bytes(salt: str, members: Sequence[Member]) -> bytes:
    """The manifest of these members, in order of their keys, with a digest of all else that it says."""
    entries = [member.to_document() for member in members]
    document = {"schema": SCHEMA, "salt": salt, "entries": entries}
    return canonical_bytes({**document, "sha256": digest(document)})


def padding(size: int) -> bytes:
    """Zeros from the end of a member to the next block."""
    return bytes(-size % BLOCK)


def archive_size(manifest: int, members: Sequence[Member]) -> int:
    """Bytes of the whole archive."""
    sizes = [manifest, *(member.size for member in members)]
    return sum(BLOCK + size + len(padding(size)) for size in sizes) + len(END)


class ArchiveReader:
    """An archive that somebody else wrote, its manifest read and held against its size; a context manager.

    Attributes
    ----------
    salt : str
    members : tuple of Member

    Raises
    ------
    NotFoundError
        The file cannot be read.
    FormatError
        It is no archive of a register, or of a newer version.
    """

    def __init__(self, path: Path) -> None:
        self.where = path.name
        try:
            self._file: BinaryIO = path.open("rb")
        except OSError as error:
            raise NotFoundError(
                f"the archive {path} cannot be read: {error.strerror}. Check its name and permissions."
            ) from None
        try:
            self.salt, self.members = self._read_manifest()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> ArchiveReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _read_manifest(self) -> tuple[str, tuple[Member, ...]]:
        header = self._file.read(BLOCK)
        size = _size_field(header)
        if size is None or size > MAX_MANIFEST_BYTES or header != member_header(MANIFEST, size):
            raise FormatError(
                f"{self.where} is no archive of a register: it does not begin as `jokbo registry export` begins one. "
                "Check the file."
            )
        data = self._file.read(size)
        if self._file.read(len(padding(size))) != padding(size):
            raise self._wrong("its manifest is cut short")
        salt, members = _parse_manifest(data, self.where)
        total, expected = os.fstat(self._file.fileno()).st_size, archive_size(size, members)
        if total != expected:
            raise FormatError(
                f"{self.where} is {total:,} bytes; its manifest describes {expected:,}. It is cut short or was "
                "changed: fetch it again."
            )
        return salt, members

    def read(self) -> Iterator[tuple[Member, bytes]]:
        """Every fingerprint in order, one in memory at a time; digests are the caller's to check.

        Raises
        ------
        FormatError
            A member is not where or what the manifest says.
        """
        for member in self.members:
            if self._file.read(BLOCK) != member_header(member.file, member.size):
                raise self._wrong(f"the header of {member.file} is not as the manifest says")
            data = self._file.read(member.size)
            if len(data) != member.size or self._file.read(len(padding(member.size))) != padding(member.size):
                raise self._wrong(f"{member.file} is cut short")
            yield member, data
        if self._file.read() != END:
            raise self._wrong("it does not end where it should")

    def _wrong(self, what: str) -> FormatError:
        return FormatError(f"{self.where}: {what}. It was damaged or changed: fetch it again.")


def _size_field(header: bytes) -> int | None:
    digits = header[124:135]
    octal = len(header) == BLOCK and all(byte in b"01234567" for byte in digits)
    return int(digits, 8) if octal else None


def _parse_manifest(data: bytes, where: str) -> tuple[str, tuple[Member, ...]]:
    try:
        document = json.loads(data)
        sound = canonical_bytes(document) == data
    except (ValueError, RecursionError) as error:
        raise FormatError(
            f"{where}: its manifest is not JSON ({tidy(str(error), 100)}). Fetch it again."
        ) from None
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema != SCHEMA:
        raise FormatError(
            f"{where} has the schema {tidy(str(schema), 40)!r}; this Jokbo reads {SCHEMA!r}. A newer one needs a newer "
            "Jokbo."
        )
    rows, salt = document.get("entries"), document.get("salt")
    if (
        not sound
        or set(document) != {"schema", "salt", "entries", "sha256"}
        or not isinstance(rows, list)
        or len(rows) > MAX_MEMBERS
        or not isinstance(salt, str)
        or not 0 < len(salt) <= MAX_SALT_LENGTH
    ):
        raise FormatError(
            f"{where}: its manifest is not one that `jokbo registry export` writes. Fetch it again."
        )
    said = {name: value for name, value in document.items() if name != "sha256"}
    if document["sha256"] != digest(said):
        raise FormatError(
            f"{where}: its manifest does not have the digest that it names: it was damaged or changed. Fetch it again."
        )
    members = tuple(_member(row, where, k) for k, row in enumerate(rows))
    keys = [member.key for member in members]
    if keys != sorted(set(keys)):
        raise FormatError(
            f"{where}: its manifest names a key twice, or not in order. It was changed: fetch it again."
        )
    return salt, members


def _member(row: Any, where: str, number: int) -> Member:
    if not isinstance(row, Mapping) or set(row) != ENTRY_FIELDS:
        raise FormatError(
            f"{where}: entry {number + 1} of its manifest does not have the fields {', '.join(sorted(ENTRY_FIELDS))}. "
            "It was changed: fetch it again."
        )
    key, size, parents = row["key"], row["size"], row["parents"]
    texts = all(
        isinstance(row[name], str) or (row[name] is None and name != "name")
        for name in _FACTS
        if name != "parents"
    )
    listed = isinstance(parents, list) and all(isinstance(parent, str) for parent in parents)
    if not isinstance(key, str) or not KEY.fullmatch(key) or not texts or not listed:
        raise FormatError(
            f"{where}: entry {number + 1} of its manifest holds something else than texts. Fetch it again."
        )
    if type(size) is not int or not 0 < size <= MAX_FINGERPRINT_BYTES:
        raise FormatError(
            f"{where}: entry {number + 1} of its manifest has the size {tidy(str(size), 20)}; expected 1 to "
            f"{MAX_FINGERPRINT_BYTES:,}. Fetch it again."
        )
    facts = Facts(**{**{name: row[name] for name in _FACTS}, "parents": tuple(parents)})
    problem = next(iter(problems_of(facts)), None)
    if problem is not None:
        raise FormatError(f"{where}: entry {number + 1} of its manifest: {problem}")
    return Member(key, size, facts)
