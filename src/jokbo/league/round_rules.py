"""What a round's file must not contradict, and no schema can say.

Each check yields (path, problem) of what is wrong, and the reader adds file and line. A round that passes can be
scored and decided, whatever results come in.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from jokbo.league.yaml_document import Problem

Plain = Mapping[str, Any]

RESERVED = ("total", "range", "absolute", "efficiency")
DECIDES = ("lot", "keep")
OF_KINDS: Mapping[str, tuple[str, ...]] = {
    "task": ("items",),
    "metric": ("items",),
    "filter": ("items",),
    "average": ("items",),
    "group": ("items",),
    "cluster": ("items",),
    "pins": ("items",),
    "show_items": ("items", "panel"),
    "panel": ("panel",),
    "race": ("race",),
    "published": ("published",),
}
"""Keys of an event that only some kinds have."""

NEEDED: Mapping[str, tuple[str, ...]] = {
    "items": ("task", "metric"),
    "panel": ("panel",),
    "race": ("race",),
    "published": ("published",),
}


def round_problems(document: Plain) -> Iterator[Problem]:
    """Everything in which a document that follows the schema contradicts itself."""
    for kind in ("teams", "categories", "events"):
        yield from _twice(document.get(kind, ()), kind)
    yield from _team_problems(document["teams"])
    yield from _category_problems(document)
    affiliations = _known_affiliations(document["teams"])
    for k, event in enumerate(document["events"]):
        yield from _event_problems(event, f"events/{k}", document.get("categories", ()))
        yield from _affiliation_problems(event, f"events/{k}", affiliations)
    yield from _gate_problems(document["gate"], document["teams"])
    yield from _elimination_problems(document)


def _twice(rows: Sequence[Plain], kind: str) -> Iterator[Problem]:
    seen: set[str] = set()
    for k, row in enumerate(rows):
        if row["id"] in seen:
            yield f"{kind}/{k}/id", f"expected an id of its own, found {row['id']!r} a second time"
        seen.add(row["id"])


def _team_problems(teams: Sequence[Plain]) -> Iterator[Problem]:
    for k, team in enumerate(teams):
        model = team["model"]
        if model.get("active_parameters", 0) > model.get("parameters", float("inf")):
            yield (
                f"teams/{k}/model/active_parameters",
                f"expected at most the {model['parameters']:g} parameters, found {model['active_parameters']:g}",
            )
        digests = [ancestor["digest"] for ancestor in team.get("declared_ancestors", ())]
        for j, digest in enumerate(digests):
            if digest in digests[:j]:
                yield (
                    f"teams/{k}/declared_ancestors/{j}/digest",
                    f"expected each ancestor once, found {digest[:16]} a second time",
                )


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _known_affiliations(teams: Sequence[Plain]) -> Mapping[str, str]:
    return {_folded(text): text for team in teams for text in team.get("affiliations", ())}


def _affiliation_problems(event: Plain, path: str, known: Mapping[str, str]) -> Iterator[Problem]:
    """An author's affiliation spelt in two ways would be missed by the ranking without affiliated events."""
    listed = event.get("affiliations", ())
    for k, text in enumerate(listed):
        meant = known.get(_folded(text), text)
        if meant != text:
            yield f"{path}/affiliations/{k}", f"expected the spelling of the teams, {meant!r}, found {text!r}"
    author = known.get(_folded(event["author"]))
    if author is not None and author not in listed:
        yield (
            f"{path}/affiliations",
            f"expected {author!r}, the author and a team's affiliation, found {', '.join(map(repr, listed)) or 'none'}",
        )


def _category_problems(document: Plain) -> Iterator[Problem]:
    for k, category in enumerate(document.get("categories", ())):
        name = category["id"]
        if name in RESERVED:
            yield f"categories/{k}/id", f"expected another id than {', '.join(RESERVED)}, found {name!r}"
        weights = [event.get("weight", 1.0) for event in document["events"] if event.get("category") == name]
        if not weights:
            yield f"categories/{k}", f"expected at least one event in {name!r}, found none"
        elif sum(weights) <= 0:
            yield f"categories/{k}", f"expected a weight above 0 in {name!r}, found none"


