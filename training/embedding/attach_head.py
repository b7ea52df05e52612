"""Put a head behind a backbone's embedding, in the .tflite file itself: no converter needed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kws.errors import ModelError
from training.embedding.head import Head
from training.tflite.graph import Graph
from training.tflite.layers import dense, softmax

# Softmax of +-12 is within an int8 step of 0 and 1: what lies beyond says nothing more.
MAX_LOGIT = 12.0


def graft(content: bytes, head: Head, *, spans: Sequence[float], where: str) -> bytes:
    """Return the model that a backbone and a head make, int8 like the backbone.

    Parameters
    ----------
    content : bytes
        A .tflite file with one int8 output ``(1, size)``, the embedding.
    head : Head
        The layers to put behind it.
    spans : sequence of float
        For each hidden layer the largest output on real audio, which its int8 must hold.
    where : str
        Name for error messages.

    Returns
    -------
    content : bytes
        A .tflite file with one int8 output ``(1, n_words + 1)``: posteriors, the last of them
        that of none of the words.

    Raises
    ------
    ModelError
        If the file is no backbone, or the head does not fit it.
    """
    graph = Graph(content, where=where)
    size = head.layers[0].weights.shape[0]
    shapes = [graph.shape(index) for index in graph.outputs]
    if shapes != [(1, size)] or not graph.scale_and_zero_point(graph.outputs[0])[0]:
        raise ModelError(
            f"{where}: expected a backbone with one int8 output (1, {size}), got {shapes}"
        )
    tensor = graph.outputs[0]
    for number, (layer, span) in enumerate(zip(head.layers[:-1], spans)):
        # A rectified output begins at 0: all 256 steps lie above it.
        tensor = dense(
            graph,
            tensor,
            layer.weights,
            layer.bias,
            name=f"hidden{number}",
            output_range=(0.0, span),
            relu=True,
        )
    last = head.layers[-1]
    tensor = dense(
        graph,
        tensor,
        # One output more, always 0: none of the words.
        np.pad(last.weights, ((0, 0), (0, 1))),
        np.pad(last.bias, (0, 1)),
        name="logits",
        output_range=(-MAX_LOGIT, MAX_LOGIT),
    )
    posterior = softmax(graph, tensor, name="posterior")
    return graph.rebuild(inputs={"log_mel": graph.inputs[0]}, outputs={"posterior": posterior})
