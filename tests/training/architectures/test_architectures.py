"""The networks of the field: as large as published, int8, in a stream where they are valid."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="training needs the extra [train]")

from ai_edge_litert.interpreter import Interpreter

from training import architectures as models
from training.architectures.recipe_model import build_model, n_macs, n_parameters
from training.cli.train import main
from training.config import recipe as recipes
from training.tflite.convert import convert_int8
from training.tflite.stream_rewrite import make_streaming

pytestmark = [
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
    3 x 3, pointwise, dense; and `simple` against what its int8 file says.
    """
    outputs = 49 * 20 * 2
    expected = outputs * 10 * 4 + outputs * 9 + outputs * 2 + 2 * 12
    simple = recipes.load("simple")

    assert expected == n_macs(build("ds_cnn", filters=2, n_blocks=1))
    assert 4_766_208 == n_macs(build_model(simple))


def test_the_table_tells_every_recipe(capsys):
    """
    kws-train recipes --table: each with its parameters and multiplications, but for those that
    teach a head on a network of which they have no file.
    """
    assert 0 == main(["recipes", "--table", "--json"])
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["recipes"]}

    assert set(recipes.names()) == set(rows)
    assert 4_766_208 == rows["simple"]["multiplications"]
    trained = [row for name, row in rows.items() if not recipes.load(name).transfer.backbone]
    assert all(row["parameters"] > 5_000 for row in trained)


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("tc_resnet", {"channels": [4, 6]}),
        ("matchboxnet", {"n_blocks": 1, "filters": 8, "edge_filters": 12}),
        ("strided8", {"filters": [4, 4, 6, 6]}),
        ("maxpool4", {"filters": [4, 6]}),
        ("resnet18", {"filters": [4, 6], "blocks": [1, 1]}),
    ],
)
def test_int8_runs_as_the_float_network_says(rng, name, params):
    """
    Full int8, and near the float network's posterior on what it was calibrated with.
    """
    model = build(name, **params)
    windows = rng.normal(0, 1, (20, 98, 40)).astype(np.float32)
    interpreter = Interpreter(model_content=convert_int8(model, windows))
    interpreter.allocate_tensors()
    given, wanted = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    scale, zero_point = given["quantization"]

    assert (np.int8, np.int8) == (given["dtype"], wanted["dtype"])
    for window in windows[:5]:
        quantized = np.clip(np.round(window / scale) + zero_point, -128, 127).astype(np.int8)
        interpreter.set_tensor(given["index"], quantized[None])
        interpreter.invoke()
        found = (interpreter.get_tensor(wanted["index"])[0].astype(float) + 128) / 256
        expected = model.predict(window[None], verbose=0)[0]
        np.testing.assert_allclose(found, expected, atol=0.03)


@pytest.mark.slow
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
    # With no momentum the moving statistics are this batch's, so inference says the same.
    np.testing.assert_allclose(layer(x.astype(np.float32)), normalised, atol=1e-4)
