"""Detection limits in words, in a table and as a figure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jokbo.report.figures.charts import LimitChart, LimitPanel, LimitRow
from jokbo.report.parts import Section
from jokbo.report.tables import Table
from jokbo.report.texts import Texts
from jokbo.report.wording import Document, component_name

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
    for c in document["components"]:
        part = component_name(c["tower"], c["kind"], t)
        for bound in c["bounds"]:
            t.code("alignment", bound["alignment"])
            t.code("limits", bound["kind"])
            yield _Limit(part, bound["alignment"], bound)


def brief_limit(component: Mapping[str, Any], t: Texts) -> str:
    """The limit for undisguised weights, for the component table; empty where there is none."""
    plain = {b["kind"]: b["value"] for b in component["bounds"] if b["alignment"] == "same_basis" and b["tested"]}
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
    if misses == 0:
        return float((1 - CONFIDENCE) ** (1 / plants))
    from scipy.stats import beta

    return float(beta.ppf(1 - CONFIDENCE, plants - misses, misses + 1))


def limits(document: Document, t: Texts) -> Section:
    """What a clean result would have found."""
    found = list(_limits(document, t))
    title = t("limits.title")
    if not found:
        statuses = {c["status"] for c in document["components"]}
        identical = document["verdict"]["kind"] == "identical"
        key = "none_identical" if identical else "none" if "no_evidence" in statuses else "none_needed"
        return Section("limits", title, (t(f"limits.{key}"),))
    return Section(
        "limits", title, (t("limits.lead"),), charts=_chart(found, t), items=tuple(_sentences(found, t)),
        folded=(_table(found, t),),
    )  # fmt: skip


def _sentences(found: list[_Limit], t: Texts) -> Iterator[str]:
    """Sentences for undisguised weights, and one for every reason that something was not tested."""
    said = set()
    for limit in found:
        bound, kind = limit.bound, t(f"limits.{limit.kind}")
        words = {"part": limit.part, "disguise": t(f"alignment.{limit.alignment}"), "kind": kind}
        if not bound["tested"]:
            reason = bound["reason"]
            why = "" if reason is None else t.reason(reason)
            if (limit.part, limit.alignment, why) not in said:
                said.add((limit.part, limit.alignment, why))
                yield t("limits.sentence_not_tested", **words, why=why).strip()
        elif limit.alignment == "same_basis":
            if bound["value"] is None:
                yield t("limits.sentence_not_found", **words)
            else:
                value = _value(limit.kind, bound["value"], t)
                yield t(f"limits.sentence_{limit.kind}", **words, value=value, chance=_chance(bound, t))


def _chance(bound: Mapping[str, Any], t: Texts) -> str:
    plants, misses = bound["n_plants"], bound["misses"]
    # Rounded down: a probability is never stated higher than it was shown to be.
    least = int(probability(plants, misses) * 100 + 1e-9) / 100
    return t(
        "limits.chance", probability=t.fixed(least, 2), hits=t.number(plants - misses), plants=t.number(plants)
    )


def _table(found: list[_Limit], t: Texts) -> Table:
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for limit in found:
        rows.setdefault((limit.part, limit.alignment), {})[limit.kind] = limit.shown(t)
    head = (t("head.part"), t("limits.disguise"), *(t(f"limits.{kind}") for kind in KINDS))
    cells = tuple(
        (part, t(f"alignment.{alignment}"), *(values.get(kind, t("ui.none")) for kind in KINDS))
        for (part, alignment), values in rows.items()
    )
    return Table(t("limits.caption"), head, cells, (2, 3, 4))


def _chart(found: list[_Limit], t: Texts) -> tuple[LimitChart, ...]:
    def rows(kind: str) -> tuple[LimitRow, ...]:
        return tuple(
            LimitRow(
                f"{limit.part} · {t(f'alignment.{limit.alignment}')}",
                limit.bound["value"] if limit.bound["tested"] else None,
                limit.shown(t),
            )
            for limit in found
            if limit.kind == kind
        )

    panels = tuple(
        LimitPanel(t("limits.chart_cosine") if kind == "cosine" else f"{t('limits.chart_share')}: {t(f'limits.{kind}')}", kind != "cosine", rows(kind))
        for kind in KINDS
        if rows(kind)
    )
    summary = "; ".join(
        f"{row.label}: {row.text}" for panel in panels for row in panel.rows if row.value is not None
    )
    alt = t("limits.alt", count=t.number(sum(len(panel.rows) for panel in panels)), summary=summary)
    return (
        LimitChart(
            key="limits-chart", title=t("limits.chart"), lead=t("limits.chart_lead"), alt=alt, data=(), panels=panels
        ),
    )
