"""Compute a scored round again from its own inputs, and compare every byte with what was published.

Digests say that nothing changed since the bundle was written; the recomputation says that the board follows from
the rules and the inputs, and the pages from the board. Pages of another version of Jokbo may be worded
differently: then the numbers are compared, and the pages are said not to have been. The gate's evidence is read as a
claim, and run again only where the models are given (:mod:`jokbo.league.evidence_again`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jokbo import __version__
from jokbo.errors import NotFoundError
from jokbo.evidence.canonical import canonical_bytes
from jokbo.evidence.documents import check_against, load_schema, parse_document
from jokbo.evidence.verify import differences
from jokbo.league.board import METHODS
from jokbo.league.bundle import (
    BOARD,
    INPUTS,
    MANIFEST,
    RULES,
    Manifest,
    file_problems,
    read_manifest,
    signature_problem,
)
from jokbo.league.evidence_again import Models, RunAgain, run_evidence_again
from jokbo.league.gate import judge_gate
from jokbo.league.last_digits import count_last_digits
from jokbo.league.measured import InputFile
from jokbo.league.results_file import MAX_EVIDENCE_BYTES
from jokbo.league.round_file import read_round
from jokbo.league.score import FROZEN, RESULTS, ROUND, score_files
from jokbo.sources.regular_files import file_facts, open_regular

if TYPE_CHECKING:
    from jokbo.league.round import Round
    from jokbo.records.commit.keys import PublicKey

MAX_BOARD_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found.

    Attributes
    ----------
    round : str
    problems : tuple of str
        Files that are not as listed, a signature that does not hold, figures that did not come out again: a
        sentence each. Empty where all holds.
    recomputed : bool
        Whether the board was computed again; not so where inputs are withheld and were not given.
    withheld : tuple of str
        Inputs whose digests alone are in the bundle.
    pages_compared : bool
        False where another version drew the pages.
    other_methods : int or None
        Number of the board's set of methods, where this version has another one and computed nothing.
    last_digits : int
        Figures that came out one unit of their last decimal apart, as they may on another machine.
    evidence : tuple of RunAgain, or None
        What became of each evidence document of the gate; None where none was to be run again.
    """

    round: str
    problems: tuple[str, ...]
    recomputed: bool
    withheld: tuple[str, ...]
    pages_compared: bool
    other_methods: int | None = None
    last_digits: int = 0
    evidence: tuple[RunAgain, ...] | None = None

    def to_document(self) -> dict[str, Any]:
        """Plain values, for ``--json``."""
        found = {"schema": "jokbo.league.check/1", **asdict(self)}
        if self.evidence is None:
            return found
        outcomes = [each.holds for each in self.evidence]
        counts = {
            "held": outcomes.count(True),
            "failed": outcomes.count(False),
            "not_run": outcomes.count(None),
        }
        return found | {"evidence": counts | {"documents": found["evidence"]}}

    @property
    def evidence_open(self) -> bool:
        """Whether evidence was to be run again, and some was not."""
        return any(each.holds is None for each in self.evidence or ())

    @property
    def exit_status(self) -> int:
        """0 all holds; 10 something does not; 11 what is there holds, and not all was computed or run again."""
        return 10 if self.problems else 0 if self.recomputed and not self.evidence_open else 11


def check_bundle(
    folder: Path,
    *,
    draw: Callable[[Mapping[str, Any]], Mapping[str, bytes]],
    inputs: Path | None = None,
    keys: Sequence[PublicKey] = (),
    models: Models | None = None,
) -> Checked:
    """Check a bundle.

    Parameters
    ----------
    draw : callable
        Board -> every page and table by path; pages are drawn a layer above this one.
    inputs : Path, optional
        The folder that holds the results list and every input, where some are withheld from the bundle.
    keys : sequence of PublicKey
        Where given, the manifest has to carry a signature of one of them.
    models : Models, optional
        Where the gate's evidence is to be run again: where its models are. One that does not hold is a problem.

    Raises
    ------
    NotFoundError
        The folder is no bundle.
    FormatError, EvidenceError
        Rules or inputs cannot be read, or a model is not the one that a document names.
    """
    found = _checked(folder, draw=draw, inputs=inputs, keys=keys)
    if models is None or found.problems:
        return found
    again, problems = _run_evidence(folder, models)
    return replace(found, evidence=again, problems=problems)


