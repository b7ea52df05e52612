"""A picture of what shear, zoom and flip do to spectrogram pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from training.batches.class_sampler import class_data
from training.batches.picture_augmentation import change_picture
from training.config.picture_section import PictureConfig
from training.config.recipe import Recipe
from training.plotting import new_figure, save_figure

N_COLUMNS = 8


def draw_pictures(recipe: Recipe, path: Path, *, n_columns: int = N_COLUMNS) -> None:
    """Write training pictures as they are, with each change by itself, and as the recipe draws."""
    clips = class_data(recipe).clips("training")
    rng = np.random.default_rng(recipe.seed)
    chosen = [clips[index] for index in rng.permutation(len(clips))[:n_columns]]
    rows = _rows(recipe.pictures)
    figure = new_figure(1.5 * len(chosen) + 0.6, 1.6 * len(rows))
    axes = figure.subplots(len(rows), len(chosen), squeeze=False)
    for column, clip in enumerate(chosen):
        picture = clip.read()
        axes[0, column].set_title(clip.label, fontsize=9)
        for row, (name, config) in enumerate(rows.items()):
            plot = axes[row, column]
            plot.imshow(change_picture(picture, config, rng))
            plot.set(xticks=[], yticks=[])
            if column == 0:
                plot.set_ylabel(name, fontsize=9)
    save_figure(figure, path, dpi=100)


def _rows(config: PictureConfig) -> Mapping[str, PictureConfig]:
    off = replace(config, shear_probability=0.0, zoom_probability=0.0, flip_probability=0.0)
    return {
        "as written": off,
        "shear": replace(off, shear_probability=1.0),
        "zoom": replace(off, zoom_probability=1.0),
        "flip": replace(off, flip_probability=1.0),
        "by the recipe": config,
    }
