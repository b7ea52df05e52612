"""New float layers for a graph of a .tflite file: dense ones, softmax, averages, joins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from training.tflite.graph import Graph

# The first versions that do what is asked of them here; the oldest runtimes have them.
VERSIONS = {"FULLY_CONNECTED": 1, "SOFTMAX": 1, "MEAN": 1, "DEQUANTIZE": 2}


def add_float(graph: Graph, name: str, shape: Sequence[int]) -> int:
    """Return a new computed float32 tensor."""
    return graph.append(name, shape, schema.TensorType.FLOAT32, None, schema.BufferT())


def dense(
    graph: Graph,
    source: int,
    weights: NDArray[np.float32],
    bias: NDArray[np.float32],
    *,
    name: str,
    rectify: bool = False,
) -> tuple[Any, int]:
    """Return a dense layer behind the float tensor `source` ``(1, n_in)``, and its output.

    Parameters
    ----------
    weights : ndarray of float32, shape (n_in, n_out)
    bias : ndarray of float32, shape (n_out,)
    rectify : bool
        Whether values below 0 become 0.
    """
    kernel = _add_values(graph, f"{name}/w", weights.T)
    offset = _add_values(graph, f"{name}/b", bias)
    output = add_float(graph, name, (1, weights.shape[1]))
    made = _operator(graph, "FULLY_CONNECTED", [source, kernel, offset], output)
    made.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
    made.builtinOptions = schema.FullyConnectedOptionsT()
    if rectify:
        made.builtinOptions.fusedActivationFunction = schema.ActivationFunctionType.RELU
    return made, output


def softmax(graph: Graph, source: int, *, name: str) -> tuple[Any, int]:
    """Return a softmax of the float tensor `source` ``(1, n)``, and its output tensor."""
    output = add_float(graph, name, graph.shape(source))
    made = _operator(graph, "SOFTMAX", [source], output)
    made.builtinOptionsType = schema.BuiltinOptions.SoftmaxOptions
    made.builtinOptions = schema.SoftmaxOptionsT()
    made.builtinOptions.beta = 1.0
    return made, output


def averaged(graph: Graph, source: int, *, name: str) -> tuple[Any, int]:
    """Return the mean of a float tensor over all axes but the first and the last."""
    shape = graph.shape(source)
    axes = graph.add_constant(f"{name}/axes", range(1, len(shape) - 1))
    output = add_float(graph, name, (shape[0], shape[-1]))
    made = _operator(graph, "MEAN", [source, axes], output)
    made.builtinOptionsType = schema.BuiltinOptions.ReducerOptions
    made.builtinOptions = schema.ReducerOptionsT()
    return made, output


def dequantized(graph: Graph, source: int, *, name: str) -> tuple[Any, int]:
    """Return the real values of an int8 tensor, and the operator that makes them."""
    output = add_float(graph, name, graph.shape(source))
    made = _operator(graph, "DEQUANTIZE", [source], output)
    made.builtinOptionsType = schema.BuiltinOptions.DequantizeOptions
    made.builtinOptions = schema.DequantizeOptionsT()
    return made, output


def joined(graph: Graph, sources: Sequence[int], *, name: str) -> tuple[Any, int]:
    """Return float tensors ``(1, n)`` end to end, and the operator that joins them."""
    n_values = sum(graph.shape(source)[1] for source in sources)
    output = add_float(graph, name, (1, n_values))
    return graph.operator("CONCATENATION", sources, output, axis=1), output


def _operator(graph: Graph, name: str, inputs: Sequence[int], output: int) -> Any:
    made = schema.OperatorT()
    code = getattr(schema.BuiltinOperator, name)
    made.opcodeIndex = graph.opcode(code, version=VERSIONS[name])
    made.inputs = np.asarray(inputs, dtype=np.int32)
    made.outputs = np.asarray([output], dtype=np.int32)
    return made


def _add_values(graph: Graph, name: str, values: NDArray[np.float32]) -> int:
    values = np.ascontiguousarray(values, dtype=np.float32)
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(values.tobytes(), dtype=np.uint8)
    return graph.append(name, values.shape, schema.TensorType.FLOAT32, None, buffer)
