"""DS-CNN: a depthwise-separable 2-D network, the usual reference for keyword spotting.

Zhang et al., Hello Edge: Keyword Spotting on Microcontrollers, 2017.
"""

from __future__ import annotations

from keras import Input, Model, layers

from training.architectures.blocks import classifier, conv_bn
from training.architectures.registry import register


@register("ds_cnn")
def ds_cnn(  # noqa: PLR0913
    input_shape: tuple[int, int],
    n_labels: int,
    *,
    filters: int = 64,
    n_blocks: int = 4,
    stem_kernel: tuple[int, int] = (10, 4),
    stem_stride: tuple[int, int] = (2, 2),
    first_stride: int = 1,
    dropout: float = 0.2,
    padding: str = "same",
) -> Model:
    """Return a strided convolution followed by `n_blocks` depthwise-separable ones.

    Parameters
    ----------
    filters, n_blocks : int
        64 and 4 make DS-CNN-S. With a `stem_stride` of (2, 1) and a `first_stride` of 2, 172 and 4
        make DS-CNN-M, 276 and 5 DS-CNN-L.
    stem_kernel, stem_stride : (int, int)
        Time and frequency.
    first_stride : int
        Of the first block, in time and frequency.
    dropout : float
        Before the dense layer.
    padding : str
        In time and frequency; with ``valid`` the network can stream.
    """
    n_frames, n_mels = input_shape
    inputs = Input((n_frames, n_mels), name="log_mel")
    x = layers.Reshape((n_frames, n_mels, 1))(inputs)  # (98, 40, 1)
    # Recipes hold lists.
    kernel, strides = tuple(stem_kernel), tuple(stem_stride)
    x = conv_bn(x, filters, kernel, strides=strides, padding=padding, name="stem")
    # (49, 20, filters)
    for index in range(n_blocks):
        x = layers.DepthwiseConv2D(
            3,
            strides=1 if index else first_stride,
            padding=padding,
            use_bias=False,
            name=f"block{index}_depthwise",
        )(x)
        x = layers.BatchNormalization(name=f"block{index}_depthwise_bn")(x)
        x = layers.ReLU(name=f"block{index}_depthwise_relu")(x)
        x = conv_bn(x, filters, 1, name=f"block{index}_pointwise")
    return classifier(inputs, x, n_labels, dropout=dropout, name="ds_cnn")
