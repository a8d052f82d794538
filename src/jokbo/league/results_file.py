"""``results.yaml``: which files hold whose results, found in the folder that the list lies in and nowhere else."""

from __future__ import annotations

import difflib
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from jokbo.errors import FormatError
from jokbo.formats.strict_yaml import YamlTree, parse_yaml
from jokbo.league.measured import InputFile
from jokbo.league.results.base import ResultFile
from jokbo.league.results.choose import READERS
from jokbo.league.results.reading import brief, open_file
from jokbo.league.round import EventKind, Round
from jokbo.league.yaml_document import refuse_other_kind
from jokbo.records.manifest import check_path
from jokbo.sources.regular_files import open_regular

LIST_NAME = "results.yaml"
"""What a list is called in a bundle, whatever its name was."""

MAX_BYTES = 1 << 20
MAX_FILES = 20_000
MAX_FOLDERS = 30
MAX_EVIDENCE_BYTES = 64 << 20
_TOP = ("jokbo_results", "round", "frozen", "results", "evidence", "did_not_run")
_ENTRY = ("team", "event", "events", "files", "reader")


@dataclass(frozen=True, slots=True)
class Listed:
    """One entry: files of one team for some events, or of one event for all teams.

    Attributes
    ----------
    team : str, optional
        None for the table of an event in which every team has rows.
    where : str
        ``results.yaml:line``.
    """

    team: str | None
    events: tuple[str, ...]
    files: tuple[ResultFile, ...]
    reader: str | None
    where: str


@dataclass(frozen=True, slots=True)
class DidNotRun:
    """A team that has no results of an event, and why."""

    team: str
    event: str
    why: str
    where: str


@dataclass(frozen=True, slots=True)
class ResultsList:
    """A results list, checked against its round.

    Attributes
    ----------
    frozen : str, optional
        Digest of the frozen round that the list says it belongs to.
    evidence : mapping of str to tuple of ResultFile
        By team.
    """

    where: str
    folder: Path
    frozen: str | None
    entries: tuple[Listed, ...]
    evidence: Mapping[str, tuple[ResultFile, ...]]
    did_not_run: tuple[DidNotRun, ...]

    def evidence_bytes(self) -> dict[str, list[tuple[InputFile, bytes]]]:
        """Evidence documents by team, as :func:`jokbo.league.gate.judge_gate` takes them.

        Raises
        ------
        FormatError
            One is too large, or changed while it was read.
        """
        import hashlib

        found: dict[str, list[tuple[InputFile, bytes]]] = {}
        for team, files in self.evidence.items():
            for file in files:
                with open_file(file, most=MAX_EVIDENCE_BYTES) as opened:
                    data = opened.read(MAX_EVIDENCE_BYTES + 1)
                facts = InputFile(
                    file.name, hashlib.sha256(data).hexdigest(), len(data), "evidence", "evidence"
                )
                found.setdefault(team, []).append((facts, data))
        return found


def read_results(path: Path, round: Round) -> ResultsList:
    """Read a results list and find its files.

    Parameters
    ----------
    path : pathlib.Path
        ``results.yaml``; its files are relative to its folder.

    Raises
    ------
    FormatError
        It is malformed, names an unknown team or event, or a file that is not inside its folder.
    NotFoundError
        A file is not there.
    """
    with open_regular(path) as opened:
        data = opened.read(MAX_BYTES + 1)
    return parse_results(data, round, folder=path.parent, where=path.name)


def parse_results(data: bytes, round: Round, *, folder: Path, where: str) -> ResultsList:
    """The same of bytes."""
    tree = parse_yaml(data, where=where, most_bytes=MAX_BYTES)
    return _Parser(tree, round, folder, where).whole()


