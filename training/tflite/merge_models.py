"""Two models of the same features as one: the words of both behind one input and one output."""

from __future__ import annotations

from typing import Any

import numpy as np

from kws.errors import ModelError
from training.tflite.graph import Graph
from training.tflite.layers import concatenated, last_frames, requantized


def union(first: bytes, second: bytes, *, where: str) -> bytes:
    """Return a model that runs both on one window, their posteriors end to end.

    The window is the longer of the two; the other model sees the last frames of it, so that both
    hear the same moment. Each half stays what it is, to the last bit of `first`; `second` takes
    its features through the input of `first`, whose int8 steps may be others.

    Parameters
    ----------
    first, second : bytes
        Int8 window forms ``(1, n_frames, n_bands)`` to posteriors ``(1, n)``; their `n_frames`
        may differ.
    where : str
        Name for error messages.

    Raises
    ------
    ModelError
        If they take other features, or are not int8.
    """
    graph, other = Graph(first, where=where), Graph(second, where=where)
    _check(graph, other, where)
    ours, theirs = graph.inputs[0], other.inputs[0]
    posterior, after = graph.outputs[0], graph.operators
    place = graph.absorb(other)
    source, operators = ours, []
    if graph.shape(place[theirs])[1] > graph.shape(ours)[1]:
        source = graph.add_tensor("log_mel", graph.shape(place[theirs]), like=ours)
        operators.append(_cut(graph, source, ours))
    operators += after
    latest = source
    if graph.shape(source)[1] > graph.shape(place[theirs])[1]:
        latest = graph.add_tensor("", graph.shape(place[theirs]), like=ours)
        operators.append(_cut(graph, source, latest))
    made, fed = requantized(graph, latest, like=place[theirs], name="features")
    operators.append(made)
    for operator in other.operators:
        operator.inputs = _placed(operator.inputs, {**place, theirs: fed})
        operator.outputs = _placed(operator.outputs, place)
        operators.append(operator)
    joined = [posterior, place[other.outputs[0]]]
    made, output = concatenated(graph, joined, name="posteriors")
    operators.append(made)
    return graph.rebuild(operators, inputs={"log_mel": source}, outputs={"posterior": output})


def _check(graph: Graph, other: Graph, where: str) -> None:
    ours, theirs = (one.shape(one.inputs[0]) for one in (graph, other))
    if len(ours) != 3 or len(theirs) != 3 or ours[2] != theirs[2]:
        raise ModelError(
            f"{where}: expected two models of the same features (1, n_frames, n_bands), "
            f"got {ours} and {theirs}"
        )
    outputs = [one.scale_and_zero_point(one.outputs[0]) for one in (graph, other)]
    if outputs[0] != outputs[1] or not outputs[0][0]:
        raise ModelError(f"{where}: expected int8 posteriors of both models")


def _cut(graph: Graph, source: int, output: int) -> Any:
    # The name is that of a state of the stream form.
    graph.tensor(output).name = b"latest"
    return last_frames(graph, source, output, name="latest")


def _placed(indices: Any, place: dict[int, int]) -> Any:
    return np.asarray([place.get(int(i), -1) for i in indices], dtype=np.int32)
