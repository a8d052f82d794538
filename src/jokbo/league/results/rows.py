"""Rows put together one by one, and published means held against them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from jokbo.errors import FormatError
from jokbo.league.results.base import MAX_ROWS, ItemRows, Published
from jokbo.league.results.reading import brief, number_of
from jokbo.views.component import Reason

TOLERANCE = 1e-6
"""Between a published mean and that of the rows: writers sum in other orders, and some in single precision."""

MAX_METRICS = 200


@dataclass(slots=True)
class RowBuilder:
    """Collects the rows of one task and filter.

    Attributes
    ----------
    task : str
        For messages.
    """

    task: str
    _ids: list[str] = field(default_factory=list)
    _digests: list[str | None] = field(default_factory=list)
    _repeats: list[int] = field(default_factory=list)
    _scores: dict[str, list[float]] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)
    _first_without: dict[str, str] = field(default_factory=dict)
    _odd: dict[str, str] = field(default_factory=dict)
    _fields: dict[str, list[str]] = field(default_factory=dict)
    _places: list[str] = field(default_factory=list)
    _seen: dict[tuple[str, int], str] = field(default_factory=dict)

    def add(
        self,
        id: str,
        scores: Mapping[str, object],
        *,
        place: str,
        digest: str | None = None,
        repeat: int = 0,
        fields: Mapping[str, str] | None = None,
    ) -> None:
        """Add a row.

        Scores that are no single number (a pair that only its own formula can average) are left out, whole metrics at
        a time, and named; NaN, infinity and an absent value are refused.

        Raises
        ------
        FormatError
            The item was there already, a score is not finite, or there are too many rows.
        """
        first = self._seen.setdefault((id, repeat), place)
        if first is not place:
            again = f", repetition {repeat}," if repeat else ""
            raise FormatError(
                f"{place}: item {brief(id)}{again} of {self.task} is there already, at {first}. Every item counts "
                "once: remove the row that is not of this run."
            )
        if len(self._ids) >= MAX_ROWS or len(self._scores) + len(scores) > MAX_ROWS:
            raise FormatError(f"{place}: more than {MAX_ROWS:,} rows. Split the task.")
        self._ids.append(id)
        self._digests.append(digest)
        self._repeats.append(repeat)
        self._places.append(place)
        self._add_scores(scores, place)
        for name, text in (fields or {}).items():
            self._fields.setdefault(name, []).append(text)

    def _add_scores(self, scores: Mapping[str, object], place: str) -> None:
        for name, value in scores.items():
            number = number_of(value)
            if number is None and (value is None or isinstance(value, int | float)):
                said = "absent" if value is None else brief(value)
                raise FormatError(
                    f"{place}: {brief(name)} is {said}; expected a finite number. A score that is missing is "
                    "not averaged over: run this item again."
                )
            if number is None:
                self._odd.setdefault(name, place)
                continue
            held = self._scores.setdefault(name, [])
            if len(held) < len(self._ids) - 1:
                self._first_without.setdefault(name, self._places[len(held)])
            elif len(held) == len(self._ids) - 1:
                held.append(number)
            self._counts[name] = self._counts.get(name, 0) + 1
            if len(self._scores) > MAX_METRICS:
                raise FormatError(f"{place}: more than {MAX_METRICS} metrics. A row names its metrics.")

    def finish(self) -> tuple[ItemRows, tuple[Reason, ...]]:
        """The rows, and which metrics could not be kept and why.

        Raises
        ------
        FormatError
            A hash is in some rows and not in others.
        """
        n = len(self._ids)
        notes: list[Reason] = []
        for name, held in self._scores.items():
            if len(held) < n and name not in self._odd:
                place = self._first_without.get(name, self._places[len(held)])
                values: dict[str, int | float | str] = {
                    "task": self.task,
                    "metric": name,
                    "rows": self._counts[name],
                    "of": n,
                    "place": place,
                }
                notes.append(Reason("metric_partial", values))
        notes += [
            Reason("metric_not_scalar", {"task": self.task, "metric": name, "place": place})
            for name, place in self._odd.items()
        ]
        for name, texts in self._fields.items():
            if len(texts) == n:
                continue
            if name.endswith("_hash"):
                raise FormatError(
                    f"{self._places[0]} and on: {name} of {self.task} is in {len(texts):,} of {n:,} rows."
                )
            notes.append(
                Reason("field_partial", {"task": self.task, "field": name, "rows": len(texts), "of": n})
            )
        notes += same_questions(self.task, self._ids, self._digests)
        rows = ItemRows(
            ids=tuple(self._ids),
            digests=tuple(self._digests),
            repeats=np.array(self._repeats, np.int64),
            scores={
                name: np.array(held, np.float64)
                for name, held in self._scores.items()
                if len(held) == n and name not in self._odd
            },
            fields={name: tuple(texts) for name, texts in self._fields.items() if len(texts) == n},
            places=tuple(self._places),
        )
        return rows, tuple(notes)


def same_questions(task: str, ids: Sequence[str], digests: Sequence[str | None]) -> list[Reason]:
    """A note where one question is in the task under several numbers."""
    by_digest: dict[str, set[str]] = {}
    for id, digest in zip(ids, digests, strict=True):
        if digest is not None:
            by_digest.setdefault(digest, set()).add(id)
    count = sum(len(found) - 1 for found in by_digest.values())
    return [Reason("same_question_twice", {"task": task, "count": count})] if count else []


def check_published(
    task: str, rows: ItemRows, published: Sequence[Published], *, means: Mapping[str, bool], where: str
) -> list[Reason]:
    """Hold published means against the rows.

    Parameters
    ----------
    means : mapping of str to bool
        Which metrics are plain means of their rows, as far as the files say; a metric that is not here may be one.

    Returns
    -------
    list of Reason
        Metrics whose figure is no mean of the rows, where nothing says that it should be.

    Raises
    ------
    FormatError
        A mean is not that of the rows, or another number of rows is stated.
    """
    notes = []
    for each in published:
        scores = rows.scores.get(each.metric)
        if scores is None:
            continue
        if each.count is not None and each.count != len(scores):
            raise FormatError(
                f"{where}: {task} states {each.count:,} items; {rows.places[0]} and on are "
                f"{len(scores):,} rows of them. Nothing may be dropped: give the rows of the same run."
            )
        mean = float(np.mean(scores))
        if abs(mean - each.value) <= TOLERANCE * max(1.0, abs(mean)):
            continue
        if means.get(each.metric):
            raise FormatError(
                f"{where}: {task} states {each.metric} {each.value:.6g}, and its {len(scores):,} rows "
                f"({rows.places[0]} and on) have the mean {mean:.6g}. Give the results and the rows of one run."
            )
        values: dict[str, int | float | str] = {"published": each.value, "mean": mean}
        notes.append(Reason("published_not_mean", {"task": task, "metric": each.metric, **values}))
    return notes
