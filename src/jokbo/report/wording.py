"""The verdict in plain words, and what it does not mean."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from jokbo.report.parts import Headline, KeyNumber, Section
from jokbo.report.texts import MAX_POWER, Texts, clean, name
from jokbo.views.fingerprint_header import FINGERPRINT

Document = Mapping[str, Any]

FOUND = frozenset(
    {
        "identical",
        "derived",
        "common_lineage",
        "shared_initialisation_or_lineage",
        "component_reuse",
        "shared_basis",
    }
)
CLEAR = frozenset({"no_evidence"})


def model_names(document: Document, t: Texts) -> dict[str, str]:
    """Names of both models for sentences, told apart where they are equal."""
    shown = {role: clean(document[role]["name"]) for role in ("reference", "candidate")}
    names = {role: name(text) for role, text in shown.items()}
    if shown["reference"] == shown["candidate"]:
        names = {role: t(f"ui.name_{role}", name=text) for role, text in names.items()}
    return names


def component_name(tower: str, kind: str, t: Texts) -> str:
    """A component in words; the language model's parts go without its name."""
    word = t.code("kind", kind)
    if tower == "text":
        return word
    # The parts of a one-part tower, such as a projector, need no second word.
    return (
        tower_name(tower, t) if tower == kind else t("kind.in_tower", tower=tower_name(tower, t), kind=word)
    )


def tower_name(tower: str, t: Texts) -> str:
    """A tower in words; towers of unknown architectures bear their own names."""
    return t(f"tower.{tower}") if t.has(f"tower.{tower}") else name(tower)


def joined(words: Sequence[str], t: Texts) -> str:
    """Words as a list in a sentence."""
    if len(words) < 2:
        return "".join(words)
    return t("ui.and", first=", ".join(words[:-1]), last=words[-1])


def capital(words: str) -> str:
    """A text that begins a line or a sentence."""
    return words[:1].upper() + words[1:]


STATUS_ORDER = ("inherited", "dependent", "shared_basis", "inconclusive", "no_evidence", "not_comparable")


def ordered(document: Document) -> list[Mapping[str, Any]]:
    """Components in the order of every table: by finding, then by size."""

    def place(c: Mapping[str, Any]) -> tuple[int, int, str]:
        status = c["status"]
        rank = STATUS_ORDER.index(status) if status in STATUS_ORDER else len(STATUS_ORDER)
        return rank, -c["parameters"][1], c["component"]

    return sorted(document["components"], key=place)


def by_status(document: Document, t: Texts) -> dict[str, list[str]]:
    """Names of the components under each status."""
    found: dict[str, list[str]] = {}
    for c in ordered(document):
        found.setdefault(c["status"], []).append(component_name(c["tower"], c["kind"], t))
    return found


def log_threshold(document: Document) -> float:
    """log10 of the e-value that one component needs."""
    verdict = document["verdict"]
    return math.log10(verdict["policy"]["min_evalue"] * max(verdict["components_tested"], 1))


def headline(document: Document, t: Texts) -> Headline:
    """The verdict, what explains it, how strong it is."""
    verdict = document["verdict"]
    kind = verdict["kind"]
    names = model_names(document, t)
    groups = by_status(document, t)
    tone = "found" if kind in FOUND else "clear" if kind in CLEAR else "open"
    parts = joined(groups.get("inherited", []), t)
    # Half a model that shows nothing is no sign of dependence, and no clean result either.
    said = "incomplete" if kind == "inconclusive" and "inconclusive" not in groups else kind
    if kind == "inconclusive" and any(r["code"].startswith("calibrated") for r in verdict["reasons"]):
        said = "calibrated"
    sentence = t.code("verdict", f"{said}.headline", **names, parts=parts)
    explanation = [t(f"verdict.{said}.explanation", **names, parts=parts)]
    if verdict["declared"] != "none":
        explanation.insert(0, t.code("declared", verdict["declared"]))
    explanation += [] if kind == "identical" else _parts(kind, groups, t)
    explanation += [t.reason(reason) for reason in verdict["reasons"]]
    label = t("tone.declared" if tone == "found" and verdict["declared"] == "exactly" else f"tone.{tone}")
    return Headline(
        kind=kind,
        tone=tone,
        label=label,
        sentence=sentence,
        explanation=tuple(explanation),
        strength=_strength(document, tone, t),
        numbers=_numbers(document, t),
    )


def _parts(kind: str, groups: Mapping[str, list[str]], t: Texts) -> list[str]:
    said = []
    for status, key in (
        ("inherited", "inherited"),
        ("dependent", "dependent"),
        ("shared_basis", "shared_basis"),
        ("no_evidence", "clean"),
        ("inconclusive", "unclear"),
        ("not_comparable", "not_comparable"),
    ):
        if status in groups and not (kind == "component_reuse" and status == "inherited"):
            said.append(t(f"parts.{key}", parts=joined(groups[status], t)))
    return said


