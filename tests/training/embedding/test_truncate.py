"""Truncate a .tflite file at inner layers, and average it over several windows."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert.schema_py_generated", reason="cutting needs ai-edge-litert")
from support.tiny_networks import STEP, WINDOW, empty, listener, steps_of

from kws.errors import ConfigError, ModelError
from kws.inference.interpreter import open_model
from training.embedding.truncate import truncate
from training.tflite.graph import Graph
from training.tflite.layers import reshape
from training.tflite.multi_window import multi_window


@pytest.fixture
def samples(rng) -> np.ndarray:
    """A window of noise."""
    return rng.integers(-8_000, 8_000, WINDOW, dtype=np.int16)


def run(content: bytes, samples: np.ndarray) -> np.ndarray:
    """Return the output of a file for samples, scaled to -1..1."""
    opened = open_model(content, where="test")
    given, wanted = opened.inputs[0], opened.outputs[0]
    x = (samples / np.float32(32_768)).astype(np.float32).reshape(given.shape)
    opened.interpreter.set_tensor(given.index, x)
    opened.interpreter.invoke()
    return opened.interpreter.get_tensor(wanted.index)


@pytest.mark.parametrize("layer", ["pool/Mean", "net/pool/Mean", "pool"])
def test_an_inner_layer_becomes_the_output(samples, layer):
    """
    A layer is found by its path or a part of it; later operators are dropped.
    """
    content = truncate(listener(), [layer], where="tiny")

    found = run(content, samples)

    np.testing.assert_allclose(steps_of(samples).mean(axis=0)[None], found, rtol=1e-4, atol=1e-5)
    assert len(content) < len(listener())


def test_layers_are_averaged_and_concatenated(samples):
    """
    Layers are averaged over time, and concatenated in the given order.
    """
    content = truncate(listener(), ["scores", "block1/relu"], where="tiny")

    found = run(content, samples)[0]

    assert 3 + 8 == len(found)
    np.testing.assert_allclose(steps_of(samples).mean(axis=0), found[3:], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(run(listener(), samples)[0], found[:3], rtol=1e-5)


def test_a_layer_may_be_a_number_or_the_output(samples):
    """
    For files without names: a tensor number, or `output` for the last one.
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
    YAMNet takes (n,), the runtime feeds (1, n).
    """
    flat = truncate(listener(rank=1), ["pool"], where="tiny")

    assert (1, WINDOW) == open_model(flat, where="tiny").inputs[0].shape
    np.testing.assert_array_equal(
        run(truncate(listener(), ["pool"], where="t"), samples), run(flat, samples)
    )


def test_a_missing_layer_is_an_error():
    """
    One line lists the names to choose from.
    """
    with pytest.raises(ConfigError, match=r"tiny: no layer 'block9'; expected .*net/pool/Mean"):
        truncate(listener(), ["block9"], where="tiny")


def test_a_layer_without_a_leading_axis_of_1_is_refused():
    """
    Such a layer does not belong to a network that takes one window.
    """
    graph = Graph(empty((1, 8)), where="odd")
    rows = reshape(graph, 0, (2, 2, 2), name="rows/Reshape")
    content = graph.rebuild(inputs={"waveform": 0}, outputs={"rows": rows})

    with pytest.raises(
        ModelError, match=r"odd: expected a layer \(1, \.\.\., n\), got \(2, 2, 2\)"
    ):
        truncate(content, ["rows"], where="odd")


def test_several_windows_are_averaged_in_the_file(rng):
    """
    The output is the mean over the windows; the weights are stored once.
    """
    hop, n_windows = 5 * STEP, 4
    whole = rng.integers(-8_000, 8_000, WINDOW + (n_windows - 1) * hop, dtype=np.int16)
    one = truncate(listener(), ["pool"], where="tiny")

    content = multi_window(one, n_windows=n_windows, hop_samples=hop, where="tiny")

    windows = [whole[n * hop : n * hop + WINDOW] for n in range(n_windows)]
    expected = np.mean([steps_of(window).mean(axis=0) for window in windows], axis=0)
    np.testing.assert_allclose(expected[None], run(content, whole), rtol=1e-4, atol=1e-5)
    assert len(content) < 1.05 * len(one)
