"""Layers that most of the networks share."""

from __future__ import annotations

from typing import Any, Union

from keras import Model, layers

Size = Union[int, tuple[int, ...]]


def conv_bn(
    x: Any,
    filters: int,
    kernel: Size,
    *,
    name: str,
    strides: Size = 1,
    padding: str = "valid",
    relu: bool = True,
) -> Any:
    """Return a 2-D convolution without bias, batch normalisation and, with `relu`, a ReLU.

    The layers are ``NAME``, ``NAME_bn`` and ``NAME_relu``.
    """
    x = layers.Conv2D(filters, kernel, strides=strides, padding=padding, use_bias=False, name=name)(
        x
    )
    x = layers.BatchNormalization(name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x) if relu else x


def residual_pair(
    x: Any, filters: int, kernel: Size, *, strides: Size, name: str, skip_relu: bool = False
) -> Any:
    """Return two convolutions with a skip connection around them.

    The first convolution has the strides. The skip is a 1 x 1 convolution if strides or `filters`
    change the shape, with a ReLU of its own if `skip_relu`.
    """
    skip = x
    x = conv_bn(x, filters, kernel, strides=strides, padding="same", name=f"{name}_0")
    x = conv_bn(x, filters, kernel, padding="same", relu=False, name=f"{name}_1")
    if strides not in (1, (1, 1)) or skip.shape[-1] != filters:
        skip = conv_bn(skip, filters, 1, strides=strides, relu=skip_relu, name=f"{name}_skip")
    return layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")([x, skip]))


def classifier(inputs: Any, x: Any, n_labels: int, *, name: str, dropout: float | None) -> Model:
    """Return the network that ends in global average pooling, dropout, a dense layer and softmax.

    Without a `dropout` there is no such layer.
    """
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    if dropout is not None:
        x = layers.Dropout(dropout)(x)
    x = layers.Dense(n_labels, name="logits")(x)
    return Model(inputs, layers.Softmax(name="posterior")(x), name=name)
