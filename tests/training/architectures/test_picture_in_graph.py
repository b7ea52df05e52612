"""The picture inside the network: what it draws is what the PNG files show, int8 included."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="training needs the extra [train]")

import keras
from ai_edge_litert.interpreter import Interpreter

from kws.features.frontends import ClipFeatures
from training import architectures as models
from training.architectures.cnn2d import SpectrogramPicture
from training.architectures.recipe_model import build_model, n_macs, n_parameters
from training.config import recipe as recipes
from training.datasets.clips import fit_length
from training.datasets.folders import scan
from training.datasets.spectrogram_images import (
    make_picture,
    network_input,
    read_picture,
    write_picture,
)
from training.tflite.convert import convert_int8

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore:Statistics for quantized inputs:UserWarning"),
    pytest.mark.filterwarnings(r"ignore:\s*Warning. tf.lite.Interpreter is deprecated"),
]
# Of 255: what rounding to 8 bits does, and what int8 adds to it.
FLOAT_TOLERANCE, INT8_TOLERANCE = 0.51, 6


def levels_of(clips: np.ndarray, frontend) -> np.ndarray:
    """Return what the runtime makes of int16 ``(n, 16000)`` for a network."""
    features = np.stack([ClipFeatures(frontend)(clip) for clip in clips])
    return (features - np.float32(frontend.mean)) / np.float32(frontend.std)


def through_png(levels: np.ndarray, folder: Path) -> np.ndarray:
    """Return pictures as a network is fed them, written as PNG files and read again."""
    paths = [folder / f"{number}.png" for number in range(len(levels))]
    for path, window in zip(paths, levels):
        write_picture(make_picture(window), path)
    return network_input(np.stack([read_picture(path) for path in paths]))


def int8_pictures(levels: np.ndarray) -> np.ndarray:
    """Return what the head of the network draws in int8."""
    inputs = keras.Input(levels.shape[1:])
    head = keras.Model(inputs, SpectrogramPicture()(inputs))
    interpreter = Interpreter(model_content=convert_int8(head, levels))
    interpreter.allocate_tensors()
    given, drawn = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    assert np.int8 == given["dtype"] == drawn["dtype"]
    pictures = []
    for window in levels:
        scale, zero_point = given["quantization"]
        quantized = np.clip(np.round(window / scale) + zero_point, -128, 127).astype(np.int8)
        interpreter.set_tensor(given["index"], quantized[None])
        interpreter.invoke()
        scale, zero_point = drawn["quantization"]
        values = interpreter.get_tensor(drawn["index"])[0].astype(np.float32)
        pictures.append((values - zero_point) * scale)
    return np.stack(pictures)


def check_drawing(levels: np.ndarray, folder: Path) -> None:
    """Hold what the network draws to the PNG files, in float and in int8."""
    written = through_png(levels, folder)
    drawn = np.asarray(SpectrogramPicture()(levels))

    # A picture of silence would agree with anything.
    assert written.std(axis=(1, 2, 3)).mean() > 0.05
    np.testing.assert_allclose(255 * drawn, 255 * written, atol=FLOAT_TOLERANCE)
    difference = 255 * np.abs(int8_pictures(levels) - written)
    assert difference.max() <= INT8_TOLERANCE
    assert difference.mean() <= 1


@pytest.mark.parametrize("name", ["cnn2d", "cnn2d-pictures-speaker"])
def test_the_network_draws_what_the_files_show(demo_audio, tmp_path, name):
    """
    From the runtime's frames of speech: within the rounding to 8 bits in float, within 6 of 255
    and 1 on average in int8; so for each recipe.
    """
    clips = np.stack([demo_audio[at : at + 16_000] for at in range(0, 160_000, 8_000)])

    check_drawing(levels_of(clips, recipes.load(name).frontend), tmp_path)


@pytest.mark.data
def test_it_draws_recorded_speech_alike(kws_data, tmp_path):
    """
    The same on recordings of Speech Commands, loud and soft ones.
    """
    clips = scan(kws_data / "speech_commands")["validation"][::70]
    samples = np.stack([fit_length(clip.read(), 16_000) for clip in clips])

    check_drawing(levels_of(samples, recipes.load("cnn2d").frontend), tmp_path)


def test_other_frames_make_a_picture_too(rng, tmp_path):
    """
    A linear spectrogram of 126 x 130 is made smaller in both directions.
    """
    levels = rng.uniform(-0.2, 1.2, (2, 126, 130)).astype(np.float32)

    drawn = np.asarray(SpectrogramPicture()(levels))
    np.testing.assert_allclose(
        255 * drawn, 255 * through_png(levels, tmp_path), atol=FLOAT_TOLERANCE
    )


def test_parameters_and_multiplications_against_a_hand_count():
    """
    The shipped recipe: four convolutions of 3 x 3 with two numbers a filter for normalisation,
    1024 values to 64 units to 12 labels; drawing counts as a front end.
    """
    made = build_model(recipes.load("cnn2d"))
    pairs = [(3, 16), (16, 32), (32, 48), (48, 64)]
    dense = [(1_024, 64), (64, 12)]
    parameters = sum(9 * a * b + 2 * b for a, b in pairs) + sum(a * b + b for a, b in dense)
    products = sum((64 >> block) ** 2 * 9 * a * b for block, (a, b) in enumerate(pairs)) + sum(
        a * b for a, b in dense
    )

    assert parameters == n_parameters(made)
    assert products == n_macs(made)
    assert (98, 64) == made.input_shape[1:]


def test_weights_of_pictures_are_those_of_frames(rng, tmp_path):
    """
    Saved by a network that is fed pictures, loaded by one that draws them: the same posteriors.
    """
    params = {"filters": [4, 8], "dense": 8}
    seeing, drawing = (
        models.build("cnn2d", input_shape=shape, n_labels=3, params=params)
        for shape in ((64, 64, 3), (98, 64))
    )
    levels = rng.uniform(0, 1, (4, 1, 1)) * rng.uniform(0, 1, (4, 98, 64))
    levels = levels.astype(np.float32)
    before = drawing.predict(levels, verbose=0)
    seeing.save_weights(tmp_path / "a.weights.h5")
    drawing.load_weights(tmp_path / "a.weights.h5")
    expected = seeing.predict(np.asarray(SpectrogramPicture()(levels)), verbose=0)

    assert np.abs(before - expected).max() > 0.01
    np.testing.assert_allclose(drawing.predict(levels, verbose=0), expected, atol=1e-5)
