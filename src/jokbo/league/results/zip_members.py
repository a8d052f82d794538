"""Members of a ZIP archive that somebody else wrote: stored, deflated, or compressed with zstd (method 93).

Python's `zipfile` reads method 93 only from 3.14 on, and bounds neither what a member unpacks to nor how many there
are. Here only its directory is read with it; bytes are unpacked in pieces and counted.
Format: APPNOTE.TXT 6.3.10 of PKWARE, sections 4.3.7 and 4.4.5.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

from jokbo.errors import FormatError, MissingExtraError
from jokbo.league.results.base import ResultFile
from jokbo.league.results.reading import brief, open_file

MAX_MEMBERS = 500_000
MAX_MEMBER_BYTES = 128 << 20
MAX_UNPACKED_BYTES = 8 << 30
MAX_DIRECTORY_BYTES = 256 << 20
_STORED, _DEFLATED, _ZSTD = 0, 8, 93
_PIECE = 1 << 20
_ENCRYPTED = 0x1
_LOCAL = struct.Struct("<4s5H3I2H")
_MAX_WINDOW = 1 << 27


@dataclass(slots=True)
class Archive:
    """An open archive.

    Attributes
    ----------
    names : tuple of str
        Members in the directory's order, each once.
    """

    file: ResultFile
    names: tuple[str, ...]
    _opened: IO[bytes]
    _members: dict[str, zipfile.ZipInfo]
    _unpacked: int = 0

    def read(self, name: str, *, most: int = MAX_MEMBER_BYTES) -> bytes:
        """The bytes of a member, with its length and checksum verified.

        Raises
        ------
        FormatError
            It is absent, damaged, encrypted, or unpacks to more than it states or than is allowed.
        """
        where = f"{self.file.name}#{name}"
        info = self._members.get(name)
        if info is None:
            raise FormatError(f"{self.file.name}: the member {brief(name)} is missing. The log is not whole.")
        if info.file_size > most:
            raise FormatError(f"{where} states {info.file_size:,} bytes; expected at most {most:,}.")
        self._unpacked += info.file_size
        if self._unpacked > MAX_UNPACKED_BYTES:
            raise FormatError(
                f"{self.file.name} unpacks to more than {MAX_UNPACKED_BYTES:,} bytes. Split it."
            )
        data = self._unpack(info, self._packed(info, where), where)
        if len(data) != info.file_size:
            raise FormatError(
                f"{where} unpacks to {len(data):,} bytes or more, and states {info.file_size:,}. It is damaged."
            )
        if zlib.crc32(data) != info.CRC:
            raise FormatError(
                f"{where}: its checksum does not fit its bytes. It is damaged; copy the file again."
            )
        return data

    def _packed(self, info: zipfile.ZipInfo, where: str) -> bytes:
        """Compressed bytes of a member, which its local header leads to."""
        size = self.file.size
        if info.flag_bits & _ENCRYPTED:
            raise FormatError(f"{where} is encrypted. Give the log as it was written.")
        self._opened.seek(info.header_offset)
        header = self._opened.read(_LOCAL.size)
        if len(header) != _LOCAL.size or not header.startswith(b"PK\x03\x04"):
            raise FormatError(
                f"{where}: offset {info.header_offset:,} holds no member. The archive is damaged."
            )
        fields = _LOCAL.unpack(header)
        start = info.header_offset + _LOCAL.size + fields[9] + fields[10]
        if fields[3] != info.compress_type or start + info.compress_size > size:
            raise FormatError(f"{where}: directory and member contradict each other. The archive is damaged.")
        self._opened.seek(start)
        data = self._opened.read(info.compress_size)
        if len(data) != info.compress_size:
            raise FormatError(
                f"{where} ends after {len(data):,} of {info.compress_size:,} bytes. The archive is cut off."
            )
        return data

    def _unpack(self, info: zipfile.ZipInfo, packed: bytes, where: str) -> bytes:
        """At most one byte more than the member states."""
        wanted = info.file_size + 1
        if info.compress_type == _STORED:
            return packed[:wanted]
        try:
            if info.compress_type == _DEFLATED:
                return zlib.decompressobj(-15).decompress(packed, wanted)
            if info.compress_type == _ZSTD:
                return _zstd(packed, wanted)
        except (zlib.error, ValueError) as error:
            raise FormatError(f"{where} does not unpack ({error}). The archive is damaged.") from None
        raise FormatError(
            f"{where} is compressed by method {info.compress_type}; expected 0, 8 or 93 (zstd)."
        )


def _zstd(packed: bytes, wanted: int) -> bytes:
    zstandard = _zstandard()
    pieces, length = [], 0
    try:
        reader = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW).stream_reader(
            packed, read_across_frames=True
        )
        while length < wanted and (piece := reader.read(min(_PIECE, wanted - length))):
            pieces.append(piece)
            length += len(piece)
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from None
    return b"".join(pieces)


def _zstandard() -> Any:
    try:
        import zstandard
    except ImportError:
        raise MissingExtraError(
            "members of this log are compressed with zstd, which needs the zstandard package: pip install "
            "'jokbo[league]'."
        ) from None
    return zstandard


@contextmanager
def open_archive(file: ResultFile) -> Iterator[Archive]:
    """Open an archive and check its directory.

    Raises
    ------
    FormatError
        It is no ZIP archive, names a member twice, or holds more than is allowed.
    """
    with open_file(file) as opened:
        _check_directory(file, opened)
        try:
            with zipfile.ZipFile(opened) as archive:
                members = archive.infolist()
        except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error, OSError) as error:
            raise FormatError(f"{file.name} is no whole ZIP archive ({error}). Copy it again.") from None
        if len(members) > MAX_MEMBERS:
            raise FormatError(
                f"{file.name} holds {len(members):,} members; expected at most {MAX_MEMBERS:,}."
            )
        by_name = {info.filename: info for info in members}
        if len(by_name) != len(members):
            twice = Counter(info.filename for info in members).most_common(1)[0][0]
            raise FormatError(
                f"{file.name} holds the member {brief(twice)} twice; readers would see two logs."
            )
        yield Archive(file, tuple(by_name), opened, by_name)


def _check_directory(file: ResultFile, opened: IO[bytes]) -> None:
    """Refuse a directory that is larger than a log's can be, before it is read."""
    tail_bytes = min(file.size, (1 << 16) + 22)
    opened.seek(file.size - tail_bytes)
    tail = opened.read(tail_bytes)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < 22:
        raise FormatError(f"{file.name} is no whole ZIP archive (its directory is missing). Copy it again.")
    sizes = [struct.unpack_from("<I", tail, at + 12)[0]]
    if tail[max(0, at - 20) : at].startswith(b"PK\x06\x07") and at >= 76:
        sizes.append(struct.unpack_from("<Q", tail, at - 76 + 40)[0])
    if max(sizes) > MAX_DIRECTORY_BYTES:
        raise FormatError(
            f"{file.name}: its directory takes {max(sizes):,} bytes; expected at most {MAX_DIRECTORY_BYTES:,}."
        )
    opened.seek(0)
