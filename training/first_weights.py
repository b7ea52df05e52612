"""What training begins with: the weights of an earlier run or of a published network."""

from __future__ import annotations

import json
import logging
from typing import Any

import keras

from kws.errors import ConfigError
from training import models, narrowing, pretrained
from training.network import build_model
from training.recipe import Recipe
from training.run_folder import RunFolder
from training.settings import filled_in

logger = logging.getLogger(__name__)


def load_first_weights(model: keras.Model, recipe: Recipe) -> None:
    """Give a new network the weights that ``fit.start_from`` names, if it names any.

    The head of a run that told other labels apart is not taken over (transfer by fine-tuning).

    Raises
    ------
    ConfigError
        If the run that is named has no weights, or a network of another form.
    """
    start_from = recipe.fit.start_from
    if start_from and start_from == recipe.bank.imitate:
        narrowing.start(model, recipe)
        return
    if start_from in pretrained.NETWORKS:
        pretrained.NETWORKS[start_from](model)
        return
    path = filled_in(start_from, where="fit.start_from")
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
    if (begun.data.labels, begun.bank.imitate) == (recipe.data.labels, recipe.bank.imitate):
        model.load_weights(start.best)
        return
    _load_but_for_labels(model, recipe, start)


def _load_but_for_labels(model: keras.Model, recipe: Recipe, start: RunFolder) -> None:
    """Take over a run of other labels: every layer but those whose weights are labels' own."""
    theirs = build_model(start.read_recipe())
    theirs.load_weights(start.best)
    one_more = models.build(
        recipe.model.name,
        input_shape=recipe.input_shape,
        n_labels=len(recipe.data.labels) + 1,
        params=recipe.model.params,
    )
    shapes = {layer.name: _shapes(layer) for layer in one_more.layers}
    anew = []
    for layer in model.layers:
        if not layer.weights:
            continue
        if shapes.get(layer.name) == _shapes(layer):
            layer.set_weights(theirs.get_layer(layer.name).get_weights())
        else:
            anew.append(layer.name)
    logger.info("fit.start_from: %s has other labels; begun anew: %s", start.path, ", ".join(anew))


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
