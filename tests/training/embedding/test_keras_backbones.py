"""The embedding of a Keras network: its global pooling, or other layers."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="training needs the extra [train]")
import keras
from support.small_recipes import recipe_for

from kws.errors import ConfigError, KwsError
from training.architectures.recipe_model import build_model, trained_model
from training.config.run_folder import RunFolder
from training.embedding.keras_backbones import embedding_model

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
def features(rng, model) -> np.ndarray:
    """Features of five windows."""
    return rng.normal(0, 1, (5, *model.input_shape[1:])).astype(np.float32)


def test_the_head_on_the_embedding_is_the_network(model, features):
    """The dense layer on the embedding gives the posteriors of the whole network."""
    kernel, bias = model.get_layer("logits").get_weights()

    logits = embedding_model(model).predict(features, verbose=0) @ kernel + bias

    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    expected = powers / powers.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(expected, model.predict(features, verbose=0), atol=1e-5)


def test_several_layers_are_averaged_and_concatenated(model, features):
    """Averages over time of the named layers, in their order."""
    block = keras.Model(model.input, model.get_layer("block0_relu").output)

    found = embedding_model(model, ("block0_relu", "block1_relu", "pool")).predict(
        features, verbose=0
    )

    assert (5, 8 + 12 + 10) == found.shape
    expected = block.predict(features, verbose=0).mean(axis=(1, 2))
    np.testing.assert_allclose(expected, found[:, :8], atol=1e-5)
    pooled = embedding_model(model).predict(features, verbose=0)
    np.testing.assert_allclose(pooled, found[:, -10:], atol=1e-6)


def test_a_run_is_opened_with_its_best_weights(recipe, model, features, tmp_path):
    """The saved weights, not fresh ones; a run without weights is an error."""
    run = RunFolder(tmp_path / "run")
    run.start(recipe)
    with pytest.raises(KwsError, match="train at least one epoch first"):
        trained_model(run)
    model.save_weights(run.best)

    opened = trained_model(run)

    np.testing.assert_allclose(
        model.predict(features, verbose=0), opened.predict(features, verbose=0), atol=1e-6
    )


def test_a_missing_layer_or_pooling_is_an_error(model):
    """Each is one line; the first one names the layers to choose from."""
    with pytest.raises(ConfigError, match=r"ds_tc_resnet: no layer 'middle'; expected .*pool"):
        embedding_model(model, ("middle",))
    inputs = keras.Input((4,))
    flat = keras.Model(inputs, keras.layers.Dense(2)(inputs), name="flat")
    with pytest.raises(ConfigError, match="flat: expected a network with a global pooling"):
        embedding_model(flat)
