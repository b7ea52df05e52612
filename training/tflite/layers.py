"""New int8 layers for a graph of a .tflite file: dense ones, softmax, other steps, fewer frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from training.tflite.graph import Graph

# The first versions of these operators that take int8.
VERSIONS = {"FULLY_CONNECTED": 4, "SOFTMAX": 2, "QUANTIZE": 2, "CONCATENATION": 2}
# The scheme of TFLite wants weights symmetric about 0, and softmax in 256 steps from 0 to 1.
MAX_WEIGHT = 127
POSTERIOR_SCALE, POSTERIOR_ZERO = 1 / 256, -128


def add_int8(
    graph: Graph, name: str, shape: Sequence[int], *, scale: float, zero_point: int
) -> int:
    """Return a new computed int8 tensor."""
    buffer = schema.BufferT()
    return graph.append(
        name, shape, schema.TensorType.INT8, _quantization(scale, zero_point), buffer
    )


def fully_connected(
    graph: Graph,
    source: int,
    weights: NDArray[np.float32],
    bias: NDArray[np.float32],
    *,
    name: str,
    span: tuple[float, float],
    rectify: bool = False,
) -> tuple[Any, int]:
    """Return a dense layer behind the tensor `source`, and its output tensor.

    Parameters
    ----------
    weights : ndarray of float32, shape (n_in, n_out)
        Rounded to int8 with one scale for all.
    bias : ndarray of float32, shape (n_out,)
    span : (float, float)
        Smallest and largest output that its int8 must hold.
    rectify : bool
        Whether values below 0 become 0.
    """
    (in_scale,), _ = graph.scale_and_zero_point(source)
    scale = max(float(np.abs(weights).max()), 1e-6) / MAX_WEIGHT
    limits = np.iinfo(np.int32)
    whole_bias = np.clip(np.round(bias / (in_scale * scale)), limits.min // 2, limits.max // 2)
    kernel = _add_values(graph, f"{name}/w", np.round(weights.T / scale).astype(np.int8), scale)
    offset = _add_values(graph, f"{name}/b", whole_bias.astype(np.int32), in_scale * scale)
    low, high = span
    out_scale = (high - low) / 255
    zero_point = int(np.clip(round(-128 - low / out_scale), -128, 127))
    shape = (1, weights.shape[1])
    output = add_int8(graph, name, shape, scale=out_scale, zero_point=zero_point)
    made = _operator(graph, "FULLY_CONNECTED", [source, kernel, offset], output)
    made.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
    made.builtinOptions = schema.FullyConnectedOptionsT()
    if rectify:
        made.builtinOptions.fusedActivationFunction = schema.ActivationFunctionType.RELU
    return made, output


def softmax(graph: Graph, source: int, *, name: str) -> tuple[Any, int]:
    """Return a softmax of the tensor `source` ``(1, n)``, and its output tensor."""
    output = add_int8(
        graph, name, graph.shape(source), scale=POSTERIOR_SCALE, zero_point=POSTERIOR_ZERO
    )
    made = _operator(graph, "SOFTMAX", [source], output)
    made.builtinOptionsType = schema.BuiltinOptions.SoftmaxOptions
    made.builtinOptions = schema.SoftmaxOptionsT()
    made.builtinOptions.beta = 1.0
    return made, output


def requantized(graph: Graph, source: int, *, like: int, name: str) -> tuple[Any, int]:
    """Return the tensor `source` in the int8 steps of `like`, and the operator that makes it."""
    (scale,), (zero_point,) = graph.scale_and_zero_point(like)
    output = add_int8(graph, name, graph.shape(source), scale=scale, zero_point=zero_point)
    made = _operator(graph, "QUANTIZE", [source], output)
    made.builtinOptionsType = schema.BuiltinOptions.QuantizeOptions
    made.builtinOptions = schema.QuantizeOptionsT()
    return made, output


def last_frames(graph: Graph, source: int, output: int, *, name: str) -> Any:
    """Return the operator that makes of the frames of `source` its last ones, in `output`.

    Parameters
    ----------
    source, output : int
        Tensors ``(1, n_frames, n_bands)`` of the same int8 steps.
    """
    sizes = graph.shape(output)
    begins = [0, graph.shape(source)[1] - sizes[1], 0]
    where = [
        graph.add_constant(f"{name}/{part}", value)
        for part, value in (("begin", begins), ("size", sizes))
    ]
    return graph.operator("SLICE", [source, *where], output)


def concatenated(graph: Graph, sources: Sequence[int], *, name: str) -> tuple[Any, int]:
    """Return tensors ``(1, n)`` of the same int8 steps end to end, and the operator."""
    n_values = sum(graph.shape(source)[1] for source in sources)
    (scale,), (zero_point,) = graph.scale_and_zero_point(sources[0])
    output = add_int8(graph, name, (1, n_values), scale=scale, zero_point=zero_point)
    return graph.operator("CONCATENATION", sources, output, axis=1), output


def _operator(graph: Graph, name: str, inputs: Sequence[int], output: int) -> Any:
    made = schema.OperatorT()
    code = getattr(schema.BuiltinOperator, name)
    made.opcodeIndex = graph.opcode(code, version=VERSIONS[name])
    made.inputs = np.asarray(inputs, dtype=np.int32)
    made.outputs = np.asarray([output], dtype=np.int32)
    return made


def _add_values(graph: Graph, name: str, values: NDArray[Any], scale: float) -> int:
    kinds = {np.dtype(np.int8): schema.TensorType.INT8, np.dtype(np.int32): schema.TensorType.INT32}
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), dtype=np.uint8)
    return graph.append(name, values.shape, kinds[values.dtype], _quantization(scale, 0), buffer)


def _quantization(scale: float, zero_point: int) -> Any:
    made = schema.QuantizationParametersT()
    made.scale = np.array([scale], np.float32)
    made.zeroPoint = np.array([zero_point], np.int64)
    return made
