"""Rounds and evidence of the gate's tests: real evidence of golden tests, given other digests and findings."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jokbo.league.measured import InputFile
from jokbo.league.round import (
    Ancestor,
    Anchor,
    Axis,
    Category,
    Elimination,
    Event,
    EventKind,
    GateRule,
    ModelIdentity,
    Round,
    Team,
    TieStep,
)

EVIDENCE = Path(__file__).resolve().parents[2] / "golden" / "evidence"
OWN = {name: name[0] * 64 for name in ("a", "b", "c", "d", "e")}
"""Digests of teams' models; those of references are of digits."""

REFERENCE, BASE = "1" * 64, "2" * 64

File = tuple[InputFile, bytes]


def team(id: str, *, declared: Sequence[Ancestor] = (), digest: str | None = "", **more: Any) -> Team:
    own = OWN[id] if digest == "" else digest
    return Team(
        id,
        {"en": id.upper(), "ko": id.upper()},
        ModelIdentity(f"model-{id}", digest=own),
        (),
        tuple(declared),
        **more,
    )


def event(id: str, *, kind: EventKind = EventKind.PUBLISHED, category: str | None = "x") -> Event:
    axes = (Axis.EFFICIENCY,) if kind is EventKind.RACE else (Axis.ABSOLUTE,)
    words = {"en": id, "ko": id}
    return Event(id, words, kind, axes, category, 1.0, "Author", (), "higher", "linear", 0.0, Anchor(1.0))


def a_round(
    teams: Sequence[Team],
    *,
    gate: GateRule = GateRule((Ancestor("Reference", REFERENCE),)),  # noqa: B008  (frozen)
    elimination: Elimination | None = None,
    events: Sequence[Event] = (),
    seed: int = 7,
) -> Round:
    rule = Elimination(1, "total", (TieStep("lot"),)) if elimination is None else elimination
    words = {"en": "Round", "ko": "라운드"}
    return Round(
        "r1",
        words,
        tuple(teams),
        tuple(events) or (event("x1"),),
        (Category("x", words, 40.0),),
        gate,
        rule,
        seed,
    )


def document(kind: str, reference: str, candidate: str, **changes: Any) -> dict[str, Any]:
    """Golden evidence of a kind, on two other models; `changes` replace parts of its verdict."""
    source = {"derived": "common_lineage", "shared_basis": "component_reuse"}.get(kind, kind)
    source = {"shared_initialisation_or_lineage": "shared_initialisation", "untestable": "inconclusive"}.get(
        source, source
    )
    found: dict[str, Any] = copy.deepcopy(_golden(source))
    found["reference"]["digest"], found["candidate"]["digest"] = reference, candidate
    found["verdict"]["kind"] = kind
    found["verdict"].update(changes)
    if kind == "shared_basis":
        for row in found["components"]:
            row["status"] = "shared_basis" if row["status"] == "inherited" else row["status"]
    return found


def _golden(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((EVIDENCE / f"{name}.json").read_text(encoding="utf-8"))
    return found


def as_file(found: Mapping[str, Any], name: str = "evidence.json") -> File:
    data = json.dumps(found).encode()
    return InputFile(name, hashlib.sha256(data).hexdigest(), len(data), "evidence"), data


def evidence(kind: str, reference: str = REFERENCE, candidate: str = OWN["a"], **changes: Any) -> File:
    return as_file(document(kind, reference, candidate, **changes), f"{kind}.json")
