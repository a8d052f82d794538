from __future__ import annotations

import base64
import itertools
import re
import struct
import zlib
from dataclasses import replace

import pytest

from jokbo.report.figures import draw
from jokbo.report.figures.charts import (
    Chart,
    HeatmapChart,
    LimitChart,
    LimitPanel,
    LimitRow,
    Panel,
    StripChart,
    StripRow,
)
from jokbo.report.figures.heatmap import LEVELS, PALETTE, colour
from jokbo.report.figures.png import data_address, palette_png
from jokbo.report.figures.svg import every, number, text_width, ticks


def decode(png: bytes) -> tuple[int, int, list[tuple[int, int, int]], list[bytes]]:
    """A second reading of the format: chunks, sums, palette, rows."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    place, chunks = 8, {}
    while place < len(png):
        (length,) = struct.unpack_from(">I", png, place)
        kind, data = png[place + 4 : place + 8], png[place + 8 : place + 8 + length]
        (check,) = struct.unpack_from(">I", png, place + 8 + length)
        assert check == zlib.crc32(kind + data)
        chunks[kind] = data
        place += 12 + length
    width, height, depth, mode, *rest = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert (depth, mode, rest) == (8, 3, [0, 0, 0])
    flat = zlib.decompress(chunks[b"IDAT"])
    rows = [flat[y * (width + 1) : (y + 1) * (width + 1)] for y in range(height)]
    assert all(row[0] == 0 for row in rows)
    palette = [tuple(chunks[b"PLTE"][k : k + 3]) for k in range(0, len(chunks[b"PLTE"]), 3)]
    return width, height, palette, [row[1:] for row in rows]  # type: ignore[return-value]


def test_png_round_trip() -> None:
    rows = [bytes([0, 1, 2]), bytes([2, 1, 0])]
    palette = [(0, 0, 0), (10, 20, 30), (255, 255, 255)]
    assert decode(palette_png(rows, palette)) == (3, 2, palette, rows)


def test_png_of_94_layers_is_small() -> None:
    png = palette_png([bytes(94)] * 94, PALETTE)
    assert len(data_address(png)) < 14_000


def lightness(rgb: tuple[int, int, int]) -> float:
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), rgb, strict=True))


def test_colours_darken_steadily_from_zero_both_ways() -> None:
    above = [lightness(colour(k / 50)) for k in range(51)]
    below = [lightness(colour(-k / 50)) for k in range(51)]
    for side in (above, below):
        assert all(b < a for a, b in itertools.pairwise(side))
    # Blue and brown stay apart for readers who do not tell red from green.
    assert colour(-0.7)[2] - colour(-0.7)[0] > 60
    assert colour(0.7)[0] - colour(0.7)[2] > 60


BASE = {"title": "T", "lead": "L", "alt": "A <b> & more", "data": ()}


def heatmap(n: int) -> HeatmapChart:
    values = tuple(
        tuple(None if i == 0 and j == 1 else (1.0 if i == j else -1.0) for j in range(n)) for i in range(n)
    )
    labels = tuple(str(k) for k in range(n))
    return HeatmapChart(
        key="h",
        panels=(Panel("raw", values), Panel("centred", values)),
        row_labels=labels,
        column_labels=labels,
        x_axis="x",
        y_axis="y",
        missing="none",
        **BASE,
    )


def test_heatmap_puts_each_value_in_its_cell() -> None:
    svg = draw(heatmap(3))
    png = base64.b64decode(re.findall(r"base64,([^\"]+)", svg)[0])
    _, _, palette, rows = decode(png)
    assert rows[0][0] == LEVELS
    assert rows[1][0] == 0
    assert palette[rows[0][1]] == (128, 128, 128)


def strip(*rows: StripRow) -> StripChart:
    return StripChart(key="s", rows=rows, threshold=6.7, threshold_label="needed", axis="log", **BASE)


def limit(value: float | None) -> LimitChart:
    row = LimitRow("MLP: as they are", value, "5%")
    return LimitChart(
        key="l", panels=(LimitPanel("share", True, (row,)), LimitPanel("cosine", False, (row,))), **BASE
    )


@pytest.mark.parametrize(
    "chart",
    [
        strip(StripRow("one", (0.1,), 0.1, "1.3")),
        strip(
            StripRow("many", tuple(float(k) for k in range(400)), 512.5, "10⁵¹²"),
            StripRow("low", (-0.7,), -0.6, "0.2"),
        ),
        heatmap(2),
        heatmap(94),
        limit(0.0001),
        limit(1.0),
        limit(None),
    ],
)
def test_nothing_is_drawn_outside_the_figure(chart: Chart) -> None:
    svg = draw(chart)
    width, height = (float(x) for x in re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg).groups())  # type: ignore[union-attr]
    for x in re.findall(r' (?:x|cx|x1|x2)="([-\d.]+)"', svg):
        assert -0.01 <= float(x) <= width + 0.01
    for y in re.findall(r' (?:y|cy|y1|y2)="([-\d.]+)"', svg):
        assert -0.01 <= float(y) <= height + 0.01
    assert "A &lt;b&gt; &amp; more" in svg
    assert draw(replace(chart)) == svg


def test_threshold_stands_where_it_belongs() -> None:
    svg = draw(strip(StripRow("one", (-1.0, 6.7), 6.7, "x")))
    threshold = set(re.findall(r'x1="([\d.]+)"[^>]*class="threshold"', svg))
    total = set(re.findall(r'x1="([\d.]+)"[^>]*class="total"', svg))
    assert threshold == total


def test_ticks_and_labels() -> None:
    assert ticks(-1, 342, count=8) == [0, 50, 100, 150, 200, 250, 300]
    assert ticks(0, 1, count=6) == [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert every(94, 300, need=20) == 10
    assert every(4, 300, need=20) == 1
    assert number(-0.0001) == "0"
    assert number(12.50) == "12.5"
    assert text_width("가나") > text_width("ab")
