"""Networks of a few layers as .tflite files, written without a converter, and what they compute."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from training.tflite.graph import Graph
from training.tflite.layers import dense, mean, reshape
from training.tflite.serialize import serialize

RATE = 16_000
WINDOW, STEP = 1_600, 160
TONES = (400.0, 680.0, 1_156.0, 1_965.0)


def empty(shape: Sequence[int]) -> bytes:
    """Return a file with a float input and no operator."""
    tensor = schema.TensorT()
    tensor.name, tensor.shape = b"waveform", np.array(shape, np.int32)
    tensor.type, tensor.buffer = schema.TensorType.FLOAT32, 0
    graph = schema.SubGraphT()
    graph.tensors, graph.operators = [tensor], []
    graph.inputs = graph.outputs = np.array([0], np.int32)
    model = schema.ModelT()
    model.version, model.operatorCodes, model.subgraphs = 3, [], [graph]
    model.buffers = [schema.BufferT()]
    return serialize(model)


def filters() -> np.ndarray:
    """Return ``(WINDOW, n_steps * n_filters)``: in each 10 ms, sines and cosines of the tones."""
    times = np.arange(STEP) / RATE
    phases = [2 * np.pi * tone * times for tone in TONES]
    bank = np.stack([wave(phase) for phase in phases for wave in (np.sin, np.cos)], axis=1)
    n_steps = WINDOW // STEP
    whole = np.zeros((WINDOW, n_steps * bank.shape[1]), np.float32)
    for step in range(n_steps):
        rows = slice(step * STEP, (step + 1) * STEP)
        whole[rows, step * bank.shape[1] : (step + 1) * bank.shape[1]] = bank / 10
    return whole


def listener(*, rank: int = 2) -> bytes:
    """Return a network from samples to how loud each tone is.

    ``block1/relu`` is ``(1, 10, 8)``, ``pool/Mean`` its average, and three scores come behind.
    With a `rank` of 1 the input is ``(WINDOW,)``, as YAMNet's is.
    """
    graph = Graph(empty((1, WINDOW)[2 - rank :]), where="tiny")
    weights = filters()
    samples = reshape(graph, 0, (1, WINDOW), name="reshape/samples")
    any_range = (-np.inf, np.inf)
    bias = np.zeros(weights.shape[1], np.float32)
    flat = dense(graph, samples, weights, bias, name="conv", output_range=any_range, relu=True)
    shape = (1, WINDOW // STEP, 2 * len(TONES))
    steps = reshape(graph, flat, shape, name="net/block1/relu/Relu;tail")
    pooled = mean(graph, steps, name="net/pool/Mean")
    last = np.linspace(-1, 1, 2 * len(TONES) * 3, dtype=np.float32).reshape(-1, 3)
    bias = np.zeros(3, np.float32)
    scores = dense(graph, pooled, last, bias, name="net/scores", output_range=any_range)
    return graph.rebuild(inputs={"waveform": 0}, outputs={"scores": scores})


def steps_of(samples: np.ndarray) -> np.ndarray:
    """Return what ``block1/relu`` is, ``(10, 8)``, computed by numpy."""
    levels = np.maximum(samples.astype(np.float64) / 32_768 @ filters(), 0)
    return levels.reshape(WINDOW // STEP, -1)
