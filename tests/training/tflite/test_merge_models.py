"""Two models merged into one, with windows of equal and of different lengths."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert.schema_py_generated", reason="kws-enroll needs its extra")

from support.int8_windows import cut, demo_frames, demo_steps, layer, longer, run

from kws import models
from kws.errors import ModelError
from kws.files import sha256
from kws.inference.interpreter import installed, open_model
from kws.manifest import WindowForm
from training.embedding.attach_head import attach_head
from training.embedding.heads import Head
from training.tflite.graph import Graph
from training.tflite.merge_models import merge_models
from training.tflite.stream_export import add_streaming_model, check_equality
from training.tflite.stream_rewrite import make_streaming

# Frames that a model's window has more than that of the network it is made of.
LENGTHS = [(0, 0), (0, 20), (20, 0)]


@pytest.fixture(scope="module")
def manifest():
    """The model whose words are kept."""
    return models.load("default")


@pytest.fixture(scope="module")
def base(manifest) -> bytes:
    """Its non-streaming model."""
    return manifest.read_form(manifest.window)


@pytest.fixture(scope="module")
def own(embedder) -> bytes:
    """A random head on the shipped backbone."""
    rng = np.random.default_rng(5)
    # Small numbers, so that its posteriors lie in the middle, where they are seen to change.
    head = Head(("lamp",), (layer(rng, embedder.size, 1, 0.05),))
    return attach_head(
        embedder.backbone.content, head, np.zeros((1, embedder.size), np.float32), where="test"
    )


def n_frames(content: bytes) -> int:
    """Return the length of a model's window."""
    graph = Graph(content, where="test")
    return graph.shape(graph.inputs[0])[1]


def grown(base: bytes, own: bytes, more: tuple[int, int]) -> tuple[bytes, bytes]:
    """Return both models with longer windows, whose newest frames they ignore."""
    pairs = zip((base, own), more)
    grown = [longer(one, n_frames=n, n_newer=n // 2) if n else one for one, n in pairs]
    return grown[0], grown[1]


@pytest.mark.parametrize("more", LENGTHS)
def test_each_half_gives_its_own_posteriors(manifest, base, own, more):
    """The first model's integers are unchanged; the second's differ by at most 2."""
    base, own = grown(base, own, more)
    lengths = n_frames(base), n_frames(own)
    windows = cut(demo_steps(base, manifest.frontend), n_frames=max(lengths))

    both = merge_models(base, own, where="test")

    merged = run(both, windows)
    n_labels = len(manifest.labels)
    np.testing.assert_array_equal(run(base, windows[:, -lengths[0] :]), merged[:, :n_labels])
    # The own half sees the features in the int8 steps of the other's input.
    alone = run(own, requantized(windows, base, own)[:, -lengths[1] :])
    np.testing.assert_allclose(alone, merged[:, n_labels:], atol=2)
    assert (1, 14) == merged[:1].shape
    assert len(np.unique(merged[:, n_labels])) > 5


def requantized(windows: np.ndarray, base: bytes, own: bytes) -> np.ndarray:
    """Return windows in the int8 steps of another model's input, as TFLite's QUANTIZE does."""
    first, second = (open_model(one, where="test").inputs[0] for one in (base, own))
    real = (windows.astype(np.float32) - first.zero_point) * first.scale
    steps = np.round(real / second.scale) + second.zero_point
    return np.clip(steps, -128, 127).astype(np.int8)


@pytest.mark.parametrize("more", LENGTHS)
@pytest.mark.slow
def test_the_merged_model_streams(manifest, base, own, tmp_path, monkeypatch, more):
    """The streaming model gives the same integers at every hop, in each installed interpreter."""
    base, own = grown(base, own, more)
    content = merge_models(base, own, where="test")
    length = n_frames(content)
    (tmp_path / "both.tflite").write_bytes(content)
    joined = replace(
        manifest,
        name="both",
        labels=(*manifest.labels, "lamp", "_other_"),
        window=WindowForm(
            "both.tflite", sha256(content), manifest.frontend.n_samples(length), length
        ),
        stream=None,
        path=tmp_path / "both.json",
    )
    # The first of the words.
    frames = demo_frames(manifest.frontend)[:400]

    final, made = add_streaming_model(joined, frames, hop_frames=8, out=tmp_path)

    for runtime in {"ai-edge-litert", "tflite-runtime"} & set(installed()):
        monkeypatch.setenv("KWS_RUNTIME", runtime)
        assert (len(frames) - length) // 8 + 1 == check_equality(final, frames)
    alone = [make_streaming(one, hop_frames=8) for one in (base, own)]
    # Together both cost what they cost one by one.
    assert sum(one.macs for one in alone) == made.macs


def test_a_model_without_posteriors_cannot_be_merged(base, embedder):
    """An embedding has none."""
    with pytest.raises(ModelError, match="int8 posteriors"):
        merge_models(base, embedder.backbone.content, where="test")


def test_models_of_other_features_cannot_be_merged(base, own):
    """The error names both shapes."""
    graph = Graph(own, where="test")
    graph.tensor(graph.inputs[0]).shape = np.array([1, 98, 32], np.int32)
    names = {"inputs": {"x": graph.inputs[0]}, "outputs": {"y": graph.outputs[0]}}
    other = graph.rebuild(**names)

    with pytest.raises(ModelError, match=r"got \(1, 98, 40\) and \(1, 98, 32\)"):
        merge_models(base, other, where="test")
