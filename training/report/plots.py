"""The pictures of a report, each as SVG for the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from training.plotting import new_figure
from training.report.label_placement import name_points
from training.report.svg import INK, MARKERS, ON_FILL, RULE, SERIES, SOFT, inline_svg, page_style

Model = dict[str, Any]
# Unit and words of what accuracy is drawn against.
COSTS = {
    "macs": (1e6, "million multiplications of one second"),
    "bytes": (1e3, "kB of the file, window form"),
}


def colour(index: int) -> str:
    """Return the colour of the model at a place of the report."""
    return SERIES[index % len(SERIES)]


def marker(index: int) -> str:
    """Return its marker: colour is never the only difference."""
    return MARKERS[index % len(MARKERS)]


def confusion(model: Model, index: int) -> str:
    """Return the confusion matrix of a model, each row in parts of its truth."""
    report = model["clips"]
    labels = [label.strip("_") for label in report["labels"]]
    counts = np.array(report["confusion"], dtype=float)
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    n = len(labels)
    with page_style():
        figure = new_figure(5.6, 5.2)
        axes = figure.subplots()
        for row, column in np.argwhere(counts > 0):
            share = float(shares[row, column])
            fill = colour(index) if row == column else SERIES[4]
            corner = (column - 0.5, row - 0.5)
            axes.add_patch(
                Rectangle(corner, 1, 1, facecolor=fill, alpha=0.12 + 0.83 * share, linewidth=0)
            )
            axes.text(
                column,
                row,
                f"{int(counts[row, column])}",
                ha="center",
                va="center",
                fontsize=8,
                color=ON_FILL if share > 0.55 else INK,
            )
        axes.set(xlim=(-0.5, n - 0.5), ylim=(n - 0.5, -0.5), aspect="equal")
        axes.set_xticks(range(n), labels, rotation=60, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(n), labels)
        axes.set(xlabel="predicted", ylabel="spoken")
        axes.tick_params(length=0)
        alt = (
            f"Confusion matrix of {model['title']}: {100 * report['accuracy']:.1f} % of "
            f"{report['n']} clips on the diagonal; most often {_worst(report)}"
        )
        return inline_svg(figure, name=f"confusion{index}", alt=alt)


def _worst(report: dict[str, Any], n: int = 3) -> str:
    """Return the commonest mistakes in words."""
    counts = np.array(report["confusion"])
    np.fill_diagonal(counts, 0)
    places = np.argsort(-counts, axis=None, kind="stable")[:n]
    labels = [label.strip("_") for label in report["labels"]]
    pairs = [np.unravel_index(place, counts.shape) for place in places]
    said = [
        f"{labels[row]} taken for {labels[column]} ({counts[row, column]})"
        for row, column in pairs
        if counts[row, column]
    ]
    return ", ".join(said) or "no mistake at all"


def reliability(model: Model, index: int) -> str:
    """Return accuracy by confidence of a model, and how many clips each bin holds."""
    bins = [row for row in model["reliability"]["bins"] if row["n"]]
    error = 100 * model["reliability"]["expected_calibration_error"]
    n = sum(row["n"] for row in bins)
    with page_style():
        figure = new_figure(4.6, 4.6)
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        upper.plot([0, 1], [0, 100], color=SOFT, linestyle="--", linewidth=1)
        upper.text(0.05, 9, "as sure as right", fontsize=8, color=SOFT, rotation=36)
        for row in bins:
            middle, width = (row["low"] + row["high"]) / 2, 0.9 * (row["high"] - row["low"])
            upper.bar(middle, 100 * row["accuracy"], width, color=colour(index), alpha=0.35)
            lower.bar(middle, 100 * row["n"] / n, width, color=colour(index), alpha=0.8)
        upper.plot(
            [row["confidence"] for row in bins],
            [100 * row["accuracy"] for row in bins],
            marker(index),
            color=colour(index),
            markersize=5,
        )
        upper.set(ylabel="right, %", ylim=(0, 102), xlim=(0, 1))
        lower.set(ylabel="clips, %", xlabel="confidence")
        upper.grid(visible=True)
        alt = (
            f"Reliability of {model['title']}: expected calibration error {error:.1f} points; "
            + ", ".join(
                f"{100 * row['accuracy']:.0f} % right at {row['low']:.1f} to {row['high']:.1f}"
                for row in bins
            )
        )
        return inline_svg(figure, name=f"reliability{index}", alt=alt)


def noise(models: Sequence[Model]) -> str:
    """Return accuracy against the level of the noise, with 95 % intervals."""
    levels = [row["snr_db"] for row in models[0]["noise"]]
    names = ["clean" if level is None else f"{level:g} dB" for level in levels]
    with page_style():
        figure = new_figure(7, 4)
        axes = figure.subplots()
        for index, model in enumerate(models):
            places = np.arange(len(levels)) + 0.05 * (index - (len(models) - 1) / 2)
            values = np.array([100 * row["accuracy"] for row in model["noise"]])
            spans = 100 * np.array([row["accuracy_interval_95"] for row in model["noise"]])
            axes.errorbar(
                places,
                values,
                yerr=np.abs(spans.T - values),
                color=colour(index),
                marker=marker(index),
                markersize=5,
                capsize=2.5,
                label=model["title"],
            )
        axes.set_xticks(range(len(levels)), names)
        axes.set(xlabel="level of the word over the noise", ylabel="accuracy, %")
        axes.grid(visible=True, axis="y")
        axes.legend(loc="lower left")
        alt = "Accuracy against noise: " + "; ".join(
            f"{model['title']} "
            + ", ".join(
                f"{100 * row['accuracy']:.1f} % {name}" for row, name in zip(model["noise"], names)
            )
            for model in models
        )
        return inline_svg(figure, name="noise", alt=alt)


def streams(models: Sequence[Model]) -> str:
    """Return misses against false accepts an hour, and where the manifests' thresholds lie."""
    with page_style():
        figure = new_figure(7, 4.4)
        axes = figure.subplots()
        most = 1.0
        for index, model in enumerate(models):
            if model["streams"] is None or model["streams"]["false_reject_rate"] is None:
                continue
            most = max(most, _draw_stream(axes, model, index))
        axes.set_xscale("symlog", linthresh=0.5, linscale=0.5)
        axes.set(xlabel="false accepts an hour", ylabel="missed words, %")
        axes.set_xlim(-0.03, 1.3 * most)
        axes.set_ylim(-2, 102)
        ticks = [tick for tick in (0, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500) if tick <= most]
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.grid(visible=True)
        axes.legend()
        alt = "Misses against false accepts an hour; at the thresholds that ship: " + "; ".join(
            f"{model['title']} misses {100 * model['streams']['false_reject_rate']:.1f} % at "
            f"{model['streams']['false_accepts_per_hour']:.2f} an hour"
            for model in models
            if model["streams"] and model["streams"]["false_reject_rate"] is not None
        )
        return inline_svg(figure, name="streams", alt=alt)


