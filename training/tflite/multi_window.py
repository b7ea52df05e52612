"""Run a backbone over several overlapping windows of a longer clip and average its embeddings."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from kws.errors import ModelError
from training.tflite.graph import Graph
from training.tflite.layers import concatenate, mean, reshape, slice_into


def multi_window(content: bytes, *, n_windows: int, hop_samples: int, where: str) -> bytes:
    """Return a .tflite file that cuts samples into windows and averages their embeddings.

    The file holds the network `n_windows` times but its weights once, so it grows by a few kB a
    window.

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
        If the network does not take samples, or its input or output is not float32.
    """
    graph = Graph(content, where=where)
    given, made = graph.inputs[0], graph.outputs[0]
    types = {graph.tensor(given).type, graph.tensor(made).type}
    if len(graph.shape(given)) != 2 or types != {schema.TensorType.FLOAT32}:
        raise ModelError(f"{where}: transfer.windows needs a float network that takes samples")
    window, size = graph.shape(given)[1], graph.shape(made)[1]
    samples = graph.add_float("samples", (1, window + (n_windows - 1) * hop_samples))
    network, graph.operators, embeddings = graph.operators, [], []
    for number in range(n_windows):
        part = graph.add_float(f"window{number}", (1, window))
        place = {given: slice_into(graph, samples, part, (0, number * hop_samples))}
        graph.operators += [_copy(graph, operator, number, place) for operator in network]
        embeddings.append(place[made])
    flat = concatenate(graph, embeddings, name="windows/flat")
    rows = reshape(graph, flat, (1, n_windows, size), name="windows")
    embedding = mean(graph, rows, name="embedding")
    return graph.rebuild(inputs={"input": samples}, outputs={"embedding": embedding})


def _copy(graph: Graph, operator: Any, number: int, place: dict[int, int]) -> Any:
    """Return an operator on the tensors of one window; add its outputs to `place`."""
    twin = copy.copy(operator)
    for index in map(int, operator.outputs):
        name = graph.tensor_name(index).split(";")[0]
        place[index] = graph.add_tensor(f"{name}_{number}", graph.shape(index), like=index)
    twin.inputs = np.array([place.get(int(i), int(i)) for i in operator.inputs], np.int32)
    twin.outputs = np.array([place[int(i)] for i in operator.outputs], np.int32)
    return twin
