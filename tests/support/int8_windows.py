"""Run int8 models directly on int8 windows of the demo."""

from __future__ import annotations

import numpy as np
import soundfile

from kws import models
from kws.config import FrontendConfig
from kws.features.streaming import log_mel
from kws.inference.interpreter import open_model
from kws.inference.quantization import quantize
from training.embedding.heads import DenseLayer
from training.tflite.graph import Graph
from training.tflite.layers import slice_into


def demo_steps(content: bytes, frontend: FrontendConfig) -> np.ndarray:
    """Return the frames of the demo as int8, ``(n_frames, n_bands)``, in a model's steps."""
    source = open_model(content, where="test").inputs[0]
    real = (demo_frames(frontend) - frontend.mean) / frontend.std
    return quantize(real, scale=source.scale, zero_point=source.zero_point, dtype=np.int8)


def demo_frames(frontend: FrontendConfig) -> np.ndarray:
    """Return log-mel of the demo."""
    samples, _ = soundfile.read(models.FIRMWARE_MODELS / "demo.wav", dtype="int16")
    return log_mel(samples, frontend)


def cut(steps: np.ndarray, *, n_frames: int) -> np.ndarray:
    """Return a window every second."""
    return np.stack(
        [steps[start : start + n_frames] for start in range(0, len(steps) - n_frames, 100)]
    )


def run(content: bytes, windows: np.ndarray) -> np.ndarray:
    """Return the int8 outputs of a model for int8 windows."""
    opened = open_model(content, where="test", kernels="reference")
    source, target = opened.memory(opened.inputs[0]), opened.memory(opened.outputs[0])
    heard = []
    for window in windows:
        source[0] = window
        opened.interpreter.invoke()
        heard.append(target[0].copy())
    return np.array(heard)


def layer(rng: np.random.Generator, n_in: int, n_out: int, scale: float = 0.3) -> DenseLayer:
    """Return a random layer."""
    weights = rng.normal(0, scale, (n_in, n_out)).astype(np.float32)
    return DenseLayer(weights, rng.normal(0, 0.5, n_out).astype(np.float32))


def longer(content: bytes, *, n_frames: int, n_newer: int) -> bytes:
    """Return a model with a window that is `n_frames` longer and ignores the newest `n_newer`.

    Its output at a moment is what the given model's was `n_newer` frames earlier.
    """
    graph = Graph(content, where="test")
    ours, operators = graph.inputs[0], graph.operators
    graph.operators = []
    shape = graph.shape(ours)
    source = graph.add_tensor("frames", (1, shape[1] + n_frames, shape[2]), like=ours)
    slice_into(graph, source, ours, (0, n_frames - n_newer, 0))
    graph.operators += operators
    return graph.rebuild(inputs={"log_mel": source}, outputs={"output": graph.outputs[0]})
