"""Add layers to the graph of a .tflite file, without a converter.

Each function appends one operator to ``graph.operators`` and returns the tensor it computes. A
layer works in int8 where its input is int8, else in float32. The operator versions are the first
ones that do so, which the oldest runtimes have.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from training.tflite.graph import Graph

# The quantization scheme of TFLite: weights symmetric about 0, softmax in 256 steps from 0 to 1.
MAX_WEIGHT = 127
POSTERIOR_SCALE, POSTERIOR_ZERO = 1 / 256, -128


def dense(
    graph: Graph,
    source: int,
    weights: NDArray[np.float32],
    bias: NDArray[np.float32],
    *,
    name: str,
    output_range: tuple[float, float],
    relu: bool = False,
) -> int:
    """Add a dense layer behind the tensor `source` ``(1, n_in)``.

    Parameters
    ----------
    weights : ndarray of float32, shape (n_in, n_out)
        In int8 rounded with one scale for all.
    bias : ndarray of float32, shape (n_out,)
    output_range : (float, float)
        Smallest and largest output that int8 must hold; float32 needs no range.
    relu : bool
        Whether values below 0 become 0.
    """
    options = schema.FullyConnectedOptionsT()
    if relu:
        options.fusedActivationFunction = schema.ActivationFunctionType.RELU
    if not graph.is_quantized(source):
        kernel = graph.add_constant(f"{name}/w", weights.T.astype(np.float32))
        offset = graph.add_constant(f"{name}/b", bias.astype(np.float32))
        output = graph.add_float(name, (1, weights.shape[1]))
        return graph.add_operator("FULLY_CONNECTED", [source, kernel, offset], output, options)
    (in_scale,), _ = graph.scale_and_zero_point(source)
    scale = max(float(np.abs(weights).max()), 1e-6) / MAX_WEIGHT
    int8_weights = np.round(weights.T / scale).astype(np.int8)
    kernel = graph.add_constant(f"{name}/w", int8_weights, scale=scale)
    int32_bias = _int32(bias / (in_scale * scale))
    offset = graph.add_constant(f"{name}/b", int32_bias, scale=in_scale * scale)
    low, high = output_range
    out_scale = (high - low) / 255
    zero_point = int(np.clip(round(-128 - low / out_scale), -128, 127))
    shape = (1, weights.shape[1])
    output = graph.add_int8(name, shape, scale=out_scale, zero_point=zero_point)
    inputs = [source, kernel, offset]
    return graph.add_operator("FULLY_CONNECTED", inputs, output, options, version=4)


def _int32(values: NDArray[np.float32]) -> NDArray[np.int32]:
    """Return rounded values, at most half of what int32 holds: room for the accumulator."""
    limits = np.iinfo(np.int32)
    return np.clip(np.round(values), limits.min // 2, limits.max // 2).astype(np.int32)


def softmax(graph: Graph, source: int, *, name: str) -> int:
    """Add a softmax over the values of `source` ``(1, n)``."""
    options = schema.SoftmaxOptionsT()
    options.beta = 1.0
    if not graph.is_quantized(source):
        output = graph.add_float(name, graph.shape(source))
        return graph.add_operator("SOFTMAX", [source], output, options)
    output = graph.add_int8(
        name, graph.shape(source), scale=POSTERIOR_SCALE, zero_point=POSTERIOR_ZERO
    )
    return graph.add_operator("SOFTMAX", [source], output, options, version=2)


def mean(graph: Graph, source: int, *, name: str) -> int:
    """Add the mean of a float tensor over all axes but the first and the last."""
    shape = graph.shape(source)
    axes = graph.add_constant(f"{name}/axes", range(1, len(shape) - 1))
    output = graph.add_float(name, (shape[0], shape[-1]))
    return graph.add_operator("MEAN", [source, axes], output, schema.ReducerOptionsT())


def dequantize(graph: Graph, source: int, *, name: str) -> int:
    """Add the float32 values of an int8 tensor."""
    output = graph.add_float(name, graph.shape(source))
    options = schema.DequantizeOptionsT()
    return graph.add_operator("DEQUANTIZE", [source], output, options, version=2)


def requantize(graph: Graph, source: int, *, like: int, name: str) -> int:
    """Add the int8 tensor `source` in the scale and zero point of `like`."""
    (scale,), (zero_point,) = graph.scale_and_zero_point(like)
    output = graph.add_int8(name, graph.shape(source), scale=scale, zero_point=zero_point)
    options = schema.QuantizeOptionsT()
    return graph.add_operator("QUANTIZE", [source], output, options, version=2)


def concatenate(graph: Graph, sources: Sequence[int], *, name: str, axis: int = 1) -> int:
    """Add tensors of the same type and scale end to end along `axis`."""
    shape = list(graph.shape(sources[0]))
    shape[axis] = sum(graph.shape(source)[axis] for source in sources)
    output = graph.add_tensor(name, shape, like=sources[0])
    options = schema.ConcatenationOptionsT()
    options.axis = axis
    return graph.add_operator("CONCATENATION", sources, output, options, version=2)


def slice_into(graph: Graph, source: int, output: int, begin: Sequence[int]) -> int:
    """Fill the tensor `output` with the part of `source` that starts at `begin`."""
    name = graph.tensor_name(output)
    start = graph.add_constant(f"{name}/begin", begin)
    size = graph.add_constant(f"{name}/size", graph.shape(output))
    options = schema.SliceOptionsT()
    return graph.add_operator("SLICE", [source, start, size], output, options, version=2)


def reshape(graph: Graph, source: int, shape: Sequence[int], *, name: str) -> int:
    """Add the values of `source` in another shape."""
    output = graph.add_tensor(name, shape, like=source)
    options = schema.ReshapeOptionsT()
    options.newShape = np.asarray(shape, np.int32)
    new_shape = graph.add_constant(f"{name}/shape", shape)
    return graph.add_operator("RESHAPE", [source, new_shape], output, options)
