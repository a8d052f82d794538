"""Three axes side by side, a small panel a team: events finished, absolute score, places in the races."""

from __future__ import annotations

from dataclasses import dataclass

from jokbo.report.figures.charts import Chart
from jokbo.report.figures.svg import line, mark, rect, svg, text

WIDTH, PANEL, GAP, COLUMNS = 720.0, 340.0, 40.0, 2
HEAD, LINE, FOOT = 26.0, 44.0, 22.0
MOST_BOXES = 24


@dataclass(frozen=True, slots=True)
class Profile:
    """One team.

    Attributes
    ----------
    name, note : str
        The team, and its standing where it is not eligible.
    boxes : tuple of str
        An event of the range axis each: ``"yes"``, ``"no"``, ``"unresolved"`` or ``"none"``.
    finished : str
        The same in words.
    value, low, high : float or None
        Absolute score with its interval.
    score : str
        The same in words.
    races : tuple of (place, of) or None
        A race each; None where the team did not finish.
    race_words : str
    """

    name: str
    note: str
    boxes: tuple[str, ...]
    finished: str
    value: float | None
    low: float | None
    high: float | None
    score: str
    races: tuple[tuple[int, int] | None, ...]
    race_words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileChart(Chart):
    """Profiles of all teams on the same scales; an axis without events is left out."""

    teams: tuple[Profile, ...]
    axes: tuple[str, str, str]
    shown: tuple[bool, bool, bool]
    anchor_label: str
    anchor: float | None


def draw_profiles(chart: ProfileChart) -> str:
    """Draw small panels, two a row."""
    height = HEAD + LINE * sum(chart.shown) + FOOT
    drawn: list[str] = []
    ends = score_range(chart)
    for k, team in enumerate(chart.teams):
        x, y = (k % COLUMNS) * (PANEL + GAP), (k // COLUMNS) * height
        drawn += _panel(chart, team, x, y, ends)
    total = height * -(-len(chart.teams) // COLUMNS)
    return svg(WIDTH, max(total, height), *drawn, key=chart.key, title=chart.title, alt=chart.alt)


def score_range(chart: ProfileChart) -> tuple[float, float]:
    """The scale of the absolute axis, the same for every team."""
    found = [0.0] + ([] if chart.anchor is None else [chart.anchor])
    for team in chart.teams:
        found += [value for value in (team.value, team.low, team.high) if value is not None]
    low, high = min(found), max(found)
    room = (high - low) * 0.04 or 1.0
    return low - room, high + room


def _panel(chart: ProfileChart, team: Profile, x: float, y: float, ends: tuple[float, float]) -> list[str]:
    drawn = [
        line(x, y + 2, x + PANEL, y + 2, "tick"),
        text(team.name, x, y + 20, class_="ink strong"),
        text(team.note, x + PANEL, y + 20, anchor="end", class_="dim"),
    ]
    words = (team.finished, team.score, team.race_words)
    at = y + HEAD
    for k, shown in enumerate(chart.shown):
        if not shown:
            continue
        drawn.append(text(chart.axes[k], x, at + 16, class_="dim"))
        drawn.append(text(words[k], x + PANEL, at + 16, anchor="end", class_="ink"))
        middle = at + 30
        if k == 0:
            drawn += _boxes(team.boxes, x, middle)
        elif k == 1:
            drawn += _score(chart, team, x, middle, ends)
        else:
            drawn += _races(team.races, x, middle)
        at += LINE
    return drawn


def _boxes(boxes: tuple[str, ...], x: float, y: float) -> list[str]:
    """An event a box: full above the floor, empty below, half full where it is not resolved, crossed where not run."""
    step = PANEL / max(len(boxes), 14)
    size = min(step - 3, 13.0)
    if len(boxes) > MOST_BOXES:
        # A bar, where boxes would be too small to tell apart.
        part = sum(box == "yes" for box in boxes) / len(boxes)
        return [rect(x, y - 6, PANEL, 12, "frame"), rect(x, y - 6, PANEL * part, 12, "mark s2")]
    drawn = []
    for k, box in enumerate(boxes):
        left, top = x + 1 + step * k, y - size / 2
        if box == "yes":
            drawn.append(rect(left, top, size, size, "fill"))
        elif box == "unresolved":
            drawn.append(rect(left, top + size / 2, size, size / 2, "fill"))
        elif box == "none":
            drawn.append(line(left, top + size, left + size, top, "zero"))
        drawn.append(rect(left, top, size, size, "box"))
    return drawn


def _score(chart: ProfileChart, team: Profile, x: float, y: float, ends: tuple[float, float]) -> list[str]:
    low, high = ends

    def across(value: float) -> float:
        return x + (value - low) / (high - low) * PANEL

    drawn = [line(x, y, x + PANEL, y, "grid"), line(across(0), y - 7, across(0), y + 7, "zero")]
    if chart.anchor is not None:
        drawn.append(line(across(chart.anchor), y - 8, across(chart.anchor), y + 8, "threshold"))
    if team.low is not None and team.high is not None:
        drawn.append(line(across(team.low), y, across(team.high), y, "whisker"))
    if team.value is not None:
        drawn.append(mark("circle", across(team.value), y, 4.6, "point"))
    return drawn


def _races(races: tuple[tuple[int, int] | None, ...], x: float, y: float) -> list[str]:
    """A race a ladder from the last place, left, to the first, right; nothing on it where the team did not finish."""
    drawn = []
    step = PANEL / max(len(races), 1)
    for k, race in enumerate(races):
        left, right = x + step * k + 7, x + step * (k + 1) - 7
        drawn.append(line(left, y, right, y, "grid"))
        drawn += [line(end, y - 5, end, y + 5, "tick") for end in (left, right)]
        if race is not None:
            place, of = race
            part = 1.0 if of < 2 else 1 - (place - 1) / (of - 1)
            drawn.append(mark("diamond", left + part * (right - left), y, 4.6, "point"))
    return drawn
