"""The manifest of a pack: the declaration, and the size and digest of every file (schema ``jokbo.record/1``).

``manifest.json`` is canonical JSON, so that the same record always has the same digest. Nothing is read
from a pack before its manifest has been checked: names of files stay inside the folder, lengths are
bounded, a field named twice or a number that is none is an error.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import tomllib
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jokbo.errors import FormatError
from jokbo.evidence.canonical import canonical_bytes
from jokbo.formats.strict_json import strict_loads
from jokbo.records.consistency import check_consistency
from jokbo.records.declaration import Declaration
from jokbo.records.record import PackFile
from jokbo.records.structure import brief, structure_declaration

SCHEMA = "jokbo.record/1"
MANIFEST = "manifest.json"

MAX_MANIFEST_BYTES = 128 << 20
"""A hundred thousand checkpoints with files of their own take 60 MB."""

MAX_DECLARATION_BYTES = 16 << 20
MAX_DOTS = 40
"""Dots in one line of TOML: what parses dotted names needs the square of their length."""

MAX_FILES = 1_000_000
MAX_PATH_BYTES = 1024
MAX_PART_BYTES = 255
MAX_DEPTH = 32
MAX_FILE_BYTES = 1 << 50

AGAIN = "Pack the record again, or fetch the pack again."

_DIGEST = re.compile(r"[0-9a-f]{64}")
_FOREIGN = re.compile(r"[\x00-\x1f\x7f:*?\"<>|\\]")
"""Control characters, and what means something to some file system."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """A checked manifest.

    Attributes
    ----------
    declaration : Declaration
    files : mapping of str to PackFile
    digest : str
        SHA-256 of ``manifest.json`` as it is.
    jokbo : str
        Version that wrote it.
    """

    declaration: Declaration
    files: Mapping[str, PackFile]
    digest: str
    jokbo: str


def read_declaration(data: bytes, *, where: str) -> Declaration:
    """Read a declaration that a person wrote as TOML, or a program as JSON (by the ending of `where`).

    Raises
    ------
    FormatError
        It does not parse, or a field is unknown, missing, of the wrong type or out of its range.

    Examples
    --------
    >>> read_declaration(b'name = "tiny"\\nsteps = 300', where="record.toml").steps
    300
    """
    if len(data) > MAX_DECLARATION_BYTES:
        raise FormatError(
            f"{where} is {len(data):,} bytes; a declaration has at most {MAX_DECLARATION_BYTES:,}. "
            "Say in logs and files of the pack what is longer."
        )
    document = parse_json(data, where=where) if where.endswith(".json") else _parse_toml(data, where)
    declaration = structure_declaration(document, where=where)
    check_consistency(declaration, where=where)
    return declaration


def _parse_toml(data: bytes, where: str) -> Any:
    for number, line in enumerate(data.splitlines(), start=1):
        if line.count(b".") > MAX_DOTS and line.lstrip()[:1] != b"#":
            raise FormatError(
                f"{where}, line {number:,}: more than {MAX_DOTS} dots in one line; expected short names and lists. "
                "Break the line."
            )
    try:
        return tomllib.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise FormatError(f"{where}, offset {error.start:,}: not UTF-8 text. Save it as UTF-8.") from None
    except tomllib.TOMLDecodeError as error:
        raise FormatError(f"{where}: not TOML ({error}). Correct the file.") from None
    except RecursionError:
        raise FormatError(f"{where}: nested deeper than any declaration. Correct the file.") from None
    except ValueError:  # Python refuses to convert integers of thousands of digits
        raise FormatError(f"{where}: holds a number of absurd length. Correct the file.") from None


def parse_json(data: bytes, *, where: str) -> Any:
    """Parse JSON that anybody may have written.

    Raises
    ------
    FormatError
        It is not JSON, nested too deep, names a field twice, or holds NaN, infinity or an absurd number.
    """
    try:
        return strict_loads(data)
    except RecursionError:
        raise FormatError(f"{where}: nested deeper than any record. {AGAIN}") from None
    except ValueError as error:  # JSON errors, bytes that are not UTF-8, and integers of absurd length
        raise FormatError(f"{where} is not JSON ({error}). {AGAIN}") from None


def parse_manifest(data: bytes, *, where: str = MANIFEST) -> Manifest:
    """Read and check a manifest.

    Raises
    ------
    FormatError
        It follows another schema or none, names a file that could lie outside the pack or twice, or its
        declaration speaks of files that it does not list.
    """
    document = parse_json(data, where=where)
    found = document.get("schema") if isinstance(document, dict) else None
    if found != SCHEMA:
        raise FormatError(
            f"{where}: expected the schema {SCHEMA!r}, found {brief(found)}. Use the version of Jokbo that wrote it."
        )
    if set(document) != {"schema", "jokbo", "declaration", "files"}:
        odd = sorted(set(document) ^ {"schema", "jokbo", "declaration", "files"})
        raise FormatError(
            f"{where}: expected exactly the fields schema, jokbo, declaration and files; {brief(odd[0])} is "
            f"{'unknown' if odd[0] in document else 'missing'}. {AGAIN}"
        )
    version = document["jokbo"]
    if not isinstance(version, str) or not 0 < len(version) <= 100 or not version.isprintable():
        raise FormatError(f"{where}: field jokbo: expected a version, found {brief(version)}. {AGAIN}")
    files = _parse_files(document["files"], where)
    declaration = structure_declaration(document["declaration"], where=where)
    check_consistency(declaration, where=where)
    folders = {parent for path in files for parent in _parents(path)}
    for field, path in named_paths(declaration):
        check_path(path, where=f"{where}: field {field}")
        if path not in files and path not in folders:
            raise FormatError(
                f"{where}: field {field} names {brief(path)}, which is not among the files of the pack. {AGAIN}"
            )
    return Manifest(declaration, files, hashlib.sha256(data).hexdigest(), version)


def _parse_files(document: Any, where: str) -> dict[str, PackFile]:
    if not isinstance(document, dict) or len(document) > MAX_FILES:
        raise FormatError(
            f"{where}: field files: expected a table of at most {MAX_FILES:,} files, found {brief(document)}. {AGAIN}"
        )
    files: dict[str, PackFile] = {}
    folded: dict[str, str] = {}
    for path, entry in document.items():
        check_path(path, where=f"{where}: field files")
        same = folded.setdefault(unicodedata.normalize("NFC", path).casefold(), path)
        if same != path:
            raise FormatError(
                f"{where}: field files: {brief(path)} and {brief(same)} are one file where case does not count; "
                f"expected names that differ everywhere. Rename one. {AGAIN}"
            )
        if not isinstance(entry, dict) or set(entry) != {"size", "sha256"}:
            raise FormatError(
                f"{where}: file {brief(path)}: expected exactly size and sha256, found {brief(entry)}. {AGAIN}"
            )
        size, digest = entry["size"], entry["sha256"]
        if type(size) is not int or not 0 <= size <= MAX_FILE_BYTES:
            raise FormatError(
                f"{where}: file {brief(path)}: expected a size in bytes, found {brief(size)}. {AGAIN}"
            )
        if not isinstance(digest, str) or _DIGEST.fullmatch(digest) is None:
            raise FormatError(
                f"{where}: file {brief(path)}: expected a SHA-256 of 64 hexadecimal digits, "
                f"found {brief(digest)}. {AGAIN}"
            )
        files[path] = PackFile(size, digest)
    if MANIFEST in files:
        raise FormatError(f"{where}: the manifest lists itself, and cannot know its own digest. {AGAIN}")
    for path in files:
        for parent in _parents(path):
            if parent in files:
                raise FormatError(
                    f"{where}: {brief(parent)} is a file and the folder of {brief(path)} at once. {AGAIN}"
                )
    return files


def check_path(path: str, *, where: str, of: str = "record") -> None:
    """Raise where a name could lead out of the folder it is relative to, or mean two things.

    Parameters
    ----------
    of : str
        What that folder is called in the message.

    Raises
    ------
    FormatError
        It is absolute, not normalised, holds ``..``, a backslash or a control character, or is too long.

    Examples
    --------
    >>> check_path("logs/../../etc/passwd", where="manifest.json")
    Traceback (most recent call last):
    jokbo.errors.FormatError: manifest.json: the path 'logs/../../etc/passwd' holds '..'; expected a path \
