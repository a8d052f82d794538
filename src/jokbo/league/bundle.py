"""A scored round as a folder: rules, inputs, board, pages, and a manifest that binds them.

::

    board.json                  what was computed, canonical JSON
    rules/round.yaml            as it was scored; rules/round.frozen.json where it was frozen
    inputs/results.yaml         and every input that may be shown, under the names it lists
    index.html en/ ko/ csv/     drawn from the board alone
    manifest.json               digests of all of it, and of the inputs that are withheld
    manifest.dsse.json          a signature over the manifest, where a key was given

A manifest is the last file that is written: a folder without one is no bundle. Files are copied, never linked.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jokbo import __version__
from jokbo.errors import EvidenceError, FormatError, NotFoundError, UsageError
from jokbo.evidence import schema as rules
from jokbo.evidence.canonical import canonical_bytes
from jokbo.evidence.documents import load_schema
from jokbo.formats.strict_json import strict_loads
from jokbo.league.measured import InputFile
from jokbo.league.results_file import check_name
from jokbo.league.score import RESULTS, ScoredRound
from jokbo.sources.regular_files import FileFacts, file_facts, open_regular
from jokbo.sources.whole_files import whole_file, write_whole

if TYPE_CHECKING:
    from jokbo.records.commit.keys import PublicKey, Signer

SCHEMA = "jokbo.league-bundle/1"
PAYLOAD_TYPE = "application/vnd.jokbo.league-bundle+json"
MANIFEST, SIGNATURE, BOARD = "manifest.json", "manifest.dsse.json", "board.json"
RULES, INPUTS = "rules", "inputs"
MAX_MANIFEST_BYTES = 32 << 20
MAX_FILES = 100_000


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a bundle holds.

    Attributes
    ----------
    jokbo : str
        Version that wrote it.
    round : str
        The round's id.
    files : mapping of str to FileFacts
        By path in the folder.
    withheld : mapping of str to FileFacts
        Inputs that may not be shown, by their name in the results list; only their digests are here.
    """

    jokbo: str
    round: str
    files: Mapping[str, FileFacts]
    withheld: Mapping[str, FileFacts]

    def to_bytes(self) -> bytes:
        """Canonical JSON with a final newline."""
        facts = {
            name: {path: {"size": f.size, "sha256": f.sha256} for path, f in files.items()}
            for name, files in (("files", self.files), ("withheld", self.withheld))
        }
        document = {"schema": SCHEMA, "jokbo": self.jokbo, "round": self.round, **facts}
        return canonical_bytes(document) + b"\n"


def write_bundle(
    folder: Path,
    *,
    round_id: str,
    drawn: Mapping[str, bytes],
    inputs: Sequence[tuple[InputFile, Path]],
    signer: Signer | None = None,
) -> Manifest:
    """Write a bundle into a new or empty folder.

    Parameters
    ----------
    drawn : mapping of str to bytes
        Everything that is not copied, by path: board, pages, rules, the results list.
    inputs : sequence of (InputFile, Path)
        Each is copied below ``inputs/`` if it is public; its digest has to be the one that was read.
    signer : Signer, optional

    Raises
    ------
    UsageError
        The folder holds something that is no bundle of this round, or cannot be written.
    EvidenceError
        An input changed since it was read.
    """
    _prepare(folder, round_id)
    files: dict[str, FileFacts] = {}
    withheld: dict[str, FileFacts] = {}
    try:
        for path, data in sorted(drawn.items()):
            files[path] = _put(folder / path, data)
        for input_, source in inputs:
            if input_.public:
                files[f"{INPUTS}/{input_.name}"] = _copy(source, folder / INPUTS / input_.name, input_)
            else:
                withheld[input_.name] = FileFacts(input_.size, input_.sha256)
        manifest = Manifest(__version__, round_id, files, withheld)
        write_whole(folder / MANIFEST, manifest.to_bytes())
        if signer is not None:
            from jokbo.records.attest.dsse import sign

            write_whole(
                folder / SIGNATURE, sign(manifest.to_bytes(), PAYLOAD_TYPE, [signer]).to_json() + b"\n"
            )
    except OSError as error:
        raise UsageError(f"cannot write into {folder}: {error.strerror}. Give another folder.") from None
    return manifest


def write_scored(
    scored: ScoredRound, folder: Path, *, pages: Mapping[str, bytes], signer: Signer | None = None
) -> Manifest:
    """Write a scored round with its pages.

    Parameters
    ----------
    pages : mapping of str to bytes
        Drawn from the board alone, by path.

    Raises
    ------
    UsageError, EvidenceError
        As :func:`write_bundle`.
    """
    drawn = dict(pages) | {BOARD: scored.to_json()}
    for name, path in scored.rules.items():
        with open_regular(path) as stream:
            drawn[f"{INPUTS if name == RESULTS else RULES}/{name}"] = stream.read()
    return write_bundle(
        folder, round_id=scored.board["round"]["id"], drawn=drawn, inputs=scored.inputs, signer=signer
    )


