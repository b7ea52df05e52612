"""Four convolutions on a spectrogram, each followed by max pooling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import Input, Model, layers

from training.architectures.blocks import classifier, conv_bn
from training.architectures.registry import register


@register("maxpool4")
def maxpool4(
    input_shape: tuple[int, int],
    n_labels: int,
    *,
    filters: Sequence[int] = (32, 64, 128, 256),
    dropout: float = 0.3,
) -> Model:
    """Return 3 x 3 convolutions with the given `filters`, each followed by 2 x 2 max pooling.

    `dropout` comes before the dense layer.
    """
    n_frames, n_bands = input_shape
    inputs = Input((n_frames, n_bands), name="log_mel")
    x: Any = layers.Reshape((n_frames, n_bands, 1))(inputs)  # (98, 40, 1)
    for index, size in enumerate(filters):
        x = conv_bn(x, size, 3, padding="same", name=f"conv{index}")
        x = layers.MaxPooling2D(2, name=f"pool{index}")(x)
        # (49, 20, 32) (24, 10, 64) (12, 5, 128) (6, 2, 256)
    return classifier(inputs, x, n_labels, dropout=dropout, name="maxpool4")
