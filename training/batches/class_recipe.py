"""What a recipe leaves to its data: the labels, how many clips train, their mean and deviation."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import numpy as np

from training.batches.class_sampler import class_data
from training.batches.features import FeatureMaker
from training.batches.word_sampler import DRAWN
from training.config.recipe import Recipe
from training.datasets.clips import fit_length

logger = logging.getLogger(__name__)


def resolved(recipe: Recipe) -> Recipe:
    """Return the recipe with what its source tells filled in; one for keywords stays as it is.

    ``data.classes`` become the labels of the source, ``fit.clips_per_epoch`` covers each training
    clip once where clips are not drawn by word, and ``frontend.mean`` and ``std`` are measured on
    training clips alone.

    Raises
    ------
    ConfigError
        If the source cannot be read or split.
    """
    if not recipe.source.kind:
        return recipe
    data = class_data(recipe)
    clips = data.clips("training")
    n_steps = -(-len(clips) // recipe.fit.batch_size)
    recipe = replace(recipe, data=replace(recipe.data, classes=data.labels))
    if recipe.source.kind not in DRAWN:
        n_clips = n_steps * recipe.fit.batch_size
        recipe = replace(recipe, fit=replace(recipe.fit, clips_per_epoch=n_clips))
    # The levels of pictures are said by the recipe: their colours depend on them.
    if recipe.source.normalisation_clips and recipe.source.kind != "pictures":
        mean, std = measure(recipe, clips)
        recipe = replace(recipe, frontend=replace(recipe.frontend, mean=mean, std=std))
        logger.info("training features: mean %g, standard deviation %g", mean, std)
    return recipe


def measure(recipe: Recipe, clips: list[Any]) -> tuple[float, float]:
    """Return mean and standard deviation of the features of up to so many of these clips.

    Every value of every frame counts alike; the clips are drawn by the recipe's seed.
    """
    plain = replace(recipe.frontend, mean=0.0, std=1.0)
    rng = np.random.default_rng(recipe.seed)
    chosen = rng.permutation(len(clips))[: recipe.source.normalisation_clips]
    maker = FeatureMaker(plain)
    count, total, squares = 0, 0.0, 0.0
    for index in sorted(chosen):
        samples = fit_length(clips[index].read(), recipe.clip_samples)
        features = maker.frames(samples).astype(np.float64)
        count += features.size
        total += float(features.sum())
        squares += float(np.square(features).sum())
    mean = total / count
    std = float(np.sqrt(max(0.0, squares / count - mean * mean)))
    # Rounded, so that a resumed run finds the same recipe again. Silence alone has no spread.
    return float(f"{mean:.5g}"), max(float(f"{std:.5g}"), 1e-6)
