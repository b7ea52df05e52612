"""The networks of the field: as large as published, int8, in a stream where they are valid."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="training needs the extra [train]")

from support.small_fits import SMALL

from kws.inference.interpreter import open_model
from kws.inference.quantization import dequantize, quantize
from training import architectures as models
from training.architectures.recipe_model import build_model, n_macs, n_parameters
from training.cli.train import main
from training.config import recipe as recipes
from training.tflite.convert import convert_int8
from training.tflite.stream_rewrite import make_streaming

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(240),
    pytest.mark.filterwarnings("ignore:Statistics for quantized inputs:UserWarning"),
    pytest.mark.filterwarnings(r"ignore:\s*Warning. tf.lite.Interpreter is deprecated"),
]


def build(name: str, **params: Any):
    return models.build(name, input_shape=(98, 40), n_labels=12, params=params)


def trainable(name: str, **params: Any) -> int:
    return n_parameters(build(name, **params))


@pytest.mark.parametrize(
    ("name", "params", "published"),
    [
        # Kim et al. 2021, table 1.
        ("bc_resnet", {"tau": 1}, 9_200),
        ("bc_resnet", {"tau": 2}, 27_300),
        ("bc_resnet", {"tau": 3}, 54_200),
        ("bc_resnet", {"tau": 8}, 321_000),
        # Choi et al. 2019, table 2.
        ("tc_resnet", {}, 66_000),
        ("tc_resnet", {"blocks_per_stage": 2}, 137_000),
        # Zhang et al. 2017: DS-CNN-S, for 10 MFCC instead of 40 bands, which its size hardly feels.
        ("ds_cnn", {}, 24_000),
        (
            "ds_cnn",
            {"filters": 172, "stem_stride": [2, 1], "first_stride": 2},
            140_000,
        ),
        (
            "ds_cnn",
            {"filters": 276, "n_blocks": 5, "stem_stride": [2, 1], "first_stride": 2},
            420_000,
        ),
    ],
)
def test_size_is_the_published_one(name, params, published):
    """
    Within 4 % of the paper's number of parameters, which rounds and has other inputs.
    """
    assert published == pytest.approx(trainable(name, **params), rel=0.04)


def test_parameters_against_a_hand_count():
    """
    maxpool4 with 2, 3, 4 and 5 filters: 3 x 3 weights, two numbers a filter for the normalisation,
    and the dense layer.
    """
    convolutions = 9 * (1 * 2 + 2 * 3 + 3 * 4 + 4 * 5)
    normalisations = 2 * (2 + 3 + 4 + 5)

    assert convolutions + normalisations + 5 * 12 + 12 == trainable(
        "maxpool4", filters=[2, 3, 4, 5]
    )


def test_multiplications_against_a_hand_count():
    """
    DS-CNN with 2 filters and one block on 98 x 40: stem of 10 x 4 at a stride of 2, depthwise
    3 x 3, pointwise, dense; and `simple` against the count of its int8 file.
    """
    outputs = 49 * 20 * 2
    expected = outputs * 10 * 4 + outputs * 9 + outputs * 2 + 2 * 12
    simple = recipes.load("simple")

    assert expected == n_macs(build("ds_cnn", filters=2, n_blocks=1))
    assert 4_766_208 == n_macs(build_model(simple))


def test_the_table_has_every_recipe(capsys):
    """
    kws-train recipes --table: parameters and multiplications of each recipe, except those that
    train a head on a network whose file is missing.
    """
    assert 0 == main(["recipes", "--table", "--json"])
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["recipes"]}

    assert set(recipes.names()) == set(rows)
    assert 4_766_208 == rows["simple"]["multiplications"]
    trained = [row for name, row in rows.items() if not recipes.load(name).transfer.backbone]
    assert all(row["parameters"] > 5_000 for row in trained)


@pytest.mark.parametrize(
    ("name", "shape"),
    [*((name, (98, 40)) for name in SMALL), ("conv1d", (800,)), ("conv1d_skip", (126, 13))],
)
def test_int8_runs_as_the_float_network_does(rng, name, shape):
    """
    Full int8, and near the float network's posteriors on what it was calibrated with.
    """
    model = models.build(name, input_shape=shape, n_labels=12, params=SMALL[name])
    windows = rng.normal(0, 1, (20, *shape)).astype(np.float32)
    opened = open_model(convert_int8(model, windows), where=name)
    (given,), (wanted,) = opened.inputs, opened.outputs

    assert (np.int8, np.int8) == (given.dtype, wanted.dtype)
    assert (1, *shape) == given.shape
    for window in windows[:5]:
        steps = {"scale": given.scale, "zero_point": given.zero_point}
        opened.memory(given)[...] = quantize(window, **steps, dtype=np.int8)
        opened.interpreter.invoke()
        found = opened.memory(wanted)[0]
        found = dequantize(found, scale=wanted.scale, zero_point=wanted.zero_point)
        expected = model.predict(window[None], verbose=0)[0]
        np.testing.assert_allclose(found, expected, atol=0.03)


def test_no_architecture_is_forgotten():
    """
    The test above has all architectures except bc_resnet, which takes long to convert and streams
    in the next test, and those with a file of tests of their own.
    """
    others = ["bc_resnet", "cnn2d", "mel_in_graph", "speech_embedding"]
    others += ["embedding_head", "whisper_encoder"]
    assert sorted([*SMALL, *others]) == models.names()


def test_a_valid_bc_resnet_streams(rng):
    """
    Without padding in time, and with dilations that leave steps, a hop takes an eighth of the work.
    """
    model = build("bc_resnet", padding="valid", dilations=[1, 1, 2, 2])
    content = convert_int8(model, rng.normal(0, 1, (4, 98, 40)).astype(np.float32))
    made = make_streaming(content, hop_frames=10)

    assert len(content) < 80_000
    assert 0.1 < made.macs / made.window_macs < 0.13
    assert len({state.name for state in made.states}) == len(made.states) > 20


def test_sub_spectral_statistics_are_those_of_each_group(rng):
    """
    In training every group of bands is normalised apart: mean 0, variance 1 within each.
    """
    from training.architectures.sub_spectral_norm import SubSpectralNorm

    layer = SubSpectralNorm(2, momentum=0.0, epsilon=0.0)
    x = rng.normal(0, 1, (6, 9, 4, 3)).astype(np.float32) * [[1], [2], [5], [7]] + 3
    normalised = np.asarray(layer(x.astype(np.float32), training=True))

    for group in (normalised[:, :, :2], normalised[:, :, 2:]):
        np.testing.assert_allclose(group.mean(axis=(0, 1, 2)), 0, atol=1e-4)
        np.testing.assert_allclose(group.std(axis=(0, 1, 2)), 1, atol=1e-3)
    # With no momentum the moving statistics are this batch's, so inference gives the same.
    np.testing.assert_allclose(layer(x.astype(np.float32)), normalised, atol=1e-4)


def build_conv1d(name: str, shape: tuple[int, ...] = (80,), **params: Any):
    small = {"stem": [2, 8, 4], "stages": [[3, 5, 2], [3, 5, 1]]}
    return models.build(name, input_shape=shape, n_labels=4, params={**small, **params})


def test_parameters_of_conv1d_against_a_hand_count():
    """
    Weights, two numbers a filter for each normalisation, and the dense layer. Only the skip of the
    first stage, which changes the shape, is a 1 x 1 convolution.
    """
    stem = 8 * 2 + 2 * 2
    stages = (5 * 2 * 3 + 2 * 3) + 3 * (5 * 3 * 3 + 2 * 3)
    dense = 3 * 4 + 4

    assert stem + stages + dense == n_parameters(build_conv1d("conv1d"))
    assert stem + stages + dense + 2 * 3 + 2 * 3 == n_parameters(build_conv1d("conv1d_skip"))


def test_multiplications_of_conv1d_against_a_hand_count():
    """
    80 samples become 20 steps after the stem, 10 after the first stage, 10 after the second.
    """
    stem = 20 * 2 * 8
    stages = 10 * 3 * 5 * 2 + 3 * (10 * 3 * 5 * 3)

    assert stem + stages + 3 * 4 == n_macs(build_conv1d("conv1d"))
    assert stem + stages + 3 * 4 + 10 * 3 * 2 == n_macs(build_conv1d("conv1d_skip"))


@pytest.mark.parametrize("name", ["conv1d", "conv1d_skip"])
def test_frames_come_with_their_bands_as_channels(name):
    """
    On frames the stem covers all bands at once, so its weights grow by their number.
    """
    on_samples, on_frames = (n_parameters(build_conv1d(name, shape)) for shape in ((80,), (80, 7)))

    assert 8 * 2 * (7 - 1) == on_frames - on_samples


def test_the_skips_are_all_that_differs():
    """
    With all skips at zero conv1d_skip computes what conv1d does.
    """
    windows = np.random.default_rng(1).normal(size=(3, 80)).astype(np.float32)
    one = {"stages": [[3, 5, 2]]}
    plain, skipping = build_conv1d("conv1d", **one), build_conv1d("conv1d_skip", **one)
    for layer in plain.layers:
        if layer.get_weights():
            skipping.get_layer(layer.name).set_weights(layer.get_weights())

    assert not np.allclose(plain.predict(windows, verbose=0), skipping.predict(windows, verbose=0))

    skip = skipping.get_layer("stage0_skip")
    skip.set_weights([np.zeros_like(weight) for weight in skip.get_weights()])

    np.testing.assert_allclose(
        plain.predict(windows, verbose=0), skipping.predict(windows, verbose=0), atol=1e-6
    )
