"""A smaller network that begins as a published one."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("keras", reason="needs the train extra")

from kws.errors import ConfigError
from training import architectures as models
from training.architectures import pretrained
from training.architectures import speech_embedding as published
from training.fit import pruning as narrowing

WHOLE = list(published.FILTERS)


def network(filters, n_mels: int = 32):
    """Return a network without a head on its embedding."""
    return models.build(
        "speech_embedding",
        input_shape=(98, n_mels),
        n_labels=3,
        params={"filters": filters, "head_filters": 0},
    )


def said(model, features):
    """Return what the embedding layer says."""
    import keras

    cut = keras.Model(model.input, model.get_layer("embedding").output)
    return cut.predict(features, verbose=0)


@pytest.fixture(scope="module")
def heard() -> np.ndarray:
    """Features of something: slow, so that bands and frames follow from their neighbours."""
    rng = np.random.default_rng(3)
    walk = np.cumsum(rng.normal(0, 0.2, (40, 98, 32)), axis=1)
    return np.cumsum(walk, axis=2).astype(np.float32) / 6


@pytest.fixture(scope="module")
def whole():
    """The whole network with weights of its own: the published ones are in a package."""
    return network(WHOLE)


def narrowed(whole, filters, heard):
    """Return a narrower network that begins as the whole one."""
    model = network(filters)
    ours = pretrained.convolutions(model)
    for layer, weights in zip(
        ours, narrowing._narrowed(whole, [one.filters for one in ours], heard)
    ):
        layer.set_weights(weights)
    return model


def test_with_all_filters_it_says_the_same(whole, heard):
    """Where nothing is left out nothing changes."""
    made = narrowed(whole, WHOLE, heard)

    np.testing.assert_allclose(said(whole, heard), said(made, heard), rtol=1e-3, atol=1e-3)


def test_with_fewer_it_says_nearly_the_same(whole, heard):
    """Three quarters of the filters say most of it; as many drawn weights say nothing of it."""
    filters = [18, 36, 54, 72, 72]
    wanted = said(whole, heard)

    def error(model) -> float:
        return float(np.mean((said(model, heard) - wanted) ** 2) / np.var(wanted))

    assert error(narrowed(whole, filters, heard)) < 0.5 * error(network(filters))


def test_filters_are_kept_that_the_others_follow_from(rng):
    """
    Of numbers of which half are sums of the others the others are made again: but for the ridge,
    which costs the more the more alike those are that are kept.
    """
    free = rng.normal(0, 1, (4_000, 4))
    taken = np.concatenate([free, free @ rng.normal(0, 1, (4, 4)) + 2.0], axis=1)

    kept, basis, rest = narrowing._kept(taken, np.ones(8), 4)

    made = taken[:, kept] @ basis + rest

    assert np.mean((taken - made) ** 2) < 1e-4 * np.var(taken)
    np.testing.assert_allclose(taken, made, atol=0.1)


def test_bands_of_one_front_end_are_made_of_anothers(rng):
    """A linear map between front ends is found again."""
    seen = rng.normal(0, 1, (30, 98, 40)).astype(np.float32)
    mixed = rng.normal(0, 1, (40, 32)).astype(np.float32)

    kernel, bias = narrowing._bands(seen, seen @ mixed + 3.0)

    np.testing.assert_allclose(mixed, kernel[0, 0], atol=1e-3)
    np.testing.assert_allclose(np.full(32, 3.0), bias, atol=1e-3)


def test_a_network_of_other_bands_has_a_map_before_it():
    """Our 40 bands become the published network's 32, and the rest is as it was."""
    model = network(WHOLE, n_mels=40)

    assert (1, 1, 40, 32) == tuple(model.get_layer("bands").kernel.shape)
    assert len(pretrained.convolutions(model)) == len(pretrained.convolutions(network(WHOLE)))


def test_the_published_weights_refuse_a_narrower_network():
    """They fit their own network alone, and the error says how a narrower one begins."""
    pytest.importorskip("pyopen_wakeword", reason="carries the published weights")

    with pytest.raises(ConfigError, match=r"cache\.imitate"):
        pretrained.load_speech_embedding(network([16, 32, 48, 72, 72]))