def _strength(document: Document, tone: str, t: Texts) -> str:
    verdict = document["verdict"]
    if verdict["kind"] == "identical":
        return t("strength.identical")
    level = verdict["log10_evalue"]
    if level is None:
        return t("strength.untested")
    if tone == "found":
        level = _shared_basis_level(document) if verdict["kind"] == "shared_basis" else level
        return t("strength.capped" if level > MAX_POWER else "strength.found", tries=t.tries(level))
    threshold = t.tries(log_threshold(document))
    return t(f"strength.{tone}", evalue=t.evalue(level), threshold=threshold)


def _shared_basis_level(document: Document) -> float:
    """log10 evidence for a shared basis: the strongest, divided by all that could have been it."""
    found = [
        max([c["log10_evalue"] or 0.0, *(f["log10_evalue"] for f in c["families"].values())])
        for c in document["components"]
        if c["status"] == "shared_basis"
    ]
    # Each component has an e-value of its own and one of its channels.
    return float(max(found, default=0.0) - math.log10(2 * max(document["verdict"]["components_tested"], 1)))


def _numbers(document: Document, t: Texts) -> tuple[KeyNumber, ...]:
    verdict, candidate = document["verdict"], document["candidate"]
    inherited = [
        c
        for c in document["components"]
        if c["status"] in ("inherited", "dependent") and c["effect_size"] is not None
    ]
    largest = max(inherited, key=lambda c: c["parameters"][1], default=None)
    effect = t("ui.none") if largest is None else t.fixed(largest["effect_size"], 2)
    part = "" if largest is None else component_name(largest["tower"], largest["kind"], t)
    effect_note = t("number.effect_none") if largest is None else t("number.effect_note", part=part)
    share = verdict["inherited_share"]
    read, total = candidate["read"]["bytes"], candidate["data_bytes"]
    return (
        KeyNumber(
            t("number.evidence"),
            t.evalue(verdict["log10_evalue"]),
            t("number.evidence_note", threshold=t.tries(log_threshold(document))),
        ),
        KeyNumber(t("number.effect"), effect, effect_note),
        KeyNumber(
            t("number.share"), t("ui.none") if share is None else t.percent(share), t("number.share_note")
        ),
        KeyNumber(
            t(f"number.read{_sampled(document)}"),
            t.percent(read / total) if total else t("ui.none"),
            t("number.read_note", bytes=t.bytes(read), total=t.bytes(total)),
        ),
    )


def _sampled(document: Document) -> str:
    """What ends the keys of texts that say something else where a model is a fingerprint."""
    kinds = {document[side]["kind"] for side in ("reference", "candidate")}
    return "_fingerprint" if FINGERPRINT in kinds else ""


def caveats(document: Document, t: Texts) -> Section:
    """What the verdict does not mean, most important first."""
    verdict = document["verdict"]
    kind, names = verdict["kind"], model_names(document, t)
    groups = by_status(document, t)
    missing = joined(groups.get("not_comparable", []), t)
    sampled = _sampled(document)
    items = [t("caveat.fingerprint")] if sampled else []
    if kind in CLEAR:
        items.append(t("caveat.not_independence"))
        items += [t("caveat.not_compared", parts=missing)] if missing else []
    elif kind in FOUND:
        undetermined = verdict["direction"] == "undetermined"
        if kind != "derived":
            items.append(t.code("direction", verdict["direction"], **names))
        if kind == "identical" and undetermined:
            items.append(t("caveat.identical_direction"))
        if kind == "shared_initialisation_or_lineage":
            items.append(t("caveat.shared_initialisation"))
        if kind in ("component_reuse", "shared_basis"):
            items.append(t("caveat.part_only"))
        items.append(t("caveat.no_blame"))
    else:
        items.append(t("caveat.not_accusation"))
        codes = {reason["code"] for c in document["components"] for reason in c["reasons"]}
        guarded = "relabelling_guard" in codes
        items += [t("caveat.relabelling"), t(f"caveat.older_needed{sampled}")] if guarded else []
        items += [t(f"caveat.more_rows{sampled}")] if "below_threshold" in codes and not guarded else []
    items.append(t("caveat.not_data"))
    if kind in FOUND and kind != "identical":
        items.append(t("caveat.false_alarm", tries=t.tries(math.log10(verdict["policy"]["min_evalue"] / 2))))
    return Section("caveats", t("caveat.title"), items=tuple(items))
