"""The plots of a report, each as an SVG image for the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from training.conditions import plots as condition_plots
from training.evaluation.plots import plot_confusion
from training.plotting import MARKERS, RULE, SERIES, SOFT, new_figure, page_style, svg_data_uri

Model = dict[str, Any]
# Unit and axis label of the cost that accuracy is plotted against.
COSTS = {
    "macs": (1e6, "million multiplications per second of audio"),
    "bytes": (1e3, "size of the non-streaming model, kB"),
}


@dataclass(frozen=True)
class Picture:
    """An image of the page."""

    source: str
    """A ``data:`` URI."""

    alt: str
    """The content in words, for screen readers."""

    caption: str


def colour(index: int) -> str:
    """Return the colour of the model at a position of the report."""
    return SERIES[index % len(SERIES)]


def marker(index: int) -> str:
    """Return the marker of a model, so that colour is never the only difference."""
    return MARKERS[index % len(MARKERS)]


def confusion(model: Model) -> Picture:
    """Return the confusion matrix of a model."""
    report = model["clips"]
    with page_style():
        figure = new_figure(5.6, 5.2)
        axes = figure.subplots()
        plot_confusion(axes, report)
        for spine in axes.spines.values():
            spine.set_visible(False)
        alt = (
            f"Confusion matrix of {model['title']}: {100 * report['accuracy']:.1f} % of "
            f"{report['n']} clips on the diagonal"
        )
        return Picture(svg_data_uri(figure), alt, model["title"])


def reliability(model: Model, index: int) -> Picture:
    """Return accuracy by confidence of a model, and the share of clips in each bin."""
    bins = [row for row in model["reliability"]["bins"] if row["n"]]
    error = 100 * model["reliability"]["expected_calibration_error"]
    n = sum(row["n"] for row in bins)
    with page_style():
        figure = new_figure(4.6, 4.6)
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        upper.plot([0, 1], [0, 100], color=SOFT, linestyle="--", linewidth=1)
        upper.text(0.05, 9, "perfectly calibrated", fontsize=8, color=SOFT, rotation=36)
        for row in bins:
            middle, width = (row["low"] + row["high"]) / 2, 0.9 * (row["high"] - row["low"])
            upper.bar(middle, 100 * row["accuracy"], width, color=colour(index), alpha=0.35)
            lower.bar(middle, 100 * row["n"] / n, width, color=colour(index), alpha=0.8)
        confidence = [row["confidence"] for row in bins]
        accuracy = [100 * row["accuracy"] for row in bins]
        upper.plot(confidence, accuracy, marker(index), color=colour(index), markersize=5)
        upper.set(ylabel="accuracy, %", ylim=(0, 102), xlim=(0, 1))
        lower.set(ylabel="clips, %", xlabel="confidence")
        upper.grid(visible=True)
        alt = f"Reliability of {model['title']}: accuracy against confidence in {len(bins)} bins"
        caption = f"{model['title']}: expected calibration error {error:.2f} points"
        return Picture(svg_data_uri(figure), alt, caption)


def noise(models: Sequence[Model]) -> Picture:
    """Return accuracy against the signal-to-noise ratio, with 95 % intervals."""
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
        alt = f"Accuracy of {_names(models)} at {', '.join(names)}; the figures are in the table"
        return Picture(svg_data_uri(figure), alt, "Accuracy against the level of the noise")


def conditions(models: Sequence[Model]) -> Picture:
    """Return missed words, firing other words and false alarms in each condition."""
    with page_style():
        figure = condition_plots.draw(
            [model["conditions"] for model in models], [model["title"] for model in models]
        )
        alt = f"Bars of {_names(models)} by condition; the figures are in the table"
        return Picture(svg_data_uri(figure), alt, "Each condition, with 95 % intervals")


def streams(models: Sequence[Model]) -> Picture:
    """Return missed words against false alarms per hour, with the manifests' thresholds."""
    with page_style():
        figure = new_figure(7, 4.4)
        axes = figure.subplots()
        most = 1.0
        for index, model in enumerate(models):
            if model["streams"]["false_reject_rate"] is not None:
                most = max(most, _plot_stream(axes, model, index))
        axes.set_xscale("symlog", linthresh=0.5, linscale=0.5)
        axes.set(xlabel="false alarms per hour", ylabel="missed words, %")
        axes.set_xlim(-0.03, 1.3 * most)
        axes.set_ylim(-2, 102)
        ticks = [tick for tick in (0, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500) if tick <= most]
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.grid(visible=True)
        axes.legend()
        alt = f"Missed words against false alarms per hour of {_names(models)}; see the tables"
        return Picture(svg_data_uri(figure), alt, "Missed words against false alarms per hour")


