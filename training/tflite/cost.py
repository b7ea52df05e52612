"""What a .tflite file costs, counted in the file itself: multiplications and weights."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

from training.tflite.graph import Graph

# Operators with weights that multiply in ways not counted here: the count would be too low.
NOT_COUNTED = frozenset(
    {
        "CONV_3D",
        "CONV_3D_TRANSPOSE",
        "LSTM",
        "RNN",
        "SVDF",
        "BIDIRECTIONAL_SEQUENCE_LSTM",
        "BIDIRECTIONAL_SEQUENCE_RNN",
        "UNIDIRECTIONAL_SEQUENCE_LSTM",
        "UNIDIRECTIONAL_SEQUENCE_RNN",
    }
)
WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")


@dataclass(frozen=True)
class FileCost:
    """Of one call of a model."""

    macs: int
    """Multiply-accumulates of convolutions, dense layers and matrix products. What additions,
    poolings, scalings and softmax cost is left out, as usual in the field."""

    weights: int
    """Values of kernels and biases of these layers, but for biases that are nothing but zeros:
    the converter gives them to layers that have none."""

    not_counted: tuple[str, ...] = ()
    """Operators that multiply and are not in `macs`."""


def file_cost(content: bytes, *, where: str) -> FileCost:
    """Return the cost of a model file.

    Raises
    ------
    ModelError
        If it is no TFLite model with one subgraph.
    """
    graph = Graph(content, where=where)
    names = [graph.op_name(op) for op in graph.operators]
    return FileCost(
        macs=sum(_macs(graph, name, op) for name, op in zip(names, graph.operators)),
        weights=_weights(graph, names),
        not_counted=tuple(sorted(NOT_COUNTED & set(names))),
    )


def _macs(graph: Graph, name: str, op: Any) -> int:
    inputs = [int(index) for index in op.inputs]
    made = prod(graph.shape(int(op.outputs[0])))
    if name == "CONV_2D":  # kernel (out, height, width, in of its group)
        return made * prod(graph.shape(inputs[1])[1:])
    if name == "DEPTHWISE_CONV_2D":  # kernel (1, height, width, out)
        return made * prod(graph.shape(inputs[1])[1:3])
    if name == "FULLY_CONNECTED":  # kernel (out, in)
        return made * graph.shape(inputs[1])[-1]
    if name == "BATCH_MATMUL":  # (..., rows, inner); the adjoint flag swaps the last two
        left = graph.shape(inputs[0])
        return made * left[-2 if op.builtinOptions.adjX else -1]
    if name == "TRANSPOSE_CONV":  # kernel (out, height, width, in); inputs: shape, kernel, data
        kernel = graph.shape(inputs[1])
        return prod(graph.shape(inputs[2])) * prod(kernel[:3])
    return 0


def _weights(graph: Graph, names: list[str]) -> int:
    """Return the constants of weighted layers; one that two layers share counts once."""
    used = {
        int(index)
        for name, op in zip(names, graph.operators)
        if name in WEIGHTED
        # The first input of a transposed convolution is a shape.
        for index in op.inputs[1:]
        if index >= 0
    }
    values = [graph.constant(index) for index in used]
    return sum(
        array.size for array in values if array is not None and (array.ndim > 1 or array.any())
    )