def _event_problems(event: Plain, path: str, categories: Sequence[Plain]) -> Iterator[Problem]:
    kind = event["kind"]
    for key, kinds in OF_KINDS.items():
        if key in event and kind not in kinds:
            yield f"{path}/{key}", f"expected kind {' or '.join(kinds)} for this key, found kind {kind!r}"
    for key in NEEDED[kind]:
        if key not in event:
            yield path, f"expected the key {key!r} for kind {kind!r}, found none"
    yield from _axis_problems(event, path)
    names = [category["id"] for category in categories]
    if "category" in event and event["category"] not in names:
        wanted = ", ".join(names) or "none, for the round has no categories"
        yield f"{path}/category", f"expected a category ({wanted}), found {event['category']!r}"
    if event.get("average") == "groups" and "group" not in event:
        yield f"{path}/average", "expected the key 'group' beside average 'groups', found none"
    yield from _scale_problems(event, path)
    if kind == "panel" and "panel" in event:
        yield from _panel_problems(event, path)
    if kind == "published" and event.get("published", {}).get("standard_error") == 0:
        yield (
            f"{path}/published/standard_error",
            "expected more than 0, or null where none may be assumed, found 0",
        )
    if kind == "race" and "race" in event:
        yield from _race_problems(event, path)


def _axis_problems(event: Plain, path: str) -> Iterator[Problem]:
    axes = event["axes"]
    if len(set(axes)) < len(axes):
        yield f"{path}/axes", f"expected each axis once, found {', '.join(axes)}"
    if event["kind"] == "race" and axes != ["efficiency"]:
        yield f"{path}/axes", f"expected a race on the efficiency axis alone, found {', '.join(axes)}"
    if event["kind"] != "race" and "efficiency" in axes:
        yield f"{path}/axes", f"expected only races on the efficiency axis, found kind {event['kind']!r}"


def _scale_problems(event: Plain, path: str) -> Iterator[Problem]:
    floor, anchor = event["floor"], event["anchor"]["value"]
    higher = event["direction"] == "higher"
    if floor == anchor or (anchor > floor) is not higher:
        order = "above" if higher else "below"
        yield (
            f"{path}/anchor/value",
            f"expected an anchor {order} the floor {floor:g} (direction {event['direction']!r}), found {anchor:g}",
        )
    if event.get("scale") == "log" and min(floor, anchor) <= 0:
        yield (
            f"{path}/scale",
            f"expected floor and anchor above 0 on a log scale, found {floor:g} and {anchor:g}",
        )


def _panel_problems(event: Plain, path: str) -> Iterator[Problem]:
    low, high = event["panel"]["lowest"], event["panel"]["highest"]
    if low >= high:
        yield f"{path}/panel/highest", f"expected more than the lowest {low:g}, found {high:g}"
        return
    for key, value in (("floor", event["floor"]), ("anchor/value", event["anchor"]["value"])):
        if not low <= value <= high:
            yield (
                f"{path}/{key}",
                f"expected a value on the panel's scale, {low:g} to {high:g}, found {value:g}",
            )
    if "criteria" in event["panel"] and not event["panel"]["criteria"]:
        yield f"{path}/panel/criteria", "expected at least one criterion, or no such key, found none"


def _race_problems(event: Plain, path: str) -> Iterator[Problem]:
    quantity = event["race"]["quantity"]
    wanted = "higher" if quantity == "tokens_per_second" else "lower"
    if event["direction"] != wanted:
        yield f"{path}/direction", f"expected {wanted!r} for {quantity}, found {event['direction']!r}"
    if not event["race"]["fixed"]:
        yield (
            f"{path}/race/fixed",
            "expected at least one thing that is equal for all (hardware, data), found none",
        )