relative to the record, with '/' between plain names.
    """
    problem = _path_problem(path)
    if problem:
        raise FormatError(
            f"{where}: the path {brief(path)} {problem}; expected a path relative to the {of}, "
            "with '/' between plain names."
        )


def _path_problem(path: str) -> str:
    if not path:
        return "is empty"
    if not path.isascii() and any(unicodedata.category(c) in ("Cs", "Cc", "Cf") for c in path):
        return "holds a character that is not seen"
    if len(path.encode()) > MAX_PATH_BYTES:
        return f"is longer than {MAX_PATH_BYTES:,} bytes"
    if path.startswith(("/", "~")) or re.match(r"[A-Za-z]:", path):
        return "is absolute"
    if found := _FOREIGN.search(path):
        return f"holds {brief(found[0])}"
    parts = path.split("/")
    if ".." in parts:
        return "holds '..'"
    if "." in parts or "" in parts:
        return "is not normalised"
    if len(parts) > MAX_DEPTH:
        return f"is more than {MAX_DEPTH} folders deep"
    if any(len(part.encode()) > MAX_PART_BYTES for part in parts):
        return f"holds a name longer than {MAX_PART_BYTES} bytes"
    return ""


def _parents(path: str) -> Iterator[str]:
    at = path.rfind("/")
    while at > 0:
        yield path[:at]
        at = path.rfind("/", 0, at)


def named_paths(declaration: Declaration) -> Iterator[tuple[str, str]]:
    """Every file or folder that a declaration speaks of, with the field that does.

    Examples
    --------
    >>> from jokbo.records.declaration import Declaration, LogEntry
    >>> list(named_paths(Declaration("tiny", 3, log=(LogEntry("log.jsonl"),))))
    [('log[0].path', 'log.jsonl')]
    """
    pairs: list[tuple[str, str]] = [("model.config", declaration.model.config)]
    if declaration.initialisation is not None:
        pairs += [
            (f"initialisation.{name}", getattr(declaration.initialisation, name))
            for name in ("beacon", "parameter_order")
        ]
    if declaration.data is not None:
        pairs += [
            (f"data.{name}", getattr(declaration.data, name)) for name in ("windows", "order", "held_out")
        ]
    pairs += [(f"log[{k}].path", log.path) for k, log in enumerate(declaration.log)]
    for k, entry in enumerate(declaration.checkpoint):
        pairs += [(f"checkpoint[{k}].{name}", getattr(entry, name)) for name in ("path", "rows", "optimizer")]
    if (made := declaration.commitments) is not None:
        pairs += [("commitments.chain", made.chain), ("commitments.timestamps", made.timestamps)]
        pairs += [(f"commitments.keys[{k}]", path) for k, path in enumerate(made.keys)]
        pairs += [
            (f"commitments.tsa_certificates[{k}]", path) for k, path in enumerate(made.tsa_certificates)
        ]
    yield from (pair for pair in pairs if pair[1])


def manifest_bytes(declaration: Declaration, files: Mapping[str, PackFile]) -> bytes:
    """The manifest as it is written: canonical, the parts not declared left out."""
    from jokbo import __version__

    return canonical_bytes(
        {
            "schema": SCHEMA,
            "jokbo": __version__,
            "declaration": declaration_document(declaration),
            "files": {path: {"size": file.size, "sha256": file.sha256} for path, file in files.items()},
        }
    )


def declaration_document(part: Any) -> dict[str, Any]:
    """A declaration, or a table of it, as plain JSON values; fields at their default are left out."""
    document: dict[str, Any] = {}
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        default = field.default_factory() if callable(field.default_factory) else field.default
        if required or value != default:
            document[field.name] = _plain(value)
    return document


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return declaration_document(value)
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return dict(value) if isinstance(value, Mapping) else value
