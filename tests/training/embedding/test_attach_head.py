"""Heads put behind an embedding in the file itself."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert.schema_py_generated", reason="kws-enroll needs its extra")

from support.int8_windows import cut, demo_steps, layer, run

from kws.errors import ModelError
from training.embedding.attach_head import attach_head
from training.embedding.heads import Head
from training.tflite.stream_rewrite import make_streaming


@pytest.fixture(scope="module")
def windows(embedder):
    """Int8 windows of speech: one every second of the demo, in the steps of the backbone."""
    steps = demo_steps(embedder.backbone.content, embedder.description.frontend)
    return cut(steps, n_frames=embedder.description.window_frames)


@pytest.mark.parametrize("hidden", [(), (24,)])
def test_the_grafted_model_says_what_the_head_says(embedder, windows, rng, hidden):
    """Int8 posteriors lie within 3 % of the head's on the backbone's own embeddings."""
    sizes = [embedder.size, *hidden, 2]
    layers = tuple(layer(rng, a, b, 0.05) for a, b in zip(sizes, sizes[1:]))
    head = Head(("lamp", "fan"), layers)
    embeddings = embedder.dequantize(run(embedder.backbone.content, windows))
    content = attach_head(embedder.backbone.content, head, embeddings, where="test")

    said = (run(content, windows).astype(np.float32) + 128) / 256
    np.testing.assert_allclose(said, head.posteriors(embeddings), atol=0.03)
    assert said.std(axis=0).max() > 0.05


def test_the_grafted_model_has_a_stream_form(embedder, rng):
    """What streams the backbone streams the model: its hop costs a fraction."""
    head = Head(("lamp",), (layer(rng, embedder.size, 1),))
    content = attach_head(
        embedder.backbone.content, head, np.zeros((1, embedder.size), np.float32), where="test"
    )

    made = make_streaming(content, hop_frames=embedder.description.hop_frames)

    assert made.macs < 0.25 * made.window_macs


def test_a_head_of_another_size_is_refused(embedder, rng):
    """A head must fit the embedding it is put behind."""
    head = Head(("lamp",), (layer(rng, embedder.size + 1, 1),))

    with pytest.raises(ModelError, match=rf"one output \(1, {embedder.size + 1}\)"):
        attach_head(
            embedder.backbone.content, head, np.zeros((1, embedder.size), np.float32), where="test"
        )
