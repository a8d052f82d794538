"""The same questions for every team: rows paired by item, and refused where they are not of the same questions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from jokbo.errors import FormatError
from jokbo.league.results.reading import brief
from jokbo.league.round import Event
from jokbo.league.task_choice import ANY, TaskRows
from jokbo.views.component import Reason

Key = tuple[str, str]
"""Task and item."""

MOST_SCORE = 1e15
"""In size; sums of larger ones leave nothing of the others."""

TASK = "task"
"""The column that every row has: the task it is of, for a group of tasks."""


@dataclass(frozen=True, slots=True)
class TeamRows:
    """One team's rows of an event, and what its files state of each task."""

    team: str
    tasks: tuple[TaskRows, ...]
    settings: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Paired:
    """Items of all teams; see :class:`jokbo.league.measured.ItemScores` for the arrays."""

    items: tuple[str, ...]
    scores: np.ndarray
    repeats: np.ndarray
    clusters: np.ndarray
    groups: np.ndarray
    cluster_names: tuple[str, ...]
    group_names: tuple[str, ...]
    settings: Mapping[str, str]
    notes: tuple[Reason, ...]


@dataclass(slots=True)
class _Item:
    """One item of one team: its score over the repetitions, and what identifies it."""

    total: float = 0.0
    count: int = 0
    digest: str | None = None
    place: str = ""
    file: str = ""
    columns: dict[str, str] = field(default_factory=dict)


def pair(event: Event, teams: Sequence[TeamRows]) -> Paired:
    """Pair the rows of all teams.

    Items are ordered by task and number, whatever the files' order.

    Raises
    ------
    FormatError
        Settings, questions, prompts, groups or the number of repetitions differ, or an item is missing for one team.
    """
    notes = _same_settings(event, teams)
    held = [_items(team) for team in teams]
    _same_items(teams, held)
    keys = sorted(held[0], key=lambda key: (_natural(key[0]), _natural(key[1])))
    notes += _same_questions(event, teams, held, keys)
    several = len(teams[0].tasks) > 1
    names = tuple(f"{task}/{item}" if several else item for task, item in keys)
    clusters = names if event.cluster is None else _column(event, event.cluster, teams, held, keys)
    groups = ("",) * len(keys) if event.group is None else _column(event, event.group, teams, held, keys)
    cluster_names, cluster_index = _index(clusters)
    group_names, group_index = _index(groups)
    return Paired(
        items=names,
        scores=np.array([[own[key].total / own[key].count for key in keys] for own in held]),
        repeats=np.array([_repeats(team, own) for team, own in zip(teams, held, strict=True)], np.int64),
        clusters=cluster_index,
        groups=group_index,
        cluster_names=cluster_names,
        group_names=group_names,
        settings=_shared(teams),
        notes=tuple(notes),
    )


def _items(team: TeamRows) -> dict[Key, _Item]:
    found: dict[Key, _Item] = {}
    for each in team.tasks:
        rows, scores = each.rows, each.rows.scores[each.metric].tolist()
        columns = list(rows.fields.items())
        for k, id in enumerate(rows.ids):
            item = found.setdefault((each.task, id), _Item(place=rows.places[k], file=each.file))
            if item.count == 0:
                item.digest = rows.digests[k]
                item.columns = {name: texts[k] for name, texts in columns}
                item.columns[TASK] = each.task
            elif item.digest != rows.digests[k]:
                raise FormatError(
                    f"{rows.places[k]}: item {brief(id)} is another question than at {item.place} (their hashes "
                    "differ). An item repeats one question."
                )
            if abs(scores[k]) > MOST_SCORE:
                raise FormatError(
                    f"{rows.places[k]}: {each.metric} is {scores[k]:g}; expected at most {MOST_SCORE:g} in size, "
                    "which no measured score passes. Correct this row, or run the item again."
                )
            item.total += scores[k]
            item.count += 1
    return found


def _repeats(team: TeamRows, held: Mapping[Key, _Item]) -> int:
    counts = {item.count for item in held.values()}
    if len(counts) > 1:
        most = max(counts)
        key, item = next((key, item) for key, item in held.items() if item.count < most)
        raise FormatError(
            f"{item.place}: item {brief(key[1])} of {team.team} has {item.count} repetitions, others have {most}. "
            "Give every repetition of every item."
        )
    return counts.pop()


def _same_settings(event: Event, teams: Sequence[TeamRows]) -> list[Reason]:
    notes = []
    _same_tasks(event, teams)
    first: dict[tuple[str, str], tuple[str, TeamRows]] = {}
    unstated: dict[str, list[str]] = {}
    for team in teams:
        for task in team.tasks:
            stated = team.settings[task.task]
            for key, value in stated.items():
                if (
                    key == "task_hash"
                    and "prompt_hash" in task.rows.fields
                    and task.rows.digests[0] is not None
                ):
                    continue  # it depends on the order of rows too; they are compared one by one
                before, other = first.setdefault((task.task, key), (value, team))
                if before == value:
                    continue
                if event.pins.get(key) == ANY:
                    notes.append(
                        Reason("setting_differs", {"task": task.task, "setting": key, "team": team.team})
                    )
                    continue
                raise FormatError(
                    f"{_file(other, task.task)} ({other.team}) and {task.file} ({team.team}) are runs of {task.task} "
                    f"with another {key}: {brief(before)} and {brief(value)}. They are not comparable: run both the "
                    "same way."
                )
    for task_name, key in first:
        for team in teams:
            if key not in team.settings.get(task_name, {}):
                unstated.setdefault(key, []).append(team.team)
    notes += [
        Reason("setting_unstated", {"setting": key, "teams": ", ".join(dict.fromkeys(names))})
        for key, names in unstated.items()
    ]
    return notes


