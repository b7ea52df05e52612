"""1-D convolutions on waveforms and frames: sizes by hand, int8 as the float network says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="training needs the extra [train]")

from kws.inference.interpreter import open_model
from kws.inference.quantization import dequantize, quantize
from training import architectures as models
from training.architectures.recipe_model import n_macs, n_parameters
from training.tflite.convert import convert_int8

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.filterwarnings("ignore:Statistics for quantized inputs:UserWarning"),
]
SMALL = {"stem": [2, 8, 4], "stages": [[3, 5, 2], [3, 5, 1]]}


def build(name: str, shape: tuple[int, ...] = (80,), **params: Any):
    return models.build(name, input_shape=shape, n_labels=4, params={**SMALL, **params})


def test_parameters_against_a_hand_count():
    """
    Weights and two numbers a filter for each normalisation, and the dense layer; the skip of the
    first stage adds a 1 x 1 convolution, that of the second, which changes nothing, nothing.
    """
    stem = 8 * 2 + 2 * 2
    stages = (5 * 2 * 3 + 2 * 3) + 3 * (5 * 3 * 3 + 2 * 3)
    dense = 3 * 4 + 4

    assert stem + stages + dense == n_parameters(build("conv1d"))
    assert stem + stages + dense + 2 * 3 + 2 * 3 == n_parameters(build("conv1d_skip"))


def test_multiplications_against_a_hand_count():
    """
    80 samples are 20 steps behind the stem, 10 behind the first stage, 10 behind the second.
    """
    stem = 20 * 2 * 8
    stages = 10 * 3 * 5 * 2 + 3 * (10 * 3 * 5 * 3)

    assert stem + stages + 3 * 4 == n_macs(build("conv1d"))
    assert stem + stages + 3 * 4 + 10 * 3 * 2 == n_macs(build("conv1d_skip"))


@pytest.mark.parametrize("name", ["conv1d", "conv1d_skip"])
def test_frames_come_with_their_bands_as_channels(name):
    """
    On frames the stem reaches over all bands at once: as many times its weights.
    """
    on_samples, on_frames = (n_parameters(build(name, shape)) for shape in ((80,), (80, 7)))

    assert 8 * 2 * (7 - 1) == on_frames - on_samples


def test_the_skips_are_all_that_differs():
    """
    With skips of zero the network is the one without.
    """
    windows = np.random.default_rng(1).normal(size=(3, 80)).astype(np.float32)
    one = {"stages": [[3, 5, 2]]}
    plain, skipping = build("conv1d", **one), build("conv1d_skip", **one)
    for layer in plain.layers:
        if layer.get_weights():
            skipping.get_layer(layer.name).set_weights(layer.get_weights())

    assert not np.allclose(plain.predict(windows, verbose=0), skipping.predict(windows, verbose=0))

    skip = skipping.get_layer("stage0_skip")
    skip.set_weights([np.zeros_like(weight) for weight in skip.get_weights()])

    np.testing.assert_allclose(
        plain.predict(windows, verbose=0), skipping.predict(windows, verbose=0), atol=1e-6
    )


@pytest.mark.parametrize(("name", "shape"), [("conv1d", (800,)), ("conv1d_skip", (126, 13))])
def test_int8_runs_as_the_float_network_says(rng, name, shape):
    """
    Full int8, and near the float network's posterior on what it was calibrated with.
    """
    model = build(name, shape)
    windows = rng.normal(0, 1, (20, *shape)).astype(np.float32)
    opened = open_model(convert_int8(model, windows), where=name)
    (given,), (wanted,) = opened.inputs, opened.outputs

    assert (np.int8, np.int8) == (given.dtype, wanted.dtype)
    assert (1, *shape) == given.shape
    for window in windows[:5]:
        opened.memory(given)[...] = quantize(
            window, scale=given.scale, zero_point=given.zero_point, dtype=np.int8
        )
        opened.interpreter.invoke()
        found = dequantize(
            opened.memory(wanted)[0], scale=wanted.scale, zero_point=wanted.zero_point
        )
        expected = model.predict(window[None], verbose=0)[0]
        np.testing.assert_allclose(found, expected, atol=0.03)
