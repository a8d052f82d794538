"""From pair documents to edges: what two models have in common, and how far that can be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

JOINING = frozenset({"identical", "lineage"})
"""Only these put two models into one family: whoever shares a start or a component need not be a relative."""

DEPENDENCE = frozenset({"identical", "lineage", "shared_initialisation", "reuse", "shared_basis"})

SHOWING = DEPENDENCE | {"lead", "inconclusive"}
"""Relations that an edge is kept of; the others are counted."""

MIN_CONFIRMED = 3.0
"""An inconclusive pair is looked at again from this much evidence (log10) on."""

SAME_BASIS = "same_basis"

_SAID = frozenset({"inherited", "dependent", "shared_basis"})

B_FROM_A, A_FROM_B, UNDETERMINED = "b_from_a", "a_from_b", "undetermined"


@dataclass(frozen=True, slots=True)
class Edge:
    """What was found of one pair of models.

    Attributes
    ----------
    a, b : int
        Numbers of the models, ``a < b``.
    relation : str
        A relation of :mod:`jokbo.lineage.pairs`; of whole models where they were compared.
    seen : str
        The same of the fingerprints alone.
    direction : str
        ``"b_from_a"``, ``"a_from_b"`` or ``"undetermined"``: what one-way marks say.
    marks : tuple of str
        Names of the marks that say so.
    log10_evalue, log10_threshold : float or None
        Evidence of the best component, and what it had to reach with all pairs paid for.
    inherited_share : float or None
    components : tuple of str
        Those that depend.
    same_basis : bool
        Whether every one of them agrees entry by entry, so that differences of rows mean something.
    rows : str
        ``"fingerprint"`` or ``"full"``.
    evidence_sha256 : str
    """

    a: int
    b: int
    relation: str
    seen: str
    direction: str
    marks: tuple[str, ...]
    log10_evalue: float | None
    log10_threshold: float | None
    inherited_share: float | None
    components: tuple[str, ...]
    same_basis: bool
    rows: str
    evidence_sha256: str

    @property
    def pair(self) -> tuple[int, int]:
        """Both models."""
        return self.a, self.b

    @property
    def depends(self) -> bool:
        """Whether the relation is dependence."""
        return self.relation in DEPENDENCE

    @property
    def joins(self) -> bool:
        """Whether it puts both models into one family."""
        return self.relation in JOINING

    def to_document(self) -> dict[str, Any]:
        """As plain JSON."""
        return {name: getattr(self, name) for name in self.__slots__} | {
            "marks": list(self.marks),
            "components": list(self.components),
        }


def edge_of(
    document: Mapping[str, Any], reference: int, candidate: int, *, whole: Mapping[str, Any] | None = None
) -> Edge:
    """The edge of a pair document.

    Parameters
    ----------
    document : mapping
        Of :func:`jokbo.lineage.pairs.compare_pair`, of two fingerprints.
    reference, candidate : int
        Numbers of its two models.
    whole : mapping, optional
        The same pair as whole models, reference and candidate alike; it decides where it is there.

    Examples
    --------
    >>> document = {"relation": "lineage", "direction": "candidate_from_reference", "marks": [], "log10_evalue": 80.0,
    ...     "log10_threshold": 9.0, "inherited_share": 1.0, "components": [], "rows": "fingerprint",
    ...     "evidence_sha256": "0" * 64}
    >>> edge_of(document, 4, 2).direction
    'a_from_b'
    """
    said = document if whole is None else whole
    dependent = [row for row in said["components"] if row["status"] in _SAID]
    low, high = sorted((reference, candidate))
    return Edge(
        low,
        high,
        str(said["relation"]),
        str(document["relation"]),
        _direction(str(said["direction"]), swapped=reference > candidate),
        tuple(said["marks"]),
        said["log10_evalue"],
        said["log10_threshold"],
        said["inherited_share"],
        tuple(sorted(row["component"] for row in dependent)),
        bool(dependent) and all(row["alignment"] == SAME_BASIS for row in dependent),
        str(said["rows"]),
        str(said["evidence_sha256"]),
    )


def _direction(said: str, *, swapped: bool) -> str:
    if said == "candidate_from_reference":
        return A_FROM_B if swapped else B_FROM_A
    if said == "reference_from_candidate":
        return B_FROM_A if swapped else A_FROM_B
    return UNDETERMINED


def worth_confirming(document: Mapping[str, Any]) -> bool:
    """Whether the fingerprints of a pair showed something that whole models should be asked about.

    Examples
    --------
    >>> worth_confirming({"relation": "lead", "log10_evalue": 80.0})
    True
    >>> worth_confirming({"relation": "inconclusive", "log10_evalue": 1.5})
    False
    """
    if document["relation"] != "inconclusive":
        return document["relation"] in SHOWING
    return document["log10_evalue"] is not None and document["log10_evalue"] >= MIN_CONFIRMED