def _same_tasks(event: Event, teams: Sequence[TeamRows]) -> None:
    """Refuse teams whose files call one task by different names."""
    first: dict[str, tuple[str, str, TeamRows]] = {}
    for team in teams:
        for each in team.tasks:
            if each.stated is None:
                continue
            name, file, other = first.setdefault(each.task, (each.stated, each.file, team))
            if name != each.stated:
                raise FormatError(
                    f"{file} ({other.team}) holds the task {brief(name)}, and {each.file} ({team.team}) "
                    f"{brief(each.stated)} for {event.id}. Give the same task, or name it in the round file."
                )


def _file(team: TeamRows, task: str) -> str:
    return next((each.file for each in team.tasks if each.task == task), "")


def _same_items(teams: Sequence[TeamRows], held: Sequence[Mapping[Key, _Item]]) -> None:
    by_team = {team.team: own for team, own in zip(teams, held, strict=True)}
    every = {key: (team, own[key]) for team, own in reversed([*zip(teams, held, strict=True)]) for key in own}
    for team, own in zip(teams, held, strict=True):
        missing = sorted(
            (key for key in every if key not in own), key=lambda key: (_natural(key[0]), _natural(key[1]))
        )
        if not missing:
            continue
        other, item = every[missing[0]]
        if item.digest is not None:
            moved = next(
                (
                    key
                    for key, mine in own.items()
                    if mine.digest == item.digest and key not in by_team[other.team]
                ),
                None,
            )
            if moved is not None:
                raise FormatError(
                    f"{own[moved].place} and {item.place}: one question (their hashes are equal) is item "
                    f"{brief(moved[1])} of {team.team} and item {brief(missing[0][1])} of {other.team}. Number items "
                    "as the data set does."
                )
        shown = ", ".join(brief(id) for _, id in missing[:5])
        file = _file(team, missing[0][0]) or team.tasks[0].file
        raise FormatError(
            f"{file}: {team.team} has no row of {len(missing):,} items of {missing[0][0]} that {other.team} has "
            f"({item.file}): {shown}{'...' if len(missing) > 5 else ''}. Nothing is averaged over what is missing: "
            "run them."
        )


def _same_questions(
    event: Event, teams: Sequence[TeamRows], held: Sequence[Mapping[Key, _Item]], keys: Sequence[Key]
) -> list[Reason]:
    notes = []
    allowed = {key for key, value in event.pins.items() if value == ANY}
    silent = [
        team.team
        for team, own in zip(teams, held, strict=True)
        if any(own[key].digest is None for key in keys)
    ]
    if silent:
        notes.append(Reason("questions_unstated", {"teams": ", ".join(silent)}))
    for key in keys:
        for team, own in zip(teams[1:], held[1:], strict=True):
            one, two = held[0][key], own[key]
            if None not in (one.digest, two.digest) and one.digest != two.digest:
                raise _differ(key, "another question", one, two, teams[0], team)
            for name in one.columns:
                if name.endswith("_hash") and name in two.columns and one.columns[name] != two.columns[name]:
                    if name not in allowed:
                        raise _differ(key, f"another {name.removesuffix('_hash')}", one, two, teams[0], team)
                    notes.append(
                        Reason("setting_differs", {"task": key[0], "setting": name, "team": team.team})
                    )
    return notes


def _differ(key: Key, what: str, one: _Item, two: _Item, first: TeamRows, second: TeamRows) -> FormatError:
    return FormatError(
        f"{one.place} ({first.team}) and {two.place} ({second.team}): item {brief(key[1])} of {key[0]} is {what} "
        "(their hashes differ). They are not comparable: run both on the same data, the same way."
    )


def _column(
    event: Event,
    name: str,
    teams: Sequence[TeamRows],
    held: Sequence[Mapping[Key, _Item]],
    keys: Sequence[Key],
) -> tuple[str, ...]:
    """A declared column of every item, which all teams that state it must state alike."""
    found = []
    for key in keys:
        stated = [(own[key].columns[name], own[key].place) for own in held if name in own[key].columns]
        if not stated:
            raise FormatError(
                f"{held[0][key].place}: {key[0]} has no column {name!r} in every row, which {event.id} groups or "
                "clusters by. Expected a text of at most 200 characters there."
            )
        other = next(((text, place) for text, place in stated if text != stated[0][0]), None)
        if other is not None:
            raise FormatError(
                f"{stated[0][1]} and {other[1]}: {name} of item {brief(key[1])} is {brief(stated[0][0])} and "
                f"{brief(other[0])}. It has to be the same for all teams."
            )
        found.append(stated[0][0])
    return tuple(found)


def _index(names: Sequence[str]) -> tuple[tuple[str, ...], np.ndarray]:
    """Distinct names in their order of appearance, and the index of each."""
    order = {name: k for k, name in enumerate(dict.fromkeys(names))}
    return tuple(order), np.array([order[name] for name in names], np.int64)


def _shared(teams: Sequence[TeamRows]) -> dict[str, str]:
    """Settings that are the same for all tasks and teams that state them."""
    stated: dict[str, set[str]] = {}
    for team in teams:
        for settings in team.settings.values():
            for key, value in settings.items():
                stated.setdefault(key, set()).add(value)
    return {key: next(iter(values)) for key, values in sorted(stated.items()) if len(values) == 1}


def _natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """Numbers in a name are ordered as numbers: 9 before 10."""
    return tuple(
        (0, int(part), "") if part.isdecimal() and part.isascii() else (1, 0, part)
        for part in re.split(r"([0-9]{1,18})", text)
        if part
    )
