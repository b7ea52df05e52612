"""Figures as SVG inside a page: they take the page's colours and font, in light and in dark."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape

import matplotlib
from matplotlib.figure import Figure

# What figures are drawn with, and the page's custom property that takes its place. In light
# they look the same; the page gives other values in the dark.
INK, SOFT, RULE, ON_FILL = "#1f2328", "#59636e", "#c9d1d9", "#fffffe"
SERIES = (
    "#2f6fb0",
    "#bc4c00",
    "#1a7f37",
    "#8250df",
    "#cf222e",
    "#1b7c83",
    "#bf3989",
    "#7d4e00",
)
VARIABLES = {
    INK: "--ink",
    SOFT: "--soft",
    RULE: "--rule",
    ON_FILL: "--on-fill",
    **{colour: f"--s{number}" for number, colour in enumerate(SERIES, start=1)},
}
MARKERS = "osD^vPX*"
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "kws",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.edgecolor": SOFT,
    "axes.titlesize": 10,
    "axes.labelsize": 9.5,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}


@contextmanager
def page_style() -> Iterator[None]:
    """Draw in the page's colours while this lasts; figures are made and saved in it."""
    with matplotlib.rc_context(STYLE):
        yield


def inline_svg(figure: Figure, *, name: str, alt: str) -> str:
    """Return a figure as an `<svg>` element without any reference to the outside.

    Parameters
    ----------
    figure : Figure
        Drawn within `page_style`.
    name : str
        Distinct for each picture of a page: ids within the picture begin with it.
    alt : str
        What the picture shows, for those who cannot see it.
    """
    text = io.StringIO()
    unset = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(text, format="svg", metadata=unset)
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    box = re.search(r'viewBox="[^"]*"', svg)
    assert box is not None
    label = escape(alt, quote=True)
    head = f'<svg {box.group()} role="img" aria-label="{label}" class="picture">'
    svg = head + f"<title>{escape(alt)}</title>" + svg[svg.index(">") + 1 :]
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", svg)
    svg = re.sub(r'(?:xlink:)?href="#([^"]+)"', rf'href="#{name}-\1"', svg)
    svg = re.sub(r"font: ((?:[a-z0-9]+ )*[0-9.]+px) [^;\"]*", r"font: \1 var(--font)", svg)
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    return svg.strip()
