"""Verify evidence: run what it claims again, on the named inputs, and compare."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jokbo.errors import EvidenceError
from jokbo.evidence.compare import ModelSpec, compare
from jokbo.evidence.evidence import MAX_EVIDENCE_BYTES, Evidence, parse_evidence
from jokbo.evidence.schema import check
from jokbo.independence.calibrated import Population, read_population, zoo_population
from jokbo.sources.base import OpenOptions
from jokbo.views.fingerprint_header import FINGERPRINT
from jokbo.views.model import Model, open_model


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where the repetition and the evidence disagree.

    Attributes
    ----------
    path : str
        Where in the document, such as ``"components/3/log10_evalue"``.
    claimed, found : str
        Both values, shortened.
    """

    path: str
    claimed: str
    found: str


@dataclass(frozen=True, slots=True)
class Verification:
    """Whether evidence holds.

    Attributes
    ----------
    holds : bool
        Every number, digest and finding was found again.
    differences : tuple of Difference
        At most 100.
    names_hold : bool
        The models were opened on a hub under the very names and commits that the evidence states.
        Numbers can hold for local copies, whose names and dates nobody can check.
    evidence : Evidence
        What the repetition found.
    """

    holds: bool
    differences: tuple[Difference, ...]
    names_hold: bool
    evidence: Evidence


def read_evidence(path: str | os.PathLike[str]) -> Evidence:
    """Read an evidence file.

    Raises
    ------
    EvidenceError
        There is no such file, or it is not evidence.
    """
    file = Path(path)
    try:
        if file.stat().st_size > MAX_EVIDENCE_BYTES:
            raise EvidenceError(f"{file.name} is larger than any evidence ({MAX_EVIDENCE_BYTES:,} bytes).")
        data = file.read_bytes()
    except OSError as error:
        raise EvidenceError(
            f"cannot read {file}: {error.strerror}. Give the file that --json wrote."
        ) from None
    return parse_evidence(data, where=file.name)


def verify(
    evidence: Evidence | str | os.PathLike[str],
    *,
    reference: ModelSpec | None = None,
    candidate: ModelSpec | None = None,
    population: str | os.PathLike[str] | None = None,
    options: OpenOptions | None = None,
    progress: Callable[[str, str], None] | None = None,
) -> Verification:
    """Repeat a comparison and say whether its evidence holds.

    Parameters
    ----------
    evidence : Evidence or path
    reference, candidate : optional
        Where the models are; needed for local ones. Hub models are opened at the commit that
        the evidence names.
    population : path, optional
        The population that the calibrated tests ranked the pair among, where that was not the zoo's.
    options : OpenOptions, optional
    progress : callable, optional

    Raises
    ------
    EvidenceError
        The evidence does not follow its schema, or a model is not the one that it names, so that
        nothing can be repeated.
    """
    claimed = evidence if isinstance(evidence, Evidence) else read_evidence(evidence)
    document = claimed.document
    check(document, where="evidence")
    among = _population(document, population)
    models: list[Model] = []
    try:
        for side, spec in (("reference", reference), ("candidate", candidate)):
            models.append(open_model(spec if spec is not None else _spec(document[side], side), options))
            _check_identity(document[side], models[-1], side)
        names_hold = all(
            _names(document[side], model)
            for side, model in zip(("reference", "candidate"), models, strict=True)
        )
        parameters = document["parameters"]
        budget = parameters["budget"]
        again = compare(
            models[0],
            models[1],
            seed=parameters["seed"],
            budget=None if budget == "default" else budget,
            declared=parameters["declared"],
            reference_first=parameters["reference_first"],
            among=parameters.get("among", 1),
            bounds=any(row["bounds"] for row in document["components"]),
            descriptive=document["descriptive"] is not None,
            methods=parameters.get("methods", 1),
            population=among,
            options=options,
            progress=progress,
        ).evidence
    finally:
        for model in models:
            model.close()
    found = differences(_comparable(document), _comparable(again.document))
    return Verification(not found, found, names_hold, again)


def _population(document: Mapping[str, Any], given: str | os.PathLike[str] | None) -> Population:
    """The population that the evidence names, checked by its digest."""
    ranks = [result["rank"] for result in document.get("calibrated") or () if result["rank"] is not None]
    among = zoo_population() if given is None else read_population(given)
    for rank in ranks:
        if rank["digest"] != among.digest:
            raise EvidenceError(
                f"the evidence ranks the pair among the population {rank['population']!r} with digest "
                f"{rank['digest'][:16]}…, and {among.name!r} has {among.digest[:16]}…. Give its file with --population."
            )
    return among


def _spec(side: Mapping[str, Any], which: str) -> str:
    if side["kind"] == "hub" and side["commit"]:
        return f"{side['name']}@{side['commit']}"
    raise EvidenceError(
        f"the evidence names the {which} {side['name']!r}, a {side['kind']} model; "
        f"say where it is with --{which}."
    )


def _check_identity(side: Mapping[str, Any], model: Model, which: str) -> None:
    if side["digest"] != model.digest:
        raise EvidenceError(
            f"the {which} is not the model that the evidence names: expected digest {side['digest'][:16]}…, "
            f"{model.name} has {model.digest[:16]}…. Give the very files that were compared."
        )
    if (side["kind"] == FINGERPRINT) != (model.sampling is not None):
        compared, given = (
            ("a fingerprint", "the model itself")
            if model.sampling is None
            else ("the model itself", "a fingerprint")
        )
        raise EvidenceError(
            f"the evidence compared {compared} of the {which} {side['name']!r}, and {given} was given: other rows are "
            f"read of it. Give {compared} with --{which}."
        )


def _names(side: Mapping[str, Any], model: Model) -> bool:
    """Whether a hub itself says that this is the repository and the commit that the evidence names."""
    identity = model.source.identity
    return identity.kind == "hub" and (identity.name, identity.commit) == (side["name"], side["commit"])


def _comparable(document: Mapping[str, Any]) -> dict[str, Any]:
    """The parts that a repetition must reproduce: not where the models lay, nor which software ran."""
    kept = {key: value for key, value in document.items() if key not in ("software", "jokbo", "schema")}
    for side in ("reference", "candidate"):
        kept[side] = {
            k: v
            for k, v in kept[side].items()
            if k not in ("name", "kind", "public_since", "public_from", "commit")
        }
    return kept


def differences(claimed: Mapping[str, Any], found: Mapping[str, Any]) -> tuple[Difference, ...]:
    """Where two documents disagree, at most 100 places."""
    return tuple(_differences(claimed, found, ""))[:100]


def _differences(claimed: Any, found: Any, path: str) -> list[Difference]:
    if isinstance(claimed, Mapping) and isinstance(found, Mapping):
        keys = [*claimed, *(key for key in found if key not in claimed)]
        return [
            d
            for key in keys
            for d in _differences(claimed.get(key), found.get(key), f"{path}/{key}".lstrip("/"))
        ]
    if isinstance(claimed, list) and isinstance(found, list) and len(claimed) == len(found):
        rows = enumerate(zip(claimed, found, strict=True))
        return [d for k, (a, b) in rows for d in _differences(a, b, f"{path}/{k}".lstrip("/"))]
    # Evidence that was parsed from JSON holds the same rounded numbers as evidence just made.
    if claimed == found and isinstance(claimed, bool) == isinstance(found, bool):
        return []
    return [Difference(path, _brief(claimed), _brief(found))]


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
