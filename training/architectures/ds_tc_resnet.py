"""DS-TC-ResNet: a depthwise-separable residual network over time, with mel bands as channels.

The topology of MatchboxNet (Majumdar and Ginsburg, MatchboxNet, 2020) and of `ds_tc_resnet` in
Rybakov et al., Streaming Keyword Spotting on Mobile Devices, 2020. Padding in time is *valid* here,
so that each output step depends only on its own frames and can be kept from hop to hop. The kernels
are shorter, so that enough steps of a second are left. The shipped models are of this architecture.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import Input, Model, layers

from kws.errors import ConfigError
from training.architectures.blocks import classifier, conv_bn
from training.architectures.registry import register

MIN_STEPS = 8


@register("ds_tc_resnet")
def ds_tc_resnet(  # noqa: PLR0913
    input_shape: tuple[int, int],
    n_labels: int,
    *,
    stem_filters: int = 96,
    stem_kernel: int = 6,
    stem_stride: int = 2,
    blocks: Sequence[Sequence[int]] = ((96, 5, 2), (96, 7, 2), (96, 9, 2)),
    head_filters: int = 128,
    mel_filters: Sequence[int] = (),
    dropout: float = 0.1,
) -> Model:
    """Return the network.

    Convolutions are 2-D with a width of 1: TFLite has no 1-D ones, and so the int8 graph needs a
    single reshape instead of two for each layer.

    Parameters
    ----------
    stem_filters, stem_kernel, stem_stride : int
        Of the first convolution over time; with `mel_filters` its kernel is 1.
    blocks : sequence of (filters, kernel, repeats)
        The residual blocks.
    head_filters : int
        Of the 1 x 1 convolution before the pooling: the size of the embedding.
    mel_filters : sequence of int
        Filters of 3 x 3 convolutions over time and mel that come first. Each halves the bands. A
        higher voice shifts a pattern along the bands, and these convolutions tolerate the shift.
    dropout : float
        Before the dense layer.

    Raises
    ------
    ConfigError
        If fewer than `MIN_STEPS` steps are left for the pooling.
    """
    n_frames, n_mels = input_shape
    inputs = Input((n_frames, n_mels), name="log_mel")
    if mel_filters:
        x = _mel_part(inputs, mel_filters, stem_stride)  # (46, 1, 10 * 24) of [16, 24]
        x = conv_bn(x, stem_filters, 1, name="stem")
    else:
        x = layers.Reshape((n_frames, 1, n_mels))(inputs)  # (98, 1, 40)
        strides = (stem_stride, 1)
        x = conv_bn(x, stem_filters, (stem_kernel, 1), strides=strides, name="stem")  # (47, 1, 96)
    for index, (filters, kernel, repeats) in enumerate(blocks):
        x = _block(x, filters, kernel, repeats, name=f"block{index}")
    x = conv_bn(x, head_filters, 1, name="head")
    if x.shape[1] < MIN_STEPS:
        raise ConfigError(
            f"model.params of ds_tc_resnet: at least {MIN_STEPS} time steps must reach the "
            f"pooling, got {x.shape[1]}; shorten the kernels"
        )
    return classifier(inputs, x, n_labels, dropout=dropout, name="ds_tc_resnet")


def _mel_part(inputs: Any, filters: Sequence[int], stride: int) -> Any:
    """Return (time, 1, bands * filters) of convolutions over time and mel; the first has `stride`.

    They pad over the bands but never over time.
    """
    x = layers.Reshape((*inputs.shape[1:], 1))(inputs)  # (98, 40, 1)
    for index, n_filters in enumerate(filters):
        name, strides = f"mel{index}", (stride if index == 0 else 1, 2)
        x = layers.ZeroPadding2D(((0, 0), (1, 1)), name=f"{name}_pad")(x)
        x = conv_bn(x, n_filters, 3, strides=strides, name=name)
        # (48, 20, filters[0]), (46, 10, filters[1]), ...
    n_steps, n_bands, n_filters = x.shape[1:]
    return layers.Reshape((n_steps, 1, n_bands * n_filters), name="mel_flat")(x)


def _block(x: Any, filters: int, kernel: int, repeats: int, *, name: str) -> Any:
    """Return `repeats` separable convolutions with one skip connection around them."""
    skip = x
    for repeat in range(repeats):
        part = f"{name}_{repeat}"
        x = layers.DepthwiseConv2D((kernel, 1), use_bias=False, name=f"{part}_depthwise")(x)
        x = layers.Conv2D(filters, 1, use_bias=False, name=f"{part}_pointwise")(x)
        x = layers.BatchNormalization(name=f"{part}_bn")(x)
        if repeat < repeats - 1:
            x = layers.ReLU(name=f"{part}_relu")(x)
    # Valid padding removed the same number of steps at both ends: crop the skip to match.
    lost = skip.shape[1] - x.shape[1]
    skip = layers.Cropping2D(((lost // 2, lost - lost // 2), (0, 0)), name=f"{name}_crop")(skip)
    if skip.shape[-1] != filters:
        skip = conv_bn(skip, filters, 1, relu=False, name=f"{name}_skip")
    x = layers.Add(name=f"{name}_add")([x, skip])
    return layers.ReLU(name=f"{name}_relu")(x)
