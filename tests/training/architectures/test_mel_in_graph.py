"""The log-mel front end inside a network computes the features of the runtime's front end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="training needs the extra [train]")

import keras

from kws import KeywordSpotter
from kws.config import FrontendConfig
from kws.errors import ConfigError
from kws.features.streaming import log_mel
from training.architectures.recipe_model import build_model
from training.config import recipe as recipes
from training.config.run_folder import RunFolder
from training.export import export as exports
from training.fit import trainer as fits

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings(r"ignore:\s*Warning. tf.lite.Interpreter is deprecated"),
]
WITHIN = FrontendConfig(mean=-4.0, std=4.5)
BODY = {"stem_filters": 8, "blocks": [[8, 5, 1]], "head_filters": 8}


@pytest.fixture(scope="module")
def recipe(tmp_path_factory, write_tree) -> recipes.Recipe:
    """The shipped recipe with a small network and generated clips."""
    counts = {word: {"training": 4, "validation": 4} for word in ("yes", "no", "cat")}
    clips = write_tree(tmp_path_factory.mktemp("data") / "clips", counts, noise_s=30)
    overrides = {
        "data.clips": str(clips),
        "data.speech": "",
        "data.environment": "",
        "data.rooms": "",
        "data.keywords": ["yes", "no"],
        "model.params": {"frontend": {"mean": -4.0, "std": 4.5}, **BODY},
        "fit.epochs": 1,
        "fit.clips_per_epoch": 32,
        "fit.batch_size": 16,
        "fit.ema_momentum": 0.5,
    }
    return recipes.load("mel-in-graph", overrides=overrides)


@pytest.fixture(scope="module")
def run(recipe, tmp_path_factory) -> RunFolder:
    return fits.fit(recipe, tmp_path_factory.mktemp("runs") / "mel", verbose=0)


@pytest.fixture(scope="module")
def network(recipe, run) -> keras.Model:
    """The trained network."""
    made = build_model(recipe)
    made.load_weights(run.best)
    return made


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory) -> Path:
    return exports.export(run, tmp_path_factory.mktemp("models"), name="mel", as_float=True)


@pytest.fixture(scope="module")
def windows(demo_audio) -> np.ndarray:
    """A second of real speech every 0.3 s, int16."""
    starts = range(0, len(demo_audio) - 16_000, 4_800)
    return np.stack([demo_audio[at : at + 16_000] for at in starts])


def test_the_layer_agrees_with_the_runtimes_front_end(network, windows):
    """
    Natural log of mel energy within 1e-3 on real speech: the layer computes in float32, the
    runtime in float64.
    """
    features = np.asarray(network.get_layer("log_mel")(windows / np.float32(32_768)))
    expected = log_mel(windows, WITHIN)

    assert (len(windows), 98, 40) == features.shape
    np.testing.assert_allclose(features * WITHIN.std + WITHIN.mean, expected, atol=1e-3)


def test_the_spotter_runs_it_on_samples(exported, network, demo_audio):
    """
    Exported in float32 it takes samples. In a stream of chunks of any size, each hop's posterior is
    the network's on that second of speech.
    """
    spotter = KeywordSpotter.from_model(exported)
    (given,) = spotter.model.opened.inputs
    posteriors: list[np.ndarray] = []
    spotter.on_posterior = lambda _, posterior, __: posteriors.append(posterior)
    for at in range(0, 48_000, 777):
        spotter.process(demo_audio[at : min(48_000, at + 777)])
    seconds = [demo_audio[at : at + 16_000] for at in range(0, 32_001, 1_600)]
    expected = network.predict(np.stack(seconds) / np.float32(32_768), verbose=0)

    assert (np.float32, (1, 16_000)) == (given.dtype, given.shape)
    assert np.ptp(expected, axis=0).max() > 0.01
    np.testing.assert_allclose(posteriors, expected, atol=1e-4)


def test_it_is_saved_with_its_settings(network, windows, tmp_path):
    """
    A run that resumes gets the layer back with its own front end.
    """
    network.save(tmp_path / "state.keras")
    again = keras.models.load_model(tmp_path / "state.keras")

    assert WITHIN == again.get_layer("log_mel").frontend
    np.testing.assert_allclose(
        again.predict(windows[:3] / np.float32(32_768), verbose=0),
        network.predict(windows[:3] / np.float32(32_768), verbose=0),
        atol=1e-6,
    )


def test_int8_is_refused(run, tmp_path):
    """
    The FFT exists in float32 only, and energies do not fit into 8 bits: the error names --float.
    """
    with pytest.raises(ConfigError, match="got log_mel, which needs float32; export with --float"):
        exports.export(run, tmp_path / "out")


def test_it_needs_a_waveform(recipe):
    """
    After a log-mel front end there are no samples to transform.
    """
    from training import architectures as models

    with pytest.raises(ConfigError, match=r"frontend\.kind is waveform"):
        models.build("mel_in_graph", input_shape=(98, 40), n_labels=4, params={})
