"""A picture of what a recipe's augmentation does to training clips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy.fft

from kws.mel import LogMelMaths
from training import augmentation
from training.batches import ClipDrawer, TrainingSources, normalised
from training.canvas import new_figure, save_figure
from training.recipe import Recipe

N_COLUMNS = 6


def draw_augmentation(recipe: Recipe, path: Path, *, n_rows: int = 4) -> None:
    """Write log-mel pictures of drawn clips: rows in pairs, without masks and with them."""
    rng = np.random.default_rng(recipe.seed)
    drawer = ClipDrawer(recipe, TrainingSources.open(recipe.data))
    maths = LogMelMaths(recipe.frontend, rfft=scipy.fft.rfft, dtype=np.float32)
    drawn = [drawer.draw(rng) for _ in range(N_COLUMNS * n_rows // 2)]
    features = normalised(np.stack([samples for samples, _ in drawn]), maths)
    masked = features.copy()
    augmentation.mask_features(masked, recipe.augmentation, rng)
    figure = new_figure(2.1 * N_COLUMNS, 1.9 * n_rows)
    axes = figure.subplots(n_rows, N_COLUMNS)
    for index, (_, label) in enumerate(drawn):
        row, column = divmod(index, N_COLUMNS)
        for offset, pictures in enumerate((features, masked)):
            plot = axes[2 * row + offset, column]
            plot.imshow(pictures[index].T, origin="lower", aspect="auto", cmap="magma")
            plot.set_xticks([])
            plot.set_yticks([])
            title = recipe.data.labels[label] + (" masked" if offset else "")
            plot.set_title(title, fontsize=9)
    save_figure(figure, path, dpi=100)
