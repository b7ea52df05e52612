"""A picture of what a recipe's augmentation does to training clips."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from training.batches import augmentation
from training.batches.class_recipe import resolved
from training.batches.features import FeatureMaker
from training.batches.preview_classes import draw_class_clips
from training.batches.preview_features import draw_features
from training.batches.preview_pictures import draw_pictures
from training.batches.word_sampler import DRAWN, open_drawer
from training.config.recipe import Recipe
from training.plotting import new_figure, save_figure

N_COLUMNS = 6


def draw_augmentation(recipe: Recipe, path: Path, *, n_rows: int = 4) -> None:
    """Write pictures of drawn clips as the network gets them.

    Features with bands come in pairs of rows, without masks and with them; a waveform is a line.
    """
    if recipe.source.kind == "pictures":
        draw_pictures(recipe, path)
        return
    recipe = resolved(recipe)
    if recipe.source.kind not in DRAWN:
        draw_class_clips(recipe, path)
        return
    rng = np.random.default_rng(recipe.seed)
    drawer = open_drawer(recipe)
    n_alike = 1 if recipe.frontend.kind == "waveform" else 2
    drawn = [drawer.draw(rng) for _ in range(N_COLUMNS * n_rows // n_alike)]
    features = FeatureMaker(recipe.frontend).windows(np.stack([samples for samples, _ in drawn]))
    versions = [features]
    if n_alike == 2:
        versions.append(features.copy())
        augmentation.mask_features(versions[1], recipe.augmentation, rng)
    figure = new_figure(2.1 * N_COLUMNS, 1.9 * n_rows)
    axes = figure.subplots(n_rows, N_COLUMNS)
    for index, (_, label) in enumerate(drawn):
        row, column = divmod(index, N_COLUMNS)
        for offset, pictures in enumerate(versions):
            plot = axes[n_alike * row + offset, column]
            title = recipe.data.labels[label] + (" masked" if offset else "")
            draw_features(plot, pictures[index], title=title)
    save_figure(figure, path, dpi=100)
