"""Merge two models with the same features: one input, and the words of both in one output."""

from __future__ import annotations

from typing import Any

import numpy as np

from kws.errors import ModelError
from training.tflite.graph import Graph
from training.tflite.layers import concatenate, requantize, slice_into


def merge_models(first: bytes, second: bytes, *, where: str) -> bytes:
    """Return a model that runs both on one window and concatenates their posteriors.

    The window is the longer of the two. The other model gets the last frames of it, so that both
    windows end at the same moment. The posteriors of `first` do not change by a single bit.
    Those of `second` can, because its features pass through the int8 input of `first`.

    Parameters
    ----------
    first, second : bytes
        Int8 non-streaming models, ``(1, n_frames, n_bands)`` to posteriors ``(1, n)``. Their
        `n_frames` may differ.
    where : str
        Name for error messages.

    Raises
    ------
    ModelError
        If their features differ, or one of them is not int8.
    """
    graph, other = Graph(first, where=where), Graph(second, where=where)
    _check(graph, other, where)
    (ours,), (theirs,) = graph.inputs, other.inputs
    posterior, first_operators = graph.outputs[0], graph.operators
    place = graph.absorb(other)
    longest = max(graph.shape(ours), graph.shape(place[theirs]))
    graph.operators = []
    source = ours
    if longest != graph.shape(ours):
        source = graph.add_tensor("log_mel", longest, like=ours)
        _take_last_frames(graph, source, ours)
    graph.operators += first_operators
    latest = source
    if longest != graph.shape(place[theirs]):
        latest = graph.add_tensor("", graph.shape(place[theirs]), like=ours)
        _take_last_frames(graph, source, latest)
    place[theirs] = requantize(graph, latest, like=place[theirs], name="features")
    for operator in other.operators:
        operator.inputs = _placed(operator.inputs, place)
        operator.outputs = _placed(operator.outputs, place)
        graph.operators.append(operator)
    output = concatenate(graph, [posterior, place[other.outputs[0]]], name="posteriors")
    return graph.rebuild(inputs={"log_mel": source}, outputs={"posterior": output})


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


def _take_last_frames(graph: Graph, source: int, output: int) -> None:
    # The streaming model names its state after this tensor.
    graph.tensor(output).name = b"latest"
    slice_into(graph, source, output, (0, graph.shape(source)[1] - graph.shape(output)[1], 0))


def _placed(indices: Any, place: dict[int, int]) -> Any:
    return np.asarray([place.get(int(i), -1) for i in indices], dtype=np.int32)
