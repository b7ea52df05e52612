"""Structured pruning: a smaller network that starts from a published one."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("keras", reason="needs the train extra")
import keras

from kws.errors import ConfigError
from training import architectures
from training.architectures import pretrained
from training.architectures.speech_embedding import FILTERS
from training.fit import pruning

pytestmark = pytest.mark.slow

WHOLE = list(FILTERS)


def network(filters, n_mels: int = 32):
    """Return a network without a head on its embedding."""
    return architectures.build(
        "speech_embedding",
        input_shape=(98, n_mels),
        n_labels=3,
        params={"filters": filters, "head_filters": 0},
    )


def embeddings(model, frames):
    return keras.Model(model.input, model.get_layer("embedding").output).predict(frames, verbose=0)


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    """Slowly varying features, so that bands and frames depend on their neighbours."""
    rng = np.random.default_rng(3)
    walk = np.cumsum(rng.normal(0, 0.2, (40, 98, 32)), axis=1)
    return np.cumsum(walk, axis=2).astype(np.float32) / 6


@pytest.fixture(scope="module")
def whole():
    """The whole network with random weights: the published ones are in a package."""
    return network(WHOLE)


def pruned(whole, filters, frames):
    """Return a narrower network that starts from the whole one."""
    model = network(filters)
    ours = pretrained.convolutions(model)
    weights = pruning.pruned_weights(whole, [layer.filters for layer in ours], frames)
    for layer, values in zip(ours, weights):
        layer.set_weights(values)
    return model


def test_with_all_filters_the_embedding_is_unchanged(whole, frames):
    """Without pruning nothing changes."""
    model = pruned(whole, WHOLE, frames)

    np.testing.assert_allclose(
        embeddings(whole, frames), embeddings(model, frames), rtol=1e-3, atol=1e-3
    )


def test_with_fewer_filters_the_embedding_is_close(whole, frames):
    """Three quarters of the filters keep most of it, far more than as many random weights."""
    filters = [18, 36, 54, 72, 72]
    wanted = embeddings(whole, frames)

    def error(model) -> float:
        return float(np.mean((embeddings(model, frames) - wanted) ** 2) / np.var(wanted))

    assert error(pruned(whole, filters, frames)) < 0.5 * error(network(filters))


def test_chosen_filters_reconstruct_the_others(rng):
    """
    Half of the values are sums of the others, and are reconstructed up to the ridge.
    """
    free = rng.normal(0, 1, (4_000, 4))
    values = np.concatenate([free, free @ rng.normal(0, 1, (4, 4)) + 2.0], axis=1)

    kept, basis, rest = pruning.choose_filters(values, np.ones(8), 4)

    made = values[:, kept] @ basis + rest
    assert np.mean((values - made) ** 2) < 1e-4 * np.var(values)
    np.testing.assert_allclose(values, made, atol=0.1)


def test_bands_are_mapped_from_one_front_end_to_another(rng):
    """A linear map between front ends is recovered."""
    ours = rng.normal(0, 1, (30, 98, 40)).astype(np.float32)
    mixed = rng.normal(0, 1, (40, 32)).astype(np.float32)

    kernel, bias = pruning.fit_bands(ours, ours @ mixed + 3.0)

    np.testing.assert_allclose(mixed, kernel[0, 0], atol=1e-3)
    np.testing.assert_allclose(np.full(32, 3.0), bias, atol=1e-3)


def test_other_bands_are_mapped_before_the_network():
    """Our 40 bands become the 32 of the published network; the rest is unchanged."""
    model = network(WHOLE, n_mels=40)

    assert (1, 1, 40, 32) == tuple(model.get_layer("bands").kernel.shape)
    assert len(pretrained.convolutions(model)) == len(pretrained.convolutions(network(WHOLE)))


def test_the_published_weights_refuse_a_narrower_network():
    """The error names the setting that starts a narrower one."""
    pytest.importorskip("pyopen_wakeword", reason="carries the published weights")

    with pytest.raises(ConfigError, match=r"cache\.feature_teacher"):
        pretrained.load_speech_embedding(network([16, 32, 48, 72, 72]))
