"""Heads attached to an embedding inside the .tflite file, in int8 and in float32."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert.schema_py_generated", reason="kws-enroll needs its extra")

from support.int8_windows import cut, demo_steps, layer, run
from support.tiny_networks import WINDOW, listener

from kws.errors import ModelError
from kws.inference.interpreter import open_model
from training.embedding.attach_head import attach_head
from training.embedding.heads import DenseLayer, Head
from training.embedding.truncate import truncate
from training.tflite.stream_rewrite import make_streaming


@pytest.fixture(scope="module")
def windows(embedder):
    """Int8 windows of speech: one every second of the demo, in the steps of the backbone."""
    steps = demo_steps(embedder.backbone.content, embedder.description.frontend)
    return cut(steps, n_frames=embedder.description.window_frames)


@pytest.mark.parametrize("hidden", [(), (24,)])
def test_the_model_gives_the_posteriors_of_the_head(embedder, windows, rng, hidden):
    """Int8 posteriors are within 3 % of the float head's."""
    sizes = [embedder.size, *hidden, 2]
    layers = tuple(layer(rng, a, b, 0.05) for a, b in zip(sizes, sizes[1:]))
    head = Head(("lamp", "fan"), layers)
    embeddings = embedder.dequantize(run(embedder.backbone.content, windows))
    content = attach_head(embedder.backbone.content, head, embeddings, where="test")

    found = (run(content, windows).astype(np.float32) + 128) / 256
    np.testing.assert_allclose(found, head.posteriors(embeddings), atol=0.03)
    assert found.std(axis=0).max() > 0.05


def test_the_model_can_stream(embedder, rng):
    """A step of the streaming model costs a fraction of a window."""
    head = Head(("lamp",), (layer(rng, embedder.size, 1),))
    content = attach_head(
        embedder.backbone.content, head, np.zeros((1, embedder.size), np.float32), where="test"
    )

    made = make_streaming(content, hop_frames=embedder.description.hop_frames)

    assert made.macs < 0.25 * made.window_macs


def test_a_head_of_another_size_is_refused(embedder, rng):
    """The head must fit the embedding."""
    head = Head(("lamp",), (layer(rng, embedder.size + 1, 1),))

    with pytest.raises(ModelError, match=rf"one output \(1, {embedder.size + 1}\)"):
        attach_head(
            embedder.backbone.content, head, np.zeros((1, embedder.size), np.float32), where="test"
        )


def run_float(content: bytes, samples: np.ndarray) -> np.ndarray:
    """Return the output of a float file for samples, scaled to -1..1."""
    opened = open_model(content, where="test")
    source = opened.inputs[0]
    x = (samples / np.float32(32_768)).astype(np.float32).reshape(source.shape)
    opened.interpreter.set_tensor(source.index, x)
    opened.interpreter.invoke()
    return opened.interpreter.get_tensor(opened.outputs[0].index)


@pytest.mark.parametrize("n_layers", [1, 2])
def test_a_float_model_gives_the_posteriors_of_the_head(rng, n_layers):
    """
    With a hidden layer or without, within float precision.
    """
    samples = rng.integers(-8_000, 8_000, WINDOW, dtype=np.int16)
    content = truncate(listener(), ["block1/relu"], where="tiny")
    sizes = [8, 5, 2] if n_layers == 2 else [8, 2]
    layers = tuple(
        DenseLayer(
            rng.normal(0, 1, (a, b)).astype(np.float32), rng.normal(0, 1, b).astype(np.float32)
        )
        for a, b in zip(sizes, sizes[1:])
    )
    head = Head(("yes", "no"), layers)
    embedding = run_float(content, samples)

    found = run_float(attach_head(content, head, embedding, where="tiny"), samples)

    assert (1, 3) == found.shape
    np.testing.assert_allclose(head.posteriors(embedding), found, atol=1e-5)
