"""Put a classifier behind an embedding, in the .tflite file itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kws.errors import ModelError
from training.embedding import attach_head as own_words
from training.embedding.head import Head
from training.tflite.graph import Graph
from training.tflite.layers import dense, softmax


def with_head(content: bytes, head: Head, embeddings: NDArray[np.float32], *, where: str) -> bytes:
    """Return the model that a backbone and a head make, in float32 or int8 like its embedding.

    Parameters
    ----------
    content : bytes
        A .tflite file with one output ``(1, size)``.
    head : Head
        Its words are all labels but the last, whose logit is 0.
    embeddings : ndarray of float32, shape (n, size)
        Of real audio: they tell what int8 must hold.
    where : str
        Name for error messages.

    Raises
    ------
    ModelError
        If the head does not fit the file.
    """
    graph = Graph(content, where=where)
    if graph.scale_and_zero_point(graph.outputs[0])[0]:
        spans = _spans(head, embeddings)
        return own_words.graft(content, head, spans=spans, where=where)
    size = head.layers[0].weights.shape[0]
    shapes = [graph.shape(index) for index in graph.outputs]
    if shapes != [(1, size)]:
        raise ModelError(f"{where}: expected one output (1, {size}), got {shapes}")
    tensor = graph.outputs[0]
    for number, layer in enumerate(head.layers[:-1]):
        tensor = dense(
            graph,
            tensor,
            layer.weights,
            layer.bias,
            name=f"hidden{number}",
            output_range=(0.0, np.inf),
            relu=True,
        )
    last = head.layers[-1]
    weights, bias = np.pad(last.weights, ((0, 0), (0, 1))), np.pad(last.bias, (0, 1))
    tensor = dense(graph, tensor, weights, bias, name="logits", output_range=(-np.inf, np.inf))
    posterior = softmax(graph, tensor, name="posterior")
    return graph.rebuild(inputs={"input": graph.inputs[0]}, outputs={"posterior": posterior})


def _spans(head: Head, embeddings: NDArray[np.float32]) -> list[float]:
    """Return for each hidden layer the largest output, with room for what was not heard."""
    spans, x = [], embeddings
    for layer in head.layers[:-1]:
        x = np.maximum(x @ layer.weights + layer.bias, 0)
        spans.append(1.25 * float(max(x.max(), 1e-3)))
    return spans
