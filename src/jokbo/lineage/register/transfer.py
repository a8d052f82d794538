"""Take a register to somebody else, in one file, and enter one that somebody else made."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from jokbo.errors import FormatError, UsageError
from jokbo.lineage.register import database, files
from jokbo.lineage.register.archive import (
    END,
    MANIFEST,
    ArchiveReader,
    Member,
    manifest_bytes,
    member_header,
    padding,
)
from jokbo.lineage.register.entries import LICENSE, RELATIONS, Entry, Facts, check_facts
from jokbo.lineage.register.prepared import Prepared, prepare
from jokbo.lineage.register.store import Register, Skipped, open_register
from jokbo.sources.open import HUB_ID
from jokbo.sources.whole_files import whole_file

Tell = Callable[[int, int], None]
"""Called with the number of models done and in all."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What an archive holds: number of models, bytes of the file, its SHA-256."""

    models: int
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did.

    Attributes
    ----------
    added, known : int
        Models that were entered, and those that were there already.
    salt : str
    """

    added: int
    known: int
    salt: str


def export_register(
    register: Register,
    path: Path,
    *,
    entries: Sequence[Entry] | None = None,
    keep_going: Skipped | None = None,
    tell: Tell | None = None,
) -> Exported:
    """Write models of a register into an archive; equal content gives equal bytes.

    Parameters
    ----------
    register : Register
    path : pathlib.Path
        Appears when it is whole.
    entries : sequence of Entry, optional
        Which models; all otherwise.
    keep_going : callable, optional
        Called with each damaged entry, which is then left out; without it the first one ends the work.
    tell : callable, optional

    Raises
    ------
    FormatError
        A fingerprint is damaged.
    UsageError
        The archive cannot be written.
    """
    chosen = sorted(register.entries() if entries is None else entries, key=lambda entry: entry.key)
    sound = []
    for entry in chosen:
        try:
            register.verified_path(entry)
            sound.append(entry)
        except FormatError as error:
            if keep_going is None:
                raise
            keep_going(entry, error)
    digest, size = hashlib.sha256(), 0
    try:
        with whole_file(path) as file:
            for piece in _pieces(register, sound, tell):
                digest.update(piece)
                size += file.write(piece)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}. Choose another place.") from None
    return Exported(len(sound), size, digest.hexdigest())


def _pieces(register: Register, entries: Sequence[Entry], tell: Tell | None) -> Iterator[bytes]:
    members = [Member(entry.key, entry.size, exported_facts(entry)) for entry in entries]
    manifest = manifest_bytes(register.salt, members)
    yield member_header(MANIFEST, len(manifest)) + manifest + padding(len(manifest))
    for k, (entry, member) in enumerate(zip(entries, members, strict=True)):
        data = files.read_fingerprint_file(register.verified_path(entry))
        yield member_header(member.file, member.size) + data + padding(member.size)
        if tell is not None:
            tell(k + 1, len(members))
    yield END


def exported_facts(entry: Entry) -> Facts:
    """What an archive says of a model: the owner's date becomes a claim; paths of this machine stay here."""
    hub = entry.source if entry.source and HUB_ID.fullmatch(entry.source) else None
    claim = (entry.public_since, None) if entry.public_since else (entry.claimed_since, entry.claimed_by)
    return Facts(
        name=entry.name,
        parents=tuple(dict.fromkeys(entry.parents)),
        relation=entry.relation if entry.relation in RELATIONS else None,
        license=entry.license if entry.license and LICENSE.fullmatch(entry.license) else None,
        claimed_since=claim[0],
        claimed_by=claim[1],
        source=hub,
    )


def import_register(
    path: Path, directory: Path | None = None, *, exporter: str | None = None, tell: Tell | None = None
) -> Imported:
    """Enter every model of an archive, after each digest was checked: all, or none.

    What the exporter says of when a model was public is kept as a claim, with who makes it; what the owner of this
    register said stays untouched.

    Parameters
    ----------
    path : pathlib.Path
    directory : pathlib.Path, optional
        The register; begun with the archive's salt where there is none.
    exporter : str, optional
        Who made the archive; its file name otherwise.
    tell : callable, optional

    Raises
    ------
    FormatError
        The archive is damaged, or was changed: nothing was entered.
    UsageError
        Its salt is not the register's.
    """
    exporter = exporter or path.name
    check_facts(Facts(claimed_by=exporter))
    with ArchiveReader(path) as archive:
        register = open_register(directory, create=True, salt=archive.salt)
        if register.salt != archive.salt:
            raise UsageError(
                f"{path.name} holds fingerprints of the salt {archive.salt!r}, and the register {register.folder} has "
                f"{register.salt!r}: they share no rows. Import it into another register with --registry NEW."
            )
        register.sweep()
        with database.telling(register.folder), files.Staging(register.folder) as staging:
            staged = []
            for k, (member, data) in enumerate(archive.read()):
                prepared = _checked(member, data, archive, exporter)
                staged.append((prepared, staging.write(member.key, [data])))
                if tell is not None:
                    tell(k + 1, len(archive.members))
            entered = register.enter(staging, staged, change=with_claim)
            added = sum(one is prepared.entry for one, (prepared, _) in zip(entered, staged, strict=True))
    return Imported(added, len(staged) - added, archive.salt)


def _checked(member: Member, data: bytes, archive: ArchiveReader, exporter: str) -> Prepared:
    where = f"{archive.where}: {member.file}"
    if hashlib.sha256(data).hexdigest() != member.key:
        raise FormatError(
            f"{where} does not have the digest of its name: it was damaged or changed, and nothing was entered. "
            "Fetch the archive again."
        )
    facts = member.facts
    if facts.source is not None and not HUB_ID.fullmatch(facts.source):
        raise FormatError(
            f"{where} is said to come from {facts.source[:80]!r}; expected a hub id, org/name@commit, alone. "
            "Nothing was entered."
        )
    if facts.claimed_since is not None:
        # Whom the exporter had it from, the exporter says too.
        by = exporter if facts.claimed_by is None else f"{facts.claimed_by}, {exporter}"
        facts = dataclasses.replace(facts, claimed_by=by[-255:])
    return prepare(data, facts, salt=archive.salt, where=where.replace("/", " "))


def with_claim(known: Entry, offered: Entry) -> Entry:
    """An entry that is there, with an exporter's claim where it has none."""
    if known.claimed_since is not None or offered.claimed_since is None:
        return known
    return dataclasses.replace(known, claimed_since=offered.claimed_since, claimed_by=offered.claimed_by)
