"""What a round is: teams, events, gate, elimination; plain frozen values, read from a file by `round_file`.

Everything here is fixed before results come in, and has a digest (:mod:`jokbo.league.freeze`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

Words = Mapping[str, str]
"""A text in the two languages: ``{"en": ..., "ko": ...}``."""


class Axis(StrEnum):
    """The three dimensions; they are never added except by the round's own declared weights."""

    RANGE = "range"
    EFFICIENCY = "efficiency"
    ABSOLUTE = "absolute"


class EventKind(StrEnum):
    """Where an event's numbers come from."""

    ITEMS = "items"  # questions, one row each
    RACE = "race"  # a measured quantity to a target
    PANEL = "panel"  # raters' rows
    PUBLISHED = "published"  # one published figure a team; no rows


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Which weights a team enters, or an anchor was measured with.

    Attributes
    ----------
    digest : str, optional
        SHA-256 of the weights as evidence states it (64 hexadecimal digits).
    parameters, active_parameters : float, optional
    """

    name: str
    repository: str | None = None
    commit: str | None = None
    digest: str | None = None
    parameters: float | None = None
    active_parameters: float | None = None


@dataclass(frozen=True, slots=True)
class Ancestor:
    """A model that a team declares to have drawn on, or is compared with; `components` empty means all of it.

    Attributes
    ----------
    team : str, optional
        Of a gate's reference: the team whose entry this is, where teams are compared with each other.
    """

    name: str
    digest: str
    components: tuple[str, ...] = ()
    team: str | None = None


@dataclass(frozen=True, slots=True)
class Team:
    """One team and what it enters."""

    id: str
    name: Words
    model: ModelIdentity
    affiliations: tuple[str, ...] = ()
    declared_ancestors: tuple[Ancestor, ...] = ()
    compute: Mapping[str, float | str] | None = None
    """Declared training: ``tokens``, ``device``, ``devices``, ``days``, ``precision``; checked for plausibility."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """The value that scores 100 points: measured once with a frozen reference model, or a stated one."""

    value: float
    model: ModelIdentity | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class PanelRule:
    """How raters score: a scale, how many of the highest and lowest raters are dropped, criteria with weights."""

    lowest: float
    highest: float
    drop_each_side: int = 0
    criteria: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RaceRule:
    """What is measured until which target, with what held fixed.

    Attributes
    ----------
    quantity : str
        ``seconds``, ``tokens``, ``joules``, ``parameters``, ``bytes``, ``flops``, ``tokens_per_second``.
    target : Words
        What has to be reached, in words.
    fixed : mapping of str to str
        What is equal for all: ``hardware``, ``data``, ``precision``...
    """

    quantity: str
    target: Words
    fixed: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PublishedRule:
    """The uncertainty of a published figure: assumed and said to be so, or absent.

    Attributes
    ----------
    standard_error : float, optional
        In the figure's own unit; None where nothing may be assumed, and then nothing is resolved by it.
    why : Words
        Where the assumption comes from; shown wherever it counts.
    """

    standard_error: float | None
    why: Words


@dataclass(frozen=True, slots=True)
class Event:
    """One event.

    Attributes
    ----------
    axes : tuple of Axis
        At least one; races are on the efficiency axis alone, and nothing else is.
    task, metric, filter : str, optional
        What the result files call it (kind ``items``).
    direction : str
        ``higher`` or ``lower``.
    scale : str
        ``linear``, or ``log`` for quantities whose ratios count.
    floor : float
        The value that scores 0 points: chance, or a stated minimum; "finished" means at least this.
    average : str
        ``items``: every item counts the same; ``groups``: every group does, whatever its size.
    group, cluster : str, optional
        Columns of the item rows: the fixed group (a subject), and what is resampled together (a passage).
    pins : mapping of str to str
        What the files must say, such as ``version``, ``num_fewshot``.
    missing : str
        ``refuse``: a team without results is an error; ``floor``: it scores 0, and the page says so.
    show_items : bool
        Whether rows may be shown in public.
    """

    id: str
    title: Words
    kind: EventKind
    axes: tuple[Axis, ...]
    category: str | None
    weight: float
    author: str
    affiliations: tuple[str, ...]
    direction: str
    scale: str
    floor: float
    anchor: Anchor
    unit: str = ""
    task: str | None = None
    metric: str | None = None
    filter: str | None = None
    average: str = "items"
    group: str | None = None
    cluster: str | None = None
    pins: Mapping[str, str] = field(default_factory=dict)
    missing: str = "refuse"
    show_items: bool = False
    panel: PanelRule | None = None
    race: RaceRule | None = None
    published: PublishedRule | None = None


@dataclass(frozen=True, slots=True)
class Category:
    """A part of the declared total: `points` times the weighted mean of its events' anchored scores / 100."""

    id: str
    title: Words
    points: float


@dataclass(frozen=True, slots=True)
class GateRule:
    """Against which models every team must have evidence, each (name, digest).

    Attributes
    ----------
    untestable : str
        ``stays``: a team that could not be tested competes, and people decide on it; ``removes``: it does not.
    """

    references: tuple[Ancestor, ...] = ()
    required: bool = True
    untestable: str = "stays"


@dataclass(frozen=True, slots=True)
class TieStep:
    """One step of the tie rule.

    Attributes
    ----------
    by : str
        ``category`` or ``axis`` or ``event`` (the lower score goes, `of` names it), ``total`` (the lower point
        estimate goes), ``lot`` (drawn from the frozen seed), ``keep`` (nobody goes).
    """

    by: str
    of: str | None = None


@dataclass(frozen=True, slots=True)
class LotRule:
    """Public randomness that a lot will be drawn with, named before it exists.

    Attributes
    ----------
    source : Words
        Which value of which source.
    after : str
        Day (YYYY-MM-DD) before which nobody can know the value.
    """

    source: Words
    after: str


@dataclass(frozen=True, slots=True)
class Elimination:
    """Who goes.

    Attributes
    ----------
    teams_out : int
        How many teams leave in this round by score.
    by : str
        ``total``, an axis (``absolute``, ``range``), or a category's id.
    gate_counts : bool
        Whether a team that the gate removes counts towards `teams_out`.
    lot : LotRule, optional
        Without it a lot is drawn from the frozen content alone, and could be foreseen.
    """

    teams_out: int
    by: str
    tie_rule: tuple[TieStep, ...]
    gate_counts: bool = False
    lot: LotRule | None = None


@dataclass(frozen=True, slots=True)
class Round:
    """A round as its file states it."""

    id: str
    title: Words
    teams: tuple[Team, ...]
    events: tuple[Event, ...]
    categories: tuple[Category, ...]
    gate: GateRule
    elimination: Elimination
    seed: int
    draws: int = 10_000
    level: float = 0.95
    season: str | None = None
    number: int | None = None

    def event(self, id: str) -> Event:
        """The event of this id."""
        return next(event for event in self.events if event.id == id)
