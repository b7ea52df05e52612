"""The 2-D CNN of Google's speech embedding, with a small classifier as head.

Lin et al., Training Keyword Spotters with Limited and Synthesized Speech Data, 2020: a network
trained on many keywords from millions of clips, used with new heads. The layers are those of the
published network, so that its weights fit (see `pretrained`): first 3 x 3, then pairs of 1 x 3 over
frequency and 3 x 1 over time, without padding in time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import Input, Model, layers, ops

from training.architectures.blocks import classifier, conv_bn
from training.architectures.registry import register

# Of each stage: pairs of convolutions, and the (time, mel) pooling after them.
STAGES: Sequence[tuple[int, tuple[int, int]]] = (
    (1, (2, 2)),
    (2, (1, 2)),
    (2, (2, 2)),
    (2, (1, 2)),
    (2, (2, 2)),
)
FILTERS = (24, 48, 72, 96, 96)
"""Of each stage, in the published network."""

BANDS = 32
SIZE = 96
"""Numbers in an embedding."""


@register("speech_embedding")
def speech_embedding(
    input_shape: tuple[int, int],
    n_labels: int,
    *,
    filters: Sequence[int] = FILTERS,
    head_filters: int = 192,
    dropout: float = 0.2,
) -> Model:
    """Return the network; the window must have at least 76 frames.

    Each step of the embedding covers 76 frames, one step every 8 frames. If the front end has other
    bands than the published 32, a linear map converts them.

    Parameters
    ----------
    filters : sequence of int
        Of each stage; smaller ones make a network that `training.fit.pruning` can start.
    head_filters : int
        Of a 1 x 1 convolution before the pooling; 0 pools the embedding itself.
    dropout : float
        Before the dense layer.
    """
    n_frames, n_mels = input_shape
    inputs = Input((n_frames, n_mels), name="log_mel")
    x = inputs
    if n_mels != BANDS:
        x = layers.Reshape((n_frames, 1, n_mels))(x)
        x = layers.Conv2D(BANDS, 1, name="bands")(x)  # (98, 1, 32)
    x = layers.Reshape((n_frames, BANDS, 1))(x)  # (98, 32, 1)
    x = layers.ZeroPadding2D(((0, 0), (1, 1)), name="pad")(x)
    x = _activated(layers.Conv2D(filters[0], (3, 3), name="conv0")(x))  # (96, 32, 24)
    for index, (n_pairs, pooling) in enumerate(STAGES):
        for pair in range(n_pairs):
            name = f"stage{index - 1}_{pair}" if index else "conv1"
            x = _pair(x, filters[index], name)
        x = layers.MaxPooling2D(pooling, name=f"pool{index}")(x)
    # (47, 16, 24), (43, 8, 48), (19, 4, 72), (15, 2, 96), (5, 1, 96)
    x = layers.Conv2D(SIZE, (3, 1), name="embedding")(x)  # (3, 1, 96)
    if head_filters:
        x = conv_bn(x, head_filters, 1, name="head")
    return classifier(inputs, x, n_labels, dropout=dropout, name="speech_embedding")


def _pair(x: Any, filters: int, name: str) -> Any:
    """Return a convolution over frequency and one over time, each with its activation."""
    x = _activated(layers.Conv2D(filters, (1, 3), padding="same", name=f"{name}_mel")(x))
    return _activated(layers.Conv2D(filters, (3, 1), name=f"{name}_time")(x))


def _activated(x: Any) -> Any:
    """Return the published activation: a leaky ReLU, not below -0.4."""
    return ops.maximum(layers.LeakyReLU(negative_slope=0.2)(x), -0.4)
