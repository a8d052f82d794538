"""What a new revision of a repository shows, as a document: ``schemas/watch-1.json``.

A dependence is *explained* where declarations account for it: the other model, or one that it comes from, is among
those that the new revision declares (directly or through declarations of registered models), or the other declares
that it comes from this repository. What is not explained is undeclared, which is a question to the publisher and
not an accusation: the register may not know of a declaration.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jokbo import __version__
from jokbo.evidence.documents import check_against, load_schema
from jokbo.lineage.pairs import DEPENDENCE

if TYPE_CHECKING:
    from jokbo.lineage.register.entries import Entry
    from jokbo.lineage.search_document import SearchResult

SCHEMA = "jokbo.watch/1"

EXIT_STATUS: Mapping[str, int] = {"undeclared": 10, "undecided": 11, "explained": 0, "nothing": 0}
"""Of the outcome of one revision."""

UNDECIDED = frozenset({"lead", "inconclusive"})


def schema() -> Mapping[str, Any]:
    """The JSON Schema of a report."""
    return load_schema("jokbo.lineage", "schemas/watch-1.json")


def check(document: Any, *, where: str) -> None:
    """Check a report that somebody else wrote.

    Raises
    ------
    EvidenceError
        It does not follow the schema; the message names the first field that does not.
    """
    check_against(document, schema(), where=where)


def build_report(
    entry: Entry,
    *,
    repository: str,
    previous: Entry | None,
    pair: Mapping[str, Any] | None,
    searched: SearchResult | None,
    entries: Sequence[Entry],
    register: str,
    seen: str,
    not_before: str | None,
) -> dict[str, Any]:
    """The report on one new revision.

    Parameters
    ----------
    entry : Entry
        Of the new revision.
    repository : str
        As it is watched.
    previous, pair : Entry, mapping or None
        The revision before, and the comparison with it; None at the first.
    searched : SearchResult or None
        The search of the register; None where it holds nothing else.
    entries : sequence of Entry
        The register, whose declarations explain.
    register : str
        Digest of what was searched.
    seen : str
        ISO 8601 time.
    not_before : str or None
        Day on which an older revision was last seen in this one's place.
    """
    found = [] if searched is None else _findings(searched.document["rows"], entry, entries)
    answer = {} if searched is None else searched.document["answer"]
    left_out = [] if searched is None else searched.document["rest"]["failed"]
    outcome = decide(found, left_out=bool(left_out))
    return {
        "schema": SCHEMA,
        "jokbo": __version__,
        "seen": seen,
        "not_before": not_before,
        "repository": repository,
        "commit": entry.commit,
        "fingerprint": entry.key,
        "parameters": entry.parameters,
        "declared": {"parents": list(entry.parents), "relation": entry.relation, "license": entry.license},
        "previous": None if previous is None or pair is None else _previous(entry, previous, pair),
        "register": {
            "digest": register,
            "models": answer.get("registered", 0),
            "comparable": answer.get("comparable", 0),
            "left_out": [{"key": row["key"], "name": row["name"]} for row in left_out],
        },
        "search_sha256": None if searched is None else searched.digest,
        "found": found,
        "outcome": outcome,
        "exit_status": EXIT_STATUS[outcome],
    }


def _findings(
    rows: Iterable[Mapping[str, Any]], entry: Entry, entries: Sequence[Entry]
) -> list[dict[str, Any]]:
    """What a search found, most evidence first, with what accounts for it."""
    by_key = {each.key: each for each in entries}
    kinship = Kinship(entries)
    found = []
    for row in rows:
        if row["pair"]["relation"] in DEPENDENCE | UNDECIDED:
            other = by_key[row["key"]]
            found.append(_finding(row["pair"], other, kinship.explain(entry, other)))
    return sorted(found, key=lambda each: (-(each["log10_evalue"] or 0.0), each["key"]))


def decide(found: Iterable[Mapping[str, Any]], *, left_out: bool = False) -> str:
    """The outcome of a revision: its gravest finding; with models left out of the search, nothing found is undecided.

    Examples
    --------
    >>> decide([{"relation": "lineage", "explained": "declared"}, {"relation": "lead", "explained": None}])
    'undecided'
    """
    outcomes = {
        "explained" if each["explained"] else "undecided" if each["relation"] in UNDECIDED else "undeclared"
        for each in found
    }
    if left_out:
        outcomes.add("undecided")
    return next((each for each in EXIT_STATUS if each in outcomes), "nothing")


class Kinship:
    """Who declares to come from whom, by name and by repository, over a whole register."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._parents: dict[str, set[str]] = {}
        for entry in entries:
            for name in names_of(entry):
                self._parents.setdefault(name, set()).update(_plain(parent) for parent in entry.parents)

    def ancestors(self, entry: Entry) -> set[str]:
        """Names of all that a model declares to come from, directly or through others."""
        found: set[str] = set()
        left = [_plain(parent) for parent in entry.parents]
        while left:
            name = left.pop()
            if name not in found:
                found.add(name)
                left += self._parents.get(name, ())
        return found

    def explain(self, entry: Entry, other: Entry) -> str | None:
        """Which declaration accounts for dependence of two models.

        Returns
        -------
        str or None
            ``same_repository``; ``declared``: the other is an ancestor; ``declared_by_other``: the other declares
            this one; ``common_ancestor``: both declare to come from one model; None when nothing does.
        """
        mine, others = names_of(entry), names_of(other)
        above, above_other = self.ancestors(entry), self.ancestors(other)
        if mine & others:
            return "same_repository"
        if above & others:
            return "declared"
        if above_other & mine:
            return "declared_by_other"
        return "common_ancestor" if above & above_other else None


def names_of(entry: Entry) -> set[str]:
    """What declarations may call a model: its name, and its repository without the revision."""
    repository = (entry.source or "").partition("@")[0]
    return {_plain(name) for name in (entry.name, repository) if name}


def _plain(name: str) -> str:
    """Hubs do not tell repositories apart by the case of their names."""
    return name.partition("@")[0].strip().casefold()


def _finding(row: Mapping[str, Any], other: Entry, explained: str | None) -> dict[str, Any]:
    return {
        "key": other.key,
        "name": other.name,
        "source": other.source,
        "relation": row["relation"],
        "direction": row["direction"],
        "log10_evalue": row["log10_evalue"],
        "inherited_share": row["inherited_share"],
        "explained": explained,
    }


def _previous(entry: Entry, previous: Entry, pair: Mapping[str, Any]) -> dict[str, Any]:
    """What changed since the revision before."""
    return {
        "key": previous.key,
        "commit": previous.commit,
        "weights": "unchanged" if previous.digest == entry.digest else "changed",
        "relation": pair["relation"],
        "log10_evalue": pair["log10_evalue"],
        "inherited_share": pair["inherited_share"],
        "parameters": previous.parameters,
        "parents_added": sorted(set(entry.parents) - set(previous.parents)),
        "parents_dropped": sorted(set(previous.parents) - set(entry.parents)),
        "license_before": previous.license if previous.license != entry.license else None,
        "components": [
            {"component": row["component"], "status": row["status"], "effect_size": row["effect_size"]}
            for row in pair["components"]
        ],
    }
