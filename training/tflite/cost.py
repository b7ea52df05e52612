"""What one call of a model costs, counted in its .tflite file: multiplications and weights."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

from training.tflite.graph import Graph

# Operators with weights whose multiplications are not counted here.
NOT_COUNTED = frozenset(
    (
        *("CONV_3D", "CONV_3D_TRANSPOSE", "LSTM", "RNN", "SVDF", "UNIDIRECTIONAL_SEQUENCE_LSTM"),
        *("UNIDIRECTIONAL_SEQUENCE_RNN", "BIDIRECTIONAL_SEQUENCE_LSTM"),
        "BIDIRECTIONAL_SEQUENCE_RNN",
    )
)
WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")


@dataclass(frozen=True)
class FileCost:
    """The cost of one call of a model."""

    macs: int
    """Multiply-accumulates of convolutions, dense layers and matrix products. As usual in the
    field, additions, poolings, scalings and softmax do not count."""

    weights: int
    """Values of the kernels and biases of these layers. A bias of zeros does not count: the
    converter adds one to layers without a bias."""

    not_counted: tuple[str, ...] = ()
    """Operators that multiply but are missing from `macs`."""


def file_cost(content: bytes, *, where: str) -> FileCost:
    """Return the cost of a model file.

    Raises
    ------
    ModelError
        If it is not a TFLite model with one subgraph.
    """
    graph = Graph(content, where=where)
    return FileCost(
        macs=sum(operator_macs(graph, operator) for operator in graph.operators),
        weights=_weights(graph),
        not_counted=tuple(sorted(NOT_COUNTED & set(map(graph.op_name, graph.operators)))),
    )


def operator_macs(graph: Graph, operator: Any) -> int:
    """Return the multiply-accumulates of one operator; 0 for those that do not count."""
    name = graph.op_name(operator)
    shapes = [graph.shape(int(index)) if index >= 0 else () for index in operator.inputs]
    n_outputs = prod(graph.shape(int(operator.outputs[0])))
    if name == "CONV_2D":  # kernel (out, height, width, in of its group)
        return n_outputs * prod(shapes[1][1:])
    if name == "DEPTHWISE_CONV_2D":  # kernel (1, height, width, out)
        return n_outputs * prod(shapes[1][1:3])
    if name == "FULLY_CONNECTED":  # kernel (out, in)
        return n_outputs * shapes[1][-1]
    if name == "BATCH_MATMUL":  # (..., rows, inner); the adjoint flag swaps the last two
        return n_outputs * shapes[0][-2 if operator.builtinOptions.adjX else -1]
    if name == "TRANSPOSE_CONV":  # kernel (out, height, width, in); inputs: shape, kernel, data
        return prod(shapes[2]) * prod(shapes[1][:3])
    return 0


def _weights(graph: Graph) -> int:
    """Return the constants of weighted layers; one that two layers share counts once."""
    used = {
        int(index)
        for operator in graph.operators
        if graph.op_name(operator) in WEIGHTED
        # The first input of a transposed convolution is a shape.
        for index in operator.inputs[1:]
        if index >= 0
    }
    values = [graph.constant(index) for index in used]
    return sum(
        array.size for array in values if array is not None and (array.ndim > 1 or array.any())
    )
