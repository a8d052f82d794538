"""The first page: what was decided, medals, tables, profiles, what would change it, what it does not say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jokbo.report.figures.profiles import Profile, ProfileChart
from jokbo.report.league.blocks import Block, Bullets, Cell, Grid, Page, Part, Picture, Prose
from jokbo.report.league.decision import caveats_part, decision_head, decision_part
from jokbo.report.league.naming import Naming
from jokbo.report.league.places import MEDALS, medal_count, medallists, places
from jokbo.report.league.standings import MOST_DRAWN, categories_part, standing_of, tables_part
from jokbo.report.tables import Table

MOST_CHANGES = 8


def overview_page(n: Naming) -> Page:
    """Build the page."""
    head = decision_head(n)
    parts = (
        decision_part(n),
        medals_part(n),
        tables_part(n),
        categories_part(n),
        profiles_part(n),
        changes_part(n),
        caveats_part(n),
    )
    title = n.plain(n.t("league.title.index", round=n.words(n.board["round"]["title"]), label=head.label))
    return Page("index.html", "index", title, head, tuple(part for part in parts if part is not None))


def medals_part(n: Naming) -> Part:
    """Events by places, and medals by team."""
    t = n.t
    rows = tuple(_event_row(event, n) for event in n.board["events"])
    head = (t("league.medal.head_event"), *(t(f"league.medal.{medal}") for medal in MEDALS))
    grid = Grid(t("league.medal.caption"), head, rows)
    counts = medal_count(n.board["events"])
    order = sorted(counts, key=lambda team: [-counts[team][medal] for medal in MEDALS])
    table = Grid(
        t("league.medal.count_caption"),
        (t("league.head_team"), *(t(f"league.medal.{medal}") for medal in MEDALS)),
        tuple(
            (Cell(n.team(team)), *(Cell(t.number(counts[team][medal])) for medal in MEDALS)) for team in order
        ),
        numeric=(1, 2, 3),
        narrow=True,
    )
    blocks: list[Block] = [Prose(t("league.medal.lead")), grid]
    if order:
        blocks += [Prose(t("league.medal.count_lead")), table]
    return Part("events", t("league.medal.title"), tuple(blocks))


def _event_row(event: Mapping[str, Any], n: Naming) -> tuple[Cell, ...]:
    t = n.t
    axes = ", ".join(t.code("league.axis", axis) for axis in event["axes"])
    note = t("league.medal.event_note", kind=t.code("league.kind_of_event", event["kind"]), axes=axes)
    cells = [Cell(n.event(event["id"]), href=event_file(event["id"]), note=note)]
    found = medallists(event)
    standings = standing_of(n)
    for k, _ in enumerate(MEDALS):
        holders = [place for place in found if place.place == k + 1]
        text = ", ".join(n.team(place.team) for place in holders)
        notes = []
        if any(place.overlaps for place in holders):
            notes.append(t("league.medal.overlap"))
        elif any(place.overlaps is None for place in holders):
            notes.append(t("league.medal.unknown"))
        if any(standings.get(place.team) == "not_eligible" for place in holders):
            notes.append(t("league.medal.not_eligible"))
        cells.append(Cell(text or t("ui.none"), note=" · ".join(notes)))
    return tuple(cells)


def event_file(id: str) -> str:
    """Name of an event's page."""
    return f"event-{id}.html"


def profiles_part(n: Naming) -> Part | None:
    """Three axes of every team, side by side; None where the board has none of them."""
    t, axes = n.t, n.board["axes"]
    if len(n.board["teams"]) > MOST_DRAWN:
        return None
    races = [event for event in n.board["events"] if event["kind"] == "race"]
    shown = {"range": bool(axes["range"]), "absolute": bool(axes["absolute"]), "efficiency": bool(races)}
    if not any(shown.values()):
        return None
    chart = ProfileChart(
        key="profiles-chart",
        title=t("league.profile.chart"),
        lead=" ".join(t(f"league.profile.read_{axis}") for axis, there in shown.items() if there),
        alt=t("league.profile.alt", count=t.number(len(n.board["teams"]))),
        data=(_profile_data(n, races),),
        teams=tuple(_profile(team["id"], n, races) for team in n.board["teams"]),
        axes=(t("league.axis.range"), t("league.axis.absolute"), t("league.axis.efficiency")),
        shown=(shown["range"], shown["absolute"], shown["efficiency"]),
        anchor_label=t("league.anchor"),
        anchor=100.0 if axes["absolute"] else None,
    )
    return Part("profiles", t("league.profile.title"), (Prose(t("league.profile.lead")), Picture(chart)))


def _profile(id: str, n: Naming, races: Sequence[Mapping[str, Any]]) -> Profile:
    t, axes = n.t, n.board["axes"]
    range_row = next((row for row in axes["range"] if row["team"] == id), None)
    absolute = next((row for row in axes["absolute"] if row["team"] == id), None)
    ran = [_race_place(race, id) for race in races]
    standing = standing_of(n).get(id)
    return Profile(
        name=n.label("team", id, 200.0),
        note="" if standing in (None, "eligible") else t.code("league.standing", standing),
        boxes=_boxes(id, n),
        finished=t("ui.none") if range_row is None else _finished(range_row, n),
        value=None if absolute is None else absolute["score"],
        low=None if absolute is None else absolute["low"],
        high=None if absolute is None else absolute["high"],
        score=t("ui.none") if absolute is None else n.score(absolute["score"]),
        races=tuple(ran),
        race_words=", ".join(_race_word(race, n) for race in ran) or t("ui.none"),
    )


