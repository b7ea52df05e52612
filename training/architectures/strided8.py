"""Eight convolutions on a spectrogram, with strides instead of pooling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import Input, Model, layers

from training.architectures.blocks import classifier, conv_bn
from training.architectures.registry import register


@register("strided8")
def strided8(
    input_shape: tuple[int, int],
    n_labels: int,
    *,
    filters: Sequence[int] = (32, 32, 64, 64, 128, 128, 256, 256),
    dropout: float = 0.3,
) -> Model:
    """Return 3 x 3 convolutions with the given `filters`; every second one halves both axes.

    `dropout` comes before the dense layer.
    """
    n_frames, n_bands = input_shape
    inputs = Input((n_frames, n_bands), name="log_mel")
    x: Any = layers.Reshape((n_frames, n_bands, 1))(inputs)  # (98, 40, 1)
    for index, size in enumerate(filters):
        strides = 2 if index % 2 else 1
        x = conv_bn(x, size, 3, strides=strides, padding="same", name=f"conv{index}")
        # (49, 20, 32) (25, 10, 64) (13, 5, 128) (7, 3, 256) after each pair
    return classifier(inputs, x, n_labels, dropout=dropout, name="strided8")
