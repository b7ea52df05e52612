"""Append a head to an embedding, inside the .tflite file: no converter needed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kws.errors import ModelError
from training.embedding.heads import Head
from training.tflite.graph import Graph
from training.tflite.layers import dense, softmax

# Softmax of +-12 is within one int8 step of 0 and 1; larger logits change nothing.
MAX_LOGIT = 12.0
HEADROOM = 1.25
"""Range of a hidden int8 layer, as a multiple of the largest output seen."""


def attach_head(
    content: bytes, head: Head, embeddings: NDArray[np.float32], *, where: str
) -> bytes:
    """Return the model made of a backbone and a head; int8 if the embedding is int8, else float32.

    Parameters
    ----------
    content : bytes
        A .tflite file with one output ``(1, size)``, the embedding.
    head : Head
    embeddings : ndarray of float32, shape (n, size)
        Embeddings of real audio. They set the ranges of hidden int8 layers.
    where : str
        Name for error messages.

    Returns
    -------
    content : bytes
        A .tflite file with one output ``(1, n_words + 1)`` of posteriors. The last one is
        "none of the words".

    Raises
    ------
    ModelError
        If the file is no backbone, or the head has another size.
    """
    graph = Graph(content, where=where)
    size = head.layers[0].weights.shape[0]
    shapes = [graph.shape(index) for index in graph.outputs]
    if shapes != [(1, size)]:
        raise ModelError(f"{where}: expected one output (1, {size}), got {shapes}")
    is_int8 = graph.is_quantized(graph.outputs[0])
    tensor = graph.outputs[0]
    for number, (layer, hidden) in enumerate(zip(head.layers, head.hidden(embeddings))):
        # The output of ReLU begins at 0, so all 256 steps are above it.
        output_range = (0.0, HEADROOM * float(max(hidden.max(), 1e-3)))
        tensor = dense(
            graph,
            tensor,
            layer.weights,
            layer.bias,
            name=f"hidden{number}",
            output_range=output_range,
            relu=True,
        )
    last = head.layers[-1]
    # The logit of "none of the words" is always 0.
    weights, bias = np.pad(last.weights, ((0, 0), (0, 1))), np.pad(last.bias, (0, 1))
    limits = (-MAX_LOGIT, MAX_LOGIT)
    tensor = dense(graph, tensor, weights, bias, name="logits", output_range=limits)
    posterior = softmax(graph, tensor, name="posterior")
    input_name = "log_mel" if is_int8 else "input"
    return graph.rebuild(inputs={input_name: graph.inputs[0]}, outputs={"posterior": posterior})
