"""The page of a claim with its thread, and that of an exhibit with who repeated it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jokbo.errors import EvidenceError
from jokbo.hearing.case.state import Item
from jokbo.hearing.case.views import reproductions
from jokbo.hearing.pages.contexts import MARKS, Contexts
from jokbo.hearing.pages.wording import spoken


def claim_page(c: Contexts, number: int) -> dict[str, Any]:
    """A claim with its thread."""
    item = c.state.items[number]
    (row,) = [row for row in c.rows if row.claim.sequence == number]
    payload = item.payload or {}
    artefacts = [c.state.items[each] for each in payload.get("artefacts", ())]
    return c.page(
        "claim",
        c.t("hearing.page.claim", number=number),
        number,
        row=c.board_row(row),
        artefacts=[_artefact(c, each) for each in artefacts],
        lint=_lint(c, payload.get("lint")),
        findings=[_with_outcome(c, each) for each in c.words.threads.about(number, "finding", replaced=True)],
        thread=[
            {"depth": min(depth, 6), **_in_thread(c, each)}
            for depth, each in c.words.threads.flat(number)
            if each.kind != "finding"
        ],
        earlier=[c.words.item(each) for each in c.words.threads.versions(number)[1:]],
    )


def _with_outcome(c: Contexts, item: Item) -> dict[str, Any]:
    found = c.words.item(item)
    found["outcome_word"] = c.t.code("hearing.outcome", found["outcome"]) if found["outcome"] else ""
    found["mark"] = MARKS.get(found["outcome"], "")
    return found


def _in_thread(c: Contexts, item: Item) -> dict[str, Any]:
    found = c.words.item(item)
    if item.kind == "exhibit":
        found["href"] = c.links("exhibit", item.sequence)
        found["reproduced"] = _reproduced(c, item)
    if item.kind == "reproduction" and item.payload is not None:
        found["agrees"] = _agreement(c, item.payload)
    return found


def _reproduced(c: Contexts, item: Item) -> str:
    if item.payload is None or item.payload["form"] != "evidence":
        return ""
    counted = reproductions(c.words.threads, item.sequence)
    return c.t("hearing.reproduced", count=counted.agreeing, differing=counted.differing)


def _agreement(c: Contexts, payload: Mapping[str, Any]) -> str:
    if payload["agrees"]:
        return c.t("hearing.agrees")
    return c.t("hearing.differs", count=payload["differences"])


def _artefact(c: Contexts, item: Item) -> dict[str, Any]:
    payload = item.payload or {}
    return {
        "number": item.sequence,
        "gone": c.words.gone(item),
        **{
            key: spoken(str(payload.get(key, "")))
            for key in ("name", "repository", "commit", "digest", "note")
        },
        "files": [
            (spoken(file["name"]), c.t.bytes(file["size"]), file["sha256"])
            for file in payload.get("files", ())
        ],
    }


def _lint(c: Contexts, document: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What the linter said of a claim; a rule of another version is named by its code."""
    from jokbo.hearing.claims.wording import finding_text

    if document is None:
        return None
    rows: list[tuple[str, str, str, str, str, tuple[str, ...]]] = []
    for finding in document["findings"]:
        try:
            found = finding_text(finding, c.t)
        except EvidenceError:
            unknown = c.t("hearing.lint.unknown")
            rows.append(("·", "", spoken(str(finding["code"])), unknown, "", ()))
        else:
            rows.append((found.mark, found.word, found.title, found.what, found.why, found.places))
    return {"rows": rows, "faults": document["faults"], "missing": document["missing"]}


def exhibit_page(c: Contexts, number: int) -> dict[str, Any]:
    """An exhibit: its file, command, and who repeated it."""
    item = c.state.items[number]
    payload = item.payload
    counted = reproductions(c.words.threads, number)
    return c.page(
        "exhibit",
        c.t("hearing.page.exhibit", number=number),
        number,
        item=c.words.item(item),
        file=None if payload is None else _file(c, payload),
        command=spoken(payload["command"]) if payload else "",
        versions=spoken(payload.get("versions", "")) if payload else "",
        evidence=None if payload is None else _evidence(c, payload.get("evidence")),
        reproduced=_reproduced(c, item),
        attempts=[_attempt(c, each) for each in counted.attempts],
        about=_claim_of(c, item),
    )


def _claim_of(c: Contexts, item: Item) -> list[tuple[int, str]]:
    """Claims in whose threads an item stands; by their newest version."""
    seen: Item | None = item
    while seen is not None and seen.kind != "claim":
        seen = c.state.items.get(seen.about) if seen.about is not None else None
    while seen is not None and seen.replaced_by is not None:
        seen = c.state.items[seen.replaced_by]
    return [] if seen is None else [(seen.sequence, c.links("claim", seen.sequence))]


def _file(c: Contexts, payload: Mapping[str, Any]) -> dict[str, Any]:
    file = payload["file"]
    return {
        "name": spoken(file["name"]),
        "size": c.t.bytes(file["size"]),
        "bytes": c.t.number(file["size"]),
        "sha256": file["sha256"],
        "href": c.links("file", None) + file["sha256"] + ".bin",
    }


def _evidence(c: Contexts, evidence: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if evidence is None:
        return None
    key = f"hearing.verdict.{evidence['verdict']}"
    verdict = c.t(key) if c.t.has(key) else evidence["verdict"]
    facts = [(c.t("hearing.fact.verdict"), verdict, False)]
    for side in ("reference", "candidate", "record"):
        if side in evidence:
            of = "record_digest" if side == "record" else "digest"
            facts.append((c.t(f"hearing.fact.{side}"), spoken(evidence[side]["name"]), False))
            facts.append((c.t(f"hearing.fact.{of}"), evidence[side]["digest"], True))
    facts.append((c.t("hearing.fact.evidence"), evidence["digest"], True))
    facts.append((c.t("hearing.fact.schema"), evidence["schema"], True))
    return {"facts": facts}


def _attempt(c: Contexts, item: Item) -> dict[str, Any]:
    found = c.words.item(item)
    payload = item.payload
    found["agrees"] = "" if payload is None else _agreement(c, payload)
    found["mark"] = "" if payload is None else "=" if payload["agrees"] else "≠"
    found["machine"] = "" if payload is None else spoken(payload.get("machine", ""))
    found["file"] = None if payload is None else _file(c, payload)
    return found
