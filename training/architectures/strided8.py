"""Eight convolutions on a spectrogram, with strides instead of pooling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import Input, Model, layers

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
        x = layers.Conv2D(
            size,
            3,
            strides=2 if index % 2 else 1,
            padding="same",
            use_bias=False,
            name=f"conv{index}",
        )(x)
        x = layers.BatchNormalization(name=f"conv{index}_bn")(x)
        x = layers.ReLU(name=f"conv{index}_relu")(x)
        # (49, 20, 32) (25, 10, 64) (13, 5, 128) (7, 3, 256) after each pair
    x = layers.GlobalAveragePooling2D(name="pool")(x)  # (256,)
    x = layers.Dropout(dropout)(x)
    x = layers.Dense(n_labels, name="logits")(x)
    return Model(inputs, layers.Softmax(name="posterior")(x), name="strided8")