def _plot_stream(axes: Axes, model: Model, index: int) -> float:
    """Plot curve and operating point of a model; return its highest false-alarm rate."""
    figures = model["streams"]
    rates = [point["false_accepts_per_hour"] for point in figures["curve"]]
    misses = [100 * point["false_reject_rate"] for point in figures["curve"]]
    x, y = figures["false_accepts_per_hour"], 100 * figures["false_reject_rate"]
    across = np.abs(np.array(figures["false_accepts_per_hour_interval_95"]) - x)
    along = np.abs(100 * np.array(figures["false_reject_interval_95"]) - y)
    label = f"{model['title']}, one threshold for all keywords"
    axes.plot(rates, misses, color=colour(index), linewidth=1.4, label=label)
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
        label=f"{model['title']}, thresholds of its manifest",
    )
    return max(float(x + across[1]), *rates)


def against_cost(
    models: Sequence[Model], points: Sequence[dict[str, Any]], *, cost: str
) -> Picture | None:
    """Return accuracy against ``macs`` or ``bytes``, beside published models.

    None if no model has both figures.
    """
    unit, words = COSTS[cost]
    own = [
        (index, model[cost]["window"] / unit, 100 * accuracy)
        for index, model in enumerate(models)
        if (accuracy := _measured(model)["accuracy"]) is not None
        and model[cost]["window"] is not None
    ]
    if not own:
        return None
    others = [point for point in points if _is_comparable(point, cost)]
    with page_style():
        figure = new_figure(7.4, 5.4)
        axes = figure.subplots()
        axes.set_xscale("log")
        axes.margins(0.08)
        _plot_published(axes, others, cost)
        for index, x, y in own:
            label = f"{models[index]['title']}, {_clips_of(models[index])}"
            axes.plot(x, y, marker(index), color=colour(index), markersize=9, label=label)
        axes.set(xlabel=words, ylabel="accuracy, %")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.grid(visible=True, color=RULE)
        figure.legend(loc="outside lower center", ncols=2)
        alt = f"Accuracy of {_names(models)} against {words}, beside {len(others)} published models"
        caption = f"Accuracy against {words}. Named: published models that no cheaper one matches."
        return Picture(svg_data_uri(figure), alt, caption)


def _is_comparable(point: dict[str, Any], cost: str) -> bool:
    # The size of a float file does not compare with an int8 one.
    return bool(point["drawn"] and point[cost] and (cost == "macs" or point["form"] == "int8"))


def _plot_published(axes: Axes, others: Sequence[dict[str, Any]], cost: str) -> None:
    """Plot published models; name only those on the Pareto front, so that names do not collide."""
    front: list[tuple[str, float, float]] = []
    by_form: dict[str, list[tuple[float, float]]] = {"float": [], "int8": []}
    for point in sorted(others, key=lambda point: (point[cost], -point["accuracy"])):
        x, y = point[cost] / COSTS[cost][0], 100 * point["accuracy"]
        by_form[point["form"]].append((x, y))
        if not front or y > front[-1][2]:
            front.append((point["name"], x, y))
    for index, (name, x, y) in enumerate(front):
        # The first and the last have room on their right.
        inner = 0 < index < len(front) - 1
        offset, side = ((-3, 5), "right") if inner else ((5, -9), "left")
        axes.annotate(
            name, (x, y), xytext=offset, textcoords="offset points", ha=side, fontsize=7, color=SOFT
        )
    for (form, places), shape in zip(by_form.items(), "os"):
        if places:
            label = f"published, {form}, canonical test set"
            axes.plot(*zip(*places), shape, mfc="none", mec=SOFT, markersize=5, label=label)


def _measured(model: Model) -> dict[str, Any]:
    """Return the figures on clips: those of this report, else those of the manifest."""
    figures: dict[str, Any] = model["clips"] or model["manifest_metrics"]
    return figures


def _clips_of(model: Model) -> str:
    split = _measured(model).get("split")
    return f"{split} split" if split else "all clips given"


def _names(models: Sequence[Model]) -> str:
    return ", ".join(model["title"] for model in models)
