"""An audit's document judged again: the verdict has to be the policy's on what the document says was seen."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from jokbo.errors import UsageError
from jokbo.records.checks.base import CheckResult, Observation, Planted
from jokbo.records.checks.choose import find_check
from jokbo.records.forgeries import Forgery
from jokbo.records.policy import RecordPolicy
from jokbo.records.verdict import RecordVerdict, judge

Contradiction = tuple[str, str, Any]
"""Path in the document, what would agree, what stands there."""


def contradictions(document: Mapping[str, Any]) -> list[Contradiction]:
    """Where a document that follows the schema is not what the policy makes of its own checks.

    Parameters
    ----------
    document : mapping
        Of the methods and the policy that this version knows.
    """
    policy = RecordPolicy()
    if document["verdict"]["policy"] != asdict(policy):
        return [("verdict/policy", f"{policy.name} {policy.version} as it is", document["verdict"]["policy"])]
    rows = []
    for k, row in enumerate(document["checks"]):
        try:
            check = find_check(row["check"])
        except UsageError:
            return [(f"checks/{k}/check", "the name of a check", row["check"])]
        for key, own in (("number", check.number), ("kind", str(check.kind))):
            if row[key] != own:
                return [(f"checks/{k}/{key}", repr(own), row[key])]
        for p, planted in enumerate(row["planted"]):
            if planted["powered"] is not _planted(planted).powered:
                return [(f"checks/{k}/planted/{p}/powered", "what found and tried give", planted["powered"])]
        rows.append((check, _result(row)))
    return _differences(document, judge(rows, policy))


def _planted(row: Mapping[str, Any]) -> Planted:
    return Planted(Forgery(row["forgery"]), row["found"], row["tried"], row["costly"], row["variant"])


def _result(row: Mapping[str, Any]) -> CheckResult:
    log10 = row["log10_pvalue"]
    return CheckResult(
        Observation(row["observation"]),
        log_pvalue=None if log10 is None else log10 * math.log(10),
        planted=tuple(_planted(planted) for planted in row["planted"]),
        missing=tuple(row["missing"]),
    )


def _differences(document: Mapping[str, Any], verdict: RecordVerdict) -> list[Contradiction]:
    found: list[Contradiction] = []
    for k, (row, judged) in enumerate(zip(document["checks"], verdict.checks, strict=True)):
        if row["outcome"] != str(judged.outcome):
            found.append((f"checks/{k}/outcome", repr(str(judged.outcome)), row["outcome"]))
    names = [str(row.forgery) for row in verdict.coverage]
    if [row["forgery"] for row in document["coverage"]] != names:
        return [*found, ("coverage", "every forgery once", [row["forgery"] for row in document["coverage"]])]
    for k, (row, own) in enumerate(zip(document["coverage"], verdict.coverage, strict=True)):
        said = {way["variant"]: tuple(way["by"]) for way in row["variants"]}
        if said != dict(own.variants) or len(row["variants"]) != len(said):
            found.append((f"coverage/{k}/variants", "what its checks exclude", row["variants"]))
    return found
