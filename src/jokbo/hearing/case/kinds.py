"""The kinds of entries: what each may be about, whether its text may be taken away, and its schema.

A kind is one row of :data:`KINDS` and one definition in ``schemas/hearing-entry-1.json``. Kinds that are not
``holdable`` carry no text of a person that the record could do without: they make the state, and never go.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from jokbo.errors import FormatError
from jokbo.evidence import schema as rules


@dataclass(frozen=True, slots=True)
class Kind:
    """What holds of all entries of a kind.

    Attributes
    ----------
    name : str
    about : frozenset of str
        Kinds that it may be about; empty where it is about none.
    about_needed : bool
    holdable : bool
        Its text may be held or erased; the entry stays.
    replaceable : bool
        A later entry of the same kind may take its place.
    """

    name: str
    about: frozenset[str] = frozenset()
    about_needed: bool = True
    holdable: bool = False
    replaceable: bool = False


def _kind(
    name: str, about: str = "", *, needed: bool = True, holdable: bool = False, replaceable: bool = False
) -> Kind:
    return Kind(name, frozenset(about.split()), needed and bool(about), holdable, replaceable)


SPOKEN = (
    "party interest artefact claim exhibit reproduction rebuttal reply question answer transcript finding residual "
    "withdrawal"
)
"""Kinds with a text of a person, which moderation can reach."""

KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        _kind("case"),
        _kind("party", holdable=True, replaceable=True),
        _kind("role"),
        _kind("key"),
        _kind("key_rotated"),
        _kind("interest", holdable=True, replaceable=True),
        _kind("artefact", holdable=True, replaceable=True),
        _kind("claim", holdable=True, replaceable=True),
        _kind("exhibit", "claim rebuttal reply answer", holdable=True, replaceable=True),
        _kind("reproduction", "exhibit", holdable=True),
        _kind("rebuttal", "claim exhibit finding", holdable=True, replaceable=True),
        _kind(
            "reply",
            "claim exhibit rebuttal reply finding moderation reproduction",
            holdable=True,
            replaceable=True,
        ),
        _kind("reply_timer", "claim exhibit rebuttal reply finding answer"),
        _kind("question", "claim exhibit finding", needed=False, holdable=True),
        _kind("question_state", "question"),
        _kind("pin", "question"),
        _kind("vote", "question"),
        _kind("answer", "question", holdable=True, replaceable=True),
        _kind("transcript", holdable=True, replaceable=True),
        _kind("finding", "claim", holdable=True, replaceable=True),
        _kind("residual", "claim question exhibit", needed=False, holdable=True, replaceable=True),
        _kind("withdrawal", "claim exhibit rebuttal reply answer question residual", holdable=True),
        _kind("moderation", SPOKEN),
        _kind("notice", "moderation"),
        _kind("close"),
    )
}


@cache
def schema() -> Mapping[str, Any]:
    """The JSON Schema whose definitions are the kinds' payloads."""
    text = (
        resources.files("jokbo.hearing").joinpath("schemas/hearing-entry-1.json").read_text(encoding="utf-8")
    )
    document: Mapping[str, Any] = json.loads(text)
    return document


def check_payload(kind: str, payload: Mapping[str, Any], *, where: str) -> None:
    """Check a payload against its kind.

    Raises
    ------
    FormatError
        There is no such kind, or the payload does not follow it; the message names the first field that does not.

    Examples
    --------
    >>> check_payload("vote", {"value": 2}, where="vote.yaml")
    Traceback (most recent call last):
    jokbo.errors.FormatError: vote.yaml at value: expected one of -1, 0, 1, found 2. Correct this field.
    """
    if kind not in KINDS:
        raise FormatError(f"{where}: there is no kind of entry {kind[:40]!r}. One of {', '.join(KINDS)}.")
    whole = {"$ref": f"#/$defs/{kind}", "$defs": schema()["$defs"]}
    problem = next(rules.problems(payload, whole), None) or _beyond_schema(kind, payload)
    if problem is not None:
        path, said = problem
        raise FormatError(f"{where}{f' at {path}' if path else ''}: {said}. Correct this field.")


def _beyond_schema(kind: str, payload: Mapping[str, Any]) -> rules.Problem | None:
    """What the keywords of our schemas cannot say."""
    if kind == "finding" and payload["outcome"] == "not_proven" and "would_settle" not in payload:
        return "would_settle", "a finding that is not proven says what test would settle it"
    if kind == "exhibit" and (payload["form"] == "evidence") is not ("evidence" in payload):
        return "evidence", "an exhibit of the form evidence says what the evidence says, and no other does"
    if kind in ("exhibit", "reproduction") and "evidence" in payload:
        about = payload["evidence"].keys() & {"reference", "candidate", "record"}
        if about not in ({"reference", "candidate"}, {"record"}):
            return "evidence", "evidence is about a reference and a candidate, or about a record"
    if kind == "question_state" and (payload["state"] == "hidden") is not ("reason" in payload):
        return "reason", "a question is hidden with a reason, and only then"
    if kind == "moderation" and (payload["action"] == "hold") is not ("until" in payload):
        return "until", "a hold has an end, and nothing else has"
    if kind == "transcript" and payload["stop_seconds"] < payload["start_seconds"]:
        return "stop_seconds", "a segment ends after it begins"
    if kind == "case" and payload.get("recovery") == payload["keeper"]:
        return "recovery", "a recovery key is another than the host's, and kept apart from it"
    if kind == "claim":
        return _claim_problem(payload)
    return None


def _claim_problem(payload: Mapping[str, Any]) -> rules.Problem | None:
    from jokbo.hearing.claims import schema as claims

    for field, name in (("claim", claims.CLAIM), ("lint", claims.LINT)):
        if field in payload:
            problem = next(rules.problems(payload[field], claims.schema(name)), None)
            if problem is not None:
                return f"{field}/{problem[0]}", problem[1]
    return None
