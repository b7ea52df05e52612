"""Backbones made from Keras networks: a training run's, and published embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from kws.errors import ConfigError
from kws.files import sha256
from training.architectures import pretrained
from training.architectures.embedding_output import pooling_layer
from training.architectures.recipe_model import trained_model
from training.config.embeddings import EMBEDDINGS
from training.config.recipe import Recipe
from training.config.sections import TransferConfig
from training.embedding.backbone import Backbone
from training.embedding.backbone_sources import check_single_window, run_of
from training.tflite.convert import convert_float


def open_keras_backbone(config: TransferConfig) -> Backbone:
    """Return the recipe's backbone in float32, with its layers concatenated.

    Raises
    ------
    KwsError
        If the network has no weights, or no such layer.
    """
    check_single_window(config)
    run = run_of(config)
    if run is None:
        name = config.backbone
        published = EMBEDDINGS[name]
        recipe, model = pretrained.published_network(name)
        taps = config.layers or (published.layer,)
        return _convert(
            embedding_model(model, taps),
            recipe,
            name=name,
            licence=published.licence,
            attribution=(published.attribution,),
            origin={"backbone": name, "layers": list(taps)},
        )
    recipe, model = run.read_recipe(), trained_model(run)
    return _convert(
        embedding_model(model, config.layers),
        recipe,
        name=run.path.name,
        licence=recipe.data.licence,
        attribution=tuple(recipe.data.attribution),
        origin={
            "backbone": recipe.name,
            "weights_sha256": sha256(run.best.read_bytes()),
            "layers": list(config.layers),
            "left_out": list(recipe.words.excluded),
        },
    )


def embedding_model(model: keras.Model, taps: Sequence[str] = ()) -> keras.Model:
    """Return the network from features to embedding.

    Parameters
    ----------
    model : keras.Model
        The network with its head.
    taps : sequence of str
        Names of layers to average over time (and bands) and concatenate. Default: the global
        pooling before the head.

    Raises
    ------
    ConfigError
        If a layer does not exist, or the network has no global pooling.
    """
    names = [layer.name for layer in model.layers]
    taps = tuple(taps) or (pooling_layer(model).name,)
    for name in taps:
        if name not in names:
            raise ConfigError(
                f"{model.name}: no layer {name!r}; expected one of {', '.join(names)}"
            )
    outputs = [_averaged(model.get_layer(name).output) for name in taps]
    output = outputs[0] if len(outputs) == 1 else layers.Concatenate()(outputs)
    return keras.Model(model.input, output, name="embedding")


def _averaged(output: keras.KerasTensor) -> keras.KerasTensor:
    pooling = {3: layers.GlobalAveragePooling1D, 4: layers.GlobalAveragePooling2D}
    n_axes = len(output.shape)
    return pooling[n_axes]()(output) if n_axes in pooling else output


def _convert(model: keras.Model, recipe: Recipe, **about: Any) -> Backbone:
    return Backbone(
        content=convert_float(model),
        frontend=recipe.frontend,
        window_frames=recipe.model.window_frames,
        window_samples=recipe.clip_samples,
        hop_samples=recipe.clip_samples // 2,
        **about,
    )