def _draw_stream(axes: Axes, model: Model, index: int) -> float:
    """Draw curve and thresholds of a model; return the most false accepts an hour it reaches."""
    figures = model["streams"]
    curve = figures["curve"]
    x, y = figures["false_accepts_per_hour"], 100 * figures["false_reject_rate"]
    across = np.abs(np.array(figures["false_accepts_per_hour_interval_95"]) - x)
    along = np.abs(100 * np.array(figures["false_reject_interval_95"]) - y)
    axes.plot(
        [point["false_accepts_per_hour"] for point in curve],
        [100 * point["false_reject_rate"] for point in curve],
        color=colour(index),
        linewidth=1.4,
        label=f"{model['title']}, one threshold for all",
    )
    axes.errorbar(
        x,
        y,
        xerr=across[:, None],
        yerr=along[:, None],
        color=colour(index),
        marker=marker(index),
        markersize=8,
        capsize=2.5,
        linestyle="none",
        label=f"{model['title']}, its own thresholds",
    )
    return max(float(x + across[1]), *(point["false_accepts_per_hour"] for point in curve))


def against_cost(
    models: Sequence[Model], points: Sequence[dict[str, Any]], *, cost: str
) -> str | None:
    """Return accuracy against multiplications (``macs``) or size (``bytes``), with others'.

    None where none of the models has both figures.
    """
    own = [
        (index, x, y)
        for index, (x, y) in enumerate(_own(model, cost) for model in models)
        if x is not None and y is not None
    ]
    if not own:
        return None
    others = [point for point in points if _is_drawn(point, cost)]
    unit, words = COSTS[cost]
    with page_style():
        figure = new_figure(7.4, 5.4)
        axes = figure.subplots()
        axes.set_xscale("log")
        axes.margins(0.08)
        _draw_published(axes, others, cost)
        for index, x, y in own:
            axes.plot(
                x / unit,
                100 * y,
                marker(index),
                color=colour(index),
                markersize=9,
                label=f"{models[index]['title']}, {_where(models[index])}",
            )
        axes.set(xlabel=words, ylabel="accuracy, %")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.grid(visible=True, color=RULE)
        figure.legend(loc="outside lower center", ncols=2)
        name_points(
            axes,
            [(point[cost] / unit, 100 * point["accuracy"], point["name"]) for point in others],
            taken=[(x / unit, 100 * y) for _, x, y in own],
            colour=SOFT,
        )
        ours = [f"{models[i]['title']} {100 * y:.1f} % at {x / unit:.3g}" for i, x, y in own]
        alt = f"Accuracy against {words}: {', '.join(ours)}, beside {len(others)} published models"
        return inline_svg(figure, name=f"against-{cost}", alt=alt)


def _is_drawn(point: dict[str, Any], cost: str) -> bool:
    # Sizes of float files would say nothing about int8 ones.
    return bool(point["drawn"] and point[cost] and (cost == "macs" or point["form"] == "int8"))


def _draw_published(axes: Axes, others: Sequence[dict[str, Any]], cost: str) -> None:
    for form, shape in (("float", "o"), ("int8", "s")):
        of_form = [point for point in others if point["form"] == form]
        if of_form:
            axes.plot(
                [point[cost] / COSTS[cost][0] for point in of_form],
                [100 * point["accuracy"] for point in of_form],
                shape,
                markerfacecolor="none",
                markeredgecolor=SOFT,
                markersize=5,
                label=f"published, {form}, canonical test set",
            )


def _own(model: Model, cost: str) -> tuple[float | None, float | None]:
    x = model["macs"]["window"] if cost == "macs" else model["bytes"]["window"]
    if model["clips"]:
        return x, model["clips"]["accuracy"]
    return x, model["manifest_metrics"]["accuracy"]


def _where(model: Model) -> str:
    """Return on which clips a model's accuracy was measured."""
    figures = model["clips"] or model["manifest_metrics"]
    split = figures.get("split")
    return f"{split} split" if split else "all clips given"
