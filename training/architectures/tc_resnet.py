"""TC-ResNet: a residual network with mel bands as channels and long kernels over time.

Choi et al., Temporal Convolution for Real-time Keyword Spotting on Mobile Devices, 2019.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import Input, Model, layers

from training.architectures.registry import register


@register("tc_resnet")
def tc_resnet(
    input_shape: tuple[int, int],
    n_labels: int,
    *,
    channels: Sequence[int] = (16, 24, 32, 48),
    blocks_per_stage: int = 1,
    kernel: int = 9,
    width: float = 1.0,
    dropout: float = 0.5,
) -> Model:
    """Return TC-ResNet8.

    Padding is *same*, as published, so the network cannot stream.

    Parameters
    ----------
    channels : sequence of int
        Of the stem and of each stage; the first block of a stage halves the time.
    blocks_per_stage : int
        2 makes TC-ResNet14.
    kernel : int
        Over time, of each block.
    width : float
        Multiplies `channels`; 1.5 makes the published wider networks.
    dropout : float
        Before the dense layer.
    """
    n_frames, n_mels = input_shape
    sizes = [round(size * width) for size in channels]
    inputs = Input((n_frames, n_mels), name="log_mel")
    x = layers.Reshape((n_frames, 1, n_mels))(inputs)  # (98, 1, 40)
    x = layers.Conv2D(sizes[0], (3, 1), padding="same", use_bias=False, name="stem")(x)
    x = layers.ReLU(name="stem_relu")(layers.BatchNormalization(name="stem_bn")(x))  # (98, 1, 16)
    for stage, size in enumerate(sizes[1:]):
        for block in range(blocks_per_stage):
            stride = 2 if block == 0 else 1
            x = _block(x, size, kernel, stride, name=f"stage{stage}_{block}")
        # (49, 1, 24), (25, 1, 32), (13, 1, 48)
    x = layers.GlobalAveragePooling2D(name="pool")(x)  # (48,)
    x = layers.Dropout(dropout)(x)
    x = layers.Dense(n_labels, name="logits")(x)
    return Model(inputs, layers.Softmax(name="posterior")(x), name="tc_resnet")


def _block(x: Any, size: int, kernel: int, stride: int, *, name: str) -> Any:
    """Return two convolutions with a skip, a 1 x 1 convolution where the shape changes."""
    skip = x
    for number, step in enumerate((stride, 1)):
        part = f"{name}_{number}"
        x = layers.Conv2D(
            size, (kernel, 1), strides=(step, 1), padding="same", use_bias=False, name=part
        )(x)
        x = layers.BatchNormalization(name=f"{part}_bn")(x)
        if number == 0:
            x = layers.ReLU(name=f"{part}_relu")(x)
    if stride > 1 or skip.shape[-1] != size:
        skip = layers.Conv2D(size, 1, strides=(stride, 1), use_bias=False, name=f"{name}_skip")(
            skip
        )
        skip = layers.BatchNormalization(name=f"{name}_skip_bn")(skip)
        skip = layers.ReLU(name=f"{name}_skip_relu")(skip)
    return layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")([x, skip]))
