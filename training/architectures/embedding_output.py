"""A second output for feature distillation: the network also predicts a published embedding."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers

from kws.errors import ConfigError
from training.config.embeddings import find

POOLING = (
    layers.GlobalAveragePooling1D,
    layers.GlobalAveragePooling2D,
    layers.GlobalMaxPooling1D,
    layers.GlobalMaxPooling2D,
)


def pooling_layer(model: keras.Model) -> keras.layers.Layer:
    """Return the last global pooling of a network: its output is the network's embedding.

    Raises
    ------
    ConfigError
        If the network has no global pooling.
    """
    for layer in reversed(model.layers):
        if isinstance(layer, POOLING):
            return layer
    raise ConfigError(
        f"{model.name}: expected a network with a global pooling before its head, found none"
    )


def with_embedding_output(model: keras.Model, name: str) -> keras.Model:
    """Return the network with the predicted embedding behind its posteriors.

    A linear layer predicts the embedding from the steps before the pooling, at `n_steps` moments
    spread evenly over them.

    Returns
    -------
    model : keras.Model
        With outputs ``(n_labels + n_steps * size,)``.
    """
    published = find(name)
    steps = pooling_layer(model).input  # (10, 1, 256)
    n_steps = steps.shape[1]
    steps = layers.Reshape((n_steps, -1), name="feature_steps")(steps)
    moments = np.linspace(0, n_steps - 1, published.n_steps).round().astype(int)
    steps = layers.Concatenate(axis=1, name="feature_moments")(
        [layers.Cropping1D((int(moment), n_steps - 1 - int(moment)))(steps) for moment in moments]
    )
    predicted = layers.Dense(published.size, name="features")(steps)
    predicted = layers.Flatten(name="features_flat")(predicted)
    joined = layers.Concatenate(name="posteriors_and_features")([model.output, predicted])
    return keras.Model(model.input, joined, name=model.name)
