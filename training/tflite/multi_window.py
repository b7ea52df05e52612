"""A backbone over a longer stretch: its windows lap over, and their embeddings are averaged."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from kws.errors import ModelError
from training.tflite.float_layers import add_float, averaged
from training.tflite.graph import Graph


def repeated(content: bytes, *, n_windows: int, hop_samples: int, where: str) -> bytes:
    """Return a .tflite file that cuts samples into windows and averages their embeddings.

    The network is in it `n_windows` times, its weights once: the file grows by a few kB a window.

    Parameters
    ----------
    content : bytes
        A float network from samples ``(1, window)`` to an embedding ``(1, size)``.
    n_windows, hop_samples : int
        How many windows, and from the start of one to that of the next.
    where : str
        Name for error messages.

    Returns
    -------
    content : bytes
        From samples ``(1, window + (n_windows - 1) * hop_samples)`` to the mean ``(1, size)``.

    Raises
    ------
    ModelError
        If the network takes no samples, or is not float at its ends.
    """
    graph = Graph(content, where=where)
    given, made = graph.inputs[0], graph.outputs[0]
    types = {graph.tensor(given).type, graph.tensor(made).type}
    if len(graph.shape(given)) != 2 or types != {schema.TensorType.FLOAT32}:
        raise ModelError(f"{where}: transfer.windows needs a float network that takes samples")
    window = graph.shape(given)[1]
    whole = add_float(graph, "samples", (1, window + (n_windows - 1) * hop_samples))
    network, operators, embeddings = graph.operators, [], []
    size = graph.add_constant("window/size", (1, window))
    for number in range(n_windows):
        first = graph.add_constant(f"window{number}/first", (0, number * hop_samples))
        cut = add_float(graph, f"window{number}", (1, window))
        operators.append(graph.operator("SLICE", [whole, first, size], cut))
        place = {given: cut}
        operators += [_copied(graph, operator, number, place) for operator in network]
        embeddings.append(place[made])
    n_values = graph.shape(made)[1]
    # (1, n_windows * size) seen as (1, n_windows, size): the mean is over the middle axis.
    flat = add_float(graph, "windows/flat", (1, n_windows * n_values))
    operators.append(graph.operator("CONCATENATION", embeddings, flat, axis=1))
    rows = add_float(graph, "windows", (1, n_windows, n_values))
    operators.append(_reshape(graph, flat, rows))
    operator, mean = averaged(graph, rows, name="embedding")
    operators.append(operator)
    return graph.rebuild(operators, inputs={"input": whole}, outputs={"embedding": mean})


def _copied(graph: Graph, operator: Any, number: int, place: dict[int, int]) -> Any:
    """Return an operator on the tensors of a window, whose `place` learns of what it makes."""
    twin = copy.copy(operator)
    for index in map(int, operator.outputs):
        name = graph.tensor(index).name.decode().split(";")[0]
        place[index] = graph.add_tensor(f"{name}_{number}", graph.shape(index), like=index)
    twin.inputs = np.array([place.get(int(i), int(i)) for i in operator.inputs], np.int32)
    twin.outputs = np.array([place[int(i)] for i in operator.outputs], np.int32)
    return twin


def _reshape(graph: Graph, source: int, output: int) -> Any:
    made = schema.OperatorT()
    made.opcodeIndex = graph.opcode(schema.BuiltinOperator.RESHAPE, version=1)
    shape = graph.add_constant("windows/shape", graph.shape(output))
    made.inputs = np.array([source, shape], np.int32)
    made.outputs = np.array([output], np.int32)
    made.builtinOptionsType = schema.BuiltinOptions.ReshapeOptions
    made.builtinOptions = schema.ReshapeOptionsT()
    made.builtinOptions.newShape = np.array(graph.shape(output), np.int32)
    return made
