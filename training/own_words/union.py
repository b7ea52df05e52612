"""Two models of the same features as one: the words of both behind one input and one output."""

from __future__ import annotations

from typing import Any

import numpy as np

from kws.errors import ModelError
from training.tflite_graph import Graph
from training.tflite_layers import concatenated, requantized


def union(first: bytes, second: bytes, *, where: str) -> bytes:
    """Return a model that runs both on one window, their posteriors end to end.

    Each half stays what it is, to the last bit of `first`; `second` takes its features through
    the input of `first`, whose int8 steps may be others.

    Parameters
    ----------
    first, second : bytes
        Int8 window forms ``(1, n_frames, n_bands)`` to posteriors ``(1, n)``.
    where : str
        Name for error messages.

    Raises
    ------
    ModelError
        If they do not take the same input, or are not int8.
    """
    graph, other = Graph(first, where=where), Graph(second, where=where)
    ours, theirs = graph.inputs[0], other.inputs[0]
    if graph.shape(ours) != other.shape(theirs):
        raise ModelError(
            f"{where}: expected an input {other.shape(theirs)}, got {graph.shape(ours)}"
        )
    outputs = [graph.scale_and_zero_point(graph.outputs[0])]
    outputs.append(other.scale_and_zero_point(other.outputs[0]))
    if outputs[0] != outputs[1] or not outputs[0][0]:
        raise ModelError(f"{where}: expected int8 posteriors of both models")
    operators, posterior = graph.operators, graph.outputs[0]
    place = graph.absorb(other)
    made, fed = requantized(graph, ours, like=place[theirs], name="features")
    operators.append(made)
    for operator in other.operators:
        operator.inputs = _placed(operator.inputs, {**place, theirs: fed})
        operator.outputs = _placed(operator.outputs, place)
        operators.append(operator)
    joined = [posterior, place[other.outputs[0]]]
    made, output = concatenated(graph, joined, name="posteriors")
    operators.append(made)
    return graph.rebuild(operators, inputs={"log_mel": ours}, outputs={"posterior": output})


def _placed(indices: Any, place: dict[int, int]) -> Any:
    return np.asarray([place.get(int(i), -1) for i in indices], dtype=np.int32)