def _checked(
    folder: Path,
    *,
    draw: Callable[[Mapping[str, Any]], Mapping[str, bytes]],
    inputs: Path | None,
    keys: Sequence[PublicKey],
) -> Checked:
    manifest = read_manifest(folder)
    problems = list(file_problems(folder, manifest))
    if keys and (problem := signature_problem(folder, manifest, keys)) is not None:
        problems.append(problem)
    withheld = tuple(sorted(manifest.withheld))
    same_version = manifest.jokbo == __version__
    if problems or (withheld and inputs is None):
        # What is damaged is not computed again: its figures would be reported as somebody's.
        return Checked(manifest.round, tuple(problems), False, withheld, False)
    place = folder / INPUTS if inputs is None else inputs
    problems += _given_problems(place, manifest) if inputs is not None else []
    if not problems:
        frozen = folder / RULES / FROZEN
        claimed = _read_board(folder)
        if claimed["methods"] != METHODS:
            return Checked(manifest.round, (), False, withheld, False, claimed["methods"])
        problems += _lot_problems(claimed, folder / RULES / ROUND)
    recomputed, last_digits = not problems, 0
    if recomputed:
        scored = score_files(
            folder / RULES / ROUND,
            place / RESULTS,
            frozen=frozen if frozen.exists() else None,
            randomness=_randomness(claimed),
        )
        last_digits, different = _board_problems(claimed, scored.board)
        problems += different or _byte_problems(folder, claimed)
        if same_version:
            problems += _page_problems(folder, manifest, draw(claimed if not different else scored.board))
    compared = recomputed and same_version
    return Checked(manifest.round, tuple(problems), recomputed, withheld, compared, None, last_digits)


def _run_evidence(folder: Path, models: Models) -> tuple[tuple[RunAgain, ...], tuple[str, ...]]:
    """What became of each document that the board lists, and what of the gate does not hold because of it."""
    board, round = _read_board(folder), read_round(folder / RULES / ROUND)
    listed = read_manifest(folder).files
    documents = []
    for row in board["inputs"]:
        if row["role"] != "evidence":
            continue
        path = f"{INPUTS}/{row['name']}"
        if path not in listed or listed[path].sha256 != row["sha256"]:
            # A board that was not computed again may name any file of this machine.
            return (), (
                f"{BOARD}: its evidence {row['name'][:200]!r} is not in {MANIFEST} with this digest.",
            )
        with open_regular(folder / path) as stream:
            data = stream.read(MAX_EVIDENCE_BYTES + 1)
        documents.append((InputFile(row["name"], row["sha256"], row["size"], "evidence"), data))
    again = run_evidence_again(round, documents, models)
    problems = [each.why for each in again if each.holds is False and each.why is not None]
    return again, (*problems, *_standings_lost(round, documents, again)) if problems else ()


def _standings_lost(
    round: Round, documents: Sequence[tuple[InputFile, bytes]], again: Sequence[RunAgain]
) -> list[str]:
    """Standings that the gate would give otherwise without the documents that do not hold."""
    fallen = {each.sha256 for each in again if each.holds is False}
    listed = {round.teams[0].id: documents}  # under whom a document is listed does not decide a standing
    with_all = judge_gate(round, listed)
    without = judge_gate(round, listed, verify=lambda file, _: file.sha256 not in fallen)
    return [
        f"gate: {old.team} is {old.standing} on the board, and would be {new.standing} without the evidence that "
        "does not hold."
        for old, new in zip(with_all.rows, without.rows, strict=True)
        if old.standing is not new.standing
    ]


