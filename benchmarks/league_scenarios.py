"""Simulated rounds of known truth, made as results files would give them: for calibration of the league's statistics.

A scenario is a function of a generator that gives one round: parts (an event, its results, its weight in the sum that
is ranked) and every team's true value of that sum. Teams differ by interactions too (a team is better at some passages
than at others), or pairing would leave nothing to estimate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from jokbo.league.measured import ItemScores, Measured, PanelScores, PublishedFigures, RaceRuns
from jokbo.league.round import Anchor, Axis, Event, EventKind, PanelRule, PublishedRule

Part = tuple[Event, Measured, float]
Make = Callable[[np.random.Generator], "SimulatedRound"]


@dataclass(frozen=True, slots=True)
class SimulatedRound:
    """Parts, and the true value of their weighted sum, shape (teams,)."""

    parts: tuple[Part, ...]
    truth: np.ndarray


def names(k: int) -> tuple[str, ...]:
    return tuple(f"team{n}" for n in range(k))


def event(kind: EventKind = EventKind.ITEMS, **changes: object) -> Event:
    """A plain event whose points are its values."""
    fields: dict[str, object] = {
        "id": kind.value,
        "title": {},
        "kind": kind,
        "axes": (Axis.ABSOLUTE,),
        "category": None,
        "weight": 1.0,
        "author": "",
        "affiliations": (),
        "direction": "higher",
        "scale": "linear",
        "floor": 0.0,
        "anchor": Anchor(100.0),
    }
    return Event(**{**fields, **changes})  # type: ignore[arg-type]


def items(
    scores: np.ndarray, clusters: np.ndarray, groups: np.ndarray | None = None, id: str = "items"
) -> ItemScores:
    k, n = scores.shape
    groups = np.zeros(n, np.int64) if groups is None else groups
    return ItemScores(
        event=id,
        entrants=names(k),
        items=tuple(map(str, range(n))),
        scores=scores,
        repeats=np.ones(k, np.int64),
        clusters=clusters,
        groups=groups,
    )


def binary(
    rng: np.random.Generator, skill: np.ndarray, sizes: np.ndarray, *, within: float, shared: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Right and wrong: logit = skill + question + passage (`shared`, and each team's own by `within`) + chance."""
    k, clusters = len(skill), np.repeat(np.arange(len(sizes)), sizes)
    n = len(clusters)
    logit = skill[:, None] + rng.normal(0, 1.2, n) + shared * rng.standard_normal(len(sizes))[clusters]
    logit = logit + within * rng.standard_normal((k, len(sizes)))[:, clusters] + rng.standard_normal((k, n))
    return (rng.random((k, n)) < 1 / (1 + np.exp(-logit))).astype(np.float64), clusters


def equal_items(
    k: int, clusters: int, size: int, *, skill: float = 0.5, within: float = 0.8, shared: float = 0.0
) -> Make:
    """Equal teams, right or wrong answers, clusters of one size."""

    def make(rng: np.random.Generator) -> SimulatedRound:
        sizes = np.full(clusters, size)
        scores, own = binary(rng, np.full(k, skill), sizes, within=within if size > 1 else 0.0, shared=shared)
        return SimulatedRound(((event(), items(scores, own), 1.0),), np.zeros(k))

    return make


def equal_unequal_sizes(k: int, clusters: int, *, spread: float, within: float = 0.8) -> Make:
    """Equal teams, clusters of very different sizes."""

    def make(rng: np.random.Generator) -> SimulatedRound:
        sizes = 1 + rng.lognormal(1.8, spread, clusters).astype(np.int64)
        scores, own = binary(rng, np.full(k, 0.5), sizes, within=within)
        return SimulatedRound(((event(), items(scores, own), 1.0),), np.zeros(k))

    return make


def one_large_cluster(k: int, clusters: int, share: float) -> Make:
    """Equal teams; one passage holds a share of all questions."""

    def make(rng: np.random.Generator) -> SimulatedRound:
        sizes = np.full(clusters, 10)
        sizes[0] = int(10 * (clusters - 1) * share / (1 - share))
        scores, own = binary(rng, np.full(k, 0.5), sizes, within=0.8)
        return SimulatedRound(((event(), items(scores, own), 1.0),), np.zeros(k))

    return make


