"""A second output for feature distillation: the network also predicts a published embedding."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np
from keras import layers

from kws.errors import ConfigError

POOLING = (
    layers.GlobalAveragePooling1D,
    layers.GlobalAveragePooling2D,
    layers.GlobalMaxPooling1D,
    layers.GlobalMaxPooling2D,
)


@dataclass(frozen=True)
class PublishedEmbedding:
    """An embedding that a network can learn to predict."""

    recipe: str
    """Holds its front end and its network."""

    layer: str
    n_steps: int
    """Embeddings of a second."""

    size: int


EMBEDDINGS = {"speech-embedding": PublishedEmbedding("embedding", "embedding", n_steps=3, size=96)}


def find(name: str) -> PublishedEmbedding:
    """Return a published embedding by its name.

    Raises
    ------
    ConfigError
        If no embedding has this name.
    """
    if name not in EMBEDDINGS:
        raise ConfigError(
            f"expected the name of a published embedding, {' or '.join(EMBEDDINGS)}, got {name!r}"
        )
    return EMBEDDINGS[name]


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
