"""BC-ResNet: 2-D convolutions over frequency, with 1-D convolutions over time broadcast on top.

Kim et al., Broadcasted Residual Learning for Efficient Keyword Spotting, 2021, table 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import Input, Model, layers

from training.architectures.blocks import classifier, conv_bn
from training.architectures.registry import register
from training.architectures.sub_spectral_norm import SubSpectralNorm

# Of each stage: channels in units of tau, blocks, stride over the bands (Kim et al., table 1).
STAGES = ((8, 2, 1), (12, 2, 2), (16, 4, 2), (20, 4, 1))
PUBLISHED_DILATIONS = (1, 2, 4, 8)


@register("bc_resnet")
def bc_resnet(
    input_shape: tuple[int, int],
    n_labels: int,
    *,
    tau: float = 1.0,
    dilations: Sequence[int] = PUBLISHED_DILATIONS,
    padding: str = "same",
    n_groups: int = 5,
    dropout: float = 0.1,
) -> Model:
    """Return BC-ResNet-tau.

    Parameters
    ----------
    tau : float
        Width; 1, 1.5, 2, 3, 6 and 8 are published.
    dilations : sequence of int
        Over time, of each stage. With valid padding the published ones need more than a second;
        ``[1, 1, 2, 2]`` leaves 54 of 98 steps.
    padding : str
        Over time; with ``valid`` the network can stream.
    n_groups : int
        Groups of bands in `SubSpectralNorm`.
    dropout : float
        Of whole channels, in each block.
    """
    n_frames, n_mels = input_shape
    inputs = Input((n_frames, n_mels), name="log_mel")
    x = layers.Reshape((n_frames, n_mels, 1))(inputs)  # (98, 40, 1)
    x = _over_bands(x, 2)
    x = _over_time(x, 2, padding)
    x = conv_bn(x, round(16 * tau), 5, strides=(1, 2), name="stem")  # (98, 20, 16t)
    for stage, ((channels, n_blocks, stride), dilation) in enumerate(zip(STAGES, dilations)):
        for block in range(n_blocks):
            x = _block(
                x,
                round(channels * tau),
                stride=stride if block == 0 else 1,
                transition=block == 0,
                dilation=dilation,
                padding=padding,
                n_groups=n_groups,
                dropout=dropout,
                name=f"stage{stage}_{block}",
            )  # (98, 20 / 10 / 5 / 5, 8t / 12t / 16t / 20t)
    x = layers.DepthwiseConv2D((5, 5), padding="valid", use_bias=False, name="tail")(
        _over_time(x, 2, padding)
    )  # (98, 1, 20t)
    x = layers.BatchNormalization(name="tail_bn")(x)
    x = conv_bn(x, round(32 * tau), 1, name="head")
    return classifier(inputs, x, n_labels, dropout=None, name="bc_resnet")


def _block(  # noqa: PLR0913
    x: Any,
    channels: int,
    *,
    stride: int,
    transition: bool,
    dilation: int,
    padding: str,
    n_groups: int,
    dropout: float,
    name: str,
) -> Any:
    """Return one residual block; the first of a stage changes channels and bands without a skip."""
    skip = x
    if transition:
        x = conv_bn(x, channels, 1, name=f"{name}_expand")
    # A depthwise layer in Keras needs equal strides, so a pooling of 1 x 1 takes every second band.
    x = layers.DepthwiseConv2D((1, 3), use_bias=False, name=f"{name}_bands")(_over_bands(x, 1))
    if stride > 1:
        x = layers.MaxPooling2D((1, 1), strides=(1, stride), name=f"{name}_stride")(x)
    x = SubSpectralNorm(n_groups, name=f"{name}_norm")(x)
    narrow = layers.AveragePooling2D((1, x.shape[2]), name=f"{name}_mean")(
        x
    )  # (steps, 1, channels)
    narrow = layers.DepthwiseConv2D(
        (3, 1), dilation_rate=(dilation, 1), use_bias=False, name=f"{name}_time"
    )(_over_time(narrow, dilation, padding))
    narrow = layers.BatchNormalization(name=f"{name}_time_bn")(narrow)
    narrow = layers.Activation("swish", name=f"{name}_swish")(narrow)
    narrow = layers.Conv2D(channels, 1, name=f"{name}_pointwise")(narrow)
    narrow = layers.SpatialDropout2D(dropout, name=f"{name}_dropout")(narrow)
    if padding == "valid":
        crop = layers.Cropping2D(((dilation, dilation), (0, 0)), name=f"{name}_crop")
        x, skip = crop(x), skip if transition else crop(skip)
    x = layers.Add(name=f"{name}_broadcast")([x, narrow])
    if not transition:
        x = layers.Add(name=f"{name}_add")([x, skip])
    return layers.ReLU(name=f"{name}_relu")(x)


def _over_bands(x: Any, width: int) -> Any:
    return layers.ZeroPadding2D(((0, 0), (width, width)))(x)


def _over_time(x: Any, width: int, padding: str) -> Any:
    """Pad in time, except with valid padding."""
    return x if padding == "valid" else layers.ZeroPadding2D(((width, width), (0, 0)))(x)