def equal_groups(k: int, groups: int, clusters: int, size: int) -> Make:
    """Equal teams; groups count the same and differ in difficulty."""

    def make(rng: np.random.Generator) -> SimulatedRound:
        sizes = np.full(groups * clusters, size)
        scores, own = binary(rng, np.full(k, 0.5), sizes, within=0.8)
        group = own // clusters
        hard = np.linspace(0, 0.5, groups)[group]  # groups are fixed: the same in every round
        scores = scores * (rng.random(scores.shape[1]) > hard)
        return SimulatedRound(((event(average="groups"), items(scores, own, group), 1.0),), np.zeros(k))

    return make


def ladder_items(k: int, n: int, gap: float) -> Make:
    """Teams that stand apart by `gap` each, but for two equal pairs: graded scores, one item a cluster."""

    def make(rng: np.random.Generator) -> SimulatedRound:
        truth = gap * np.arange(k, dtype=np.float64)
        truth[1], truth[-1] = truth[0], truth[-2]
        scores = truth[:, None] + rng.standard_normal(n) + 0.7 * rng.standard_normal((k, n))
        return SimulatedRound(((event(), items(scores, np.arange(n)), 1.0),), truth)

    return make


def panel_scores(
    rng: np.random.Generator,
    truth: np.ndarray,
    raters: int,
    *,
    spread: float,
    highest: float,
    missing: float = 0.0,
) -> PanelScores:
    """Whole points on a scale, rater severity, and a rater's own taste for each team."""
    k = len(truth)
    taste = rng.normal(0, spread, (raters, 1)) + rng.normal(0, spread, (raters, k))
    scores = np.clip(np.round(truth + taste), 0, highest)[:, :, None]
    rated = rng.random((raters, k)) >= missing
    scores[~rated] = np.nan
    return PanelScores("panel", names(k), raters=names(raters), scores=scores, rated=rated)


def equal_panel(k: int, raters: int, *, drop: int = 0, missing: float = 0.0) -> Make:
    """Equal teams before raters."""

    def make(rng: np.random.Generator) -> SimulatedRound:
        while True:
            measured = panel_scores(rng, np.full(k, 29.0), raters, spread=3.0, highest=60.0, missing=missing)
            if missing == 0 or (measured.rated.sum(0).min() >= 3 and measured.rated.sum(1).min() >= 1):
                break
        rule = PanelRule(0, 60, drop_each_side=drop)
        return SimulatedRound(((event(EventKind.PANEL, panel=rule), measured, 1.0),), np.zeros(k))

    return make


def equal_race(k: int, runs: int) -> Make:
    """Equal teams, a few timed runs each, on the log scale."""

    def make(rng: np.random.Generator) -> SimulatedRound:
        times = tuple(np.exp(rng.normal(4.0, 0.05, runs)) for _ in range(k))
        measured = RaceRuns("race", names(k), runs=times, started=np.full(k, runs))
        rule = event(EventKind.RACE, direction="lower", scale="log", floor=100.0, anchor=Anchor(10.0))
        return SimulatedRound(((rule, measured, 1.0),), np.zeros(k))

    return make


def equal_uneven_races(k: int, few: int) -> Make:
    """Equal teams; two of them made `few` runs that scatter, the others many that hardly do."""

    def make(rng: np.random.Generator) -> SimulatedRound:
        counts = np.array([few, few, *[8] * (k - 2)])
        spreads = np.array([0.2, 0.2, *[0.02] * (k - 2)])
        times = tuple(np.exp(rng.normal(4.0, s, n)) for s, n in zip(spreads, counts, strict=True))
        measured = RaceRuns("race", names(k), runs=times, started=counts)
        rule = event(EventKind.RACE, direction="lower", scale="log", floor=100.0, anchor=Anchor(10.0))
        return SimulatedRound(((rule, measured, 1.0),), np.zeros(k))

    return make


def published_and_raters(k: int, raters: int) -> Make:
    """Equal teams: a published figure of assumed error, and very few raters."""

    def make(rng: np.random.Generator) -> SimulatedRound:
        rule = event(EventKind.PUBLISHED, published=PublishedRule(0.8, {}))
        figures = PublishedFigures("published", names(k), values=22 + rng.normal(0, 0.8, k))
        panel = panel_scores(rng, np.full(k, 30.0), raters, spread=3.0, highest=60.0)
        rated = event(EventKind.PANEL, panel=PanelRule(0, 60))
        return SimulatedRound(((rule, figures, 1.0), (rated, panel, 1.0)), np.zeros(k))

    return make


