"""A small classifier on the steps of a published embedding, which a cache of clips holds."""

from __future__ import annotations

from typing import Any

from keras import Input, Model, layers

from kws.errors import ConfigError
from training.architectures.registry import register


@register("embedding_head")
def embedding_head(input_shape: tuple[int, ...], n_labels: int, **params: Any) -> Model:
    """Return the network from embeddings ``(n_steps, size)`` to posteriors; see `head`."""
    if len(input_shape) != 2:
        raise ConfigError(
            f"model of embedding_head: expected an input (n_steps, size), got {input_shape}; name "
            "the embedding in cache.inputs"
        )
    inputs = Input(input_shape, name="embedding")  # (25, 384)
    return Model(inputs, head(inputs, n_labels, **params), name="embedding_head")


def head(
    x: Any,
    n_labels: int,
    *,
    filters: int = 192,
    input_dropout: float = 0.2,
    dropout: float = 0.3,
) -> Any:
    """Return the posteriors of steps ``(n_steps, size)``.

    Parameters
    ----------
    filters : int
        Of both convolutions over time, the first of 3 steps and the second of 5.
    input_dropout : float
        Before each convolution.
    dropout : float
        Before the dense layer.
    """
    n_steps, size = x.shape[1:]
    x = layers.Reshape((n_steps, 1, size), name="head_steps")(x)  # (25, 1, 384)
    for index, kernel in enumerate((3, 5)):
        name = f"head_conv{index}"
        x = layers.Dropout(input_dropout)(x)
        x = layers.Conv2D(filters, (kernel, 1), padding="same", use_bias=False, name=name)(x)
        x = layers.BatchNormalization(name=f"{name}_bn")(x)
        x = layers.Activation("gelu", name=f"{name}_gelu")(x)
    mean = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Concatenate()([mean, layers.GlobalMaxPooling2D(name="pool_max")(x)])
    x = layers.Dropout(dropout)(x)
    x = layers.Dense(n_labels, name="logits")(x)
    return layers.Softmax(name="posterior")(x)
