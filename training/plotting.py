"""Matplotlib figures without a screen: written to a file atomically, or embedded in a page."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from kws.files import atomic_path

INK, SOFT, RULE = "#1f2328", "#59636e", "#c9d1d9"
SERIES = (
    *("#2f6fb0", "#bc4c00", "#1a7f37", "#8250df"),
    *("#cf222e", "#1b7c83", "#bf3989", "#7d4e00"),
)
MARKERS = "osD^vPX*"
PAGE_STYLE: dict[Any, Any] = {
    # Text stays text: small files, and the reader's own font.
    "svg.fonttype": "none",
    "svg.hashsalt": "kws",
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": SOFT,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
}


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of this size in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: Path, *, dpi: int = 110) -> None:
    """Write a picture; an earlier file is replaced only by a complete one."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=dpi)


@contextmanager
def page_style() -> Iterator[None]:
    """Draw in the style of the report page; create and save figures within it."""
    with matplotlib.rc_context(PAGE_STYLE):
        yield


def svg_data_uri(figure: Figure) -> str:
    """Return a figure as SVG in a ``data:`` URI, for the ``src`` of an HTML image."""
    content = io.BytesIO()
    figure.savefig(content, format="svg", metadata={"Date": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(content.getvalue()).decode('ascii')}"