@dataclass(slots=True)
class _Parser:
    tree: YamlTree
    round: Round
    folder: Path
    where: str

    def whole(self) -> ResultsList:
        if isinstance(self.tree.value, Mapping):
            refuse_other_kind(self.tree.value, "jokbo_results", self.where)
        top = self._object(self.tree.value, "", _TOP)
        self._require(top, "", ("jokbo_results", "round", "results"))
        if top["jokbo_results"] != "1":
            raise FormatError(
                f"{self._at('jokbo_results')}: jokbo_results is {brief(top['jokbo_results'])}; expected 1."
            )
        if top["round"] != self.round.id:
            raise FormatError(
                f"{self._at('round')}: these are results of round {brief(top['round'])}; the round file is "
                f"{self.round.id!r}. Give the two that belong together."
            )
        entries = tuple(
            self._entry(each, f"results/{k}") for k, each in enumerate(self._list(top, "results"))
        )
        listed = ResultsList(
            self.where, self.folder, self._frozen(top), entries, self._evidence(top), self._did_not_run(top)
        )
        _check_once(listed)
        return listed

    def _frozen(self, top: Mapping[str, Any]) -> str | None:
        value = top.get("frozen")
        if value is not None and (len(value) != 64 or set(value) - set("0123456789abcdef")):
            raise FormatError(
                f"{self._at('frozen')}: frozen is {brief(value)}; expected the digest "
                "that `jokbo league freeze` printed."
            )
        return value

    def _entry(self, value: Any, path: str) -> Listed:
        entry = self._object(value, path, _ENTRY)
        self._require(entry, path, ("files",))
        reader = entry.get("reader")
        if reader is not None and not (isinstance(reader, str) and reader in READERS):
            raise FormatError(
                f"{self._at(path + '/reader')}: there is no reader {brief(reader)}; the readers are "
                f"{', '.join(READERS)}."
            )
        named = self._texts(entry, "events", path) if "events" in entry else [entry.get("event")]
        if ("event" in entry) == ("events" in entry):
            raise FormatError(f"{self._at(path)}: expected either event, or events with a team.")
        events = tuple(self._event(each, path) for each in named)
        team = None if entry.get("team") is None else self._team(entry["team"], f"{path}/team")
        for id in events:
            kind = self.round.event(id).kind
            if (kind is EventKind.ITEMS) != (team is not None):
                wanted = (
                    "the team whose items these are"
                    if team is None
                    else "no team: the table has a column for it"
                )
                raise FormatError(f"{self._at(path)}: {id} is an event of kind {kind}; expected {wanted}.")
        files = self._files(entry, path)
        return Listed(team, events, files, reader, self._at(path))

    def _evidence(self, top: Mapping[str, Any]) -> dict[str, tuple[ResultFile, ...]]:
        found: dict[str, tuple[ResultFile, ...]] = {}
        for k, value in enumerate(self._list(top, "evidence")):
            path = f"evidence/{k}"
            entry = self._object(value, path, ("team", "files"))
            self._require(entry, path, ("team", "files"))
            team = self._team(entry["team"], f"{path}/team")
            found[team] = (*found.get(team, ()), *self._files(entry, path))
        return found

    def _did_not_run(self, top: Mapping[str, Any]) -> tuple[DidNotRun, ...]:
        found = []
        for k, value in enumerate(self._list(top, "did_not_run")):
            path = f"did_not_run/{k}"
            entry = self._object(value, path, ("team", "event", "why"))
            self._require(entry, path, ("team", "event", "why"))
            team, event = self._team(entry["team"], f"{path}/team"), self._event(entry["event"], path)
            if not isinstance(entry["why"], str):
                raise FormatError(f"{self._at(path)}: why is {brief(entry['why'])}; expected a sentence.")
            found.append(DidNotRun(team, event, entry["why"], self._at(path)))
        return tuple(found)

    def _files(self, entry: Mapping[str, Any], path: str) -> tuple[ResultFile, ...]:
        found: list[ResultFile] = []
        for k, name in enumerate(self._texts(entry, "files", path)):
            found += files_of(self.folder, name, where=self._at(f"{path}/files/{k}"))
        if any(file.name == LIST_NAME for file in found):
            raise FormatError(
                f"{self._at(f'{path}/files')}: a file of results is called {LIST_NAME}, which is the list's own "
                "name in a bundle. Rename it."
            )
        return tuple(found)

    def _team(self, name: Any, path: str) -> str:
        return _known(name, [team.id for team in self.round.teams], "team", self._at(path))

    def _event(self, name: Any, path: str) -> str:
        return _known(name, [event.id for event in self.round.events], "event", self._at(path))

    def _list(self, top: Mapping[str, Any], key: str) -> list[Any]:
        value = top.get(key) or []
        if not isinstance(value, list):
            raise FormatError(f"{self._at(key)}: {key} is {brief(value)}; expected a list.")
        return value

    def _texts(self, entry: Mapping[str, Any], key: str, path: str) -> list[str]:
        value = entry.get(key)
        if (
            not isinstance(value, list)
            or not value
            or not all(isinstance(each, str) and each for each in value)
        ):
            raise FormatError(
                f"{self._at(f'{path}/{key}')}: {key} is {_found(value)}; expected a list of names."
            )
        return value

    def _object(self, value: Any, path: str, keys: Sequence[str]) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            raise FormatError(f"{self._at(path)}: expected {', '.join(keys)}; found {_found(value)}.")
        for key in value:
            _known(key, keys, "field", self._at(f"{path}/{key}".lstrip("/")))
        return value

    def _require(self, entry: Mapping[str, Any], path: str, keys: Sequence[str]) -> None:
        absent = [key for key in keys if entry.get(key) is None]
        if absent:
            raise FormatError(f"{self._at(path)}: the field {absent[0]} is missing, or empty. Fill it in.")

    def _at(self, path: str) -> str:
        line = self.tree.line(path) or 1
        return f"{self.where}:{line}"


