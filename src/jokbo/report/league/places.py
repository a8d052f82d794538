"""Places and medals of each event, by the point estimates alone; where intervals overlap, that is marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MEDALS = ("gold", "silver", "bronze")


@dataclass(frozen=True, slots=True)
class Place:
    """A team's place in an event.

    Attributes
    ----------
    place : int
        1 for the best; equal scores share a place, and the next one is skipped.
    overlaps : bool or None
        Whether the interval reaches into that of the team placed next below; None where one of the two is not known.
    """

    team: str
    place: int
    overlaps: bool | None


def places(event: Mapping[str, Any], *, among: frozenset[str] | None = None) -> tuple[Place, ...]:
    """Places of one event, best first.

    Parameters
    ----------
    event : mapping
        An entry of the board's ``events``.
    among : frozenset of str, optional
        Only these teams take part; all by default.

    Examples
    --------
    >>> row = {"status": "scored", "low": None, "high": None}
    >>> event = {"direction": "higher", "results": [row | {"team": "a", "score": 1.0, "value": 1.0},
    ...                                             row | {"team": "b", "score": 2.0, "value": 2.0}]}
    >>> [(place.team, place.place) for place in places(event)]
    [('b', 1), ('a', 2)]
    """
    rows = [row for row in event["results"] if row["status"] == "scored"]
    rows = [row for row in rows if among is None or row["team"] in among]
    scored = [(key, row) for row in rows if (key := _key(row, event["direction"])) is not None]
    # Equal scores keep the order of the board.
    scored.sort(key=lambda pair: -pair[0])
    found: list[Place] = []
    for k, (value, row) in enumerate(scored):
        equal = found and value == scored[k - 1][0]
        place = found[-1].place if equal else k + 1
        below = scored[k + 1][1] if k + 1 < len(scored) else None
        found.append(Place(row["team"], place, _overlap(row, below) if below is not None else False))
    return tuple(found)


def _key(row: Mapping[str, Any], direction: str) -> float | None:
    """What is ordered: the anchored score, or the value where no score is stated."""
    if row["score"] is not None:
        return float(row["score"])
    if row["value"] is None:
        return None
    return float(row["value"]) if direction == "higher" else -float(row["value"])


def _overlap(upper: Mapping[str, Any], lower: Mapping[str, Any]) -> bool | None:
    if upper["low"] is None or lower["high"] is None:
        return None
    return bool(upper["low"] <= lower["high"])


def medallists(event: Mapping[str, Any]) -> tuple[Place, ...]:
    """Places of those who may have a medal: a team resolved below the floor has not finished the event.

    Examples
    --------
    >>> row = {"status": "scored", "low": None, "high": None, "value": None}
    >>> event = {"direction": "higher", "results": [row | {"team": "a", "score": -9.0, "finished": "no"},
    ...                                             row | {"team": "b", "score": -1.0, "finished": "unresolved"}]}
    >>> [place.team for place in medallists(event)]
    ['b']
    """
    finishers = frozenset(row["team"] for row in event["results"] if row["finished"] != "no")
    return places(event, among=finishers)


def medal_count(events: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """Medals of every team: ``{team: {"gold": n, "silver": n, "bronze": n}}``, for teams with any."""
    found: dict[str, dict[str, int]] = {}
    for event in events:
        for place in medallists(event):
            if place.place <= len(MEDALS):
                row = found.setdefault(place.team, dict.fromkeys(MEDALS, 0))
                row[MEDALS[place.place - 1]] += 1
    return found
