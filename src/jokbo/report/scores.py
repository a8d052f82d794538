"""Scores that do not decide, beside what known pairs score."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

from jokbo.descriptive import texts as words
from jokbo.descriptive.references import published, zoo_population
from jokbo.descriptive.scores import Score
from jokbo.errors import EvidenceError
from jokbo.report.figures.charts import Band, Chart, HeatmapChart, LineChart, Panel, Series
from jokbo.report.parts import Section
from jokbo.report.tables import Table
from jokbo.report.texts import Texts, clean
from jokbo.report.wording import Document, tower_name

WIDE_TABLE = 12
"""Columns of a matrix above which its rows are written as one cell each."""

MARKS = (("raw", "circle"), ("shuffled", "square"), ("centred", "diamond"))


def scores(document: Document, t: Texts) -> Section:
    """Everything descriptive; says so where it was not computed."""
    found = document["descriptive"]
    title = t("scores.title")
    if found is None:
        return Section("scores", title, (t("scores.lead"), t("scores.none")))
    charts: list[Chart] = []
    for k, norms in enumerate(found["norms"]):
        charts += _norm_chart(norms, k, t)
    for k, heatmap in enumerate(found["heatmaps"]):
        charts.append(_heatmap(heatmap, k, t))
    said = [t("scores.lead")]
    vocabulary = found["vocabulary"]
    if vocabulary["reason"] is None:
        counts = {key: t.number(vocabulary[key]) for key in ("shared",)}
        sizes = {key: t.number(vocabulary[f"{key}_size"]) for key in ("reference", "candidate")}
        said.append(t("scores.vocabulary", **counts, **sizes))
    tables = (_overview(found, t),)
    folded = (*_profiles(found, t), _known(found, t))
    return Section("scores", title, tuple(said), tuple(charts), tables, folded)


def _values(found: Mapping[str, Any]) -> Iterator[tuple[Score, str, float | None, Any, dict[str, object]]]:
    """(score, tower, value, reason, numbers for its texts) of every score with reference values."""
    for norms in found["norms"]:
        for score, key in (
            (Score.NORM_RAW, "raw"),
            (Score.NORM_SHUFFLED, "shuffled"),
            (Score.NORM_CENTRED, "centred"),
        ):
            yield (
                score,
                norms["tower"],
                norms[f"mean_{key}"],
                norms["reason"],
                {"shuffles": norms["shuffles"]},
            )
    for profile in found["attention"]:
        reason = profile["reason"] or next((p["reason"] for p in profile["profiles"] if p["reason"]), None)
        yield (
            Score.ATTENTION_PROFILE,
            profile["tower"],
            profile["mean_correlation"],
            reason,
            {"rows": profile["rows"]},
        )
    v = found["vocabulary"]
    yield Score.VOCABULARY_OVERLAP, "", v["share"], v["reason"], {}
    yield Score.MERGE_ORDER, "", v["merge_agreement"], v["merge_reason"], {"merges": v["merges_compared"]}


def _overview(found: Mapping[str, Any], t: Texts) -> Table:
    rows = []
    for score, tower, value, reason, numbers in _values(found):
        title = words.text(f"{score}.title", t.lang)
        if tower and tower != "text":
            title = t("kind.in_tower", tower=tower_name(tower, t), kind=title)
        shown = _number(value, t) if value is not None or reason is None else explain(reason, t)
        how = (words.text(f"{score}.reads", t.lang, **numbers), words.text(f"{score}.why_not", t.lang))
        rows.append((title, shown, _independent(score, tower, t), " ".join(how)))
    head = ("scores.score", "scores.value", "scores.known", "scores.how")
    return Table(t("scores.caption"), tuple(t(key) for key in head), tuple(rows), (1, 2), (), True)


def explain(reason: Mapping[str, Any], t: Texts) -> str:
    """Why a score has no value; roles in words."""
    if reason["code"] not in words.texts():
        raise EvidenceError(
            f"The evidence holds the reason {clean(reason['code'])!r}, which this version does not explain. "
            "Show it with the version that wrote it."
        )
    values = dict(reason["values"])
    role = str(values.get("role", ""))
    if t.has(f"weight.{role}"):
        values["role"] = t(f"weight.{role}")
    return words.text(reason["code"], t.lang, **{key: t.value(value) for key, value in values.items()})


def _number(value: float | None, t: Texts) -> str:
    return t("ui.none") if value is None else t.fixed(value, 3)


def _independent(score: Score, tower: str, t: Texts) -> str:
    """What independent pairs of the zoo score."""
    ranges = [r for r in zoo_population().of(score, tower) if r.truth == "independent"]
    return (
        t("scores.zoo_value", low=t.fixed(ranges[0].low, 3), high=t.fixed(ranges[0].high, 3))
        if ranges
        else t("ui.none")
    )


def _norm_chart(norms: Mapping[str, Any], k: int, t: Texts) -> list[Chart]:
    rows = norms["rows"]
    if not rows:
        return []
    tower = tower_name(norms["tower"], t)
    series = tuple(Series(t(f"scores.{key}"), shape, tuple(row[key] for row in rows)) for key, shape in MARKS)
    places = tuple(t("ui.none") if row["layer"] is None else str(row["layer"]) for row in rows)
    means = {key: _number(norms[f"mean_{key}"], t) for key, _ in MARKS}
    head = (t("scores.norm_role"), t("evidence.layer"), *(one.label for one in series))
    cells = tuple(
        (_role(row["role"], t), place, *(_number(row[key], t) for key, _ in MARKS))
        for row, place in zip(rows, places, strict=True)
    )
    title = t("scores.chart_norms", tower=tower)
    return [
        LineChart(
            key=f"norms-{k}",
            title=title,
            lead=t("scores.chart_norms_lead"),
            alt=t("scores.alt_norms", count=t.number(len(rows)), **means),
            data=(Table(title, head, cells, (1, 2, 3, 4)),),
            series=series,
            places=places,
            band=_band(norms["tower"], t),
            x_axis=t("scores.norm_x"),
            y_axis=t("scores.norm_axis"),
        )
    ]


def _band(tower: str, t: Texts) -> Band | None:
    """Raw cosines of known-independent models: published for language models, our zoo for other towers."""
    if tower == "text":
        spread = [
            f for f in published().of(Score.NORM_RAW) if f.relation == "independent" and f.sd is not None
        ]
        if spread:
            low = min(f.value - 2 * (f.sd or 0.0) for f in spread)
            high = max(f.value + 2 * (f.sd or 0.0) for f in spread)
            return Band(t("scores.band"), low, min(high, 1.0))
    ranges = [
        r for r in zoo_population().of(Score.NORM_RAW, tower) if r.truth == "independent" and r.tower == tower
    ]
    return Band(t("scores.band_zoo"), ranges[0].low, ranges[0].high) if ranges else None


def _role(role: str, t: Texts) -> str:
    return t(f"weight.{role}") if t.has(f"weight.{role}") else clean(role)


def _heatmap(found: Mapping[str, Any], k: int, t: Texts) -> Chart:
    title = t("scores.chart_heatmap", tower=tower_name(found["tower"], t), role=_role(found["role"], t))
    mine, theirs = ([str(layer) for layer in found[f"{who}_layers"]] for who in ("reference", "candidate"))
    diagonal, rest = _split(found["centred"])
    raw = [value for row in found["raw"] for value in row if value is not None]
    alt = t(
        "scores.alt_heatmap",
        rows=len(mine),
        columns=len(theirs),
        raw=_number(_mean(raw), t),
        diagonal=_number(_mean(diagonal), t),
        rest=_number(_mean(rest), t),
    )
    keys = ("raw", "centred")
    return HeatmapChart(
        key=f"heatmap-{k}",
        title=title,
        lead=t("scores.chart_heatmap_lead"),
        alt=alt,
        data=tuple(
            _matrix(found[key], mine, theirs, t("scores.heat_value", kind=t(f"scores.{key}")), t)
            for key in keys
        ),
        panels=tuple(Panel(t(f"scores.{key}"), tuple(tuple(row) for row in found[key])) for key in keys),
        row_labels=tuple(mine),
        column_labels=tuple(theirs),
        x_axis=t("scores.heat_x"),
        y_axis=t("scores.heat_y"),
        missing=t("scores.missing"),
    )


def _split(matrix: Sequence[Sequence[float | None]]) -> tuple[list[float], list[float]]:
    diagonal: list[float] = []
    rest: list[float] = []
    for i, row in enumerate(matrix):
        for j, value in enumerate(row):
            if value is not None:
                (diagonal if i == j else rest).append(value)
    return diagonal, rest


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None


def _matrix(
    values: Sequence[Sequence[float | None]], mine: list[str], theirs: list[str], caption: str, t: Texts
) -> Table:
    corner = f"{t('scores.heat_y')} \\ {t('scores.heat_x')}"
    cells = [[t("ui.none") if v is None else t.fixed(v, 3) for v in row] for row in values]
    if len(theirs) <= WIDE_TABLE:
        rows = tuple((layer, *row) for layer, row in zip(mine, cells, strict=True))
        return Table(caption, (corner, *theirs), rows, tuple(range(1, len(theirs) + 1)))
    rows = tuple((layer, " ".join(row)) for layer, row in zip(mine, cells, strict=True))
    return Table(
        caption, (t("scores.heat_y"), f"{t('scores.heat_x')} {theirs[0]}\u2013{theirs[-1]}"), rows, (), (1,)
    )


def _profiles(found: Mapping[str, Any], t: Texts) -> list[Table]:
    head = (t("scores.attention_role"), t("scores.correlation"))
    tables = []
    for profile in found["attention"]:
        rows = tuple(
            (
                _role(p["role"], t),
                _number(p["correlation"], t) if p["reason"] is None else explain(p["reason"], t),
            )
            for p in profile["profiles"]
        )
        if rows:
            tables.append(
                Table(t("scores.attention", tower=tower_name(profile["tower"], t)), head, rows, (1,))
            )
    return tables


def _known(found: Mapping[str, Any], t: Texts) -> Table:
    """Published figures and the zoo's ranges of every score that is shown."""
    rows = []
    for score, tower in dict.fromkeys((score, tower) for score, tower, *_ in _values(found)):
        title = words.text(f"{score}.title", t.lang)
        for figure in published().of(score) if tower in ("", "text") else ():
            value = t.fixed(figure.value, 3)
            if figure.sd is not None:
                value = t("scores.value_sd", value=value, sd=t.fixed(figure.sd, 3))
            relation = words.text(f"relation.{figure.relation}", t.lang)
            pair = f"{relation}: {words.text(figure.population, t.lang)}"
            rows.append((title, value, pair, published().citation(figure)))
        for r in zoo_population().of(score, tower):
            value = t("scores.zoo_value", low=t.fixed(r.low, 3), high=t.fixed(r.high, 3))
            pair = t("scores.zoo_pairs", truth=words.text(f"truth.{r.truth}", t.lang), n=r.n)
            rows.append((title, value, pair, t("scores.zoo_source")))
    head = ("scores.score", "scores.value_known", "scores.pair", "scores.source")
    return Table(t("scores.references_caption"), tuple(t(key) for key in head), tuple(rows), (1,), (), True)
