"""A network cut before its head: what it makes of windows, and where it may be cut."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="training needs the extra [train]")
import keras
from support.small_recipes import recipe_for

from kws.errors import ConfigError, KwsError
from training.architectures.embedding_output import pooling_layer
from training.architectures.recipe_model import build_model
from training.config.run_folder import RunFolder
from training.embedding.keras_embedder import KerasEmbedder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """A small `ds_tc_resnet` of two blocks for four labels."""
    params = {"stem_filters": 8, "blocks": [[8, 5, 1], [12, 5, 1]], "head_filters": 10}
    return recipe_for(tmp_path_factory.mktemp("none"), model={"params": params})


@pytest.fixture(scope="module")
def model(recipe) -> keras.Model:
    """Its network, untrained."""
    keras.utils.set_random_seed(3)
    return build_model(recipe)


@pytest.fixture
def windows(rng) -> np.ndarray:
    """Five seconds of noise."""
    return rng.normal(0, 2_000, (5, 16_000)).astype(np.int16)


def test_the_head_on_the_embedding_is_the_network(recipe, model, windows):
    """
    The dense layer on the embedding gives the posteriors of the whole network.
    """
    embedder = KerasEmbedder(model, recipe)
    kernel, bias = model.get_layer("logits").get_weights()

    logits = embedder.embed(windows) @ kernel + bias

    features = embedder._features.windows(windows, n_frames=98)
    expected = model.predict(features, verbose=0)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    np.testing.assert_allclose(expected, powers / powers.sum(axis=1, keepdims=True), atol=1e-5)


def test_the_embedding_is_the_mean_of_its_steps(recipe, model, windows):
    """
    Steps are in time order, as many as reach the pooling; their mean is the embedding.
    """
    embedder = KerasEmbedder(model, recipe)
    steps = embedder.steps(windows)
    n_steps = model.get_layer("head_relu").output.shape[1]

    assert (5, n_steps, 10) == steps.shape
    assert 10 == embedder.size == embedder.model.output.shape[-1]
    assert np.float32 == steps.dtype
    np.testing.assert_allclose(embedder.embed(windows), steps.mean(axis=1), atol=1e-5)


def test_what_comes_late_is_in_the_late_steps(recipe, model, windows):
    """
    Another end of a window leaves its first steps as they were.
    """
    changed = windows.copy()
    changed[:, 14_000:] = 0
    embedder = KerasEmbedder(model, recipe)

    before, after = embedder.steps(windows), embedder.steps(changed)

    np.testing.assert_allclose(before[:, 0], after[:, 0], atol=1e-5)
    assert not np.allclose(before[:, -1], after[:, -1], atol=1e-3)


def test_several_layers_are_averaged_and_laid_end_to_end(recipe, model, windows):
    """
    Averages over time of named layers beside each other, the pooled one among them.
    """
    one = KerasEmbedder(model, recipe).embed(windows)
    three = KerasEmbedder(model, recipe, taps=("block0_relu", "block1_relu", "pool"))
    found = three.embed(windows)
    block = keras.Model(model.input, model.get_layer("block0_relu").output)
    features = three._features.windows(windows, n_frames=98)

    assert (5, 8 + 12 + 10) == found.shape
    np.testing.assert_allclose(one, found[:, -10:], atol=1e-6)
    expected = block.predict(features, verbose=0).mean(axis=(1, 2))
    np.testing.assert_allclose(expected, found[:, :8], atol=1e-5)


def test_windows_may_be_of_any_length_and_none(recipe, model, windows):
    """
    A short one gets zeros behind it, of a long one the loudest second counts; none give none.
    """
    embedder = KerasEmbedder(model, recipe)
    short, padded = windows[0, :9_000], np.pad(windows[0, :9_000], (0, 7_000))
    loud = np.concatenate((np.zeros(16_000, np.int16), windows[1]))

    found = embedder.embed([short, loud])

    np.testing.assert_allclose(embedder.embed([padded, windows[1]]), found, atol=1e-6)
    assert (0, 10) == embedder.embed([]).shape


def test_a_run_is_opened_with_its_best_weights(recipe, model, windows, tmp_path):
    """
    The weights of the run, not fresh ones; a run without any says so.
    """
    run = RunFolder(tmp_path / "run")
    run.start(recipe)
    with pytest.raises(KwsError, match="train at least one epoch first"):
        KerasEmbedder.open(run)
    model.save_weights(run.best)

    found = KerasEmbedder.open(run).embed(windows)

    np.testing.assert_allclose(KerasEmbedder(model, recipe).embed(windows), found, atol=1e-5)


def test_where_it_cannot_be_cut_is_told(recipe, model):
    """
    A layer that is not there, and a network without pooling, are one clear line each.
    """
    with pytest.raises(
        ConfigError, match=r"ds_tc_resnet: no layer 'middle'; expected one of .*pool"
    ):
        KerasEmbedder(model, recipe, taps=("middle",))
    inputs = keras.Input((4,))
    flat = keras.Model(inputs, keras.layers.Dense(2)(inputs), name="flat")
    with pytest.raises(ConfigError, match="flat: expected a global pooling"):
        pooling_layer(flat)
