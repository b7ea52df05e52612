"""Where a network's embedding is: the global pooling before its head."""

from __future__ import annotations

import keras
from keras import layers

from kws.errors import ConfigError

POOLING = (
    layers.GlobalAveragePooling1D,
    layers.GlobalAveragePooling2D,
    layers.GlobalMaxPooling1D,
    layers.GlobalMaxPooling2D,
)


def pooling_layer(model: keras.Model) -> keras.layers.Layer:
    """Return the last global pooling of a network; its head comes after it.

    Raises
    ------
    ConfigError
        If there is none.
    """
    for layer in reversed(model.layers):
        if isinstance(layer, POOLING):
            return layer
    raise ConfigError(
        f"{model.name}: expected a network with a global pooling before its head, found none"
    )
