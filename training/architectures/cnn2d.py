"""A 2-D network on colour pictures of spectrograms, 64 x 64, as many write-ups have it.

With frames as input its first layer draws the picture; with a picture as input that layer is left
out. The weights are the same, so a network trained on PNG files runs on audio.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import Input, Model, layers

from training.architectures.blocks import conv_bn
from training.architectures.registry import register
from training.config.augmentation_sections import PICTURE_SHAPE as SHAPE
from training.config.augmentation_sections import PICTURE_SIZE as SIZE
from training.datasets.spectrogram_images import colour_ramps as ramps


@keras.saving.register_keras_serializable("kws")
class SpectrogramPicture(layers.Layer):
    """Levels ``(batch, n_frames, n_bands)`` to pictures ``(batch, 64, 64, 3)``, 0..1.

    Time before frequency. The pictures equal those of `training.datasets.spectrogram_images`
    except for the rounding to 8 bits; nothing in this layer is trained.
    """

    def call(self, levels: Any) -> Any:
        """Return the pictures of windows."""
        x = tf.expand_dims(levels, -1)  # (98, 64, 1)
        x = tf.image.resize(x, (SIZE, SIZE), method="bilinear")  # (64, 64, 1)
        slopes, starts, rises, base = ramps()
        x = tf.nn.conv2d(x, slopes.reshape(1, 1, 1, -1), strides=1, padding="VALID")
        x = tf.nn.relu6(tf.nn.bias_add(x, starts))  # (64, 64, 16)
        x = tf.nn.conv2d(x, rises[None, None], strides=1, padding="VALID")
        return tf.nn.bias_add(x, base)  # (64, 64, 3)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[Any, ...]:
        """Return ``(batch, 64, 64, 3)``."""
        return (input_shape[0], *SHAPE)


@register("cnn2d")
def cnn2d(
    input_shape: tuple[int, ...],
    n_labels: int,
    *,
    filters: Sequence[int] = (16, 32, 48, 64),
    dense: int = 64,
    dropout: float = 0.4,
) -> Model:
    """Return 3 x 3 convolutions, each with batch normalisation and 2 x 2 max pooling, then 2 dense.

    Parameters
    ----------
    input_shape : tuple of int
        ``(n_frames, n_bands)`` for levels 0..1, or ``(64, 64, 3)`` for pictures.
    n_labels : int
        Classes.
    filters : sequence of int
        Filters of the convolutions; each block halves the picture.
    dense : int
        Units of the first dense layer.
    dropout : float
        Before each dense layer; more reduces overfitting.
    """
    inputs = Input(input_shape, name="features")  # (98, 64), or (64, 64, 3)
    is_frames = len(input_shape) == 2
    x: Any = SpectrogramPicture(name="picture")(inputs) if is_frames else inputs  # (64, 64, 3)
    for index, size in enumerate(filters):
        x = conv_bn(x, size, 3, padding="same", name=f"conv{index}")
        x = layers.MaxPooling2D(2, name=f"pool{index}")(x)
        # (32, 32, 16) (16, 16, 32) (8, 8, 48) (4, 4, 64)
    x = layers.Flatten(name="flatten")(x)  # (1024,)
    x = layers.Dropout(dropout)(x)
    x = layers.Dense(dense, activation="relu", name="dense")(x)  # (64,)
    x = layers.Dropout(dropout)(x)
    x = layers.Dense(n_labels, name="logits")(x)
    return Model(inputs, layers.Softmax(name="posterior")(x), name="cnn2d")