def _gate_problems(gate: Plain, teams: Sequence[Plain]) -> Iterator[Problem]:
    references = gate.get("references", ())
    by_id = {team["id"]: team for team in teams}
    if gate["required"] and not references:
        yield "gate/references", "expected at least one reference for a required gate, found none"
    seen: set[str] = set()
    for k, reference in enumerate(references):
        path = f"gate/references/{k}"
        if set(reference) not in ({"team"}, {"name", "digest"}):
            yield (
                path,
                f"expected name and digest, or team alone, found {', '.join(sorted(reference)) or 'none'}",
            )
            continue
        if "team" in reference:
            team = by_id.get(reference["team"])
            if team is None:
                yield (
                    f"{path}/team",
                    f"expected the id of a team ({', '.join(by_id)}), found {reference['team']!r}",
                )
                continue
            if "digest" not in team["model"]:
                yield f"{path}/team", f"expected a team whose model has a digest, found {reference['team']!r}"
                continue
        key = reference.get("team") or reference["digest"]
        if key in seen:
            yield path, f"expected each reference once, found {key[:16]!r} a second time"
        seen.add(key)


def _elimination_problems(document: Plain) -> Iterator[Problem]:
    rule, teams = document["elimination"], len(document["teams"])
    if rule["teams_out"] >= teams:
        yield "elimination/teams_out", f"expected fewer than the {teams} teams, found {rule['teams_out']}"
    names = [category["id"] for category in document.get("categories", ())]
    axes = {axis for event in document["events"] for axis in event["axes"]} - {"efficiency"}
    known = [*(["total"] if names else []), *sorted(axes), *names]
    if rule["by"] not in known:
        yield "elimination/by", f"expected one of {', '.join(known)}, found {rule['by']!r}"
    elif rule["by"] == "absolute":
        yield from _absolute_weight(document["events"])
    steps = rule.get("tie_rule", ())
    if not steps and rule["teams_out"]:
        yield "elimination", "expected the key 'tie_rule' where a team leaves, found none"
    for k, step in enumerate(steps):
        yield from _step_problems(step, f"elimination/tie_rule/{k}", document, names, axes)
        if step in steps[:k]:
            yield f"elimination/tie_rule/{k}", "expected each step once, found it a second time"
        if (step["by"] in DECIDES) is not (k == len(steps) - 1):
            where = "lot or keep as the last step, and only there, for nothing else always decides"
            yield f"elimination/tie_rule/{k}/by", f"expected {where}, found {step['by']!r}"
    yield from _lot_problems(rule, steps)


def _absolute_weight(events: Sequence[Plain]) -> Iterator[Problem]:
    if sum(event.get("weight", 1.0) for event in events if "absolute" in event["axes"]) <= 0:
        yield "elimination/by", "expected a weight above 0 on the absolute axis, found none"


def _step_problems(
    step: Plain, path: str, document: Plain, names: Sequence[str], axes: set[str]
) -> Iterator[Problem]:
    by, of = step["by"], step.get("of")
    events = [event["id"] for event in document["events"]]
    things = {"category": names, "axis": sorted(axes), "event": events}
    if by in things:
        if of not in things[by]:
            wanted = ", ".join(things[by]) or "none exists"
            yield f"{path}/of", f"expected the id of {_an(by)} ({wanted}), found {of or 'nothing'!r}"
    elif of is not None:
        yield f"{path}/of", f"expected no such key for {by!r}, found {of!r}"
    elif by == "total" and not names:
        yield f"{path}/by", "expected categories in the round for 'total', found none"


def _an(word: str) -> str:
    return f"{'an' if word[0] in 'ae' else 'a'} {word}"


def _lot_problems(rule: Plain, steps: Sequence[Plain]) -> Iterator[Problem]:
    if "lot" not in rule:
        return
    if not steps or steps[-1]["by"] != "lot":
        yield "elimination/lot", "expected a tie rule that ends with 'lot' beside this key, found none"
    try:
        date.fromisoformat(rule["lot"]["after"])
    except ValueError:
        yield "elimination/lot/after", f"expected a day of the calendar, found {rule['lot']['after']!r}"
