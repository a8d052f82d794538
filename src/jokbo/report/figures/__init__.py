"""Figures: our own SVG, and palette PNG where a picture has a cell for every pair of layers.

The bytes of a figure depend on its data alone. Colours come from the page, so that light,
dark and print each have their own; shapes and words repeat what a colour says.
"""

from __future__ import annotations

from jokbo.report.figures.charts import (
    Chart,
    HeatmapChart,
    LimitChart,
    LineChart,
    MapChart,
    MixtureChart,
    StripChart,
    TimeChart,
    TimelineChart,
)
from jokbo.report.figures.dots import DotChart, draw_dots
from jokbo.report.figures.pareto import FrontChart, draw_front
from jokbo.report.figures.profiles import ProfileChart, draw_profiles
from jokbo.report.figures.ranks import RankChart, draw_ranks
from jokbo.report.figures.simplex import SimplexChart, draw_simplex
from jokbo.report.figures.tree import TreeChart, draw_tree
from jokbo.report.figures.universes import UniverseChart, draw_universes


def draw(chart: Chart) -> str:
    """A figure as an SVG element, with its title and description for readers who do not see it."""
    from jokbo.report.figures.heatmap import draw_heatmap
    from jokbo.report.figures.limits import draw_limits
    from jokbo.report.figures.lines import draw_lines
    from jokbo.report.figures.map import draw_map
    from jokbo.report.figures.mixture import draw_mixture
    from jokbo.report.figures.series import draw_series
    from jokbo.report.figures.strip import draw_strip
    from jokbo.report.figures.timeline import draw_timeline

    match chart:
        case StripChart():
            return draw_strip(chart)
        case LineChart():
            return draw_lines(chart)
        case HeatmapChart():
            return draw_heatmap(chart)
        case LimitChart():
            return draw_limits(chart)
        case MixtureChart():
            return draw_mixture(chart)
        case MapChart():
            return draw_map(chart)
        case TimeChart():
            return draw_series(chart)
        case TimelineChart():
            return draw_timeline(chart)
        case TreeChart():
            return draw_tree(chart)
        case DotChart():
            return draw_dots(chart)
        case RankChart():
            return draw_ranks(chart)
        case FrontChart():
            return draw_front(chart)
        case SimplexChart():
            return draw_simplex(chart)
        case UniverseChart():
            return draw_universes(chart)
        case ProfileChart():
            return draw_profiles(chart)
        case _:
            raise TypeError(f"no drawing for {type(chart).__name__}.")
