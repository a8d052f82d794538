"""What a figure shows, as data: numbers, and words already in the reader's language."""

from __future__ import annotations

from dataclasses import dataclass

from jokbo.report.tables import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Any figure.

    Attributes
    ----------
    key : str
        Unique on the page; letters, digits and hyphens.
    title, lead : str
        Caption, and one or two sentences on how to read it.
    alt : str
        What the figure shows, for readers who do not see it.
    data : tuple of Table
        Every number in it.
    """

    key: str
    title: str
    lead: str
    alt: str
    data: tuple[Table, ...]


@dataclass(frozen=True, slots=True)
class StripRow:
    """One strip: a dot a layer, and the total.

    Attributes
    ----------
    dots : tuple of float
        log10 E of each cluster, in order.
    total : float
        log10 E of the family.
    value : str
        The total in words.
    """

    label: str
    dots: tuple[float, ...]
    total: float
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StripChart(Chart):
    """Evidence by layer."""

    rows: tuple[StripRow, ...]
    threshold: float
    threshold_label: str
    axis: str


@dataclass(frozen=True, slots=True)
class Series:
    """One line; `mark` is ``circle``, ``square`` or ``diamond``. A gap where a value is None."""

    label: str
    mark: str
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Band:
    """A range of known values behind the lines."""

    label: str
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LineChart(Chart):
    """Values of several kinds over the same places."""

    series: tuple[Series, ...]
    places: tuple[str, ...]
    band: Band | None
    x_axis: str
    y_axis: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One matrix of values between -1 and 1; None where there is none."""

    label: str
    values: tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatmapChart(Chart):
    """Matrices over the same rows and columns."""

    panels: tuple[Panel, ...]
    row_labels: tuple[str, ...]
    column_labels: tuple[str, ...]
    x_axis: str
    y_axis: str
    missing: str


@dataclass(frozen=True, slots=True)
class LimitRow:
    """One limit: `value` between 0 and 1, or None with `text` saying why there is none."""

    label: str
    value: float | None
    text: str


@dataclass(frozen=True, slots=True)
class LimitPanel:
    """Limits on one axis; `log` for shares, which span three powers of ten."""

    axis: str
    log: bool
    rows: tuple[LimitRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitChart(Chart):
    """Detection limits."""

    panels: tuple[LimitPanel, ...]


@dataclass(frozen=True, slots=True)
class MixtureRow:
    """One strip: what one model adds, place by place.

    Attributes
    ----------
    fill : str
        ``parent0``, ``parent1``, ``parent2``, ``base`` or ``rest``: the page's colours.
    values, errors : tuple of float or None
        Weights and their standard errors; None where there is none.
    """

    label: str
    fill: str
    values: tuple[float | None, ...]
    errors: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class MixturePanel:
    """The strips of one part of the model over the same places; `axis` says what the places are."""

    label: str
    rows: tuple[MixtureRow, ...]
    places: tuple[str, ...]
    axis: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MixtureChart(Chart):
    """Weights of a mixture by layer."""

    panels: tuple[MixturePanel, ...]


@dataclass(frozen=True, slots=True)
class MapCell:
    """A group of tensors: its status, and a word or number for it, such as the layer it was found in."""

    status: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class MapRow:
    """One kind of tensors: a cell a layer, None where the layer has none; one wide cell for parts without layers."""

    label: str
    cells: tuple[MapCell | None, ...]
    wide: bool = False


@dataclass(frozen=True, slots=True)
class MapPanel:
    """Layers of the reference by layers of the candidate.

    Attributes
    ----------
    values : tuple of tuples
        Powers of ten, one row a layer of the reference; None where a pair was not compared.
    path : tuple of (int or None)
        Row that each column follows.
    """

    label: str
    values: tuple[tuple[float | None, ...], ...]
    row_labels: tuple[str, ...]
    column_labels: tuple[str, ...]
    path: tuple[int | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MapChart(Chart):
    """Where in a candidate the dependence lies; `legend` is (status, word) of those that occur."""

    rows: tuple[MapRow, ...]
    layers: tuple[str, ...]
    legend: tuple[tuple[str, str], ...]
    panels: tuple[MapPanel, ...]
    x_axis: str
    y_axis: str
    scale: str
    path_label: str
    missing: str


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened at a place of a time axis, or from one place to another; `label` is short."""

    first: float
    last: float
    label: str


@dataclass(frozen=True, slots=True)
class TimeCurve:
    """One curve over a time axis.

    Attributes
    ----------
    style : str
        Class of its stroke: ``raw``, ``main``, ``second``, ``wide`` or ``gone``; each has its own dash or width.
    places, values : tuple of float
        Equally many, finite.
    marked : bool
        Whether each point has a mark.
    """

    label: str
    style: str
    places: tuple[float, ...]
    values: tuple[float, ...]
    marked: bool = False


@dataclass(frozen=True, slots=True)
class TimePanel:
    """Curves on one vertical axis.

    Attributes
    ----------
    band : Band or None
        A range behind the curves.
    rule : (str, float) or None
        A level with its name, across the panel.
    log : bool
        Powers of ten; values at or below zero are left out.
    height : float
    """

    axis: str
    curves: tuple[TimeCurve, ...]
    band: Band | None = None
    rule: tuple[str, float] | None = None
    log: bool = False
    height: float = 220.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeChart(Chart):
    """Panels one below the other over one time axis, with what happened drawn across them."""

    panels: tuple[TimePanel, ...]
    moments: tuple[Moment, ...]
    first: float
    last: float
    axis: str


@dataclass(frozen=True, slots=True)
class LaneItem:
    """Something on a lane.

    Attributes
    ----------
    kind : str
        ``mark``, ``bar`` or ``moment``.
    first, last : float
    mark : str
        Shape of a mark: ``circle``, ``square`` or ``diamond``.
    hollow : bool
    label : str
    """

    kind: str
    first: float
    last: float
    mark: str = "circle"
    hollow: bool = False
    label: str = ""


@dataclass(frozen=True, slots=True)
class Lane:
    """One row of a timeline."""

    label: str
    items: tuple[LaneItem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineChart(Chart):
    """Rows of what was when."""

    lanes: tuple[Lane, ...]
    first: float
    last: float
    axis: str