def _given_problems(place: Path, manifest: Manifest) -> list[str]:
    """Inputs that were given and are not those that the bundle was computed from."""
    wanted = {
        **{path.removeprefix(f"{INPUTS}/"): f for path, f in manifest.files.items() if path.startswith(f"{INPUTS}/")},
        **manifest.withheld,
    }  # fmt: skip
    problems = []
    for name, facts in sorted(wanted.items()):
        try:
            found = file_facts(place / name)
        except NotFoundError:
            renamed = " The results list has to be called so there." if name == RESULTS else ""
            problems.append(f"{name}: not among the inputs that were given in {place.name}.{renamed}")
            continue
        if found != facts:
            problems.append(
                f"{name}: the bundle was computed from a file with SHA-256 {facts.sha256[:16]}..., and the one "
                f"that was given has {found.sha256[:16]}..."
            )
    return problems


def _read_board(folder: Path) -> Any:
    with open_regular(folder / BOARD) as stream:
        data = stream.read(MAX_BOARD_BYTES + 1)
    board = parse_document(data, where=BOARD, limit=MAX_BOARD_BYTES, command="jokbo league score")
    check_against(board, load_schema("jokbo.league", "schemas/board-1.json"), where=BOARD)
    return board


def _randomness(board: Mapping[str, Any]) -> str | None:
    """The public value of the lot as the board states it; whether the round named one is checked by the scoring."""
    value: str | None = board["round"]["randomness"]
    return value


def _lot_problems(board: Mapping[str, Any], rules: Path) -> list[str]:
    """A value of a lot that the rules know nothing of: chosen afterwards, it would choose who goes."""
    value = _randomness(board)
    if value is None or read_round(rules).elimination.lot is not None:
        return []
    return [
        f"{BOARD}: it states a public value for a lot ({value[:60]!r}), and the round named none beforehand."
    ]


def _byte_problems(folder: Path, board: Mapping[str, Any]) -> list[str]:
    """A board with the right figures in other bytes: digests of it would not be those of what comes out."""
    with open_regular(folder / BOARD) as stream:
        data = stream.read(MAX_BOARD_BYTES + 1)
    if data == canonical_bytes(dict(board)) + b"\n":
        return []
    return [
        f"{BOARD}: its figures come out again, and its bytes do not. It was written anew by something else."
    ]


def _board_problems(claimed: Mapping[str, Any], found: Mapping[str, Any]) -> tuple[int, list[str]]:
    """How many figures differ in their last decimal, and those that differ by more; the version aside."""
    left, right = ({k: v for k, v in board.items() if k != "jokbo"} for board in (claimed, found))
    if canonical_bytes(left) == canonical_bytes(right):
        return 0, []
    if (last_digits := count_last_digits(left, right)) is not None:
        return last_digits, []
    if left["round"]["digest"] != right["round"]["digest"]:
        # Everything else follows from it, and would bury it.
        mine, theirs = right["round"]["digest"][:16], left["round"]["digest"][:16]
        return 0, [
            f"{BOARD}: it is of the rules {theirs}..., and {RULES}/{ROUND} has the digest {mine}...: other rules."
        ]
    named = differences(left, right)
    return 0, [f"{BOARD}: {d.path} is {d.claimed}, and comes out as {d.found}." for d in named[:100]]


def _page_problems(folder: Path, manifest: Manifest, pages: Mapping[str, bytes]) -> list[str]:
    problems = []
    kept = {
        path for path in manifest.files if path != BOARD and not path.startswith((f"{INPUTS}/", f"{RULES}/"))
    }
    for path in sorted(kept | set(pages)):
        if path not in pages or path not in kept:
            problems.append(
                f"{path}: {'no page of this board' if path in kept else 'a page that is missing'}."
            )
            continue
        with open_regular(folder / path) as stream:
            if stream.read(len(pages[path]) + 1) != pages[path]:
                problems.append(f"{path}: not what the board gives.")
    return problems
