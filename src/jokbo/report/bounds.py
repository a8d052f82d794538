"""Detection limits in words, in a table and as a figure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jokbo.report.figures.charts import LimitChart, LimitPanel, LimitRow
from jokbo.report.parts import Section
from jokbo.report.tables import Table
from jokbo.report.texts import Texts
from jokbo.report.wording import Document, capital, component_name, joined, ordered

KINDS = ("cosine", "contiguous_share", "scattered_share")
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class _Limit:
    part: str
    alignment: str
    bound: Mapping[str, Any]

    @property
    def kind(self) -> str:
        return str(self.bound["kind"])

    def shown(self, t: Texts) -> str:
        """The value, or in two words why there is none."""
        if not self.bound["tested"]:
            return t("limits.not_tested")
        if self.bound["value"] is None:
            return t("limits.not_reached")
        return _value(self.kind, self.bound["value"], t)


def _value(kind: str, value: float, t: Texts) -> str:
    return t.fixed(value, 2) if kind == "cosine" else t.percent(value)


def _limits(document: Document, t: Texts) -> Iterator[_Limit]:
    for c in ordered(document):
        part = component_name(c["tower"], c["kind"], t)
        for bound in c["bounds"]:
            t.code("alignment", bound["alignment"])  # refuses what this version does not explain
            t.code("limits", f"axis_{bound['kind']}")
            yield _Limit(part, bound["alignment"], bound)


def brief_limit(component: Mapping[str, Any], t: Texts) -> str:
    """The limit for undisguised weights, for the component table; empty where there is none."""
    plain = {
        b["kind"]: b["value"] for b in component["bounds"] if b["alignment"] == "same_basis" and b["tested"]
    }
    if plain.get("cosine") is not None:
        return t("limits.brief", value=t.fixed(plain["cosine"], 2))
    share = plain.get("contiguous_share")
    return "" if share is None else t("limits.brief_share", value=t.percent(share))


def probability(plants: int, misses: int) -> float:
    """Lower end of the one-sided 95 % interval for the chance of being found (Clopper and Pearson 1934).

    Examples
    --------
    >>> round(probability(299, 0), 4)
    0.99
    """
    if plants <= misses:
        return 0.0
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        tail = sum(
            math.comb(plants, k) * (1 - middle) ** k * middle ** (plants - k) for k in range(misses + 1)
        )
        low, high = (middle, high) if tail < 1 - CONFIDENCE else (low, middle)
    return low


def limits(document: Document, t: Texts) -> Section:
    """What a clean result would have found."""
    found = list(_limits(document, t))
    title = t("limits.title")
    if not found:
        statuses = {c["status"] for c in document["components"]}
        identical = document["verdict"]["kind"] == "identical"
        key = "none_identical" if identical else "none" if "no_evidence" in statuses else "none_needed"
        return Section("limits", title, (t(f"limits.{key}"),))
    said, items = _sentences(found, t)
    charts = _chart(found, t)
    return Section(
        "limits",
        title,
        (t("limits.lead"), *said),
        charts=charts,
        items=(*items, *_untested(found, t)),
        # Without a bar to draw there is no figure to carry the table.
        folded=() if charts else (_table(found, t),),
    )


def _sentences(found: list[_Limit], t: Texts) -> tuple[list[str], list[str]]:
    """What holds for all limits, and a sentence a part for undisguised weights."""
    plain = [limit for limit in found if limit.alignment == "same_basis" and limit.bound["tested"]]
    shown = [limit for limit in plain if limit.bound["value"] is not None]
    trials = {
        (limit.bound["n_plants"], limit.bound["misses"])
        for limit in found
        if limit.bound["value"] is not None
    }
    alike = trials if len(trials) == 1 else set()
    said = [
        t("limits.same", plants=t.number(plants), probability=_chance(plants, misses, t))
        for plants, misses in alike
    ]
    items = []
    for part in dict.fromkeys(limit.part for limit in plain):
        mine = [limit for limit in shown if limit.part == part]
        if mine and alike:
            items.append(t("limits.sentence", part=capital(part), limits=_listed(mine, t)))
        for limit in mine if not alike else ():
            plants, misses = limit.bound["n_plants"], limit.bound["misses"]
            numbers = {"plants": t.number(plants), "hits": t.number(plants - misses)}
            chance = _chance(plants, misses, t)
            items.append(
                t(
                    "limits.sentence_chance",
                    part=capital(part),
                    limits=_listed([limit], t),
                    probability=chance,
                    **numbers,
                )
            )
        missed = [t(f"limits.{x.kind}") for x in plain if x.part == part and x.bound["value"] is None]
        if missed:
            items.append(t("limits.not_reached_all", part=capital(part), kinds=", ".join(missed)))
    return said, items


def _listed(mine: list[_Limit], t: Texts) -> str:
    """The limits of one part as one list; equal shares are named once."""
    values = {x.kind: x.bound["value"] for x in mine}
    said = [t("limits.of_cosine", value=_value("cosine", values["cosine"], t))] if "cosine" in values else []
    shares = {kind: value for kind, value in values.items() if kind != "cosine"}
    if len(shares) == 2 and len(set(shares.values())) == 1:
        value = next(iter(shares.values()))
        said.append(
            t("limits.of_full") if value == 1 else t("limits.of_both", value=_value("share", value, t))
        )
    else:
        for kind, value in shares.items():
            whole = value == 1 and kind == "contiguous_share"
            key = "of_full_contiguous_share" if whole else "of_full" if value == 1 else f"of_{kind}"
            said.append(t(f"limits.{key}", value=_value(kind, value, t)))
    if len(said) < 2:
        return "".join(said)
    return t("limits.or", first=", ".join(said[:-1]), last=said[-1])


def _untested(found: list[_Limit], t: Texts) -> list[str]:
    """One sentence a reason: which disguises of which parts were not tested."""
    groups: dict[str, dict[str, dict[str, None]]] = {}
    for limit in found:
        if not limit.bound["tested"]:
            why = _why(limit.bound["reason"], t)
            groups.setdefault(why, {}).setdefault(limit.part, {})[t(f"alignment.{limit.alignment}")] = None
    said = []
    for why, parts in groups.items():
        # Parts that lack the same disguises share a sentence.
        alike: dict[tuple[str, ...], list[str]] = {}
        for part, disguises in parts.items():
            alike.setdefault(tuple(disguises), []).append(part)
        for missing, names in alike.items():
            said.append(t("limits.untested", disguises=joined(missing, t), parts=joined(names, t), why=why))
    return said


def _why(reason: Mapping[str, Any] | None, t: Texts) -> str:
    """A reason; one that speaks of a part is put so that it speaks of a disguise."""
    if reason is None:
        return t("reason.not_tested")
    return t.reason(reason, group="unreached" if t.has(f"unreached.{reason['code']}") else "reason")


def _chance(plants: int, misses: int, t: Texts) -> str:
    # Rounded down: a probability is never stated higher than it was shown to be.
    return t.fixed(int(probability(plants, misses) * 100 + 1e-9) / 100, 2)


def _table(found: list[_Limit], t: Texts) -> Table:
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for limit in found:
        rows.setdefault((limit.part, limit.alignment), {})[limit.kind] = limit.shown(t)
    head = (t("head.part"), t("limits.disguise"), *(t(f"limits.{kind}") for kind in KINDS))
    cells = tuple(
        (capital(part), t(f"alignment.{alignment}"), *(values.get(kind, t("ui.none")) for kind in KINDS))
        for (part, alignment), values in rows.items()
    )
    return Table(t("limits.caption"), head, cells, (2, 3, 4))


def _chart(found: list[_Limit], t: Texts) -> tuple[LimitChart, ...]:
    panels = []
    for kind in KINDS:
        rows = _rows([limit for limit in found if limit.kind == kind and limit.bound["tested"]], t)
        if rows:
            panels.append(LimitPanel(t(f"limits.axis_{kind}"), kind != "cosine", rows))
    if not panels:
        return ()
    summary = "; ".join(f"{row.label}: {row.text}" for panel in panels for row in panel.rows)
    alt = t("limits.alt", count=t.number(sum(len(panel.rows) for panel in panels)), summary=summary)
    return (
        LimitChart(
            key="limits-chart",
            title=t("limits.chart"),
            lead=t("limits.chart_lead"),
            alt=alt,
            data=(_table(found, t),),
            panels=tuple(panels),
        ),
    )


def _rows(limits_of_kind: list[_Limit], t: Texts) -> tuple[LimitRow, ...]:
    """A bar a part, or several where disguises differ."""
    groups: dict[tuple[str, float | None], list[_Limit]] = {}
    for limit in limits_of_kind:
        groups.setdefault((limit.part, limit.bound["value"]), []).append(limit)
    rows = []
    for (part, value), mine in groups.items():
        label = f"{capital(part)}: {', '.join(t(f'alignment.{limit.alignment}') for limit in mine)}"
        if len(mine) == sum(limit.part == part for limit in limits_of_kind) > 1:
            label = f"{capital(part)}: {t('limits.all_disguises')}"
        rows.append(LimitRow(label, value, mine[0].shown(t)))
    return tuple(rows)
