"""The gate: eligible, not eligible or untestable, from evidence of `jokbo compare`, before any rank.

Every team's model is held against each reference of the round. What a team declared to have drawn on counts as
declared; "no evidence" goes down to a bound, and no further. To exclude a team wrongly is the worst that a gate can do,
so it is *not eligible* only where dependence was found, on parts that it did not declare, and nothing else would
explain it; whatever is less clear is *untestable*, shown with its reason, and decided by people
(``docs/design/0028-league-round.md``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jokbo.errors import UsageError
from jokbo.league.compute import Plausibility, plausibility
from jokbo.league.gate_evidence import Exhibit, Verify, read_exhibit
from jokbo.league.gate_pairs import Pair, Standing, declared_parts, judge_pair, worst
from jokbo.league.measured import InputFile
from jokbo.league.round import Ancestor, Round, Team
from jokbo.views.component import Reason

__all__ = ["GateRow", "GateTable", "Standing", "judge_gate"]

MAX_EXHIBITS = 20_000


@dataclass(frozen=True, slots=True)
class EvidenceRow:
    """One evidence document in the table.

    Attributes
    ----------
    reference : str or None
        Name of the gate's reference that it is about; None where it is about none.
    role : str or None
        What the team's model is in the document: ``candidate`` or ``reference``; None where it is neither.
    declared : bool or None
        Whether the dependence found was declared; None where none was found.
    verified : bool or None
        Whether a rerun held; None where none was made: then the document is a claim.
    """

    file: str
    sha256: str
    reference: str | None
    verdict: str
    role: str | None
    declared: bool | None
    components: tuple[str, ...]
    verified: bool | None


@dataclass(frozen=True, slots=True)
class GateRow:
    """One team's standing and why."""

    team: str
    standing: Standing
    reasons: tuple[Reason, ...]
    evidence: tuple[EvidenceRow, ...]
    compute: Plausibility | None = None


@dataclass(frozen=True, slots=True)
class GateTable:
    """All teams' standings.

    Attributes
    ----------
    required : bool
        Whether the gate removes teams; otherwise it only shows.
    untestable : str
        ``stays`` or ``removes``.
    references : tuple of Ancestor
    rows : tuple of GateRow
        In the round's order.
    """

    required: bool
    untestable: str
    references: tuple[Ancestor, ...]
    rows: tuple[GateRow, ...]

    @property
    def eligible(self) -> tuple[str, ...]:
        """Teams that are eligible beyond doubt."""
        return self._of(Standing.ELIGIBLE)

    @property
    def removed(self) -> tuple[str, ...]:
        """Teams that do not compete: the gate removes them."""
        if not self.required:
            return ()
        gone = {Standing.NOT_ELIGIBLE, *([Standing.UNTESTABLE] if self.untestable == "removes" else [])}
        return tuple(row.team for row in self.rows if row.standing in gone)

    @property
    def open(self) -> tuple[str, ...]:
        """Teams that compete although they could not be tested: people have to decide on them."""
        if not self.required or self.untestable == "removes":
            return ()
        return self._of(Standing.UNTESTABLE)

    def _of(self, standing: Standing) -> tuple[str, ...]:
        return tuple(row.team for row in self.rows if row.standing is standing)

    def to_document(self) -> dict[str, Any]:
        """Plain values, as the board holds them."""
        return {
            "required": self.required,
            "untestable": self.untestable,
            "references": [
                {"name": each.name, "digest": each.digest, "team": each.team} for each in self.references
            ],
            "rows": [_row(row) for row in self.rows],
        }


def _row(row: GateRow) -> dict[str, Any]:
    return {
        "team": row.team,
        "standing": str(row.standing),
        "reasons": [{"code": reason.code, "values": dict(reason.values)} for reason in row.reasons],
        "evidence": [
            {
                "file": each.file,
                "sha256": each.sha256,
                "reference": each.reference,
                "verdict": each.verdict,
                "role": each.role,
                "declared": each.declared,
                "components": list(each.components),
                "verified": each.verified,
            }
            for each in row.evidence
        ],
        "compute": None if row.compute is None else row.compute.to_document(),
    }


