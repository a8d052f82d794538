"""Verify an archive, or a case itself, offline: manifest, chain, signatures, files, pages; evidence again on demand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jokbo import __version__
from jokbo.errors import FormatError, InputError, JokboError, NotFoundError
from jokbo.hearing.archive.manifest import Manifest, read_manifest
from jokbo.hearing.archive.site import FILES, LOG, MANIFEST, exhibit_files, pages
from jokbo.hearing.case.chain import Checked, Problem, Unreadable, verify_log
from jokbo.hearing.case.log import read_log
from jokbo.hearing.case.state import CaseState, stamp
from jokbo.hearing.case.views import moderation
from jokbo.hearing.case.withheld import public_state, withheld
from jokbo.hearing.exhibits import (
    FOLDER,
    MAX_EVIDENCE_BYTES,
    count_differences,
    describe_evidence,
    parse_as_audit,
)
from jokbo.report.texts import LANGUAGES
from jokbo.sources.base import OpenOptions
from jokbo.sources.regular_files import FileFacts, file_facts, open_regular

MAX_PROBLEMS = 200
OF_ARCHIVES = (MANIFEST, FILES, "index.html", *LANGUAGES)
"""What lies in an archive, and in no case."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What a verification found.

    Attributes
    ----------
    problems : tuple of Problem
        What does not hold; codes of ``hearing.problem``.
    unchecked : tuple of Problem
        What was to be checked and could not be; codes of ``hearing.unchecked``.
    state : CaseState
    keeper : str
        Digest of the host's key, the latest.
    keepers : tuple of str
        Digests of all keys that were the host's, in order.
    archive : bool
        Whether it was an archive, not the case itself.
    pages, exhibits, reruns : int
        How many of each were checked and hold.
    holes : int
        Texts that are not there, each explained by an entry.
    head : str or None
        The digest from outside that the log was held against.
    key : str or None
        Digest of the key from outside that the log was held against.
    witnessed : int or None
        Number of the entry with that digest; what came after it, nobody vouches for.
    overdue : tuple of int
        Entries whose hold is past the end that it stated, and was neither released nor followed by an erasure.
    """

    problems: tuple[Problem, ...]
    unchecked: tuple[Problem, ...]
    state: CaseState
    keeper: str
    keepers: tuple[str, ...]
    archive: bool
    pages: int
    exhibits: int
    reruns: int
    holes: int
    head: str | None
    key: str | None = None
    witnessed: int | None = None
    overdue: tuple[int, ...] = ()

    @property
    def exit_status(self) -> int:
        """0 it holds; 10 it does not; 11 what was checked holds, but not all could be checked."""
        return 10 if self.problems else 11 if self.unchecked else 0


def verify_folder(
    folder: Path,
    *,
    head: str | None = None,
    keeper: str | None = None,
    rerun: bool = False,
    models: Mapping[str, str] | None = None,
    options: OpenOptions | None = None,
    now: datetime | None = None,
) -> Verified:
    """Verify an archive or a case.

    Parameters
    ----------
    folder : Path
        Of an archive (it has a manifest), or of a case.
    head : str, optional
        Digest of an entry, or its first digits, that somebody kept.
    keeper : str, optional
        Digest of a key that the host is known by: the latest, or one that it took the place of.
    rerun : bool
        Run every piece of evidence again.
    models : mapping of str to str, optional
        Where models and records are that lie on no hub: name or digest in the evidence, to a path or hub id.
    options : OpenOptions, optional
    now : datetime, optional
        Against which holds are held; the clock of this machine by default.

    Raises
    ------
    InputError
        It is neither, or its manifest cannot be read.
    """
    # A folder with pages is an archive, whether or not somebody took its manifest away.
    archive = any((folder / name).exists() or (folder / name).is_symlink() for name in OF_ARCHIVES)
    run = _Run(folder, archive)
    manifest = read_manifest(folder) if archive else None
    if manifest is not None:
        run.manifest(manifest)
    read = read_log(folder / LOG)
    checked = verify_log(read.lines, torn=read.torn, head=head, keeper=keeper)
    run.problems += checked.problems
    if checked.state.facts is not None and not checked.problems:
        run.exhibits(checked)
        if manifest is not None:
            run.pages(manifest, checked.state)
        if rerun:
            run.rerun(checked.state, models or {}, options)
    entries = [line for line in read.lines if not isinstance(line, Unreadable)]
    holes = sum(1 for entry in entries if entry.payload is None)
    moment = max(checked.state.latest, stamp(now or datetime.now(UTC)))
    return Verified(
        tuple(run.problems[:MAX_PROBLEMS]),
        tuple(run.unchecked),
        checked.state,
        checked.keeper,
        checked.keepers,
        archive,
        run.drawn,
        run.files,
        run.reran,
        holes,
        head,
        keeper,
        None if head is None else next((e.sequence for e in entries if e.digest.startswith(head)), None),
        tuple(row.act.about or 0 for row in moderation(checked.state, now=moment) if row.overdue),
    )


class _Run:
    """One verification under way."""

    def __init__(self, folder: Path, archive: bool) -> None:
        self.folder, self.archive = folder, archive
        self.problems: list[Problem] = []
        self.unchecked: list[Problem] = []
        self.drawn = self.files = self.reran = 0

    def manifest(self, manifest: Manifest) -> None:
        """Every file is there with its size and digest, and no other."""
        for path, facts in sorted(manifest.files.items()):
            problem = _file_problem(self.folder / path, facts)
            if problem:
                self.problems.append(Problem(problem, {"path": path}))
        for name in _present(self.folder):
            if name not in manifest.files and name != MANIFEST:
                self.problems.append(Problem("file_extra", {"path": name}))

    def _file(self, sha256: str) -> Path:
        return self.folder / (f"{FILES}/{sha256}.bin" if self.archive else f"{FOLDER}/{sha256}")

    def exhibits(self, checked: Checked) -> None:
        """Files have the digests that entries name, and evidence says what its entry says."""
        state = public_state(checked.state) if self.archive else checked.state
        for sequence, sha256, size in exhibit_files(state).values():
            problem = _file_problem(self._file(sha256), FileFacts(size, sha256))
            if problem:
                code = "exhibit_missing" if problem == "file_missing" else "exhibit_differs"
                self.problems.append(Problem(code, {"sequence": sequence}))
            else:
                self.files += 1
        if self.problems:
            return
        for item in state.items.values():
            if item.payload is not None and "evidence" in item.payload:
                for said in self._evidence_problems(state, item.sequence):
                    self.problems.append(
                        Problem("evidence_differs", {"sequence": item.sequence, "problem": said})
                    )

    def _evidence_problems(self, state: CaseState, sequence: int) -> Iterator[str]:
        item = state.items[sequence]
        payload = item.payload or {}
        try:
            data = self._read(payload["file"]["sha256"])
            if describe_evidence(data, where=f"the file of entry {sequence}") != payload["evidence"]:
                yield "what it says of itself"
            if item.kind != "reproduction":
                return
            exhibit = state.items[item.about if item.about is not None else -1].payload
            if exhibit is None:
                self.unchecked.append(Problem("file_withheld", {"sequence": item.about or 0}))
                return
            differ = count_differences(self._read(exhibit["file"]["sha256"]), data)
            if (payload["differences"], payload["agrees"]) != (differ, differ == 0):
                yield f"{differ} differences, not {payload['differences']}"
        except JokboError as error:
            yield str(error)

    def _read(self, sha256: str) -> bytes:
        with open_regular(self._file(sha256)) as stream:
            data = stream.read(MAX_EVIDENCE_BYTES + 1)
        if len(data) > MAX_EVIDENCE_BYTES:
            raise FormatError(f"it is larger than {MAX_EVIDENCE_BYTES:,} bytes; no evidence is.")
        return data

    def pages(self, manifest: Manifest, state: CaseState) -> None:
        """The manifest is of this log, and pages are what the log gives, byte by byte."""
        assert state.facts is not None
        found = (manifest.case, manifest.head, manifest.entries)
        if found != (state.facts.case, state.head, state.length):
            said = f"{manifest.entries} entries, {manifest.head[:16]}…"
            self.problems.append(Problem("manifest_differs", {"problem": said}))
            return
        shown = withheld(state)
        if any(number in shown and state.items[number].payload is not None for number in shown):
            self.problems.append(Problem("page_differs", {"path": LOG}))
        expected = {LOG, *exhibit_files(public_state(state))}
        if manifest.jokbo != __version__:
            self.unchecked.append(Problem("other_version", {"version": manifest.jokbo}))
            # Whichever version drew the pages: the file of a text that is not shown is not handed out.
            for path in sorted(set(manifest.files) - expected):
                if path.startswith(f"{FILES}/"):
                    self.problems.append(Problem("file_extra", {"path": path}))
            return
        for page in pages(public_state(state)):
            expected.add(page.path)
            try:
                drawn = page.draw()
                with open_regular(self.folder / page.path) as stream:
                    same = stream.read(len(drawn) + 1) == drawn
            except NotFoundError:
                self.problems.append(Problem("file_missing", {"path": page.path}))
                continue
            if same:
                self.drawn += 1
            else:
                self.problems.append(Problem("page_differs", {"path": page.path}))
        for path in sorted(set(manifest.files) - expected):
            self.problems.append(Problem("page_differs", {"path": path}))

    def rerun(self, state: CaseState, models: Mapping[str, str], options: OpenOptions | None) -> None:
        """Run evidence again where its models can be had."""
        for item in state.items.values():
            if item.kind != "exhibit" or item.payload is None or "evidence" not in item.payload:
                continue
            try:
                data = self._read(item.payload["file"]["sha256"])
                differ = _run_again(data, item.payload["evidence"], models, options)
            except InputError as error:
                self.unchecked.append(
                    Problem("not_rerun", {"sequence": item.sequence, "problem": str(error)})
                )
                continue
            if not differ:
                self.reran += 1
            else:
                values = {"sequence": item.sequence, "count": differ}
                self.problems.append(Problem("rerun_differs", values))


def _run_again(
    data: bytes, named: Mapping[str, Any], models: Mapping[str, str], options: OpenOptions | None
) -> int:
    """Repeat a comparison, or an audit of a record; in how many places it comes out otherwise."""
    from jokbo.evidence.evidence import parse_evidence
    from jokbo.evidence.verify import verify
    from jokbo.records.audit import verify_audit

    audit = parse_as_audit(data, where="the audit")
    if audit is None:
        reference, candidate = (_given(named[side], models) for side in ("reference", "candidate"))
        compared = verify(parse_evidence(data), reference=reference, candidate=candidate, options=options)
        return 0 if compared.holds else max(len(compared.differences), 1)
    pack = _given(named["record"], models)
    if pack is None:
        raise FormatError("say where the record is with --model NAME=PATH.")
    audited = verify_audit(audit, pack, options=options)
    return 0 if audited.holds else max(len(audited.differences), 1)


def _given(model: Mapping[str, str], models: Mapping[str, str]) -> str | None:
    return models.get(model["name"]) or models.get(model["digest"])


def _file_problem(path: Path, facts: FileFacts) -> str | None:
    try:
        found = file_facts(path)
    except NotFoundError:
        return "file_missing"
    return None if found == facts else "file_differs"


def _present(folder: Path) -> Iterator[str]:
    """Files of a folder and of the folders in it, and whatever lies deeper by its first two names."""
    for path in sorted(folder.glob("*")) + sorted(folder.glob("*/*")):
        if path.is_symlink() or not path.is_dir() or path.parent != folder:
            yield path.relative_to(folder).as_posix()
