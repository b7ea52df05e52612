"""Truncate a .tflite file at inner layers: their averages, concatenated, become the output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from kws.errors import ConfigError, ModelError
from training.tflite.graph import Graph
from training.tflite.layers import concatenate, dequantize, mean

MAX_NAMES = 40
OUTPUT = "output"
"""Names the file's own output, whose real name the converter drops."""


def truncate(content: bytes, layers: Sequence[str], *, where: str) -> bytes:
    """Return a .tflite file whose one output ``(1, size)`` is the embedding.

    Each layer is averaged over all its axes but the first and the last, in float32. Operators
    after the layers are dropped. A single layer ``(1, size)`` keeps its type. An input ``(n,)``
    becomes ``(1, n)``.

    Parameters
    ----------
    content : bytes
        The file.
    layers : sequence of str
        Names of layers in the file (``layer7/pointwise_conv`` means the last tensor of that
        path), tensor numbers, or ``output``. Empty: the file's own output.
    where : str
        Name for error messages.

    Raises
    ------
    ConfigError
        If a layer does not exist.
    ModelError
        If the file has several inputs, or a layer has no leading axis of 1.
    """
    graph = Graph(content, where=where)
    if len(graph.inputs) != 1:
        raise ModelError(f"{where}: expected one input, got {len(graph.inputs)}")
    tensors = [_find(graph, layer, where) for layer in layers] or graph.outputs[:1]
    graph.operators = _needed(graph, tensors)
    if not graph.operators:
        raise ConfigError(f"{where}: expected layers after the input, got {', '.join(layers)}")
    _give_first_axis(graph, where)
    if len(tensors) > 1 or len(graph.shape(tensors[0])) != 2:
        tensors = [_pooled(graph, tensor, number, where) for number, tensor in enumerate(tensors)]
    output = tensors[0] if len(tensors) == 1 else concatenate(graph, tensors, name="embedding")
    return graph.rebuild(inputs={"input": graph.inputs[0]}, outputs={"embedding": output})


def _find(graph: Graph, layer: str, where: str) -> int:
    made = [int(index) for op in graph.operators for index in op.outputs]
    if layer == OUTPUT:
        return graph.outputs[0]
    if layer.isdecimal():
        found = [index for index in made if index == int(layer)]
    else:
        found = [
            index
            for index in made
            if f"/{layer}/" in f"/{_path(graph, index)}/" or layer == graph.layer_name(index)
        ]
    if not found:
        names = [_path(graph, int(op.outputs[0])) for op in graph.operators]
        more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
        raise ConfigError(
            f"{where}: no layer {layer!r}; expected one of {', '.join(names[-MAX_NAMES:])}{more}"
        )
    return found[-1]


def _path(graph: Graph, index: int) -> str:
    return graph.tensor_name(index).split(";")[0]


def _needed(graph: Graph, tensors: Sequence[int]) -> list[Any]:
    """Return the operators that compute these tensors, in order."""
    wanted = set(tensors)
    kept = []
    for operator in reversed(graph.operators):
        if wanted & {int(index) for index in operator.outputs}:
            wanted |= {int(index) for index in operator.inputs}
            kept.append(operator)
    return kept[::-1]


def _pooled(graph: Graph, tensor: int, number: int, where: str) -> int:
    shape = graph.shape(tensor)
    if len(shape) < 2 or shape[0] != 1:
        raise ModelError(f"{where}: expected a layer (1, ..., n), got {shape}")
    if graph.is_quantized(tensor):
        tensor = dequantize(graph, tensor, name=f"real{number}")
    if len(shape) > 2:
        tensor = mean(graph, tensor, name=f"average{number}")
    return tensor


def _give_first_axis(graph: Graph, where: str) -> None:
    """Turn an input ``(n,)`` into ``(1, n)``; a reshape after it accepts both."""
    index = graph.inputs[0]
    shape = graph.shape(index)
    if len(shape) != 1:
        return
    users = [graph.op_name(op) for op in graph.operators if index in [int(i) for i in op.inputs]]
    if set(users) != {"RESHAPE"}:
        raise ModelError(
            f"{where}: expected an input (1, n), got {shape} that goes into {', '.join(users)}"
        )
    tensor = graph.tensor(index)
    assert tensor.type == schema.TensorType.FLOAT32
    tensor.shape = np.array([1, *shape], np.int32)
    tensor.shapeSignature = None
