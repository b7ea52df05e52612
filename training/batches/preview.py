"""A figure of what a recipe's augmentation does to training clips."""

from __future__ import annotations

from dataclasses import replace
from functools import singledispatch
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.batches import augmentation
from training.batches.epoch_sampler import EpochSampler
from training.batches.features import FeatureMaker
from training.batches.task import ClassTask, PictureTask, Task, open_task
from training.config.recipe import Recipe
from training.datasets.spectrogram_images import change_picture
from training.plotting import new_figure, save_figure

N_COLUMNS, N_ROWS = 6, 4
# A column holds the pictures of one clip: title and what to draw, top to bottom.
Column = list[tuple[str, NDArray[Any]]]


def draw_augmentation(recipe: Recipe, path: Path) -> None:
    """Write a figure of training clips as the network gets them.

    Features are shown without masks and with them, pictures with each change, clips of a
    classification task whole as well; a waveform is a line.
    """
    task = open_task(recipe, measure=True)
    columns = _columns(task, np.random.default_rng(recipe.seed))
    n_bands = -(-len(columns) // N_COLUMNS)
    n_each = len(columns[0])
    figure = new_figure(2.1 * N_COLUMNS, 1.8 * n_bands * n_each)
    axes = figure.subplots(n_bands * n_each, N_COLUMNS, squeeze=False)
    for plot in axes.flat:
        plot.set_axis_off()
    for number, column in enumerate(columns):
        band, place = divmod(number, N_COLUMNS)
        for row, (title, values) in enumerate(column):
            _draw(axes[band * n_each + row, place], values, title=title)
    save_figure(figure, path, dpi=100)


def _draw(plot: Any, values: NDArray[Any], *, title: str) -> None:
    """Draw ``(n_frames, n_bands)`` as an image, ``(n_samples,)`` as a line, or a picture."""
    plot.set_axis_on()
    if values.ndim == 1:
        plot.plot(values, linewidth=0.4)
    elif values.ndim == 2:
        plot.imshow(values.T, origin="lower", aspect="auto", cmap="magma")
    else:
        plot.imshow(values)
    plot.set(xticks=[], yticks=[])
    plot.set_title(title, fontsize=9)


def _with_masks(
    recipe: Recipe, title: str, features: NDArray[Any], rng: np.random.Generator
) -> Column:
    """Return features without masks and with them; a waveform has none."""
    if features.ndim == 1:
        return [(title, features)]
    masked = features[None].copy()
    augmentation.mask_features(masked, recipe.augmentation, rng)
    return [(title, features), ("masked", masked[0])]


@singledispatch
def _columns(task: Task, rng: np.random.Generator) -> list[Column]:
    sampler = task.label_sampler()
    n_clips = N_COLUMNS * N_ROWS // 2
    drawn = [sampler.draw(rng) for _ in range(n_clips)]
    return [
        _with_masks(task.recipe, task.labels[label], task.inputs(samples[None])[0], rng)
        for samples, label in drawn
    ]


@_columns.register
def _class_columns(task: ClassTask, rng: np.random.Generator) -> list[Column]:
    recipe, clips = task.recipe, task.clips("training")
    sampler = EpochSampler(recipe, task.data)
    whole = FeatureMaker(recipe.frontend)
    columns = []
    for index in map(int, rng.permutation(len(clips))[: 2 * N_COLUMNS]):
        samples = clips[index].read()
        title = f"{clips[index].label}, {len(samples) / recipe.clip_rate:.1f} s"
        features = task.inputs(sampler.draw(index, rng)[None])[0]
        crop = f"crop of {recipe.model.window_ms / 1000:g} s, changed"
        columns.append(
            [
                (title, whole.windows(samples[None])[0]),
                *_with_masks(recipe, crop, features, rng),
            ]
        )
    return columns


@_columns.register
def _picture_columns(task: PictureTask, rng: np.random.Generator) -> list[Column]:
    config, clips = task.recipe.pictures, task.clips("training")
    off = replace(config, shear_probability=0.0, zoom_probability=0.0, flip_probability=0.0)
    changes = {
        "shear": replace(off, shear_probability=1.0),
        "zoom": replace(off, zoom_probability=1.0),
        "flip": replace(off, flip_probability=1.0),
        "by the recipe": config,
    }
    columns = []
    for index in rng.permutation(len(clips))[:N_COLUMNS]:
        picture = clips[index].read()
        changed = [(name, change_picture(picture, one, rng)) for name, one in changes.items()]
        columns.append([(clips[index].label, picture), *changed])
    return columns
