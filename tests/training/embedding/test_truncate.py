"""Cutting a .tflite file at inner layers, repeating it over a longer stretch, a head behind it."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert.schema_py_generated", reason="cutting needs ai-edge-litert")
pytest.importorskip("sklearn", reason="heads need the extra [train]")
from support.tiny_networks import STEP, WINDOW, empty, listener, steps_of

from kws.errors import ConfigError, ModelError
from kws.inference.interpreter import open_model
from training.embedding.attach_head import attach_head
from training.embedding.heads import DenseLayer, Head
from training.embedding.truncate import truncate
from training.tflite.graph import Graph
from training.tflite.layers import reshape
from training.tflite.multi_window import multi_window


@pytest.fixture
def samples(rng) -> np.ndarray:
    """A window of noise."""
    return rng.integers(-8_000, 8_000, WINDOW, dtype=np.int16)


def run(content: bytes, samples: np.ndarray) -> np.ndarray:
    """Return what a file makes of samples, which go in as -1..1."""
    opened = open_model(content, where="test")
    given, wanted = opened.inputs[0], opened.outputs[0]
    x = (samples / np.float32(32_768)).astype(np.float32).reshape(given.shape)
    opened.interpreter.set_tensor(given.index, x)
    opened.interpreter.invoke()
    return opened.interpreter.get_tensor(wanted.index)


@pytest.mark.parametrize("layer", ["pool/Mean", "net/pool/Mean", "pool"])
def test_an_inner_layer_becomes_the_output(samples, layer):
    """
    A layer is found by its path or a part of it; what comes behind it is gone.
    """
    content = truncate(listener(), [layer], where="tiny")

    found = run(content, samples)

    np.testing.assert_allclose(steps_of(samples).mean(axis=0)[None], found, rtol=1e-4, atol=1e-5)
    assert len(content) < len(listener())


def test_layers_are_averaged_and_laid_end_to_end(samples):
    """
    A layer over time is averaged over it; several stand in the order in which they are named.
    """
    content = truncate(listener(), ["scores", "block1/relu"], where="tiny")

    found = run(content, samples)[0]

    assert 3 + 8 == len(found)
    np.testing.assert_allclose(steps_of(samples).mean(axis=0), found[3:], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(run(listener(), samples)[0], found[:3], rtol=1e-5)


def test_a_layer_may_be_a_number_or_the_output(samples):
    """
    For files whose names are lost: the number of a tensor, and `output` for the last.
    """
    graph = Graph(listener(), where="tiny")
    steps = next(
        int(op.outputs[0]) for op in graph.operators if len(graph.shape(op.outputs[0])) > 2
    )
    named = truncate(listener(), ["block1/relu"], where="tiny")

    np.testing.assert_array_equal(
        run(named, samples), run(truncate(listener(), [str(steps)], where="tiny"), samples)
    )
    np.testing.assert_array_equal(
        run(listener(), samples), run(truncate(listener(), ["output"], where="tiny"), samples)
    )


def test_an_input_without_a_first_axis_gets_one(samples):
    """
    YAMNet takes (n,), the runtime gives (1, n).
    """
    flat = truncate(listener(rank=1), ["pool"], where="tiny")

    assert (1, WINDOW) == open_model(flat, where="tiny").inputs[0].shape
    np.testing.assert_array_equal(
        run(truncate(listener(), ["pool"], where="t"), samples), run(flat, samples)
    )


def test_a_layer_that_is_not_there_is_told_with_those_that_are():
    """
    One clear line, with the names to choose from.
    """
    with pytest.raises(ConfigError, match=r"tiny: no layer 'block9'; expected .*net/pool/Mean"):
        truncate(listener(), ["block9"], where="tiny")


def test_what_cannot_be_averaged_is_refused():
    """
    A layer without a first axis of 1 is none of a network that takes one window.
    """
    graph = Graph(empty((1, 8)), where="odd")
    rows = reshape(graph, 0, (2, 2, 2), name="rows/Reshape")
    content = graph.rebuild(inputs={"waveform": 0}, outputs={"rows": rows})

    with pytest.raises(
        ModelError, match=r"odd: expected a layer \(1, \.\.\., n\), got \(2, 2, 2\)"
    ):
        truncate(content, ["rows"], where="odd")


def test_a_repeated_network_gives_the_mean_of_its_windows(rng):
    """
    Cut, run and averaged inside the file as by hand; the weights are in it once.
    """
    hop, n_windows = 5 * STEP, 4
    whole = rng.integers(-8_000, 8_000, WINDOW + (n_windows - 1) * hop, dtype=np.int16)
    one = truncate(listener(), ["pool"], where="tiny")

    content = multi_window(one, n_windows=n_windows, hop_samples=hop, where="tiny")

    windows = [whole[n * hop : n * hop + WINDOW] for n in range(n_windows)]
    expected = np.mean([steps_of(window).mean(axis=0) for window in windows], axis=0)
    np.testing.assert_allclose(expected[None], run(content, whole), rtol=1e-4, atol=1e-5)
    assert len(content) < 1.05 * len(one)


@pytest.mark.parametrize("n_layers", [1, 2])
def test_a_head_in_the_file_says_what_the_head_says(rng, samples, n_layers):
    """
    Posteriors of all labels, the last one's logit being 0, with a rectified layer or without.
    """
    content = truncate(listener(), ["block1/relu"], where="tiny")
    sizes = [8, 5, 2] if n_layers == 2 else [8, 2]
    layers = tuple(
        DenseLayer(
            rng.normal(0, 1, (a, b)).astype(np.float32), rng.normal(0, 1, b).astype(np.float32)
        )
        for a, b in zip(sizes, sizes[1:])
    )
    head = Head(("yes", "no"), layers)
    embedding = run(content, samples)

    found = run(attach_head(content, head, embedding, where="tiny"), samples)

    assert (1, 3) == found.shape
    np.testing.assert_allclose(head.posteriors(embedding), found, atol=1e-5)


def test_a_head_for_another_embedding_is_refused():
    """
    A head of 9 numbers does not go behind an embedding of 8.
    """
    head = Head(("yes",), (DenseLayer(np.zeros((9, 1), np.float32), np.zeros(1, np.float32)),))

    with pytest.raises(ModelError, match=r"tiny: expected one output \(1, 9\), got \[\(1, 8\)\]"):
        attach_head(
            truncate(listener(), ["pool"], where="tiny"),
            head,
            np.zeros((1, 9), np.float32),
            where="tiny",
        )
