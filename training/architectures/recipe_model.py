"""The network of a recipe before any training, and its size."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

from kws.errors import KwsError
from training import architectures
from training.architectures.embedding_output import with_embedding_output
from training.config.embeddings import find
from training.config.recipe import Recipe
from training.config.run_folder import RunFolder


def build_model(recipe: Recipe) -> keras.Model:
    """Return the recipe's network with fresh weights."""
    model = architectures.build(
        recipe.model.name,
        input_shape=recipe.input_shape,
        n_labels=len(recipe.data.labels),
        params=recipe.model.params,
    )
    name = recipe.cache.feature_teacher
    return with_embedding_output(model, name) if name else model


def trained_model(run: RunFolder, recipe: Recipe | None = None) -> keras.Model:
    """Return the network of a run with its best weights; `recipe` replaces the run's own.

    Raises
    ------
    KwsError
        If the run has no weights yet.
    """
    if not run.best.is_file():
        raise KwsError(f"{run.path}: no {run.best.name}; train at least one epoch first")
    model = build_model(recipe or run.read_recipe())
    model.load_weights(run.best)
    return model


def n_outputs(recipe: Recipe) -> int:
    """Return the length of the network's output: its labels, and an embedding it predicts."""
    published = find(recipe.cache.feature_teacher) if recipe.cache.feature_teacher else None
    return len(recipe.data.labels) + (published.n_steps * published.size if published else 0)


def n_parameters(model: keras.Model) -> int:
    """Return the number of trained values; export folds moving statistics into them."""
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


def n_macs(model: keras.Model) -> int:
    """Return the multiplications of one window in convolutions and dense layers.

    The count is that of `training.tflite.cost.file_cost`, before the network has a file: a front
    end, normalisations, additions and poolings do not count.
    """
    return sum(_layer_macs(layer) for layer in model.layers)


def _layer_macs(layer: Any) -> int:
    if isinstance(layer, keras.Model):
        return n_macs(layer)
    if isinstance(layer, layers.DepthwiseConv2D):
        per_output = np.prod(layer.kernel.shape[:2])
    elif isinstance(layer, (layers.Conv2D, layers.Dense)):
        per_output = np.prod(layer.kernel.shape[:-1])
    else:
        return 0
    return int(np.prod(layer.output.shape[1:]) * per_output)
