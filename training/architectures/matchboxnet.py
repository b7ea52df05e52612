"""MatchboxNet: residual blocks of 1-D time-channel separable convolutions.

Majumdar and Ginsburg, MatchboxNet: 1D Time-Channel Separable Convolutional Neural Network
Architecture for Speech Commands Recognition, 2020, table 1.
"""

from __future__ import annotations

from typing import Any

from keras import Input, Model, layers

from training.architectures.blocks import classifier, conv_bn
from training.architectures.registry import register

# Kernels over time: of the stem, of each block, and of the dilated layer after them (table 1).
STEM_KERNEL, BLOCK_KERNELS, TAIL_KERNEL = 11, (13, 15, 17, 19, 21), 29


@register("matchboxnet")
def matchboxnet(
    input_shape: tuple[int, int],
    n_labels: int,
    *,
    n_blocks: int = 3,
    repeats: int = 1,
    filters: int = 64,
    edge_filters: int = 128,
    dropout: float = 0.1,
) -> Model:
    """Return MatchboxNet-`n_blocks`x`repeats`x`filters`; the paper has 3x1x64 and 3x2x64.

    Padding is *same*, as published, so the network cannot stream; `ds_tc_resnet` can.

    Parameters
    ----------
    n_blocks, repeats : int
        Residual blocks, at most 5, and separable convolutions in each.
    filters, edge_filters : int
        Of the blocks, and of the layers before and after them.
    dropout : float
        After each block and between its convolutions.
    """
    n_frames, n_mels = input_shape
    inputs = Input((n_frames, n_mels), name="log_mel")
    x = layers.Reshape((n_frames, 1, n_mels))(inputs)  # (98, 1, 40)
    x = _separable(x, edge_filters, STEM_KERNEL, stride=2, name="stem")
    x = layers.ReLU(name="stem_relu")(x)  # (49, 1, 128)
    for index, kernel in enumerate(BLOCK_KERNELS[:n_blocks]):
        x = _block(x, filters, kernel, repeats, dropout, name=f"block{index}")  # (49, 1, 64)
    x = _separable(x, edge_filters, TAIL_KERNEL, dilation=2, name="tail")
    x = layers.ReLU(name="tail_relu")(x)  # (49, 1, 128)
    x = conv_bn(x, edge_filters, 1, name="head")
    return classifier(inputs, x, n_labels, dropout=None, name="matchboxnet")


def _separable(
    x: Any, filters: int, kernel: int, *, stride: int = 1, dilation: int = 1, name: str
) -> Any:
    # A depthwise layer in Keras needs equal strides and dilations in both axes; the width is 1.
    x = layers.DepthwiseConv2D(
        (kernel, 1),
        strides=(stride, stride),
        dilation_rate=(dilation, dilation),
        padding="same",
        use_bias=False,
        name=f"{name}_depthwise",
    )(x)
    x = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_pointwise")(x)
    return layers.BatchNormalization(name=f"{name}_bn")(x)


def _block(x: Any, filters: int, kernel: int, repeats: int, dropout: float, *, name: str) -> Any:
    """Return `repeats` separable convolutions with a 1 x 1 convolution as skip around them."""
    skip = conv_bn(x, filters, 1, relu=False, name=f"{name}_skip")
    for repeat in range(repeats):
        x = _separable(x, filters, kernel, name=f"{name}_{repeat}")
        if repeat < repeats - 1:
            x = layers.ReLU(name=f"{name}_{repeat}_relu")(x)
            x = layers.Dropout(dropout, name=f"{name}_{repeat}_dropout")(x)
    x = layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")([x, skip]))
    return layers.Dropout(dropout, name=f"{name}_dropout")(x)
