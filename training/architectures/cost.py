"""What a network costs before it is trained: parameters and multiplications."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import Model, layers


def n_parameters(model: Model) -> int:
    """Return the number of trained values; moving statistics are folded away by export."""
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


def n_multiplications(model: Model) -> int:
    """Return the multiplications of one window in convolutions and dense layers.

    What normalisations, additions and poolings cost is left out, as usual in the field, and so
    is a front end, inside the network or before it.
    """
    return sum(_of_layer(layer) for layer in model.layers)


def _of_layer(layer: Any) -> int:
    if isinstance(layer, Model):
        return n_multiplications(layer)
    if isinstance(layer, layers.DepthwiseConv2D):
        per_output = np.prod(layer.kernel.shape[:2])
    elif isinstance(layer, (layers.Conv2D, layers.Dense)):
        per_output = np.prod(layer.kernel.shape[:-1])
    else:
        return 0
    return int(np.prod(layer.output.shape[1:]) * per_output)
