"""Learning curves as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from training.plotting import new_figure, save_figure


def draw_curves(history: Sequence[dict[str, float]], path: Path) -> None:
    """Write loss and accuracy against epoch, training (augmented clips) and validation."""
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
