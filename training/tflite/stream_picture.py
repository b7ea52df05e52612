"""Draw a streaming model: what each layer computes at a hop, and what it keeps."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.patches import Patch, Rectangle

from training.plotting import new_figure, save_figure
from training.tflite.stream_rewrite import LayerSteps, StreamingModel

NEW, KEPT, REST = "#d95f02", "#7fb3d5", "#eeeeee"


def draw_streaming(made: StreamingModel, path: Path, *, title: str) -> None:
    """Write a picture with one row a layer and one cell a step, on the time axis of the window."""
    rows = [layer for layer in made.layers if layer.n_steps > 1]
    window_frames = rows[0].n_steps
    figure = new_figure(11, 0.34 * len(rows) + 1.6)
    axes = figure.subplots()
    for number, layer in enumerate(rows):
        _draw_row(axes, layer, -number, window_frames)
    axes.set_xlim(0, window_frames)
    axes.set_ylim(-len(rows) + 0.4, 0.6)
    axes.set_yticks([-number for number in range(len(rows))], [_label(layer) for layer in rows])
    axes.tick_params(axis="y", length=0, labelsize=8)
    axes.set_xlabel("frame of the window")
    axes.set_title(title, fontsize=10)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    names = ((NEW, "computed at a hop"), (KEPT, "kept from earlier"), (REST, "not needed any more"))
    figure.legend(
        handles=[Patch(facecolor=colour, edgecolor="grey", label=name) for colour, name in names],
        loc="outside lower center",
        ncols=len(names),
        fontsize=8,
    )
    save_figure(figure, path)


def _draw_row(axes: Axes, layer: LayerSteps, y: float, window_frames: int) -> None:
    """Draw the steps of a layer, each at the centre of the audio that it depends on."""
    width = layer.stride
    left = (window_frames - layer.n_steps * width) / 2
    for step in range(layer.n_steps):
        age = layer.n_steps - 1 - step
        colour = NEW if age < layer.n_new else KEPT if age < layer.n_new + layer.n_kept else REST
        axes.add_patch(
            Rectangle(
                (left + step * width, y - 0.36),
                width,
                0.72,
                facecolor=colour,
                edgecolor="white",
                linewidth=0.4,
            )
        )


def _label(layer: LayerSteps) -> str:
    kept = f", keeps {layer.n_kept}" if layer.n_kept else ""
    return f"{layer.name}  {layer.n_steps} steps, {layer.n_new} new{kept}"
