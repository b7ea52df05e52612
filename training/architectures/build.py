"""The network of a recipe, before any training."""

from __future__ import annotations

import keras

from training import architectures as models
from training.config.recipe import Recipe
from training.distillation.feature_distillation import find, with_imitation


def build_model(recipe: Recipe) -> keras.Model:
    """Return the recipe's network with fresh weights."""
    model = models.build(
        recipe.model.name,
        input_shape=recipe.input_shape,
        n_labels=len(recipe.data.labels),
        params=recipe.model.params,
    )
    name = recipe.bank.imitate
    return with_imitation(model, name) if name else model


def n_outputs(recipe: Recipe) -> int:
    """Return how many numbers the recipe's network gives: its labels and what it imitates."""
    imitated = find(recipe.bank.imitate) if recipe.bank.imitate else None
    return len(recipe.data.labels) + (imitated.n_steps * imitated.size if imitated else 0)
