"""ResNet-18 on a spectrogram.

He et al., Deep Residual Learning for Image Recognition, 2016, table 1.
"""

from __future__ import annotations

from collections.abc import Sequence

from keras import Input, Model, layers

from training.architectures.blocks import classifier, conv_bn, residual_pair
from training.architectures.registry import register


@register("resnet18")
def resnet18(
    input_shape: tuple[int, int],
    n_labels: int,
    *,
    filters: Sequence[int] = (64, 128, 256, 512),
    blocks: Sequence[int] = (2, 2, 2, 2),
    stem_stride: int = 1,
    dropout: float = 0.0,
) -> Model:
    """Return the network for one channel, with the 3 x 3 stem that is usual for small pictures.

    Parameters
    ----------
    filters, blocks : sequence of int
        Of each stage; smaller `filters` make a narrower network.
    stem_stride : int
        2 quarters the work, for windows of several seconds.
    dropout : float
        Before the dense layer.
    """
    n_frames, n_bands = input_shape
    inputs = Input((n_frames, n_bands), name="log_mel")
    x = layers.Reshape((n_frames, n_bands, 1))(inputs)  # (98, 40, 1)
    x = conv_bn(x, filters[0], 3, strides=stem_stride, padding="same", name="stem")  # (98, 40, 64)
    for stage, (size, n_blocks) in enumerate(zip(filters, blocks)):
        for block in range(n_blocks):
            stride = 2 if stage and block == 0 else 1
            x = residual_pair(x, size, 3, strides=stride, name=f"stage{stage}_{block}")
        # (98, 40, 64) (49, 20, 128) (25, 10, 256) (13, 5, 512)
    return classifier(inputs, x, n_labels, dropout=dropout, name="resnet18")
