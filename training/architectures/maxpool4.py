"""Four convolutions on a spectrogram, each followed by max pooling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import Input, Model, layers

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
        x = layers.Conv2D(size, 3, padding="same", use_bias=False, name=f"conv{index}")(x)
        x = layers.BatchNormalization(name=f"conv{index}_bn")(x)
        x = layers.ReLU(name=f"conv{index}_relu")(x)
        x = layers.MaxPooling2D(2, name=f"pool{index}")(x)
        # (49, 20, 32) (24, 10, 64) (12, 5, 128) (6, 2, 256)
    x = layers.GlobalAveragePooling2D(name="pool")(x)  # (256,)
    x = layers.Dropout(dropout)(x)
    x = layers.Dense(n_labels, name="logits")(x)
    return Model(inputs, layers.Softmax(name="posterior")(x), name="maxpool4")
