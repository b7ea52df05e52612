"""Figures drawn without a screen, and saved only when whole."""

from __future__ import annotations

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from kws.files import atomic_path


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of this size in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: Path, *, dpi: int = 110) -> None:
    """Write a picture; a file there before is replaced only by a whole one."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=dpi)
