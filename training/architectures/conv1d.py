"""Stacked 1-D convolutions on the waveform, or on frames with their bands as channels.

As in Dai et al., Very Deep Convolutional Neural Networks for Raw Waveforms, 2017: a long first
convolution that learns its own filters, then short ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import Input, Model, layers

from training.architectures.blocks import classifier, conv_bn
from training.architectures.registry import register

STEM = (32, 80, 16)
STAGES = ((48, 5, 2), (64, 5, 2), (96, 5, 2), (128, 5, 2))


@register("conv1d")
def conv1d(
    input_shape: tuple[int, ...],
    n_labels: int,
    *,
    stem: Sequence[int] = STEM,
    stages: Sequence[Sequence[int]] = STAGES,
    dropout: float = 0.2,
) -> Model:
    """Return the network without skip connections; see `conv1d_skip` for the other one.

    Parameters
    ----------
    stem : sequence of int
        Filters, kernel and stride of the first convolution.
    stages : sequence of (filters, kernel, stride)
        Each is two convolutions; the first has the stride.
    dropout : float
        Before the dense layer.
    """
    return network(input_shape, n_labels, stem, stages, dropout=dropout, skips=False, name="conv1d")


def network(
    input_shape: tuple[int, ...],
    n_labels: int,
    stem: Sequence[int],
    stages: Sequence[Sequence[int]],
    *,
    dropout: float,
    skips: bool,
    name: str,
) -> Model:
    """Return the network with or without a skip connection around each stage.

    Convolutions are 2-D with a width of 1: TFLite has no 1-D ones, and so the int8 graph needs a
    single reshape instead of two for each layer.
    """
    n_steps, n_channels = (*input_shape, 1)[:2]
    inputs = Input(input_shape, name="features")  # (8000,) or (126, 130)
    x: Any = layers.Reshape((n_steps, 1, n_channels))(inputs)  # (8000, 1, 1) or (126, 1, 130)
    x = _convolution(x, stem, name="stem")  # (500, 1, 32)
    for index, (filters, kernel, stride) in enumerate(stages):
        part = f"stage{index}"
        before = x
        x = _convolution(x, (filters, kernel, stride), name=f"{part}_0")
        x = _convolution(x, (filters, kernel, 1), name=f"{part}_1", relu=False)
        if skips:
            x = layers.Add(name=f"{part}_add")([x, _skip(before, filters, stride, name=part)])
        x = layers.ReLU(name=f"{part}_relu")(x)
        # (250, 1, 48) (125, 1, 64) (63, 1, 96) (32, 1, 128)
    return classifier(inputs, x, n_labels, dropout=dropout, name=name)


def _convolution(x: Any, size: Sequence[int], *, name: str, relu: bool = True) -> Any:
    """Return a convolution over time with batch normalisation; `size`: filters, kernel, stride."""
    filters, kernel, stride = size
    return conv_bn(
        x, filters, (kernel, 1), strides=(stride, 1), padding="same", relu=relu, name=name
    )


def _skip(x: Any, filters: int, stride: int, *, name: str) -> Any:
    """Return `x` in the shape of a stage's output, by a 1 x 1 convolution if it differs."""
    if stride == 1 and x.shape[-1] == filters:
        return x
    return _convolution(x, (filters, 1, stride), name=f"{name}_skip", relu=False)
