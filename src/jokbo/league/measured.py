"""Results of one event for all teams, checked and paired: what the statistics take.

One class a kind of event. Entrants are team ids in the round's order; a team that did not run an event is not among
its entrants. Nothing in an array is missing except where a mask says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from jokbo.league.statistics.degrees import Spreads
from jokbo.views.component import Reason


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file that was read: its name in the results list, digest and bytes."""

    name: str
    sha256: str
    size: int
    role: str  # "results", "panel", "race", "published", "evidence"
    reader: str | None = None
    public: bool = True


@dataclass(frozen=True, slots=True)
class Measured:
    """What every kind shares."""

    event: str
    entrants: tuple[str, ...]
    files: tuple[InputFile, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class ItemScores(Measured):
    """Item scores, paired: column k is the same question for every entrant.

    Attributes
    ----------
    items : tuple of str
    scores : numpy.ndarray, shape (entrants, items), float64
        Mean over repetitions.
    repeats : numpy.ndarray, shape (entrants,), int64
        Repetitions of every item.
    clusters, groups : numpy.ndarray, shape (items,), int64
        Index into `cluster_names`, `group_names`; one cluster an item and one group in all where none is declared.
    """

    items: tuple[str, ...] = ()
    scores: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    repeats: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    clusters: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    groups: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    cluster_names: tuple[str, ...] = ()
    group_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PanelScores(Measured):
    """Raters' rows.

    Attributes
    ----------
    raters : tuple of str
        Pseudonyms.
    criteria : tuple of str
        At least one; ``"score"`` where the panel has none.
    scores : numpy.ndarray, shape (raters, entrants, criteria), float64
        NaN where `rated` is False.
    rated : numpy.ndarray, shape (raters, entrants), bool
    """

    raters: tuple[str, ...] = ()
    criteria: tuple[str, ...] = ("score",)
    scores: np.ndarray = field(default_factory=lambda: np.empty((0, 0, 1)))
    rated: np.ndarray = field(default_factory=lambda: np.empty((0, 0), bool))


@dataclass(frozen=True, slots=True)
class RaceRuns(Measured):
    """Measured runs of a race.

    Attributes
    ----------
    runs : tuple of numpy.ndarray, shape (runs of that entrant,), float64
        In entrants' order; all positive. Empty where no run reached the target: did not finish.
    started : numpy.ndarray, shape (entrants,), int64
        Runs begun, finished or not.
    """

    runs: tuple[np.ndarray, ...] = ()
    started: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))


@dataclass(frozen=True, slots=True)
class PublishedFigures(Measured):
    """One figure a team, shape (entrants,), float64, in the unit of the event."""

    values: np.ndarray = field(default_factory=lambda: np.empty(0))


@dataclass(frozen=True, slots=True)
class EventDraws:
    """An event's values and their resampled copies, in the event's own unit.

    Attributes
    ----------
    value : numpy.ndarray, shape (entrants,), float64
        NaN for a team that did not finish a race.
    draws : numpy.ndarray, shape (draws, entrants), float64, or None
        Row b uses the same resampled items, raters or runs for every entrant. None where no uncertainty is known; a
        column of NaN where it is not known of that entrant (one run, or runs of which only some finished), of infinity
        where two runs or more were begun and none finished.
    degrees : float, numpy.ndarray of shape (entrants, entrants), or Spreads
        Degrees of freedom of the standard error (clusters or raters less one); inf for assumed errors. Where
        entrants are resampled each by itself (races): of every difference, and of each entrant's own on the diagonal.
    assumed : bool
        The spread was assumed, not measured.
    naive_error : numpy.ndarray, shape (entrants,), float64, or None
        Standard error as if every item stood alone: shown beside the real one, never used. Kind ``items`` only.
    floor_error : float
        Standard error that a value has at the most if the truth is the event's floor; 0 where that is not known.
    """

    event: str
    entrants: tuple[str, ...]
    value: np.ndarray
    draws: np.ndarray | None
    degrees: float | np.ndarray | Spreads
    assumed: bool = False
    naive_error: np.ndarray | None = None
    floor_error: float = 0.0
