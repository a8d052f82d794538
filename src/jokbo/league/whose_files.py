"""Whether results are of the model that their team entered, as far as the files tell.

A file names its model in the words of whoever ran it, often a path, so a difference is a remark and no error. That two
teams hand in the same bytes is an error where the file states model and time, for no two runs write the same; and a
remark where it is rows alone, for two weak models may answer a short test alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from jokbo.errors import FormatError
from jokbo.league.results.base import ResultFile, TaskResult
from jokbo.league.results.reading import brief
from jokbo.league.round import ModelIdentity, Round
from jokbo.views.component import Reason


def whose_notes(
    round: Round, results: Mapping[str, Sequence[TaskResult]], digests: Mapping[str, str]
) -> list[Reason]:
    """What is odd about whose results an event has.

    Parameters
    ----------
    results : mapping of str to sequence of TaskResult
        Those that the event is scored from, by team.
    digests : mapping of str to str
        SHA-256 of every file by its name.

    Raises
    ------
    FormatError
        A file that states the model of its run is given for two teams.
    """
    models = {team.id: team.model for team in round.teams}
    return [*_same_bytes(results, digests), *_same_model(results), *_other_model(results, models)]


def _same_bytes(results: Mapping[str, Sequence[TaskResult]], digests: Mapping[str, str]) -> Iterator[Reason]:
    first: dict[str, tuple[str, ResultFile]] = {}
    said = set()
    for team, own in results.items():
        for result in own:
            for k, file in enumerate(result.files):
                other, earlier = first.setdefault(digests[file.name], (team, file))
                if other == team or (other, team) in said:
                    continue
                if k == 0 and result.model is not None:
                    raise FormatError(
                        f"{earlier.name} ({other}) and {file.name} ({team}) are the same file, byte for byte; it is "
                        f"of one run of {brief(result.model)}. Give each team's own results."
                    )
                said.add((other, team))
                yield Reason("same_file", {"who": f"{other}, {team}", "file": file.name})


def _same_model(results: Mapping[str, Sequence[TaskResult]]) -> Iterator[Reason]:
    teams: dict[str, list[str]] = {}
    for team, own in results.items():
        for model in _models(own):
            teams.setdefault(model, []).append(team)
    for model, named in teams.items():
        if len(named) > 1:
            yield Reason("same_model_named", {"who": ", ".join(named), "model": model})


def _other_model(
    results: Mapping[str, Sequence[TaskResult]], models: Mapping[str, ModelIdentity]
) -> Iterator[Reason]:
    for team, own in results.items():
        entered = models[team]
        known = {_last(text) for text in (team, entered.name, entered.repository) if text}
        for model in _models(own):
            if _last(model) not in known:
                values = {"who": team, "model": model, "entered": entered.name}
                yield Reason("other_model_named", values)


def _models(results: Sequence[TaskResult]) -> list[str]:
    return list(dict.fromkeys(result.model for result in results if result.model is not None))


def _last(text: str) -> str:
    """The part of a name that path, owner and case do not change.

    Examples
    --------
    >>> _last("/data/Org/Model-1/"), _last("org/model-1")
    ('model-1', 'model-1')
    """
    return text.rstrip("/").rpartition("/")[2].casefold()
