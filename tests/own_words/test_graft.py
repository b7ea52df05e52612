"""Heads put behind an embedding in the file itself, and models joined."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

pytest.importorskip("ai_edge_litert.schema_py_generated", reason="kws-enroll needs its extra")

from kws import models
from kws.errors import ModelError
from kws.frontend import log_mel
from kws.interpreter import open_model
from kws.quantization import quantize
from training.own_words.graft import graft
from training.own_words.head import Head, Layer
from training.own_words.union import union
from training.stream_form import stream_form


def layer(rng, n_in: int, n_out: int, scale: float = 0.3) -> Layer:
    """Return a random layer."""
    weights = rng.normal(0, scale, (n_in, n_out)).astype(np.float32)
    return Layer(weights, rng.normal(0, 0.5, n_out).astype(np.float32))


def run(content: bytes, windows) -> np.ndarray:
    """Return the int8 outputs of a model for int8 windows."""
    opened = open_model(content, where="test", kernels="reference")
    source, target = opened.memory(opened.inputs[0]), opened.memory(opened.outputs[0])
    heard = []
    for window in windows:
        source[0] = window
        opened.interpreter.invoke()
        heard.append(target[0].copy())
    return np.array(heard)


@pytest.fixture(scope="module")
def windows(backbone):
    """Int8 windows of speech: one every second of the demo, in the steps of the backbone."""
    samples, _ = soundfile.read(models.FIRMWARE_MODELS / "demo.wav", dtype="int16")
    frames = log_mel(samples, backbone.file.frontend)
    source = open_model(backbone.content, where="test").inputs[0]
    config = backbone.file.frontend
    real = (frames - config.mean) / config.std
    steps = quantize(real, scale=source.scale, zero_point=source.zero_point, dtype=np.int8)
    return np.stack([steps[start : start + 98] for start in range(0, len(steps) - 98, 100)])


@pytest.mark.parametrize("hidden", [(), (24,)])
def test_the_grafted_model_says_what_the_head_says(backbone, windows, rng, hidden):
    """Int8 posteriors lie within 3 % of the head's on the backbone's own embeddings."""
    sizes = [backbone.size, *hidden, 2]
    layers = tuple(layer(rng, a, b, 0.2) for a, b in zip(sizes, sizes[1:]))
    head = Head(("lamp", "fan"), layers)
    embeddings = backbone.real(run(backbone.content, windows))
    spans = [float(np.maximum(embeddings @ one.weights + one.bias, 0).max()) for one in layers[:-1]]

    content = graft(backbone.content, head, spans=spans, where="test")

    said = (run(content, windows).astype(np.float32) + 128) / 256
    np.testing.assert_allclose(said, head.posteriors(embeddings), atol=0.03)
    assert said.std(axis=0).max() > 0.05


def test_the_grafted_model_has_a_stream_form(backbone, rng):
    """What streams the backbone streams the model: a hop of 100 ms costs a fraction."""
    head = Head(("lamp",), (layer(rng, backbone.size, 1),))
    content = graft(backbone.content, head, spans=[], where="test")

    made = stream_form(content, hop_frames=10)

    assert made.macs < 0.25 * made.window_macs


def test_a_head_of_another_size_is_refused(backbone, rng):
    """A head must fit the embedding it is put behind."""
    head = Head(("lamp",), (layer(rng, backbone.size + 1, 1),))

    with pytest.raises(ModelError, match=r"one int8 output \(1, 257\)"):
        graft(backbone.content, head, spans=[], where="test")


def test_words_beside_a_model_leave_it_as_it_is(backbone, windows, rng):
    """Each integer of each posterior of `default` is the same with words beside it."""
    manifest = models.load("default")
    base = manifest.read_form(manifest.window)
    head = Head(("lamp",), (layer(rng, backbone.size, 1),))
    own = graft(backbone.content, head, spans=[], where="test")

    both = union(base, own, where="test")

    said = run(both, windows)
    n_labels = len(manifest.labels)
    np.testing.assert_array_equal(run(base, windows), said[:, :n_labels])
    # The own half sees the features in the int8 steps of the other's input.
    alone = run(own, requantized(windows, base, own))
    np.testing.assert_allclose(alone, said[:, n_labels:], atol=2)
    assert (1, 14) == said[:1].shape


def requantized(windows, base: bytes, own: bytes):
    """Return windows in the steps of another model's input, as TFLite's QUANTIZE gives them."""
    first, second = (open_model(one, where="test").inputs[0] for one in (base, own))
    real = (windows.astype(np.float32) - first.zero_point) * first.scale
    steps = np.round(real / second.scale) + second.zero_point
    return np.clip(steps, -128, 127).astype(np.int8)


def test_the_union_streams(backbone, rng):
    """Both halves are stepped together: one input, one output, the states of both."""
    manifest = models.load("default")
    base = manifest.read_form(manifest.window)
    own = graft(
        backbone.content, Head(("lamp",), (layer(rng, backbone.size, 1),)), spans=[], where="test"
    )

    made = stream_form(union(base, own, where="test"), hop_frames=10)

    states = len(stream_form(base, hop_frames=10).states)
    assert len(made.states) == states + len(stream_form(own, hop_frames=10).states)


def test_models_of_other_windows_cannot_be_joined(backbone):
    """The error names both shapes."""
    manifest = models.load("default")
    base = manifest.read_form(manifest.window)

    with pytest.raises(ModelError, match="int8 posteriors"):
        union(base, backbone.content, where="test")
