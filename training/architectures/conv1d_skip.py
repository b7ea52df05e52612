"""The 1-D convolutions of `conv1d` with a skip connection around each stage.

Residual connections as in He et al., Deep Residual Learning for Image Recognition, 2016.
"""

from __future__ import annotations

from collections.abc import Sequence

from keras import Model

from training.architectures.conv1d import STAGES, STEM, network
from training.architectures.registry import register


@register("conv1d_skip")
def conv1d_skip(
    input_shape: tuple[int, ...],
    n_labels: int,
    *,
    stem: Sequence[int] = STEM,
    stages: Sequence[Sequence[int]] = STAGES,
    dropout: float = 0.2,
) -> Model:
    """Return the network; parameters as in `conv1d`.

    A skip is a 1 x 1 convolution where a stage changes the shape.
    """
    # Shapes as in conv1d: (8000,) (500, 1, 32) (250, 1, 48) (125, 1, 64) (63, 1, 96) (32, 1, 128)
    return network(
        input_shape, n_labels, stem, stages, dropout=dropout, skips=True, name="conv1d_skip"
    )
