"""Score a round from its files: rules, results, evidence; nothing is left out in silence."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jokbo.errors import EvidenceError
from jokbo.evidence.canonical import canonical_bytes
from jokbo.formats.strict_json import strict_loads
from jokbo.league.assemble import assemble
from jokbo.league.board import board_document
from jokbo.league.freeze import check_frozen, read_frozen, round_digest
from jokbo.league.gate import judge_gate
from jokbo.league.measured import InputFile, Measured
from jokbo.league.results_file import ResultsList, read_results
from jokbo.league.round_file import read_round
from jokbo.league.standings import standings

ROUND, FROZEN, RESULTS = "round.yaml", "round.frozen.json", "results.yaml"
"""What the three files are called in a bundle."""


@dataclass(frozen=True, slots=True)
class ScoredRound:
    """A round and what it came to.

    Attributes
    ----------
    board : dict
        ``jokbo.board/1``.
    inputs : tuple of (InputFile, Path)
        Every file that was read, results list and rules aside, and where it lies.
    rules : dict of str to Path
        ``round.yaml``, ``results.yaml``, and ``round.frozen.json`` where it was given: where each lies.
    """

    board: dict[str, Any]
    inputs: tuple[tuple[InputFile, Path], ...]
    rules: dict[str, Path]

    def to_json(self) -> bytes:
        """The board, canonical JSON with a final newline."""
        return canonical_bytes(self.board) + b"\n"


def score_files(
    round_file: Path, results_file: Path, *, frozen: Path | None = None, randomness: str | None = None
) -> ScoredRound:
    """Score a round.

    Parameters
    ----------
    round_file, results_file : Path
        ``round.yaml`` and ``results.yaml``.
    frozen : Path, optional
        What `jokbo league freeze` wrote; the round has to be as it was then.
    randomness : str, optional
        The public value of the lot, where the round named one.

    Raises
    ------
    FormatError, NotFoundError
        A file is missing, malformed, or does not fit the others.
    EvidenceError
        The round was changed after it was frozen.
    """
    round = read_round(round_file)
    fixed = None
    if frozen is not None:
        kept = read_frozen(frozen)
        check_frozen(round, kept, where=frozen.name)
        fixed = {"digest": kept.digest, "date": kept.date, "keyid": kept.keyid}
    listed = read_results(results_file, round)
    if listed.frozen is not None and listed.frozen != round_digest(round):
        raise EvidenceError(
            f"{results_file.name} belongs to a round with the digest {listed.frozen[:16]}..., and {round_file.name} "
            f"has {round_digest(round)[:16]}... Score the rules that the results were made for."
        )
    measured = assemble(round, listed)
    evidence = listed.evidence_bytes()
    gate = judge_gate(round, evidence)
    files = _unique(measured, [file for rows in evidence.values() for file, _ in rows])
    board = board_document(
        standings(round, measured),
        gate,
        frozen=fixed,
        randomness=randomness,
        inputs=list(files.values()),
    )
    rules = {ROUND: round_file, RESULTS: results_file} | ({FROZEN: frozen} if frozen is not None else {})
    places = _places(listed)
    # As it will be read again: pages are drawn from this, and may not hang on the order in which fields were written.
    board = strict_loads(canonical_bytes(board))
    return ScoredRound(board, tuple((file, places[name]) for name, file in sorted(files.items())), rules)


def _unique(measured: tuple[Measured, ...], evidence: list[InputFile]) -> dict[str, InputFile]:
    """By name; what one event may not show is not public, whatever another one says."""
    found: dict[str, InputFile] = {}
    for file in [file for each in measured for file in each.files] + evidence:
        earlier = found.get(file.name)
        if earlier is None or (earlier.public and not file.public):
            found[file.name] = file
    return found


def _places(listed: ResultsList) -> dict[str, Path]:
    files = [file for entry in listed.entries for file in entry.files]
    files += [file for own in listed.evidence.values() for file in own]
    return {file.name: file.path for file in files}
