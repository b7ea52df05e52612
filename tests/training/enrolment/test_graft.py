"""Heads put behind an embedding in the file itself."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert.schema_py_generated", reason="kws-enroll needs its extra")

from support.int8_windows import cut, demo_steps, layer, run

from kws.errors import ModelError
from training.embedding.attach_head import graft
from training.embedding.head import Head
from training.tflite.stream_rewrite import make_streaming


@pytest.fixture(scope="module")
def windows(backbone):
    """Int8 windows of speech: one every second of the demo, in the steps of the backbone."""
    steps = demo_steps(backbone.content, backbone.file.frontend)
    return cut(steps, n_frames=backbone.file.window_frames)


@pytest.mark.parametrize("hidden", [(), (24,)])
def test_the_grafted_model_says_what_the_head_says(backbone, windows, rng, hidden):
    """Int8 posteriors lie within 3 % of the head's on the backbone's own embeddings."""
    sizes = [backbone.size, *hidden, 2]
    layers = tuple(layer(rng, a, b, 0.05) for a, b in zip(sizes, sizes[1:]))
    head = Head(("lamp", "fan"), layers)
    embeddings = backbone.real(run(backbone.content, windows))
    spans = [float(np.maximum(embeddings @ one.weights + one.bias, 0).max()) for one in layers[:-1]]

    content = graft(backbone.content, head, spans=spans, where="test")

    said = (run(content, windows).astype(np.float32) + 128) / 256
    np.testing.assert_allclose(said, head.posteriors(embeddings), atol=0.03)
    assert said.std(axis=0).max() > 0.05


def test_the_grafted_model_has_a_stream_form(backbone, rng):
    """What streams the backbone streams the model: its hop costs a fraction."""
    head = Head(("lamp",), (layer(rng, backbone.size, 1),))
    content = graft(backbone.content, head, spans=[], where="test")

    made = make_streaming(content, hop_frames=backbone.file.hop_frames)

    assert made.macs < 0.25 * made.window_macs


def test_a_head_of_another_size_is_refused(backbone, rng):
    """A head must fit the embedding it is put behind."""
    head = Head(("lamp",), (layer(rng, backbone.size + 1, 1),))

    with pytest.raises(ModelError, match=rf"one int8 output \(1, {backbone.size + 1}\)"):
        graft(backbone.content, head, spans=[], where="test")
