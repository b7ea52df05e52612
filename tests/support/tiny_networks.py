"""Networks of a few layers as .tflite files, written without a converter, and what they compute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from training.tflite.float_layers import add_float, averaged, dense
from training.tflite.graph import Graph
from training.tflite.serialize import packed

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
    return packed(model)


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
    samples = add_float(graph, "reshape/samples", (1, WINDOW))
    operators = [reshaped(graph, 0, samples)]
    made, flat = dense(
        graph, samples, weights, np.zeros(weights.shape[1], np.float32), name="conv", rectify=True
    )
    steps = add_float(graph, "net/block1/relu/Relu;tail", (1, WINDOW // STEP, 2 * len(TONES)))
    operators += [made, reshaped(graph, flat, steps)]
    made, pooled = averaged(graph, steps, name="net/pool/Mean")
    operators.append(made)
    last = np.linspace(-1, 1, 2 * len(TONES) * 3, dtype=np.float32).reshape(-1, 3)
    made, scores = dense(graph, pooled, last, np.zeros(3, np.float32), name="net/scores")
    operators.append(made)
    return graph.rebuild(operators, inputs={"waveform": 0}, outputs={"scores": scores})


def steps_of(samples: np.ndarray) -> np.ndarray:
    """Return what ``block1/relu`` is, ``(10, 8)``, computed by numpy."""
    heard = np.maximum(samples.astype(np.float64) / 32_768 @ filters(), 0)
    return heard.reshape(WINDOW // STEP, -1)


def reshaped(graph: Graph, source: int, output: int) -> Any:
    """Return a RESHAPE to the shape of `output`."""
    made = schema.OperatorT()
    made.opcodeIndex = graph.opcode(schema.BuiltinOperator.RESHAPE, version=1)
    shape = graph.add_constant(f"shape{output}", graph.shape(output))
    made.inputs, made.outputs = (np.array(x, np.int32) for x in ([source, shape], [output]))
    made.builtinOptionsType = schema.BuiltinOptions.ReshapeOptions
    made.builtinOptions = schema.ReshapeOptionsT()
    made.builtinOptions.newShape = np.array(graph.shape(output), np.int32)
    return made
