"""The picture of models in each condition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.plotting import SERIES, new_figure

Model = dict[str, Any]
# What is drawn, its unit, and the factor from the figures to it.
PANELS = {
    "missed": ("missed words, %", 100),
    "fired": ("other words that fire, %", 100),
    "false_alarms_per_hour": ("false alarms per hour", 1),
}


def draw(models: Sequence[Model], titles: Sequence[str]) -> Figure:
    """Return bars by condition, a panel each for missed, firing other words, false alarms."""
    shown = {name: _conditions(models[0], name) for name in PANELS}
    shown = {name: found for name, found in shown.items() if found}
    widths = [len(found) for found in shown.values()]
    figure = new_figure(3.5 + 1.1 * sum(widths), 4.2)
    panels = figure.subplots(1, len(shown), width_ratios=widths, squeeze=False)[0]
    for axes, (name, found) in zip(panels, shown.items()):
        for index, (model, title) in enumerate(zip(models, titles)):
            _bars(axes, [model["conditions"][key] for key in found], name, index, len(models))
            axes.bar(0, 0, color=SERIES[index % len(SERIES)], label=title)
        axes.set_xticks(range(len(found)), found, rotation=20, ha="right")
        axes.set(ylabel=PANELS[name][0])
        axes.set_ylim(bottom=0)
        axes.grid(visible=True, axis="y", alpha=0.4)
    panels[0].legend(fontsize=8)
    return figure


def _conditions(model: Model, figure: str) -> list[str]:
    """Return the conditions in which a figure says something."""
    if figure != "false_alarms_per_hour":
        return [name for name, row in model["conditions"].items() if row[figure] is not None]
    return [
        name for name, row in model["conditions"].items() if row["fired"] is None or row["events"]
    ]


def _bars(axes: Axes, rows: list[Model], name: str, index: int, n_models: int) -> None:
    factor = PANELS[name][1]
    width = 0.8 / n_models
    places = np.arange(len(rows)) + width * (index - (n_models - 1) / 2)
    values = np.array([factor * (row[name] or 0.0) for row in rows])
    spans = factor * np.array([row[f"{name}_interval_95"] or (0.0, 0.0) for row in rows]).T
    errors = np.clip(np.array([values - spans[0], spans[1] - values]), 0.0, None)
    axes.bar(
        places,
        values,
        0.9 * width,
        color=SERIES[index % len(SERIES)],
        yerr=errors,
        error_kw={"elinewidth": 0.8, "capsize": 2},
    )
