"""Cut a .tflite file at inner layers: their averages, end to end, become its one output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from kws.errors import ConfigError, ModelError
from training.tflite.graph import Graph
from training.tflite.layers import concatenate, dequantize, mean

MOST_NAMES = 40
OUTPUT = "output"
"""Stands for the file's own output, whose name the converter loses."""


def cut(content: bytes, layers: Sequence[str], *, where: str) -> bytes:
    """Return a .tflite file whose one output ``(1, size)`` is the embedding.

    Each layer's output is averaged over all its axes but the first and the last, in float32; what
    comes behind the layers is left out. A single layer without other axes stays as it is, int8
    where it is int8. An input ``(n,)`` becomes ``(1, n)``.

    Parameters
    ----------
    content : bytes
        The file.
    layers : sequence of str
        Names of layers as the converter kept them (``layer7/pointwise_conv``: the last tensor of
        that path), numbers of tensors, or ``output``. None: the file's own output.
    where : str
        Name for error messages.

    Raises
    ------
    ConfigError
        If a layer is not there.
    ModelError
        If the file has several inputs, or an output that cannot be averaged.
    """
    graph = Graph(content, where=where)
    if len(graph.inputs) != 1:
        raise ModelError(f"{where}: expected one input, got {len(graph.inputs)}")
    tensors = [_find(graph, layer, where) for layer in layers] or graph.outputs[:1]
    graph.operators = _needed(graph, tensors)
    if not graph.operators:
        raise ConfigError(f"{where}: expected layers behind the input, got {', '.join(layers)}")
    _give_first_axis(graph, where)
    if len(tensors) > 1 or len(graph.shape(tensors[0])) != 2:
        tensors = [_pooled(graph, tensor, number, where) for number, tensor in enumerate(tensors)]
    output = tensors[0] if len(tensors) == 1 else concatenate(graph, tensors, name="embedding")
    return graph.rebuild(inputs={"input": graph.inputs[0]}, outputs={"embedding": output})


def layer_names(graph: Graph) -> list[str]:
    """Return the paths of all computed tensors, in the order in which they are made."""
    return [_path(graph, int(op.outputs[0])) for op in graph.operators]


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
        names = layer_names(graph)
        more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
        raise ConfigError(
            f"{where}: no layer {layer!r}; there are {', '.join(names[-MOST_NAMES:])}{more}"
        )
    return found[-1]


def _path(graph: Graph, index: int) -> str:
    return graph.tensor_name(index).split(";")[0]


def _needed(graph: Graph, tensors: Sequence[int]) -> list[Any]:
    """Return the operators that these tensors come from, in order."""
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
    """Make an input ``(n,)`` one of ``(1, n)``, which a reshape behind it takes as well."""
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
