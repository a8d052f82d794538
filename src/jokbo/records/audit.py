"""Audit a training record: run every check, judge them together, write the document.

Nothing is executed that the record brings: weights and logs are read, and where the model is run
again (extra ``record-replay``) it is built from its sizes alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jokbo.errors import EvidenceError, UsageError
from jokbo.evidence.canonical import canonical_bytes, digest
from jokbo.records.checks.base import DEFAULT_FLOPS, N_PLANTS, Check, CheckContext, CheckResult
from jokbo.records.checks.choose import all_checks
from jokbo.records.evidence import METHODS, build_document
from jokbo.records.record import DEFAULT_BUDGET_BYTES, Record
from jokbo.records.verdict import RecordVerdict, judge
from jokbo.sources.base import OpenOptions

PackSpec = Record | str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class Audit:
    """What an audit found.

    Attributes
    ----------
    verdict : RecordVerdict
    document : mapping
        Valid under ``jokbo.record-audit/1``.
    """

    verdict: RecordVerdict
    document: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical document without its ``software`` section."""
        return audit_digest(self.document)

    def to_json(self) -> bytes:
        """Canonical JSON with a final newline."""
        return canonical_bytes(dict(self.document)) + b"\n"


def audit_digest(document: Mapping[str, Any]) -> str:
    """SHA-256 of an audit's canonical document without its ``software`` section."""
    return digest({key: value for key, value in document.items() if key != "software"})


def audit(
    pack: PackSpec,
    *,
    seed: int = 0,
    against: Sequence[str] = (),
    replay: bool = True,
    checks: Sequence[str] | None = None,
    budget_bytes: int = DEFAULT_BUDGET_BYTES,
    n_plants: int = N_PLANTS,
    flops: float = DEFAULT_FLOPS,
    tsa_certificates: Sequence[str] = (),
    keys: Sequence[str] = (),
    options: OpenOptions | None = None,
    progress: Callable[[str, str], None] | None = None,
) -> Audit:
    """Hold a disclosed training record against itself.

    Parameters
    ----------
    pack : Record or path
        An opened record (its own seed and budget then count), or the folder of a pack.
    seed : int
        Decides which rows, batches and segments are looked at; to be drawn after the record is fixed.
    against : sequence of str
        Models, or logs, that the record must not come from.
    replay : bool
        Run the checks that run the model; they need the extra ``record-replay``.
    checks : sequence of str, optional
        Names of the checks to run; all by default. A verdict is "consistent" only if all ran.
    budget_bytes : int
        How much of the checkpoints may be read.
    n_plants : int
        Forgeries planted to measure each check's power.
    flops : float
        How much arithmetic one check that runs the model may plan.
    tsa_certificates, keys : sequence of str
        PEM files that you trust: of time stamp authorities, and of whoever signed commitments.
    options : OpenOptions, optional
        How models of `against` are reached.
    progress : callable, optional
        Called with (stage, what).

    Raises
    ------
    JokboError
        The record cannot be read or believed; there is no verdict then.
    """
    if type(seed) is not int or seed < 0:
        raise UsageError(f"seed is {seed!r}; expected a whole number from 0.")
    if n_plants < 1:
        raise UsageError(f"n_plants is {n_plants!r}; expected at least 1.")
    tell = progress or (lambda stage, what: None)
    record = _open(pack, seed=seed, budget_bytes=budget_bytes)
    context = CheckContext(
        seed=record.seed,
        against=tuple(against),
        options=options or OpenOptions(),
        tsa_certificates=tuple(tsa_certificates),
        keys=tuple(keys),
        n_plants=n_plants,
        replay=replay,
        flops=flops,
        tell=lambda what: tell("check", what),
    )
    try:
        rows = []
        for check in all_checks(checks):
            tell("check", check.name)
            rows.append((check, run_check(check, record, context)))
        verdict = judge(rows)
        tell("history", "")
        from jokbo.records.history import history

        return Audit(verdict, build_document(record, verdict, context, history(record)))
    finally:
        if not isinstance(pack, Record) and "checkpoints" in record.__dict__:
            record.checkpoints.close()


def run_check(check: Check, record: Record, context: CheckContext) -> CheckResult:
    """Run one check; one that runs the model says so where that was not wanted.

    A check on the states of the run passes only where every weight can be followed through all of them.
    """
    from jokbo.records.checks.base import Observation, unknown
    from jokbo.records.trajectory import unfollowed

    if check.extra == "record-replay" and not context.replay:
        return unknown("policy.replay_off", missing=["replay_extra"])
    result = check.run(record, context)
    if check.follows and result.observation is Observation.HOLDS:
        reason = unfollowed(record)
        if reason is not None:
            # What was compared agrees; what was not may be anything.
            result = replace(
                result,
                observation=Observation.UNKNOWN,
                reasons=(*result.reasons, reason),
                missing=(*result.missing, "checkpoints"),
            )
    return result


def _open(pack: PackSpec, *, seed: int, budget_bytes: int) -> Record:
    if isinstance(pack, Record):
        return pack
    from jokbo.records.pack import open_pack

    return open_pack(pack, seed=seed, budget_bytes=budget_bytes)


@dataclass(frozen=True, slots=True)
class AuditVerification:
    """Whether an audit was found again.

    Attributes
    ----------
    holds : bool
    differences : tuple of (str, str, str)
        Path in the document, the value claimed and the value found; at most 100.
    audit : Audit
        The repetition.
    """

    holds: bool
    differences: tuple[tuple[str, str, str], ...]
    audit: Audit


def verify_audit(
    document: Mapping[str, Any],
    pack: PackSpec,
    *,
    against: Sequence[str] = (),
    tsa_certificates: Sequence[str] = (),
    keys: Sequence[str] = (),
    options: OpenOptions | None = None,
    progress: Callable[[str, str], None] | None = None,
) -> AuditVerification:
    """Repeat an audit and say whether its document holds.

    Raises
    ------
    EvidenceError
        The pack is not the record that the document names, or what the audit was given is not given again.
    """
    from jokbo.evidence.verify import differences

    parameters = document["parameters"]
    if parameters["methods"] != METHODS:
        raise EvidenceError(
            f"the audit was made by set {parameters['methods']} of the checks, and this version has set {METHODS}. "
            f"Repeat it with Jokbo {str(document['jokbo'])[:20]}, which wrote it."
        )
    record = _open(pack, seed=parameters["seed"], budget_bytes=parameters["budget_bytes"])
    if record.digest != document["record"]["digest"]:
        raise EvidenceError(
            f"the pack is not the record that the audit names: expected digest {document['record']['digest'][:16]}…, "
            f"found {record.digest[:16]}…. Give the very pack that was audited."
        )
    for name, given in (("against", against), ("tsa_certificates", tsa_certificates), ("keys", keys)):
        claimed = parameters[name] if isinstance(parameters[name], int) else len(parameters[name])
        if claimed != len(given):
            raise EvidenceError(
                f"the audit was given {claimed} of {name!r}, and the repetition {len(given)}. Give the same again."
            )
    again = audit(
        record,
        against=against,
        replay=parameters["replay"],
        checks=parameters["checks"],
        n_plants=parameters["n_plants"],
        flops=parameters["flops"],
        tsa_certificates=tsa_certificates,
        keys=keys,
        options=options,
        progress=progress,
    )
    found = differences(_comparable(document), _comparable(again.document))
    rows = tuple((d.path, d.claimed, d.found) for d in found)
    return AuditVerification(not rows, rows, again)


def _comparable(document: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in ("software", "jokbo")}
