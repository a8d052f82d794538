"""Reading a round from its file.

Everything the file says is checked where it stands: the schema first (``schemas/round-1.json``), then what a schema
cannot say (:mod:`jokbo.league.round_rules`). An error has a line for each problem: file, line, key, expected, found.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jokbo.evidence.documents import load_schema
from jokbo.league.round import (
    Ancestor,
    Anchor,
    Axis,
    Category,
    Elimination,
    Event,
    EventKind,
    GateRule,
    LotRule,
    ModelIdentity,
    PanelRule,
    PublishedRule,
    RaceRule,
    Round,
    Team,
    TieStep,
    Words,
)
from jokbo.league.round_rules import round_problems
from jokbo.league.yaml_document import parse_document, read_small

Plain = Mapping[str, Any]


def round_schema() -> Plain:
    """The JSON Schema of ``round.yaml``."""
    return load_schema("jokbo.league", "schemas/round-1.json")


def read_round(path: Path) -> Round:
    """Read a round's file.

    Raises
    ------
    NotFoundError, SourceError
        It is not there, or cannot be read.
    FormatError
        It is no round, or contradicts itself.
    """
    return parse_round(read_small(path), path.name)


def parse_round(data: bytes, where: str) -> Round:
    """Read a round from the bytes of its file.

    Parameters
    ----------
    where : str
        Name of the file, for messages.

    Raises
    ------
    FormatError
        It is no round, or contradicts itself; one line a problem.

    Examples
    --------
    >>> from jokbo.league.template import round_template
    >>> parse_round(round_template("en"), "round.yaml").elimination.teams_out
    1
    """
    document = parse_document(data, round_schema(), where=where)
    document.refuse(round_problems(document.value), round_schema())
    return build_round(document.value)


def build_round(document: Plain) -> Round:
    """A round from checked values: as the file has them, or as :func:`jokbo.league.freeze.content` writes them."""
    teams = tuple(map(_team, document["teams"]))
    return Round(
        id=document["id"],
        title=_words(document["title"]),
        teams=teams,
        events=tuple(map(_event, document["events"])),
        categories=tuple(
            Category(row["id"], _words(row["title"]), row["points"]) for row in document.get("categories", ())
        ),
        gate=_gate(document["gate"], teams),
        elimination=_elimination(document["elimination"]),
        seed=document["seed"],
        draws=document.get("draws", 10_000),
        level=document.get("level", 0.95),
        season=document.get("season"),
        number=document.get("number"),
    )


def _words(value: str | Plain) -> Words:
    return {"en": value, "ko": value} if isinstance(value, str) else {"en": value["en"], "ko": value["ko"]}


def _model(row: Plain) -> ModelIdentity:
    return ModelIdentity(**row)


def _ancestor(row: Plain) -> Ancestor:
    return Ancestor(row["name"], row["digest"], tuple(row.get("components", ())))


def _team(row: Plain) -> Team:
    return Team(
        id=row["id"],
        name=_words(row["name"]),
        model=_model(row["model"]),
        affiliations=tuple(row.get("affiliations", ())),
        declared_ancestors=tuple(map(_ancestor, row.get("declared_ancestors", ()))),
        compute=dict(row["compute"]) if row.get("compute") is not None else None,
    )


def _event(row: Plain) -> Event:
    anchor = row["anchor"]
    model = anchor.get("model")
    panel, race, published = (row.get(key) for key in ("panel", "race", "published"))
    return Event(
        id=row["id"],
        title=_words(row["title"]),
        kind=EventKind(row["kind"]),
        axes=tuple(map(Axis, row["axes"])),
        category=row.get("category"),
        weight=row.get("weight", 1.0),
        author=row["author"],
        affiliations=tuple(row.get("affiliations", ())),
        direction=row["direction"],
        scale=row.get("scale", "linear"),
        floor=row["floor"],
        anchor=Anchor(anchor["value"], None if model is None else _model(model), anchor.get("source")),
        unit=row.get("unit", ""),
        task=row.get("task"),
        metric=row.get("metric"),
        filter=row.get("filter"),
        average=row.get("average", "items"),
        group=row.get("group"),
        cluster=row.get("cluster"),
        pins=dict(row.get("pins", {})),
        missing=row.get("missing", "refuse"),
        show_items=row.get("show_items", False),
        panel=None if panel is None else _panel(panel),
        race=None
        if race is None
        else RaceRule(race["quantity"], _words(race["target"]), dict(race["fixed"])),
        published=None
        if published is None
        else PublishedRule(published["standard_error"], _words(published["why"])),
    )


def _panel(row: Plain) -> PanelRule:
    return PanelRule(
        row["lowest"], row["highest"], row.get("drop_each_side", 0), dict(row.get("criteria", {}))
    )


def _gate(row: Plain, teams: tuple[Team, ...]) -> GateRule:
    models = {team.id: team.model for team in teams}
    references = []
    for each in row.get("references", ()):
        if each.get("team") is not None:
            model = models[each["team"]]
            references.append(Ancestor(model.name, model.digest or "", team=each["team"]))
        else:
            references.append(Ancestor(each["name"], each["digest"]))
    return GateRule(tuple(references), row["required"], row.get("untestable", "stays"))


def _elimination(row: Plain) -> Elimination:
    lot = row.get("lot")
    return Elimination(
        teams_out=row["teams_out"],
        by=row["by"],
        tie_rule=tuple(TieStep(step["by"], step.get("of")) for step in row.get("tie_rule", ())),
        gate_counts=row.get("gate_counts", False),
        lot=None if lot is None else LotRule(_words(lot["source"]), lot["after"]),
    )
