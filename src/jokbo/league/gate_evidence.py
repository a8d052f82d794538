"""What one evidence document says to a gate: which two models, what kind of verdict, which components, which bound.

A document is somebody's claim. It is parsed under its schema and must not contradict itself; whether it is true,
`jokbo verify` finds out by running the comparison again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jokbo.errors import EvidenceError
from jokbo.evidence.evidence import parse_evidence
from jokbo.evidence.findings import DEPENDENCE, DEPENDENT, Status, VerdictKind
from jokbo.independence.base import Alignment
from jokbo.independence.combine import BODY
from jokbo.league.measured import InputFile

Verify = Callable[[InputFile, bytes], bool]
"""Runs a comparison again, as `jokbo verify` does: whether the document holds."""


@dataclass(frozen=True, slots=True)
class Bound:
    """The smallest cosine that would have been found in the same basis.

    Attributes
    ----------
    cosine : float
        The largest over the components of the model's body: down to it, all that were tested are bounded.
    component : str
        Which component that is.
    unbounded : tuple of str
        Body components without evidence for which no cosine was found.
    """

    cosine: float
    component: str
    unbounded: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Exhibit:
    """One evidence document as the gate reads it.

    Attributes
    ----------
    file : InputFile
    reference, candidate : str
        Digests of the two models, in the document's roles.
    names : tuple of str
        Their names, as the document has them.
    kind : VerdictKind
    components : tuple of str
        Those that depend: inherited, or dependent in a way that cannot be told.
    basis : tuple of str
        Those whose channels are only numbered alike; this shows no part to be taken over.
    bound : Bound, optional
        Of a document without evidence; None where it states none.
    headers_only : bool
        A model's digest is over headers, because some file's own digest was not known.
    verified : bool or None
        Whether a rerun held; None where none was made.
    """

    file: InputFile
    reference: str
    candidate: str
    names: tuple[str, str]
    kind: VerdictKind
    components: tuple[str, ...]
    basis: tuple[str, ...]
    bound: Bound | None
    headers_only: bool
    verified: bool | None = None

    @property
    def pair(self) -> frozenset[str]:
        """The two digests, without roles."""
        return frozenset((self.reference, self.candidate))

    @property
    def depends(self) -> bool:
        """Whether independence was rejected."""
        return self.kind in DEPENDENCE


def read_exhibit(file: InputFile, data: bytes, *, verify: Verify | None = None) -> Exhibit:
    """Read one evidence document.

    Parameters
    ----------
    verify : callable, optional
        Called once with file and bytes.

    Raises
    ------
    EvidenceError
        It is no evidence, its verdict is of a kind that no gate knows, or verdict and components contradict.
    """
    document = parse_evidence(data, where=file.name).document
    kind = _kind(document["verdict"]["kind"], file.name)
    rows = document["components"]
    dependent = tuple(sorted(row["component"] for row in rows if row["status"] in DEPENDENT))
    basis = tuple(sorted(row["component"] for row in rows if row["status"] == Status.SHARED_BASIS))
    _check_whole(kind, rows, dependent, file.name)
    models = document["reference"], document["candidate"]
    return Exhibit(
        file=file,
        reference=models[0]["digest"],
        candidate=models[1]["digest"],
        names=(models[0]["name"], models[1]["name"]),
        kind=kind,
        components=tuple(name for name in dependent if name not in basis),
        basis=basis,
        bound=_bound(rows) if kind is VerdictKind.NO_EVIDENCE else None,
        headers_only=any(model["digest_covers"] != "weights" for model in models),
        verified=None if verify is None else verify(file, data),
    )


def _kind(text: str, where: str) -> VerdictKind:
    try:
        return VerdictKind(text)
    except ValueError:
        raise EvidenceError(
            f"{where} at verdict/kind: expected one of {', '.join(VerdictKind)}, found {text[:60]!r}. "
            "Use the version of Jokbo that wrote it."
        ) from None


def _check_whole(
    kind: VerdictKind, rows: list[Mapping[str, Any]], dependent: tuple[str, ...], where: str
) -> None:
    if kind in DEPENDENCE and kind is not VerdictKind.IDENTICAL and not dependent:
        raise EvidenceError(
            f"{where}: the verdict is {kind}, and no component is dependent; expected at least one. "
            "It is damaged or edited."
        )
    if kind is VerdictKind.NO_EVIDENCE:
        if dependent:
            raise EvidenceError(
                f"{where}: the verdict is {kind}, and {dependent[0]} is dependent; expected none. "
                "It is damaged or edited."
            )
        if not any(row["status"] == Status.NO_EVIDENCE for row in rows):
            raise EvidenceError(
                f"{where}: the verdict is {kind}, and no component was compared; expected one. "
                "It is damaged or edited."
            )


def _bound(rows: list[Mapping[str, Any]]) -> Bound | None:
    """The weakest bound over the body: its MLPs, experts and attention."""
    found: list[tuple[float, str]] = []
    without: list[str] = []
    for row in rows:
        if row["kind"] not in BODY or row["status"] != Status.NO_EVIDENCE:
            continue
        values = [
            bound["value"]
            for bound in row["bounds"]
            if bound["kind"] == "cosine" and bound["alignment"] == Alignment.SAME_BASIS
        ]
        known = [value for value in values if value is not None]
        if known:
            found.append((min(known), row["component"]))
        else:
            without.append(row["component"])
    if not found:
        return None
    cosine, component = max(found)
    return Bound(float(cosine), component, tuple(sorted(without)))
