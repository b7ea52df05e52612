"""A picture of what augmentation does to the clips of a plain classification task."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from training.batches import augmentation
from training.batches.class_sampler import PassDrawer, class_data
from training.batches.features import FeatureMaker
from training.batches.preview_features import draw_features
from training.config.recipe import Recipe
from training.plotting import new_figure, save_figure

N_COLUMNS = 6


def draw_class_clips(recipe: Recipe, path: Path, *, n_clips: int = 2 * N_COLUMNS) -> None:
    """Write pictures of training clips: whole, as cropped and changed, and with masks.

    Labels and normalisation of the `recipe` must be filled in (`class_recipe.resolved`).
    """
    data = class_data(recipe)
    clips = data.clips("training")
    drawer = PassDrawer(recipe, data)
    maker = FeatureMaker(recipe.frontend)
    rng = np.random.default_rng(recipe.seed)
    has_bands = recipe.frontend.kind != "waveform"
    chosen = rng.permutation(len(clips))[:n_clips]
    # Waveforms have no bands to mask.
    n_alike = 3 if has_bands else 2
    n_rows = n_alike * -(-len(chosen) // N_COLUMNS)
    figure = new_figure(2.4 * N_COLUMNS, 1.8 * n_rows)
    axes = figure.subplots(n_rows, N_COLUMNS, squeeze=False)
    for plot in axes.flat:
        plot.set_axis_off()
    for number, index in enumerate(map(int, chosen)):
        row, column = divmod(number, N_COLUMNS)
        samples = clips[index].read()
        seconds = len(samples) / recipe.clip_rate
        versions = {f"{clips[index].label}, {seconds:.1f} s": maker.windows(samples[None])}
        drawn = drawer.draw(index, rng)
        features = maker.windows(drawn[None], n_frames=recipe.model.window_frames)
        versions[f"crop of {recipe.model.window_ms / 1000:g} s, changed"] = features
        if has_bands:
            versions["masked"] = features.copy()
            augmentation.mask_features(versions["masked"], recipe.augmentation, rng)
        for offset, (title, features) in enumerate(versions.items()):
            plot = axes[n_alike * row + offset, column]
            plot.set_axis_on()
            draw_features(plot, features[0], title=title)
    save_figure(figure, path, dpi=100)