def _race_place(race: Mapping[str, Any], team: str) -> tuple[int, int] | None:
    found = places(race)
    place = next((each.place for each in found if each.team == team), None)
    return None if place is None else (place, len(found))


def _race_word(race: tuple[int, int] | None, n: Naming) -> str:
    if race is None:
        return n.t("league.profile.no_finish")
    return n.t("league.profile.place", place=n.t.number(race[0]), of=n.t.number(race[1]))


def _finished(row: Mapping[str, Any], n: Naming) -> str:
    return n.t("league.profile.finished", count=n.t.number(row["finished"]), of=n.t.number(row["of"]))


def _boxes(team: str, n: Naming) -> tuple[str, ...]:
    found = []
    for event in n.board["events"]:
        if "range" in event["axes"]:
            row = next((each for each in event["results"] if each["team"] == team), None)
            known = (
                row is not None
                and row["status"] == "scored"
                and row["finished"] in ("yes", "no", "unresolved")
            )
            found.append(row["finished"] if row is not None and known else "none")
    return tuple(found)


def _profile_data(n: Naming, races: Sequence[Mapping[str, Any]]) -> Table:
    t, axes = n.t, n.board["axes"]
    head = [t("league.head_team"), t("league.axis.range"), t("league.axis.absolute")]
    head += [n.event(race["id"]) for race in races]
    rows = []
    for team in n.board["teams"]:
        id = team["id"]
        range_row = next((row for row in axes["range"] if row["team"] == id), None)
        absolute = next((row for row in axes["absolute"] if row["team"] == id), None)
        rows.append(
            (
                n.team(id),
                t("ui.none") if range_row is None else _finished(range_row, n),
                t("ui.none") if absolute is None else n.score(absolute["score"]),
                *(_race_word(_race_place(race, id), n) for race in races),
            )
        )
    return Table(t("league.profile.data"), tuple(head), tuple(rows))


def changes_part(n: Naming, *, more: bool = True) -> Part:
    """What would have to be otherwise for somebody else to be last; with the way to all of it."""
    t = n.t
    found = changes(n)
    blocks: list[Block] = [Prose(t("league.change.lead"))]
    blocks.append(Bullets(tuple(Cell(words) for words in found)) if found else Prose(t("league.change.none")))
    if more:
        blocks.append(Bullets((Cell(t("league.change.more"), href="multiverse.html"),)))
    return Part("changes", t("league.change.title"), tuple(blocks))


def changes(n: Naming) -> list[str]:
    """Weights, single choices and rows that would make somebody else last, a sentence each."""
    return [*_smallest(n), *_flips(n), *_universes(n), *_influence(n)]


def _smallest(n: Naming) -> list[str]:
    """The least that weights have to move, in points of the declared total."""
    multiverse = n.board["multiverse"] or {}
    change, simplex = multiverse.get("smallest_change"), multiverse.get("simplex")
    if change is None or simplex is None:
        return []
    weights = ", ".join(
        f"{n.by(category)} {n.score(weight)}"
        for category, weight in zip(simplex["categories"], change["weights"], strict=True)
    )
    after = n.teams(as_list(change["last_after"]))
    key = "one" if len(as_list(change["last_after"])) == 1 else "many"
    return [
        n.t(f"league.change.smallest_{key}", moved=n.score(change["moved"]), weights=weights, after=after)
    ]


def _flips(n: Naming) -> list[str]:
    found = []
    for flip in (n.board["multiverse"] or {}).get("flips", ())[:MOST_CHANGES]:
        category = n.by(flip["category"])
        if flip["weight"] is None:
            found.append(n.t("league.change.no_flip", category=category))
            continue
        found.append(
            n.t(
                "league.change.flip",
                category=category,
                weight=n.score(flip["weight"]),
                before=n.teams(as_list(flip["last_before"])),
                after=n.teams(as_list(flip["last_after"])),
            )
        )
    return found


def _universes(n: Naming) -> list[str]:
    """Single choices, other than weights, under which somebody else is last."""
    last = n.board["decision"]["last"]
    found = []
    for universe in (n.board["multiverse"] or {}).get("universes", ()):
        if universe["kind"] != "weights" and last is not None and last not in universe["last"]:
            found.append(
                n.t(
                    "league.change.universe", name=universe_name(universe, n), teams=n.teams(universe["last"])
                )
            )
    left = len(found) - MOST_CHANGES
    if left > 0:
        return [*found[:MOST_CHANGES], n.t("league.change.left", count=n.t.number(left))]
    return found


def universe_name(universe: Mapping[str, Any], n: Naming) -> str:
    """A choice in words."""
    reason = {"code": universe["name"], "values": universe["values"]}
    return n.reason(reason, f"league.universe.{universe['kind']}")


def _influence(n: Naming) -> list[str]:
    found = []
    for kind in ("items", "raters"):
        for row in (n.board["influence"] or {}).get(kind, ())[:MOST_CHANGES]:
            values = {"event": n.event(row["event"]), "of": n.t.number(row["of"])}
            if row["dropped"] is None:
                found.append(n.t(f"league.change.{kind}_none", **values))
            else:
                after = n.teams(as_list(row["last_after"]))
                dropped = n.t.number(row["dropped"])
                found.append(n.t(f"league.change.{kind}", dropped=dropped, after=after, **values))
    return found


def as_list(value: object) -> list[str]:
    """One team or several."""
    if value is None:
        return []
    return [str(each) for each in value] if isinstance(value, list | tuple) else [str(value)]
