"""Networks with random weights, each with something that the streaming rewrite must handle."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from training import architectures

FRAMES, MELS = 98, 40


def ds_tc_resnet(**params: Any) -> keras.Model:
    small = {"stem_filters": 16, "blocks": [[16, 5, 2], [24, 7, 1]], "head_filters": 20}
    return architectures.build(
        "ds_tc_resnet", input_shape=(FRAMES, MELS), n_labels=3, params={**small, **params}
    )


def ds_cnn(**params: Any) -> keras.Model:
    small = {"filters": 12, "n_blocks": 2, "padding": "valid"}
    return architectures.build(
        "ds_cnn", input_shape=(FRAMES, MELS), n_labels=3, params={**small, **params}
    )


def headed(inputs: Any, x: Any) -> keras.Model:
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(x))


def uneven_strides() -> keras.Model:
    """Strides that do not reach the last frames of the window, and a pooling in time."""
    inputs = keras.Input((FRAMES, MELS))
    x = layers.Reshape((FRAMES, 1, MELS))(inputs)
    x = layers.Conv2D(8, (5, 1), strides=(2, 1), activation="relu")(x)
    x = layers.Conv2D(8, (4, 1), strides=(2, 1), activation="relu")(x)
    x = layers.MaxPooling2D((3, 1), strides=(1, 1))(x)
    return headed(inputs, layers.GlobalAveragePooling2D()(x))


def broadcast_residual() -> keras.Model:
    """As in BC-ResNet: a mean over frequency, a dilated convolution in time, added to all bands."""
    inputs = keras.Input((FRAMES, MELS))
    x = layers.Reshape((FRAMES, MELS, 1))(inputs)
    x = layers.ZeroPadding2D(((0, 0), (2, 2)))(x)
    x = layers.Conv2D(8, 5, strides=(1, 2), activation="relu")(x)
    narrow = layers.Lambda(lambda y: keras.ops.mean(y, axis=2, keepdims=True))(x)
    narrow = layers.DepthwiseConv2D((3, 1), dilation_rate=(2, 1))(narrow)
    narrow = layers.Conv2D(8, 1, activation="sigmoid")(narrow)
    x = layers.Add()([layers.Cropping2D(((2, 2), (0, 0)))(x), narrow])
    x = layers.AveragePooling2D((1, 4))(x)
    return headed(inputs, layers.GlobalMaxPooling2D()(x))


def flattened() -> keras.Model:
    """No pooling: the whole window is kept for the flattening."""
    inputs = keras.Input((FRAMES, MELS))
    x = layers.Reshape((FRAMES, 1, MELS))(inputs)
    x = layers.Conv2D(6, (9, 1), activation="tanh")(x)
    return headed(inputs, layers.Flatten()(x))


def gated() -> keras.Model:
    """Squeeze and excite: a gate computed from the whole window."""
    inputs = keras.Input((FRAMES, MELS))
    x = layers.Reshape((FRAMES, 1, MELS))(inputs)
    x = layers.Conv2D(8, (7, 1), activation="relu")(x)
    gate = layers.Dense(8, activation="sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    return headed(inputs, layers.GlobalMaxPooling2D()(layers.Multiply()([x, gate])))


def sliced_skips() -> keras.Model:
    """Three residuals by slicing: the converter gives their layers the same name."""
    inputs = keras.Input((FRAMES, MELS))
    x = layers.Reshape((FRAMES, 1, MELS))(inputs)
    x = layers.Conv2D(8, (3, 1), activation="relu")(x)
    for _ in range(3):
        x = layers.Conv2D(8, (3, 1), activation="relu")(x) + x[:, 1:-1]
    return headed(inputs, layers.GlobalAveragePooling2D()(x))


def reversed_channels() -> keras.Model:
    """A crop that also reverses the channels, and one with a negative start."""
    inputs = keras.Input((FRAMES, MELS))
    x = layers.Reshape((FRAMES, 1, MELS))(inputs)
    x = layers.Conv2D(8, (61, 1), activation="relu")(x)
    x = x[:, -60:] + x[:, :, :, ::-1]
    return headed(inputs, layers.GlobalAveragePooling2D()(x))


def pooled_by_its_length() -> keras.Model:
    """A pooling over all steps, to which Keras gives a stride of that length."""
    inputs = keras.Input((FRAMES, MELS))
    x = layers.Reshape((FRAMES, 1, MELS))(inputs)
    x = layers.Conv2D(8, (61, 1), activation="relu")(x)
    return headed(inputs, layers.Flatten()(layers.AveragePooling2D((38, 1))(x)))
