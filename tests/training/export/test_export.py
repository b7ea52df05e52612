"""A trained network becomes int8 models and a manifest, is checked, and runs in the runtime."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="training needs the extra [train]")
import keras
from support.small_fits import make_recipe

from kws import KeywordSpotter, models
from kws.errors import ConfigError, KwsError
from kws.inference.interpreter import installed
from kws.inference.stream_model import StreamModel
from kws.inference.window_model import WindowModel
from kws.manifest import ModelManifest, read_manifest
from training.architectures.recipe_model import build_model
from training.batches.task import open_task
from training.cli import train
from training.config.run_folder import RunFolder
from training.export import export as exports
from training.fit import trainer as fits
from training.tflite.stream_export import ParityError

# Slow to import, and all on one fit: a machine under load needs its time.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(240),
    # TensorFlow's own, about its converter's default and its old interpreter.
    pytest.mark.filterwarnings("ignore:Statistics for quantized inputs:UserWarning"),
    pytest.mark.filterwarnings(r"ignore:\s*Warning. tf.lite.Interpreter is deprecated"),
]


@pytest.fixture(scope="module")
def trained(clips, tmp_path_factory) -> RunFolder:
    """A run of two epochs, at its end."""
    return fits.fit(make_recipe(clips), tmp_path_factory.mktemp("runs") / "tiny", verbose=0)


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory) -> Path:
    """The manifest of the trained model."""
    return exports.export(trained, tmp_path_factory.mktemp("models"), name="lamp", version="7")


def test_export_writes_model_and_manifest(exported):
    """
    Two full-int8 models and the manifest are in the folder, nothing else, and they fit each other.
    """
    manifest = read_manifest(exported)
    tensors = WindowModel(manifest, hop_frames=10).opened

    assert ["lamp.json", "lamp.stream.tflite", "lamp.tflite"] == sorted(
        path.name for path in exported.parent.iterdir()
    )
    assert manifest.stream is not None
    assert manifest.stream.hop_frames == 10
    assert (manifest.name, manifest.version) == ("lamp", "7")
    assert manifest.labels == ("yes", "no", "_unknown_", "_silence_")
    assert (manifest.frontend.mean, manifest.frontend.std) == (-4.0, 4.5)
    assert manifest.decision.thresholds == {"yes": 0.6}
    assert manifest.training["recipe"]["seed"] == 1
    assert manifest.metrics["n"] == 16
    assert set(manifest.metrics["per_label"]) == set(manifest.labels)
    assert manifest.metrics["accuracy_float"] - manifest.metrics["accuracy"] <= 0.2
    assert [np.int8, np.int8] == [tensor.dtype for tensor in (*tensors.inputs, *tensors.outputs)]


def test_the_exported_streaming_model_equals_the_other(exported, rng):
    """
    What export proves on validation clips holds on other frames as well.
    """
    frames = rng.normal(-5, 4, (300, 40)).astype(np.float32)
    window, stream = (
        form(read_manifest(exported), hop_frames=10, kernels="reference").push(frames)
        for form in (WindowModel, StreamModel)
    )

    assert len(window) == 21
    np.testing.assert_array_equal(stream, window)


def test_the_hop_can_be_chosen_at_export(trained, tmp_path, capsys):
    """
    ``kws-train export RUN --hop-frames``: another step than the recipe's, or no streaming model;
    with ``--c-array`` both also as C source.
    """
    for hop_frames in (4, 0):
        arguments = [str(trained.path), "--out", str(tmp_path), "--hop-frames", str(hop_frames)]
        assert 0 == train.main(["export", *arguments, "--c-array"])
        stream = read_manifest(tmp_path / "tiny.json").stream
        files = ["tiny.json", "tiny_model.h", "tiny_model.cc"]
        files += ["tiny_stream_model.h", "tiny_stream_model.cc"] if hop_frames else []

        assert hop_frames == (stream.hop_frames if stream else 0)
        assert (hop_frames > 0) == (tmp_path / "tiny.stream.tflite").exists()
        assert [str(tmp_path / file) for file in files] == capsys.readouterr().out.splitlines()


def test_the_runtime_spots_with_the_exported_model(exported, demo_audio):
    """
    KeywordSpotter loads it by its path, and its posteriors are probabilities.
    """
    spotter = KeywordSpotter.from_model(exported)
    posteriors = []
    spotter.on_posterior = lambda time_s, posterior, scores: posteriors.append(posterior)
    spotter.process(demo_audio[:48_000])

    assert len(posteriors) == 21
    np.testing.assert_allclose(np.sum(posteriors, axis=1), 1, atol=0.03)


def test_int8_in_the_runtime_is_close_to_the_float_model(exported, trained, clips):
    """
    On the validation clips quantization moves no posterior far.
    """
    recipe = make_recipe(clips)
    model = build_model(recipe)
    model.load_weights(trained.best)
    features, _ = fits.validation_arrays(open_task(recipe))
    runtime = WindowModel(read_manifest(exported), hop_frames=10)

    expected = model.predict(features, verbose=0)
    got = np.stack(
        [runtime.predict(window * np.float32(4.5) - np.float32(4)) for window in features]
    )

    np.testing.assert_allclose(got, expected, atol=0.1)


@pytest.fixture
def untrained(clips, tmp_path):
    """Make the folder of a run that ended with fresh weights."""

    def make(architecture: str, **sections: Any) -> RunFolder:
        recipe = make_recipe(clips, architecture, **sections)
        run = RunFolder(tmp_path / architecture)
        run.start(recipe)
        keras.utils.set_random_seed(3)
        build_model(recipe).save_weights(run.best)
        return run

    return make


def test_a_lossy_model_is_not_exported(untrained, tmp_path):
    """
    When int8 loses more than is allowed, export fails loudly and leaves no file.
    """
    run = untrained("ds_tc_resnet", export={"calibration_clips": 16, "max_accuracy_loss": -1.1})

    with pytest.raises(
        ParityError, match=r"int8 loses .* points of validation accuracy .* at most"
    ):
        exports.export(run, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_front_end_that_differs_is_not_exported(default_manifest, tmp_path, write_tree):
    """
    If the runtime computes other features than training did, the parity check fails.
    """
    counts = {word: {"training": 1, "validation": 2} for word in default_manifest.keywords}
    root = write_tree(tmp_path / "clips", counts, noise_s=30)
    recipe = make_recipe(
        root,
        data={"keywords": list(default_manifest.keywords)},
        frontend={"low_hz": 300.0, "high_hz": 4_000.0},
        export={"max_accuracy_loss": 1.0},
    )
    model = build_model(recipe)

    with pytest.raises(ParityError, match="the runtime's features differ from the training's"):
        exports.check_parity(model, default_manifest, open_task(recipe))


def test_a_folder_without_a_run_cannot_be_exported(tmp_path, clips):
    """
    A missing recipe and missing weights are two different errors.
    """
    with pytest.raises(ConfigError, match="expected the folder of a training run"):
        exports.export(RunFolder(tmp_path), tmp_path / "out")
    run = RunFolder(tmp_path / "begun")
    run.start(make_recipe(clips))
    with pytest.raises(KwsError, match=r"no best\.weights\.h5; train at least one epoch first"):
        exports.export(run, tmp_path / "out")


@pytest.mark.skipif("tensorflow" not in installed(), reason="TensorFlow has no metadata here")
def test_tensorflow_runs_models_as_the_light_runtimes_do(default_manifest: ModelManifest, rng):
    """
    The last of the runtimes, too, computes the int8 values of the reference kernels.
    """
    windows = rng.normal(-5, 4, (5, 98, 40)).astype(np.float32)
    of_tensorflow, of_first = (
        WindowModel(default_manifest, hop_frames=10, runtime=runtime, kernels="reference")
        for runtime in ("tensorflow", installed()[0])
    )

    assert of_tensorflow.opened.runtime == "tensorflow"
    for window in windows:
        np.testing.assert_array_equal(of_tensorflow.predict(window), of_first.predict(window))


def test_priors_are_taken_out_of_the_posteriors(clips):
    """
    With a correction of 1 the odds of _unknown_ fall by its weight in training.
    """
    recipe = make_recipe(clips, data={"unknown_weight": 4.0}, export={"prior_correction": 1.0})
    model = build_model(recipe)
    windows = np.random.default_rng(1).normal(size=(3, *recipe.input_shape))
    before = model.predict(windows, verbose=0)
    exports.correct_prior(model, recipe)
    after = model.predict(windows, verbose=0)

    unknown = recipe.data.labels.index("_unknown_")
    np.testing.assert_allclose(
        after[:, unknown] / after[:, 0], before[:, unknown] / before[:, 0] / 4, rtol=1e-4
    )


def test_the_shipped_default_was_made_by_its_recipe():
    """
    The manifest of `default` names the data, settings and versions that made it.
    """
    training = json.loads(models.find("default").read_text(encoding="utf-8"))["training"]

    assert training["recipe"]["model"]["name"] == "ds_tc_resnet"
    assert training["parameters"] > 100_000
    assert {"tensorflow", "keras", "numpy", "kws"} <= set(training["versions"])
