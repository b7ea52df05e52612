"""What training begins with: the weights of an earlier run or of a published network."""

from __future__ import annotations

import json
import logging
from typing import Any

import keras

from kws.errors import ConfigError
from training import architectures as models
from training.architectures import pretrained
from training.architectures.recipe_model import build_model
from training.config.data_sections import expand_path
from training.config.recipe import Recipe
from training.config.run_folder import RunFolder
from training.fit import pruning as narrowing

logger = logging.getLogger(__name__)


def load_initial_weights(model: keras.Model, recipe: Recipe) -> None:
    """Give a new network the weights that ``fit.start_from`` names, if it names any.

    The head of a run that told other labels apart is not taken over (transfer by fine-tuning).

    Raises
    ------
    ConfigError
        If the run that is named has no weights, or a network of another form.
    """
    start_from = recipe.fit.start_from
    if start_from and start_from == recipe.cache.feature_teacher:
        narrowing.start(model, recipe)
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
    begun = start.read_recipe()
    ours, theirs = _form(recipe), _form(begun)
    for what, expected in ours.items():
        if theirs[what] != expected:
            raise ConfigError(
                f"fit.start_from: {path}: expected a run with the {what} {expected}, "
                f"got {theirs[what]}"
            )
    same_labels = begun.data.labels == recipe.data.labels
    if same_labels and begun.cache.feature_teacher == recipe.cache.feature_teacher:
        model.load_weights(start.best)
        return
    theirs = build_model(begun)
    theirs.load_weights(start.best)
    _take_over(model, recipe, theirs, same_labels=same_labels)


def _take_over(
    model: keras.Model, recipe: Recipe, theirs: keras.Model, *, same_labels: bool
) -> None:
    """Give every layer the weights of its namesake, but where other labels have other weights."""
    before = _layers(theirs)
    # A head is what grows by a label, whatever it is called.
    one_more = models.build(
        recipe.model.name,
        input_shape=recipe.input_shape,
        n_labels=len(recipe.data.labels) + (0 if same_labels else 1),
        params=recipe.model.params,
    )
    kept = {name: _shapes(layer) for name, layer in _layers(one_more).items()}
    anew = []
    for name, layer in _layers(model).items():
        if name in before and _shapes(layer) == kept.get(name) == _shapes(before[name]):
            layer.set_weights(before[name].get_weights())
        else:
            anew.append(name)
    logger.info("fit.start_from: a run of another task; begun anew: %s", ", ".join(anew) or "none")


def _layers(model: keras.Model) -> dict[str, keras.Layer]:
    """Return the layers that have weights by name, those of networks inside it too."""
    found: dict[str, keras.Layer] = {}
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            found |= _layers(layer)
        elif layer.weights:
            found[layer.name] = layer
    return found


def _shapes(layer: keras.Layer) -> list[tuple[int, ...]]:
    return [tuple(weights.shape) for weights in layer.weights]


def _form(recipe: Recipe) -> dict[str, Any]:
    """Return what two networks must share for one to take the other's weights."""
    params = models.all_params(recipe.model.name, recipe.model.params)
    # Dropout has no weights, and a second leg may want less of it.
    params.pop("dropout", None)
    return {
        "model.name": recipe.model.name,
        "model.params": json.dumps(params, sort_keys=True),
        "input shape": recipe.input_shape,
    }


def freeze(model: keras.Model, prefixes: tuple[str, ...]) -> None:
    """Let layers whose names begin so keep their weights, and all others learn.

    Raises
    ------
    ConfigError
        If no layer begins so.
    """
    names = [layer.name for layer in model.layers if layer.weights]
    for prefix in prefixes:
        if not any(name.startswith(prefix) for name in names):
            raise ConfigError(
                f"fit.frozen_layers: expected the beginning of one of {', '.join(names)}, "
                f"got {prefix!r}"
            )
    for layer in model.layers:
        layer.trainable = not layer.name.startswith(prefixes)