def check_output(folder: Path) -> set[str]:
    """What lies in a folder that a bundle is to be written into; asked before the work as well as after it.

    Raises
    ------
    UsageError
        It is a link or no folder, or holds files and no manifest.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise UsageError(f"{folder} is a link or no folder. Give a new one with --output.")
    present = set(_present(folder)) if folder.exists() else set()
    if present and MANIFEST not in present:
        raise UsageError(
            f"{folder} holds {min(present)!r} and no {MANIFEST}: it is no bundle, or one whose writing was "
            "interrupted. Give a new folder with --output, or remove this one if nothing else is in it."
        )
    return present


def _prepare(folder: Path, round_id: str) -> None:
    """An empty folder, or one whose every file an earlier bundle of the same round lists: that is removed."""
    present = check_output(folder)
    if not folder.exists():
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            raise UsageError(
                f"cannot make the folder {folder}: {error.strerror}. Give another one with --output."
            ) from None
    if not present:
        return
    earlier = read_manifest(folder)
    if earlier.round != round_id:
        raise UsageError(
            f"{folder} is the bundle of round {earlier.round[:64]!r}, and this is round {round_id!r}. Give a "
            "new folder with --output."
        )
    strange = sorted(present - {*earlier.files, MANIFEST, SIGNATURE})
    if strange:
        raise UsageError(
            f"{folder} holds {strange[0]!r}, which is no part of a bundle of round {round_id!r}. "
            "Give a new folder with --output."
        )
    (folder / MANIFEST).unlink()  # first: what is half removed is no bundle
    for path in sorted(present - {MANIFEST}):
        (folder / path).unlink()


def _put(path: Path, data: bytes) -> FileFacts:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, data, sync=False)
    return file_facts(path)


def _copy(source: Path, target: Path, input_: InputFile) -> FileFacts:
    target.parent.mkdir(parents=True, exist_ok=True)
    with open_regular(source) as read, whole_file(target, sync=False) as written:
        shutil.copyfileobj(read, written, 1 << 20)
    facts = file_facts(target)
    if facts.sha256 != input_.sha256:
        raise EvidenceError(
            f"{input_.name} changed while the round was scored: read with SHA-256 {input_.sha256[:16]}..., "
            f"now {facts.sha256[:16]}... Score again."
        )
    return facts


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a bundle.

    Raises
    ------
    NotFoundError
        There is none.
    FormatError
        It is none of ours, or a path in it leaves the folder.
    """
    where = f"{folder.name}/{MANIFEST}"
    try:
        stream = open_regular(folder / MANIFEST)
    except NotFoundError as error:
        raise NotFoundError(
            f"{error} A bundle is a folder that `jokbo league score --output` wrote to its end: give that folder."
        ) from None
    with stream:
        data = stream.read(MAX_MANIFEST_BYTES + 1)
    if len(data) > MAX_MANIFEST_BYTES:
        raise FormatError(f"{where} is larger than {MAX_MANIFEST_BYTES:,} bytes; no manifest of ours is.")
    try:
        document = strict_loads(data)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{where} is not JSON ({str(error)[:120]}). It is damaged or edited.") from None
    problem = next(rules.problems(document, load_schema("jokbo.league", "schemas/bundle-1.json")), None)
    if problem is not None:
        raise FormatError(
            f"{where}{f' at {problem[0]}' if problem[0] else ''}: {problem[1]}. It is damaged or edited."
        )
    for path in (*document["files"], *document["withheld"]):
        check_name(path, where)
    listed = [
        {path: FileFacts(each["size"], each["sha256"]) for path, each in document[name].items()}
        for name in ("files", "withheld")
    ]
    return Manifest(document["jokbo"], document["round"], *listed)


def file_problems(folder: Path, manifest: Manifest) -> Iterator[str]:
    """Every file that is not as the manifest says, is missing, or is not listed: a sentence each."""
    for path, facts in sorted(manifest.files.items()):
        try:
            found = file_facts(folder / path)
        except NotFoundError:
            yield f"{path}: listed in {MANIFEST}, and not there (or no ordinary file)."
            continue
        if found != facts:
            yield (
                f"{path}: expected {facts.size:,} bytes with SHA-256 {facts.sha256[:16]}..., found "
                f"{found.size:,} bytes with {found.sha256[:16]}..."
            )
    for path in sorted(set(_present(folder)) - {*manifest.files, MANIFEST, SIGNATURE}):
        yield f"{path}: there, and not listed in {MANIFEST}."


def signature_problem(folder: Path, manifest: Manifest, keys: Sequence[PublicKey]) -> str | None:
    """Why the signature over the manifest does not hold with these keys; None where it does."""
    from jokbo.records.attest.dsse import parse_envelope, verify

    try:
        with open_regular(folder / SIGNATURE) as stream:
            data = stream.read(MAX_MANIFEST_BYTES * 2)
    except NotFoundError:
        return f"there is no {SIGNATURE}: the bundle is not signed."
    envelope = parse_envelope(data, SIGNATURE)
    if envelope.payload_type != PAYLOAD_TYPE or envelope.payload != manifest.to_bytes():
        return f"{SIGNATURE} signs something else than {MANIFEST}."
    return (
        None if verify(envelope, keys).holds else f"{SIGNATURE}: no signature of a key that was given holds."
    )


def _present(folder: Path) -> Iterator[str]:
    for count, path in enumerate(folder.rglob("*")):
        if count > MAX_FILES:
            raise UsageError(f"{folder} holds more than {MAX_FILES:,} files; no bundle does.")
        if path.is_symlink() or not path.is_dir():
            yield path.relative_to(folder).as_posix()
