"""The manifest of an archive: every file with its size and SHA-256, and the log that all of it is drawn from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jokbo.errors import FormatError
from jokbo.evidence import schema as rules
from jokbo.evidence.canonical import canonical_bytes
from jokbo.formats.strict_json import strict_loads
from jokbo.hearing.archive.site import MANIFEST
from jokbo.sources.regular_files import FileFacts, open_regular

SCHEMA = "jokbo.hearing-archive/1"
MAX_MANIFEST_BYTES = 32 << 20

_PATH = r"((en|ko)/[a-z]{1,20}(-[0-9]{1,10})?\.html|index\.html|log\.jsonl|files/[0-9a-f]{64}\.bin)"
_DIGEST = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_RULE: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["schema", "jokbo", "case", "head", "entries", "files"],
    "properties": {
        "schema": {"const": SCHEMA},
        "jokbo": {"type": "string", "pattern": "^[0-9A-Za-z.+-]{1,40}$"},
        "case": _DIGEST,
        "head": _DIGEST,
        "entries": {"type": "integer", "minimum": 1},
        "files": {
            "type": "object",
            "propertyNames": {"pattern": f"^{_PATH}$"},
            "additionalProperties": {
                "type": "object",
                "additionalProperties": False,
                "required": ["size", "sha256"],
                "properties": {"size": {"type": "integer", "minimum": 0}, "sha256": _DIGEST},
            },
        },
    },
}


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an archive holds.

    Attributes
    ----------
    jokbo : str
        Version that drew the pages.
    case, head : str
        Digests of the log's first and last entry.
    entries : int
    files : mapping of str to FileFacts
        By path; no path leaves the archive.
    """

    jokbo: str
    case: str
    head: str
    entries: int
    files: Mapping[str, FileFacts]

    def to_bytes(self) -> bytes:
        """Canonical JSON with a final newline."""
        document = {
            "schema": SCHEMA,
            "jokbo": self.jokbo,
            "case": self.case,
            "head": self.head,
            "entries": self.entries,
            "files": {p: {"size": f.size, "sha256": f.sha256} for p, f in self.files.items()},
        }
        return canonical_bytes(document) + b"\n"


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of an archive.

    Raises
    ------
    NotFoundError
        There is none.
    FormatError
        It is none of ours, or names a path that no archive has.
    """
    with open_regular(folder / MANIFEST) as stream:
        data = stream.read(MAX_MANIFEST_BYTES + 1)
    where = f"{folder.name}/{MANIFEST}"
    if len(data) > MAX_MANIFEST_BYTES:
        raise FormatError(f"{where} is larger than {MAX_MANIFEST_BYTES:,} bytes; no manifest of ours is.")
    try:
        document = strict_loads(data)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{where} is not JSON ({str(error)[:120]}). It is damaged or edited.") from None
    problem = next(rules.problems(document, _RULE), None)
    if problem is not None:
        raise FormatError(
            f"{where}{f' at {problem[0]}' if problem[0] else ''}: {problem[1]}. It is damaged or edited."
        )
    files = {path: FileFacts(each["size"], each["sha256"]) for path, each in document["files"].items()}
    return Manifest(document["jokbo"], document["case"], document["head"], document["entries"], files)


def is_archive_path(path: str) -> bool:
    """Whether a path is one that archives have.

    Examples
    --------
    >>> is_archive_path("ko/claim-3.html"), is_archive_path("../log.jsonl")
    (True, False)
    """
    return re.fullmatch(_PATH, path) is not None
