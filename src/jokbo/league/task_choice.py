"""Which rows of a team's files an event is about: task or group, filter and metric, as the round names them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jokbo.errors import FormatError
from jokbo.league.results.base import ItemRows, TaskResult
from jokbo.league.round import Event
from jokbo.views.component import Reason

ANY = "any"
"""A pin of this value says, before results come in, that a setting may differ between teams."""


@dataclass(frozen=True, slots=True)
class TaskRows:
    """Rows of one task, its scores under the event's metric.

    Attributes
    ----------
    task : str
        What it is paired by: the task of a group, and otherwise the event's.
    stated : str, optional
        What the files call it; None where they do not.
    """

    task: str
    stated: str | None
    file: str
    rows: ItemRows
    metric: str


def choose_rows(
    event: Event, team: str, results: Sequence[TaskResult]
) -> tuple[tuple[TaskRows, ...], dict[str, Mapping[str, str]], list[Reason]]:
    """Rows of an event's task, or of all tasks of its group; settings by task; and the notes on them.

    Raises
    ------
    FormatError
        The task, filter or metric is not there (the message lists what is), is there twice, has means alone, or breaks
        a pin.
    """
    task = _task(event, team, results)
    group = next((result for result in results if result.task == task and result.subtasks), None)
    found, settings, notes = [], {}, list(group.notes) if group is not None else []
    for name in group.subtasks if group is not None else (task,):
        result = _one(event, team, name, results)
        _check_pins(event, result)
        if result.rows is None:
            raise FormatError(
                f"{_files(result)}: {name} has published means and no rows of items, of which {event.id} is scored. "
                "Run the evaluation with its samples logged, and give them too."
            )
        label = name if group is not None else event.task or event.id
        metric = _metric(event, result, result.rows)
        _check_direction(event, result, metric)
        stated = name if result.named else None
        found.append(TaskRows(label, stated, result.files[-1].name, result.rows, metric))
        settings[label] = result.settings
        notes += result.notes
    return tuple(found), settings, notes


def _task(event: Event, team: str, results: Sequence[TaskResult]) -> str:
    tasks = list(dict.fromkeys(result.task for result in results))
    inside = {name for result in results for name in result.subtasks}
    if event.task is None:
        outer = [task for task in tasks if task not in inside]
        if len(outer) == 1:
            return outer[0]
        raise FormatError(
            f"the files of {team} for {event.id} hold {len(outer)} tasks ({_names(outer)}), and the event names "
            "none. Name its task in the round file."
        )
    unnamed = [result.task for result in results if not result.named]
    if event.task not in tasks and len(set(unnamed)) == 1:
        return unnamed[0]  # a table that names no task is of the event that it is listed for
    if event.task not in tasks:
        files = _names(list(dict.fromkeys(file.name for result in results for file in result.files)))
        raise FormatError(
            f"{team} has no results of the task {event.task!r} ({event.id}); its files ({files}) hold "
            f"{_names(tasks)}."
        )
    return event.task


def _one(event: Event, team: str, task: str, results: Sequence[TaskResult]) -> TaskResult:
    """The result of a task under the event's filter."""
    own = [result for result in results if result.task == task]
    if not own:
        raise FormatError(
            f"{team} has no results of {task}, which belongs to {event.task} ({event.id}). Give its files."
        )
    filters = list(dict.fromkeys(result.filter or "none" for result in own))
    wanted = event.filter or (filters[0] if len(filters) == 1 else None)
    if wanted not in filters:
        said = (
            f"has no filter {wanted!r} of {task}"
            if wanted
            else f"has {len(filters)} filters of {task}, and the event names none"
        )
        raise FormatError(f"{_files(own[0])}: {team} {said} ({event.id}); there are {_names(filters)}.")
    same = [result for result in own if (result.filter or "none") == wanted]
    if len(same) > 1:
        raise FormatError(
            f"{_files(same[0])} and {_files(same[1])} are two runs of {task} by {team}. Which counts is not guessed: "
            "list the files of one."
        )
    return same[0]


def _metric(event: Event, result: TaskResult, rows: ItemRows) -> str:
    names = list(rows.scores)
    wanted = event.metric or (names[0] if len(names) == 1 else None)
    if wanted is not None and wanted in rows.scores:
        return wanted
    for note in result.notes:
        if note.values.get("metric") == wanted and note.code == "metric_partial":
            raise FormatError(
                f"{note.values['place']}: this row of {result.task} has no {wanted}; {note.values['rows']} of "
                f"{note.values['of']} have. Nothing is averaged over what is missing: run the rest."
            )
        if note.values.get("metric") == wanted and note.code == "metric_not_scalar":
            raise FormatError(
                f"{note.values['place']}: {wanted} of {result.task} is no single number an item, and cannot be "
                "paired. Choose a metric that is."
            )
    said = f"no metric {wanted!r}" if wanted else f"{len(names)} metrics, and the event names none"
    raise FormatError(f"{_files(result)}: {result.task} has {said} ({event.id}); there are {_names(names)}.")


def _check_direction(event: Event, result: TaskResult, metric: str) -> None:
    stated = result.higher_is_better.get(metric)
    if stated is None or stated is (event.direction == "higher"):
        return
    raise FormatError(
        f"{result.files[0].name}: {result.task} says that {'more' if stated else 'less'} {metric} is better; the "
        f"round's event {event.id} has the direction {event.direction!r}, which would rank the teams upside down. "
        "Name another metric, or correct the direction and freeze the round again in public."
    )


def _check_pins(event: Event, result: TaskResult) -> None:
    for key, wanted in event.pins.items():
        stated = result.settings.get(key)
        if wanted == ANY or (stated is not None and _same(stated, wanted)):
            continue
        said = f"states {key} {stated!r}" if stated is not None else f"does not state its {key}"
        raise FormatError(
            f"{_files(result)}: {result.task} {said}; the round pins {key} {wanted!r} ({event.id}). Run it as the "
            "round says."
        )


def _same(stated: str, wanted: str) -> bool:
    """Equal as text, or as numbers: a version 3 is also written 3.0."""
    try:
        return stated == wanted or float(stated) == float(wanted)
    except ValueError:
        return False


def _files(result: TaskResult) -> str:
    return " with ".join(file.name for file in result.files)


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(names[:12])
    return f"{shown} and {len(names) - 12} more" if len(names) > 12 else shown or "nothing"