def equal_published(k: int) -> Make:
    """Equal teams, one figure each, of the error that the round assumes."""

    def make(rng: np.random.Generator) -> SimulatedRound:
        rule = event(EventKind.PUBLISHED, published=PublishedRule(0.8, {}))
        figures = PublishedFigures("published", names(k), values=22 + rng.normal(0, 0.8, k))
        return SimulatedRound(((rule, figures, 1.0),), np.zeros(k))

    return make


def mixture(k: int, gap: float) -> Make:
    """A total of clustered items, two panels (one trimmed) and a published figure of assumed error."""

    def make(rng: np.random.Generator) -> SimulatedRound:
        truth = gap * np.arange(k, dtype=np.float64)
        sizes = 1 + rng.poisson(4, 60)
        clusters = np.repeat(np.arange(60), sizes)
        noise = 30 * rng.standard_normal(len(clusters)) + 20 * rng.standard_normal((k, len(clusters)))
        noise = noise + 8 * rng.standard_normal((k, 60))[:, clusters]
        graded = items(60 + truth[:, None] + noise, clusters)
        experts = panel_scores(rng, 30 + truth, 10, spread=3.0, highest=60.0)
        users = panel_scores(rng, 17 + truth, 49, spread=5.0, highest=60.0)
        figures = PublishedFigures("published", names(k), values=22 + truth + rng.normal(0, 0.8, k))
        rules = (
            event(),
            event(EventKind.PANEL, id="experts", panel=PanelRule(0, 60, drop_each_side=1)),
            event(EventKind.PANEL, id="users", panel=PanelRule(0, 60)),
            event(EventKind.PUBLISHED, published=PublishedRule(0.8, {})),
        )
        parts = tuple(zip(rules, (graded, experts, users, figures), (0.15, 1.0, 1.0, 1.0), strict=True))
        return SimulatedRound(parts, 3.15 * truth)

    return make


def one_below_items(gap: float) -> Make:
    """1,000 questions right or wrong, 62 % right; the last team answers `gap` points fewer in a hundred."""

    def make(rng: np.random.Generator) -> SimulatedRound:
        hard = rng.normal(0, 1.2, 1000)
        chance = 1 / (1 + np.exp(-(0.6 + hard + rng.standard_normal((5, 1000)))))
        lost = 1.0 - (gap / 100 / 0.62) * np.array([0, 0, 0, 0, 1.0])
        scores = 100.0 * (rng.random((5, 1000)) < chance * lost[:, None])
        truth = np.array([0, 0, 0, 0, -gap])
        return SimulatedRound(((event(), items(scores, np.arange(1000)), 1.0),), truth)

    return make


def one_below_panel(gap: float) -> Make:
    """Ten raters, a spread of 3 of 35 points within a rater."""

    def make(rng: np.random.Generator) -> SimulatedRound:
        truth = np.array([0, 0, 0, 0, -gap])
        measured = panel_scores(rng, 40 + truth, 10, spread=3.0, highest=80.0)
        return SimulatedRound(((event(EventKind.PANEL, panel=PanelRule(0, 80)), measured, 1.0),), truth)

    return make


def one_below_total(gap: float) -> Make:
    """Published figure (assumed error .8), ten experts (spread 3), 49 users (spread 5); the gap is split in three."""

    def make(rng: np.random.Generator) -> SimulatedRound:
        truth = np.array([0, 0, 0, 0, -gap]) / 3
        parts = (
            (
                event(EventKind.PUBLISHED, published=PublishedRule(0.8, {})),
                PublishedFigures("published", names(5), values=22 + truth + rng.normal(0, 0.8, 5)),
                1.0,
            ),
            (
                event(EventKind.PANEL, id="experts", panel=PanelRule(0, 60)),
                panel_scores(rng, 30 + truth, 10, spread=3.0, highest=60.0),
                1.0,
            ),
            (
                event(EventKind.PANEL, id="users", panel=PanelRule(0, 60)),
                panel_scores(rng, 17 + truth, 49, spread=5.0, highest=60.0),
                1.0,
            ),
        )
        return SimulatedRound(parts, 3 * truth)

    return make
