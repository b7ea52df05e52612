"""TC-ResNet: a residual network with mel bands as channels and long kernels over time.

Choi et al., Temporal Convolution for Real-time Keyword Spotting on Mobile Devices, 2019.
"""

from __future__ import annotations

from collections.abc import Sequence

from keras import Input, Model, layers

from training.architectures.blocks import classifier, conv_bn, residual_pair
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
    x = conv_bn(x, sizes[0], (3, 1), padding="same", name="stem")  # (98, 1, 16)
    for stage, size in enumerate(sizes[1:]):
        for block in range(blocks_per_stage):
            x = residual_pair(
                x,
                size,
                (kernel, 1),
                strides=(1 if block else 2, 1),
                skip_relu=True,
                name=f"stage{stage}_{block}",
            )
        # (49, 1, 24), (25, 1, 32), (13, 1, 48)
    return classifier(inputs, x, n_labels, dropout=dropout, name="tc_resnet")
