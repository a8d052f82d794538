"""A fingerprint before it is entered: checked, and joined with what somebody says of its model."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from pathlib import Path

from jokbo.errors import FormatError, UsageError
from jokbo.formats import safetensors
from jokbo.formats.base import run_plan
from jokbo.lineage.register.entries import Entry, Facts, make_entry, tidy
from jokbo.lineage.sketch_format import parse_sketch
from jokbo.sources.memory import MemorySource
from jokbo.views.fingerprint import MAX_FINGERPRINT_BYTES, check_fingerprint

MAX_SKETCH_BYTES = 256 << 10


@dataclass(frozen=True, slots=True)
class Prepared:
    """A fingerprint that was checked: its entry, and where its sketch lies."""

    entry: Entry
    sketch_start: int = 0
    sketch_sha256: str = ""


def prepare(data: bytes, facts: Facts, *, salt: str, where: str) -> Prepared:
    """Check a fingerprint for a register of a salt.

    Raises
    ------
    FormatError
        It is damaged, no fingerprint, or of a newer version.
    UsageError
        It was made with another salt, or a fact is none.
    """
    if len(data) > MAX_FINGERPRINT_BYTES:
        raise FormatError(
            f"{where} is larger than {MAX_FINGERPRINT_BYTES:,} bytes; no fingerprint is. Check the file."
        )
    header = check_fingerprint(data, where=where)
    if header.salt != salt:
        raise UsageError(
            f"{where} was made with the salt {tidy(header.salt, 40)!r}, and this register has {tidy(salt, 40)!r}: they "
            f"share no rows. Make it again with `jokbo fingerprint MODEL --salt ...`, or use another register."
        )
    start, size, sha256 = _sketch_place(data, salt, where)
    key = hashlib.sha256(data).hexdigest()
    entry = make_entry(header, facts, key=key, size=len(data), sketch_bytes=size)
    return Prepared(entry, start, sha256)


def _sketch_place(data: bytes, salt: str, where: str) -> tuple[int, int, str]:
    """Start, size and SHA-256 of the sketch, which every search will read; no size where there is none."""
    source = MemorySource({where: data}, name=where)
    entry = run_plan(safetensors.plan_catalog(source.files), source).entries.get("sketch")
    if entry is None:
        return 0, 0, ""
    if entry.span.size > MAX_SKETCH_BYTES:
        raise FormatError(
            f"{where}: its sketch is {entry.span.size:,} bytes; expected at most {MAX_SKETCH_BYTES:,}. "
            "Make the fingerprint again."
        )
    sketch = data[entry.span.start : entry.span.stop]
    if parse_sketch(sketch, where=where).salt != salt:
        raise FormatError(
            f"{where}: its sketch is of another salt than its rows. Make the fingerprint again."
        )
    return entry.span.start, len(sketch), hashlib.sha256(sketch).hexdigest()


def renewed(entry: Entry, facts: Facts) -> Entry:
    """An entry with the facts that are given; what is not given stays."""
    given = {name: value for name in facts.__slots__ if (value := getattr(facts, name)) not in (None, ())}
    if facts.public_since is not None:
        given["public_since_source"] = facts.public_since_source
    return dataclasses.replace(entry, **given)


def damage(entry: Entry, path: Path, wrong: str) -> str:
    """A sentence on an entry whose file is ``missing``, ``damaged`` or ``unreadable``."""
    what = {
        "missing": "is missing",
        "damaged": f"does not have the digest {entry.key[:16]}… that it was entered with: it was damaged or changed",
        "unreadable": "cannot be read",
    }[wrong]
    return (
        f"the fingerprint of {entry.name}, {path}, {what}. Add it again to replace it, or remove it with "
        f"`jokbo registry remove {entry.key[:12]}`."
    )
