"""The verdict on a training record in plain words, and what it does not mean."""

from __future__ import annotations

import math
from collections.abc import Mapping

from jokbo.report.parts import Headline, KeyNumber, Section
from jokbo.report.record_words import Document, check_text, forgeries, reasons
from jokbo.report.texts import Texts, name
from jokbo.report.wording import joined

TONE: Mapping[str, str] = {"consistent": "clear", "inconsistent": "found", "cannot_tell": "open"}

HONEST: Mapping[str, tuple[str, ...]] = {
    "bytes": ("average", "labels"),
    "duplicates": ("copies", "renamed"),
    "continuity": ("rollback", "edited"),
    "arithmetic": ("changed", "labels"),
    "clock": ("edited",),
    "compute": ("conventions",),
    "step_bound": ("backbone", "changed"),
    "unused_rows": ("backbone",),
    "neuron_identity": ("backbone", "copies"),
    "init_imprint": ("changed",),
    "geometry": ("average",),
    "re_evaluation": ("average", "labels"),
    "optimizer_state": ("rollback",),
}
"""Known honest records in which such a check would have found something."""

ELSE_HONEST = ("copies", "rollback")
MAX_EXAMPLES = 3
MAX_NAMED_CHECKS = 4
MAX_EXPLAINED = 3


def record_headline(document: Document, t: Texts) -> Headline:
    """What came out, what it rests on, and what was excluded."""
    verdict = document["verdict"]
    kind = verdict["kind"]
    return Headline(
        kind=kind,
        tone=TONE[kind],
        label=t.code("record.label", kind),
        sentence=t.code("record.headline", kind, name=name(document["record"]["name"])),
        explanation=_explanation(document, t),
        strength=_strength(document, t),
        numbers=_numbers(document, t),
    )


def _strength(document: Document, t: Texts) -> str:
    verdict, count = document["verdict"], len(document["coverage"])
    excluded, violated = len(verdict["excluded"]), verdict["violated"]
    if verdict["kind"] == "consistent":
        return t("record.strength.consistent", all=t.number(count))
    if verdict["kind"] == "inconsistent":
        key = "inconsistent_one" if len(violated) == 1 else "inconsistent"
        numbers = {"all": t.number(len(document["checks"])), "checks": named_checks(violated, t)}
        return t(f"record.strength.{key}", count=t.number(len(violated)), **numbers)
    key = "cannot_tell" if excluded else "cannot_tell_none"
    counts = {"all": t.number(count), "excluded": t.number(excluded), "open": t.number(count - excluded)}
    return t(f"record.strength.{key}", **counts)


def named_checks(names: list[str], t: Texts) -> str:
    """Checks as a list in a sentence, the first few and the number of the others."""
    titles = [check_text(each, "title", t) for each in names]
    if len(titles) <= MAX_NAMED_CHECKS:
        return joined(titles, t)
    shown = ", ".join(titles[: MAX_NAMED_CHECKS - 1])
    return t("record.and_more", first=shown, count=t.number(len(titles) - MAX_NAMED_CHECKS + 1))


def _explanation(document: Document, t: Texts) -> tuple[str, ...]:
    verdict = document["verdict"]
    found = []
    for row in [row for row in document["checks"] if row["outcome"] == "inconsistent"][:MAX_EXPLAINED]:
        title = check_text(row["check"], "title", t)
        found += [
            t("record.explanation.contradicted", check=title, reason=words) for words in reasons(row, t)[:1]
        ]
    if verdict["violated"]:
        rows = [row for row in document["checks"] if row["outcome"] == "inconsistent"]
        sought = list(dict.fromkeys(code for row in rows for code in row["catches"]))
        if sought:
            found.append(t("record.explanation.looks_for", forgeries=forgeries(sought, t)))
    for key in ("excluded", "not_excluded"):
        if verdict[key]:
            count = t.number(len(verdict[key]))
            found.append(t(f"record.explanation.{key}", count=count, forgeries=forgeries(verdict[key], t)))
        elif key == "excluded":
            found.append(t("record.explanation.excluded_none"))
    if verdict["next_disclosure"] is not None and verdict["kind"] != "inconsistent":
        need = t.code("record.need", verdict["next_disclosure"])
        found.append(t("record.explanation.next", need=need))
    found += [t.reason(reason, group="record.reason") for reason in verdict["reasons"]]
    return tuple(found)


def _numbers(document: Document, t: Texts) -> tuple[KeyNumber, ...]:
    verdict, record, checks = document["verdict"], document["record"], document["checks"]
    outcomes = [row["outcome"] for row in checks]
    checkpoints = document["checkpoints"]
    read = sum(1 for each in checkpoints if each["rows_read"] > 0)

    def share(found: int, whole: int) -> str:
        return t("record.number_of", found=t.number(found), all=t.number(whole))

    return (
        KeyNumber(
            t("record.number.excluded"),
            share(len(verdict["excluded"]), len(document["coverage"])),
            t("record.number.excluded_note"),
        ),
        KeyNumber(
            t("record.number.checks"),
            share(outcomes.count("consistent"), len(outcomes)),
            t(
                "record.number.checks_note",
                contradicted=t.number(outcomes.count("inconsistent")),
                open=t.number(outcomes.count("cannot_tell")),
            ),
        ),
        KeyNumber(
            t("record.number.checkpoints"),
            share(read, len(checkpoints)) if checkpoints else t("ui.none"),
            t("record.number.checkpoints_note", events=t.number(len(document["events"]))),
        ),
        KeyNumber(
            t("record.number.size"),
            t.bytes(record["bytes"]),
            t("record.number.size_note", files=t.number(record["files"]), steps=t.number(record["steps"])),
        ),
    )


def record_caveats(document: Document, t: Texts) -> Section:
    """What the verdict does not mean, most important first."""
    verdict = document["verdict"]
    kind = verdict["kind"]
    items = []
    if kind == "inconsistent":
        items += [t("record.caveat.inconsistent_why"), t("record.caveat.ask_first")]
        examples = " ".join(t(f"record.honest.{each}") for each in honest(verdict["violated"]))
        items.append(t("record.honest.lead", examples=examples))
        alpha = verdict["policy"].get("family_alpha")
        if (
            any(
                row["outcome"] == "inconsistent" and row["kind"] == "calibrated" for row in document["checks"]
            )
            and alpha
        ):
            items.append(t("record.caveat.false_alarm", tries=t.tries(-math.log10(alpha))))
    elif kind == "cannot_tell":
        items += [t("record.caveat.neither"), t("record.caveat.open_means")]
    else:
        items.append(t("record.caveat.no_certainty"))
    items += [t(f"record.caveat.{each}") for each in ("distillation", "data_author", "only_listed")]
    return Section("caveats", t("record.caveat.title"), items=tuple(items))


def honest(violated: list[str]) -> tuple[str, ...]:
    """Examples of honest records with the same trouble, a few."""
    found = [each for check in violated for each in HONEST.get(check, ())]
    return tuple(dict.fromkeys(found or ELSE_HONEST))[:MAX_EXAMPLES]