def _found(value: object) -> str:
    return "nothing" if value is None else brief(value)


def _known(name: Any, names: Sequence[str], what: str, where: str) -> str:
    if isinstance(name, str) and name in names:
        return name
    near = difflib.get_close_matches(str(name)[:100], names, 1)
    meant = f" Did you mean {near[0]}?" if near else ""
    raise FormatError(
        f"{where}: there is no {what} {brief(name)}; expected one of {', '.join(names)[:400]}.{meant}"
    )


def _check_once(listed: ResultsList) -> None:
    """No file is listed for two teams, and no event twice for one team."""
    owners: dict[str, Listed] = {}
    for entry in listed.entries:
        for file in entry.files:
            other = owners.setdefault(file.name, entry)
            if other.team != entry.team or (other is not entry and set(other.events) & set(entry.events)):
                raise FormatError(
                    f"{entry.where}: {file.name} is listed at {other.where} already. A file is "
                    "one team's, and named once."
                )


def files_of(folder: Path, name: str, *, where: str) -> list[ResultFile]:
    """The file of this name, or all files of the folder of this name, sorted.

    Raises
    ------
    FormatError
        The name leads out of `folder`; or it, or anything inside, is a link or no ordinary file.
    """
    plain = name.removesuffix("/")
    check_name(plain, where)
    path = folder
    for part in PurePosixPath(plain).parts:
        path = path / part
        if path.is_symlink():
            raise FormatError(
                f"{where}: {plain} goes through a link ({path.name}). Copy the files to where they are named."
            )
    if path.is_file():
        return [ResultFile(plain, path, path.stat().st_size)]
    if path.exists() and not path.is_dir():
        raise FormatError(f"{where}: {plain} is no ordinary file. Put the file itself there.")
    if not path.is_dir():
        raise FormatError(
            f"{where}: there is no file or folder {plain} beside the results list. Correct its name."
        )
    found = sorted(_walk(path, PurePosixPath(plain), where), key=lambda file: file.name)
    if not found:
        raise FormatError(
            f"{where}: the folder {plain} is empty. Put the result files there, or take it off the list."
        )
    return found


def check_name(name: str, where: str) -> None:
    """Raise where a name could lead out of its folder. Colons and pipes, which lighteval writes, are let through.

    Raises
    ------
    FormatError
        As :func:`jokbo.records.manifest.check_path` raises it.

    Examples
    --------
    >>> check_name("runs/details_kmmlu:law|5.parquet", "results.yaml:4")
    """
    check_path(re.sub(r"(?<=.)[:|]", "_", name), where=where, of="folder of the list")


def _walk(folder: Path, name: PurePosixPath, where: str) -> Iterator[ResultFile]:
    stack = [(folder, name)]
    count = 0
    while stack:
        path, below = stack.pop()
        with _scan(path, below, where) as entries:
            for entry in entries:
                count += 1
                at = below / entry.name
                mode = entry.stat(follow_symlinks=False).st_mode
                if count > MAX_FILES:
                    raise FormatError(f"{where}: {name} holds more than {MAX_FILES:,} files. Name the files.")
                if stat.S_ISDIR(mode):
                    if len(at.parts) > MAX_FOLDERS:
                        raise FormatError(
                            f"{where}: {name} holds more than {MAX_FOLDERS} folders in one another. Name the files."
                        )
                    stack.append((Path(entry.path), at))
                elif stat.S_ISREG(mode):
                    check_name(str(at), where)
                    yield ResultFile(str(at), Path(entry.path), entry.stat(follow_symlinks=False).st_size)
                else:
                    raise FormatError(
                        f"{where}: {at} is a link or no ordinary file. Links are not followed: put "
                        "the file itself there."
                    )


def _scan(path: Path, below: PurePosixPath, where: str) -> Any:
    try:
        return os.scandir(path)
    except OSError as error:
        raise FormatError(
            f"{where}: the folder {brief(str(below))} cannot be read ({error.strerror}). Make it readable, or name its "
            "files."
        ) from None
