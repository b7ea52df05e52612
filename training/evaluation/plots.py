"""Plots of an evaluation and of a training run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve

from training.plotting import new_figure, save_figure


def draw_curves(history: Sequence[dict[str, float]], path: Path) -> None:
    """Draw loss and accuracy against epoch: training (augmented clips) and validation."""
    if not history:
        return
    figure = new_figure(9, 3.6)
    for axes, metric in zip(figure.subplots(1, 2), ("loss", "accuracy")):
        epochs = [row["epoch"] + 1 for row in history]
        axes.plot(epochs, [row[metric] for row in history], label="training (augmented)")
        axes.plot(epochs, [row[f"val_{metric}"] for row in history], label="validation")
        axes.set(xlabel="epoch", ylabel=metric)
        axes.grid(alpha=0.3)
        axes.legend()
    save_figure(figure, path)


def draw_confusion(report: dict[str, Any], path: Path) -> None:
    """Draw the confusion matrix of a classification report as a picture of its own."""
    figure = new_figure(7.5, 6.8)
    axes = figure.subplots()
    plot_confusion(axes, report)
    axes.set_title(f"{100 * report['accuracy']:.1f} % of {report['n']} clips")
    save_figure(figure, path)


def plot_confusion(axes: Axes, report: dict[str, Any]) -> None:
    """Plot a confusion matrix; the shade is the share of the row's clips."""
    labels = [label.strip("_") for label in report["labels"]]
    counts = np.array(report["confusion"], dtype=float)
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(*counts.shape):
        if counts[row, column]:
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(
                column, row, f"{int(counts[row, column])}", ha="center", va="center", color=colour
            )
    axes.set_xticks(range(len(labels)), labels, rotation=60, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlabel="predicted", ylabel="spoken")


def draw_precision_recall(
    truth: Sequence[int], posteriors: NDArray[np.float32], labels: Sequence[str], path: Path
) -> None:
    """Draw precision against recall for each label's threshold."""
    figure = new_figure(7, 5)
    axes = figure.subplots()
    spoken = np.array(truth)
    for index, label in enumerate(labels):
        if (spoken == index).any():
            precision, recall, _ = precision_recall_curve(spoken == index, posteriors[:, index])
            axes.plot(recall, precision, label=label.strip("_"))
    axes.set(xlabel="recall", ylabel="precision", xlim=(0.5, 1.005), ylim=(0.5, 1.005))
    axes.grid(alpha=0.3)
    axes.legend(ncols=2, fontsize=8)
    save_figure(figure, path)


def draw_stream_curve(report: dict[str, Any], path: Path) -> None:
    """Draw missed words against false alarms per hour, and mark the model's own thresholds."""
    points = [point for point in report["curve"] if point["false_reject_rate"] is not None]
    figure = new_figure(7, 4.6)
    axes = figure.subplots()
    axes.plot(
        [point["false_accepts_per_hour"] for point in points],
        [100 * point["false_reject_rate"] for point in points],
        marker=".",
        label="one threshold for all keywords",
    )
    if report["false_reject_rate"] is not None:
        axes.plot(
            report["false_accepts_per_hour"],
            100 * report["false_reject_rate"],
            "r*",
            markersize=13,
            label="thresholds used",
        )
    axes.set(
        xlabel="false alarms per hour",
        ylabel="missed words, %",
        xscale="symlog",
        title=f"{report['events']} words in {report['hours']:.2f} h",
    )
    axes.set_xlim(left=-0.1)
    axes.set_ylim(-3, 103)
    axes.grid(alpha=0.3)
    axes.legend()
    save_figure(figure, path)


def draw_clip(  # noqa: PLR0913 (everything in one picture)
    samples: NDArray[np.int16],
    frames: NDArray[np.float32],
    frame_step_s: float,
    times_s: Sequence[float],
    posteriors: NDArray[np.float32],
    labels: Sequence[str],
    path: Path,
    *,
    title: str,
    sample_rate: int,
) -> None:
    """Draw one clip: waveform, features, and the posterior of each label over time."""
    figure = new_figure(9, 7)
    wave, mel, scores = figure.subplots(3, 1, height_ratios=(1, 1.4, 1.4))
    duration_s = len(samples) / sample_rate
    wave.plot(np.arange(len(samples)) / sample_rate, samples / 32_768, linewidth=0.6)
    loudest = max(0.05, float(np.abs(samples / 32_768).max(initial=0.0)))
    wave.set(ylabel="amplitude", ylim=(-1.05 * loudest, 1.05 * loudest), title=title)
    mel.imshow(
        frames.T,
        origin="lower",
        aspect="auto",
        extent=(0, len(frames) * frame_step_s, 0, frames.shape[1]),
        cmap="magma",
    )
    mel.set(ylabel="band")
    for index in np.argsort(-posteriors.max(axis=0))[:5]:
        # Matplotlib omits labels that begin with _ from the legend.
        name = labels[index].strip("_")
        scores.plot(times_s, posteriors[:, index], marker="o", markersize=3, label=name)
    scores.set(ylabel="posterior", xlabel="end of window, s", ylim=(-0.02, 1.02))
    scores.grid(alpha=0.3)
    end_s = max([duration_s, *times_s])
    for axes in (wave, mel, scores):
        axes.set_xlim(0, end_s)
        axes.axvspan(duration_s, end_s, color="0.92", zorder=0)
    mel.set_facecolor("0.92")
    scores.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=8)
    save_figure(figure, path)
