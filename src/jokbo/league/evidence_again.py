"""The gate's evidence run again, with the models at hand: a document that was only read is somebody's claim."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jokbo.errors import EvidenceError, UsageError
from jokbo.evidence.evidence import Evidence, parse_evidence
from jokbo.evidence.verify import verify
from jokbo.league.measured import InputFile
from jokbo.league.round import Round

if TYPE_CHECKING:
    from jokbo.sources.base import OpenOptions

SIDES = ("reference", "candidate")


@dataclass(frozen=True, slots=True)
class RunAgain:
    """What became of one evidence document.

    Attributes
    ----------
    file, sha256 : str
    holds : bool or None
        None where it was not run: a model of it was not given.
    names_hold : bool or None
        Whether both models were opened on a hub, under the very names and commits that the document states.
    why : str or None
        What differs, or which model was not given: a sentence, in English.
    """

    file: str
    sha256: str
    holds: bool | None
    names_hold: bool | None
    why: str | None


@dataclass(frozen=True, slots=True)
class Models:
    """Where models are, for running evidence again.

    Attributes
    ----------
    given : mapping of str to str
        Folder, or name on a hub, by the name that the round or a document gives the model, or by its team.
    population : Path, optional
        As `jokbo verify` takes it.
    """

    given: Mapping[str, str]
    population: Path | None = None
    options: OpenOptions | None = None
    progress: Callable[[str, str], None] | None = None


def run_evidence_again(
    round: Round, documents: Sequence[tuple[InputFile, bytes]], models: Models
) -> tuple[RunAgain, ...]:
    """Run every document again whose models are there.

    A document in two files is run once. Models on a hub need not be given: they are opened at the commit that the
    document names.

    Raises
    ------
    UsageError
        A model was given under a name that neither the round nor a document has.
    EvidenceError, SourceError
        A document cannot be read, or a model that was given is not the one that it names.
    """
    read = [(file, parse_evidence(data, where=file.name)) for file, data in documents]
    names = _names(round, [evidence for _, evidence in read])
    known = sorted({name for own in names.values() for name in own})
    for name in models.given:
        if name not in known:
            raise UsageError(
                f"--model {name[:60]}=...: no model of the gate's evidence has this name; expected one of "
                f"{', '.join(known)[:400] or 'none, for there is no evidence'}."
            )
    done: dict[str, RunAgain] = {}
    for file, evidence in read:
        if file.sha256 not in done:
            done[file.sha256] = _run(file, evidence, names, models)
    return tuple(replace(done[file.sha256], file=file.name) for file, _ in read)


def parse_models(texts: Sequence[str]) -> dict[str, str]:
    """``NAME=PATH`` by name.

    Raises
    ------
    UsageError
        One is something else, or a name is there twice.

    Examples
    --------
    >>> parse_models(["base=models/base", "team-a=org/model@main"])
    {'base': 'models/base', 'team-a': 'org/model@main'}
    """
    found: dict[str, str] = {}
    for text in texts:
        name, equals, place = text.partition("=")
        if not (name and equals and place):
            raise UsageError(f"--model {text[:80]!r}: expected NAME=PATH, such as base=models/base.")
        if name in found:
            raise UsageError(f"--model {name[:60]} is given twice. Keep one.")
        found[name] = place
    return found


def _names(round: Round, documents: Sequence[Evidence]) -> dict[str, list[str]]:
    """Every name of a model that a document is about, by its digest; the most telling first."""
    found: dict[str, list[str]] = {}
    wanted = {evidence.document[side]["digest"] for evidence in documents for side in SIDES}
    pairs = [
        *((team.model.digest, name) for team in round.teams for name in (team.id, team.model.name)),
        *((each.digest, each.name) for each in round.gate.references),
        *((each.digest, each.name) for team in round.teams for each in team.declared_ancestors),
        *(
            (evidence.document[side]["digest"], evidence.document[side]["name"])
            for evidence in documents
            for side in SIDES
        ),
    ]
    for digest, name in pairs:
        if digest in wanted and name not in found.setdefault(digest, []):
            found[digest].append(name)
    return found


def _run(file: InputFile, evidence: Evidence, names: Mapping[str, Sequence[str]], models: Models) -> RunAgain:
    places: dict[str, str | None] = {}
    for side in SIDES:
        stated: Mapping[str, Any] = evidence.document[side]
        own = names[stated["digest"]]
        places[side] = next((models.given[name] for name in own if name in models.given), None)
        if places[side] is None and not (stated["kind"] == "hub" and stated["commit"]):
            absent = f"{file.name} was not run again: its {side} {own[0]} was not given. Add --model {own[0]}=PATH."
            return RunAgain(file.name, file.sha256, None, None, absent)
    try:
        found = verify(
            evidence,
            reference=places["reference"],
            candidate=places["candidate"],
            population=models.population,
            options=models.options,
            progress=models.progress,
        )
    except EvidenceError as error:
        raise EvidenceError(f"{file.name} cannot be run again: {error}") from None
    why: str | None = None
    if not found.holds:
        first, more = found.differences[0], len(found.differences) - 1
        rest = f", and {more} more places differ" if more else ""
        why = (
            f"{file.name}: run again with the models, it does not hold: {first.path} is {first.claimed}, and comes out "
            f"as {first.found}{rest}."
        )
    return RunAgain(file.name, file.sha256, found.holds, found.names_hold, why)
