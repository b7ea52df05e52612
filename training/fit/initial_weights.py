"""Initial weights: fresh, of an earlier run, or of a published network."""

from __future__ import annotations

import json
import logging
from typing import Any

import keras

from kws.errors import ConfigError
from training import architectures
from training.architectures import pretrained
from training.architectures.recipe_model import trained_model
from training.config.data_sections import expand_path
from training.config.recipe import Recipe
from training.config.run_folder import RunFolder
from training.fit.pruning import load_pruned_weights

logger = logging.getLogger(__name__)


def load_initial_weights(model: keras.Model, recipe: Recipe) -> None:
    """Give a new network the weights that ``fit.start_from`` names, if it names any.

    The head of a run with other labels is not copied (transfer by fine-tuning).

    Raises
    ------
    ConfigError
        If the run has no weights, or another network.
    """
    start_from = recipe.fit.start_from
    if start_from and start_from == recipe.cache.feature_teacher:
        load_pruned_weights(model, recipe)
        return
    if start_from in pretrained.NETWORKS:
        pretrained.NETWORKS[start_from](model)
        return
    path = expand_path(start_from, where="fit.start_from")
    if path is None:
        return
    start = RunFolder(path)
    if not start.best.is_file():
        raise ConfigError(
            f"fit.start_from: expected {start.best}, found none; train that run first"
        )
    earlier = start.read_recipe()
    ours, theirs = _shape(recipe), _shape(earlier)
    for what, expected in ours.items():
        if theirs[what] != expected:
            raise ConfigError(
                f"fit.start_from: {path}: expected a run with the {what} {expected}, "
                f"got {theirs[what]}"
            )
    same_labels = earlier.data.labels == recipe.data.labels
    if same_labels and earlier.cache.feature_teacher == recipe.cache.feature_teacher:
        model.load_weights(start.best)
        return
    _copy_layers(trained_model(start), model, recipe, same_labels=same_labels)


def _copy_layers(
    source: keras.Model, model: keras.Model, recipe: Recipe, *, same_labels: bool
) -> None:
    """Copy each layer's weights by name, except those of a head for other labels."""
    available = _layers(source)
    # The head is what grows with another label, whatever its name.
    one_more = architectures.build(
        recipe.model.name,
        input_shape=recipe.input_shape,
        n_labels=len(recipe.data.labels) + (0 if same_labels else 1),
        params=recipe.model.params,
    )
    shapes = {name: _shapes(layer) for name, layer in _layers(one_more).items()}
    fresh = []
    for name, layer in _layers(model).items():
        if name in available and _shapes(layer) == shapes.get(name) == _shapes(available[name]):
            layer.set_weights(available[name].get_weights())
        else:
            fresh.append(name)
    logger.info(
        "fit.start_from: fresh weights in %s, all others copied", ", ".join(fresh) or "none"
    )


def _layers(model: keras.Model) -> dict[str, keras.Layer]:
    """Return the layers with weights by name, including those of nested networks."""
    found: dict[str, keras.Layer] = {}
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            found |= _layers(layer)
        elif layer.weights:
            found[layer.name] = layer
    return found


def _shapes(layer: keras.Layer) -> list[tuple[int, ...]]:
    return [tuple(weights.shape) for weights in layer.weights]


def _shape(recipe: Recipe) -> dict[str, Any]:
    """Return what two networks must share to exchange weights."""
    params = architectures.all_params(recipe.model.name, recipe.model.params)
    # Dropout has no weights, and fine-tuning may need less of it.
    params.pop("dropout", None)
    return {
        "model.name": recipe.model.name,
        "model.params": json.dumps(params, sort_keys=True),
        "input shape": recipe.input_shape,
    }


def freeze(model: keras.Model, prefixes: tuple[str, ...]) -> None:
    """Freeze the layers whose names start with one of `prefixes`; all others learn.

    Raises
    ------
    ConfigError
        If a prefix matches no layer.
    """
    names = [layer.name for layer in model.layers if layer.weights]
    for prefix in prefixes:
        if not any(name.startswith(prefix) for name in names):
            raise ConfigError(
                f"fit.frozen_layers: expected a prefix of one of {', '.join(names)}, got {prefix!r}"
            )
    for layer in model.layers:
        layer.trainable = not layer.name.startswith(prefixes)
