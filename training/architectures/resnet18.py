"""ResNet-18 on a spectrogram.

He et al., Deep Residual Learning for Image Recognition, 2016, table 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import Input, Model, layers

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
    x = layers.Conv2D(
        filters[0], 3, strides=stem_stride, padding="same", use_bias=False, name="stem"
    )(x)
    x = layers.ReLU(name="stem_relu")(layers.BatchNormalization(name="stem_bn")(x))  # (98, 40, 64)
    for stage, (size, n_blocks) in enumerate(zip(filters, blocks)):
        for block in range(n_blocks):
            stride = 2 if stage and block == 0 else 1
            x = _block(x, size, stride, name=f"stage{stage}_{block}")
        # (98, 40, 64) (49, 20, 128) (25, 10, 256) (13, 5, 512)
    x = layers.GlobalAveragePooling2D(name="pool")(x)  # (512,)
    x = layers.Dropout(dropout)(x)
    x = layers.Dense(n_labels, name="logits")(x)
    return Model(inputs, layers.Softmax(name="posterior")(x), name="resnet18")


def _block(x: Any, size: int, stride: int, *, name: str) -> Any:
    """Return two 3 x 3 convolutions with a skip, a 1 x 1 convolution where the shape changes."""
    skip = x
    for number, step in enumerate((stride, 1)):
        part = f"{name}_{number}"
        x = layers.Conv2D(size, 3, strides=step, padding="same", use_bias=False, name=part)(x)
        x = layers.BatchNormalization(name=f"{part}_bn")(x)
        if number == 0:
            x = layers.ReLU(name=f"{part}_relu")(x)
    if stride > 1 or skip.shape[-1] != size:
        skip = layers.Conv2D(size, 1, strides=stride, use_bias=False, name=f"{name}_skip")(skip)
        skip = layers.BatchNormalization(name=f"{name}_skip_bn")(skip)
    return layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")([x, skip]))