def judge_gate(
    round: Round,
    evidence: Mapping[str, Sequence[tuple[InputFile, bytes]]],
    *,
    verify: Verify | None = None,
) -> GateTable:
    """Judge every team.

    Parameters
    ----------
    evidence : mapping of str to sequence of (InputFile, bytes)
        Evidence documents by the team that they were listed under. A document on two teams serves both.
    verify : callable, optional
        Called with each document, as ``jokbo league check --verify-evidence`` does; one that does not hold is not used.
        Without it documents are claims.

    Raises
    ------
    EvidenceError
        A document is damaged, or contradicts itself; the message names its file.
    UsageError
        Evidence of a team that is not in the round, or too much of it.
    """
    ids = {team.id for team in round.teams}
    for team in evidence:
        if team not in ids:
            raise UsageError(
                f"evidence is listed for {team[:64]!r}; expected one of {', '.join(sorted(ids))}."
            )
    if sum(map(len, evidence.values())) > MAX_EXHIBITS:
        raise UsageError(f"more than {MAX_EXHIBITS:,} evidence documents; expected one a team and reference.")
    listed = {
        team: tuple(read_exhibit(file, data, verify=verify) for file, data in files)
        for team, files in evidence.items()
    }
    # One file may be listed under both of its teams; it is one document all the same.
    whole = {each.file.sha256: each for rows in listed.values() for each in rows}
    exhibits = sorted(whole.values(), key=lambda each: each.file.sha256)
    rows = tuple(_judge(round, team, listed.get(team.id, ()), exhibits) for team in round.teams)
    return GateTable(round.gate.required, round.gate.untestable, round.gate.references, rows)


def _judge(round: Round, team: Team, listed: Sequence[Exhibit], exhibits: Sequence[Exhibit]) -> GateRow:
    standings: list[Standing] = []
    reasons: list[Reason] = []
    rows: list[EvidenceRow] = []
    shown: set[str] = set()
    for standing, reason in _same_weights(round, team):
        standings.append(standing)
        reasons.append(reason)
    for reference in _references(round, team):
        pair = Pair(round, team, reference, exhibits)
        standing, found = judge_pair(pair)
        standings.append(standing)
        reasons += found
        for exhibit in pair.exhibits:
            shown.add(exhibit.file.sha256)
            rows.append(_evidence_row(team, reference, exhibit))
    for exhibit in listed:
        if exhibit.file.sha256 not in shown:
            rows.append(_evidence_row(team, None, exhibit))
            if not _between_others(round, team, exhibit):
                reasons.append(Reason("about_other_models", {"file": exhibit.file.name}))
    if not standings and not round.gate.references:
        reasons.append(Reason("no_gate"))
    return GateRow(team.id, worst(standings), tuple(reasons), tuple(rows), plausibility(team))


def _references(round: Round, team: Team) -> Iterator[Ancestor]:
    """All but the team's own entry; another entry of the same weights is judged apart."""
    for reference in round.gate.references:
        own = reference.team is not None and reference.digest == team.model.digest
        if reference.team != team.id and not own:
            yield reference


def _same_weights(round: Round, team: Team) -> Iterator[tuple[Standing, Reason]]:
    digest = team.model.digest
    if digest is None:
        return
    for other in round.teams:
        if other.id == team.id or other.model.digest != digest:
            continue
        if any(declared_parts(each, digest) == () for each in (team, other)):
            yield Standing.ELIGIBLE, Reason("same_weights_declared", {"team": other.id})
        else:
            # Either may have copied the other, who would be excluded for having been copied: people decide.
            yield Standing.UNTESTABLE, Reason("same_weights", {"team": other.id})


def _between_others(round: Round, team: Team, exhibit: Exhibit) -> bool:
    """Whether a document ties a declared ancestor to a reference: it explains, and needs no remark."""
    ancestors = {each.digest for each in team.declared_ancestors}
    references = {each.digest for each in round.gate.references}
    return bool(exhibit.pair & ancestors) and bool(exhibit.pair & references)


def _evidence_row(team: Team, reference: Ancestor | None, exhibit: Exhibit) -> EvidenceRow:
    own = team.model.digest
    role = {exhibit.reference: "reference", exhibit.candidate: "candidate"}.get(own or "")
    declared = None
    if reference is not None and exhibit.depends:
        parts = declared_parts(team, reference.digest)
        declared = parts is not None and (not parts or set(exhibit.components) <= set(parts))
    return EvidenceRow(
        exhibit.file.name,
        exhibit.file.sha256,
        None if reference is None else reference.name,
        str(exhibit.kind),
        role,
        declared,
        exhibit.components,
        exhibit.verified,
    )
