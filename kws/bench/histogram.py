"""Histograms of latencies on a logarithmic axis, as plain SVG text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

N_BINS = 48
PERCENTILES = (50, 95, 99)
WIDTH, LEFT, RIGHT = 760, 56, 28
PANEL_HEIGHT, BARS_HEIGHT, HEAD_HEIGHT, FOOT_HEIGHT = 208, 110, 34, 34
# Within a panel: the name's line, the first percentile's, the next ones' distance, the bars' foot.
NAME_Y, MARK_Y, MARK_STEP, BASE_Y = 20, 40, 13, 184
# One picture for light and dark pages: the colours follow the reader's setting.
STYLE = """\
text { font: 12px system-ui, sans-serif; fill: #1f2328 }
.title { font-size: 14px; font-weight: 600 }
.soft { fill: #59636e }
.page { fill: #ffffff }
.bar { fill: #2f6fb0 }
.axis { stroke: #8c959f; stroke-width: 1 }
.mark { stroke: #bc4c00; stroke-width: 1; stroke-dasharray: 4 3 }
.percentile { fill: #953800 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .soft { fill: #9198a1 }
  .page { fill: #0d1117 }
  .bar { fill: #58a6ff }
  .axis { stroke: #6e7681 }
  .mark { stroke: #f0883e }
  .percentile { fill: #ffa657 }
}"""


@dataclass(frozen=True)
class Histogram:
    """Counts of one or more series in the same bins."""

    edges: tuple[float, ...]
    """Of the bins, rising by a constant factor; the outer ones are ticks of the axis."""

    counts: Mapping[str, tuple[int, ...]]
    """Of each series."""

    percentiles: Mapping[str, tuple[float, ...]]
    """`PERCENTILES` of each series."""


def histogram(series: Mapping[str, NDArray[np.float64]]) -> Histogram:
    """Count values above 0 in bins that span all series, from tick to tick.

    Parameters
    ----------
    series : mapping of str to ndarray of float64, shape (n_values,)
        At least one value each.
    """
    least = min(float(values.min()) for values in series.values())
    most = max(float(values.max()) for values in series.values())
    ends = (tick_below(least), tick_above(most))
    edges = np.geomspace(*ends, N_BINS + 1)
    edges[0], edges[-1] = ends
    return Histogram(
        tuple(float(edge) for edge in edges),
        {
            name: tuple(int(count) for count in np.histogram(values, edges)[0])
            for name, values in series.items()
        },
        {
            name: tuple(float(value) for value in np.percentile(values, PERCENTILES))
            for name, values in series.items()
        },
    )


def tick_below(value: float) -> float:
    """Return the greatest 1, 2 or 5 times a power of ten that is not above `value`."""
    return max(tick for tick in _ticks_around(value) if tick <= value)


def tick_above(value: float) -> float:
    """Return the least 1, 2 or 5 times a power of ten that is above `value`."""
    return min(tick for tick in _ticks_around(value) if tick > value)


def svg(drawn: Histogram, *, title: str, unit: str) -> str:
    """Return a picture: a panel a series, with bars and dashed lines at the percentiles.

    Parameters
    ----------
    drawn : Histogram
        What to draw.
    title : str
        Above the picture, and its name for screen readers.
    unit : str
        Of the values.
    """
    height = HEAD_HEIGHT + len(drawn.counts) * PANEL_HEIGHT + FOOT_HEIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>\n{STYLE}\n</style>",
        f'<rect class="page" width="{WIDTH}" height="{height}"/>',
        _text(LEFT, 22, title, kind="title"),
    ]
    for number, name in enumerate(drawn.counts):
        parts += _panel(drawn, name, top=HEAD_HEIGHT + number * PANEL_HEIGHT)
    foot = f"{unit} a hop, logarithmic; height: number of hops"
    parts += [_text(LEFT, height - 12, foot, kind="soft"), "</svg>\n"]
    return "\n".join(parts)


def _panel(drawn: Histogram, name: str, *, top: int) -> list[str]:
    counts = drawn.counts[name]
    base = top + BASE_Y
    most = max(counts)
    parts = [
        _text(LEFT, top + NAME_Y, name),
        _text(LEFT - 6, base - BARS_HEIGHT + 4, str(most), anchor="end", kind="soft"),
        _text(LEFT - 6, base + 4, "0", anchor="end", kind="soft"),
    ]
    for low, high, count in zip(drawn.edges, drawn.edges[1:], counts):
        if count:
            left, right = _x(low, drawn), _x(high, drawn)
            bar = BARS_HEIGHT * count / most
            parts.append(
                f'<rect class="bar" x="{left:.2f}" y="{base - bar:.3f}" '
                f'width="{right - left - 0.5:.2f}" height="{bar:.3f}">'
                f"<title>{_number(low)} to {_number(high)}: {count}</title></rect>"
            )
    parts.append(_line(LEFT, base, WIDTH - RIGHT, base, kind="axis"))
    for tick in _ticks(drawn.edges[0], drawn.edges[-1]):
        x = _x(tick, drawn)
        parts.append(_line(x, base, x, base + 4, kind="axis"))
        parts.append(_text(x, base + 17, _number(tick), anchor="middle", kind="soft"))
    for row, (percent, value) in enumerate(zip(PERCENTILES, drawn.percentiles[name])):
        label, y = f"p{percent} {_number(value)}", top + MARK_Y + MARK_STEP * row
        parts += _mark(label, _x(value, drawn), y, base)
    return parts


def _mark(label: str, x: float, y: float, base: float) -> list[str]:
    """Return a dashed line with its label; each percentile has a row, so that none overlap."""
    anchor, shift = ("start", 4) if x < WIDTH - 120 else ("end", -4)
    return [
        _line(x, y - 8, x, base, kind="mark"),
        _text(x + shift, y, label, anchor=anchor, kind="percentile"),
    ]


def _x(value: float, drawn: Histogram) -> float:
    low, high = math.log(drawn.edges[0]), math.log(drawn.edges[-1])
    return LEFT + (WIDTH - LEFT - RIGHT) * (math.log(value) - low) / (high - low)


def _ticks_around(value: float) -> Sequence[float]:
    power = math.floor(math.log10(value))
    return [
        float(f"{digit}e{exponent}")
        for exponent in range(power - 1, power + 2)
        for digit in (1, 2, 5)
    ]


def _ticks(low: float, high: float) -> list[float]:
    ticks = [low]
    while ticks[-1] < high:
        ticks.append(tick_above(ticks[-1]))
    return ticks


def _number(value: float) -> str:
    """Return at most three digits that count, with blanks between thousands."""
    return f"{value:,.0f}".replace(",", " ") if value >= 100 else f"{value:.3g}"


def _line(x1: float, y1: float, x2: float, y2: float, *, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.2f}" y1="{y1:.2f}" x2="{x2:.2f}" y2="{y2:.2f}"/>'


def _text(x: float, y: float, words: str, *, anchor: str = "start", kind: str = "plain") -> str:
    place = f'x="{x:.2f}" y="{y:.2f}" text-anchor="{anchor}"'
    return f'<text class="{kind}" {place}>{escape(words)}</text>'
