"""The layer that draws a spectrogram picture: it equals the PNG files, in float and in int8."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="training needs the extra [train]")

import keras
from ai_edge_litert.interpreter import Interpreter

from kws.features.frontends import ClipFeatures
from training.architectures.cnn2d import SpectrogramPicture
from training.config import recipe as recipes
from training.datasets.clips import fit_length
from training.datasets.folders import scan
from training.datasets.spectrogram_images import (
    PictureClip,
    make_picture,
    network_input,
    write_picture,
)
from training.tflite.convert import convert_int8

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore:Statistics for quantized inputs:UserWarning"),
    pytest.mark.filterwarnings(r"ignore:\s*Warning. tf.lite.Interpreter is deprecated"),
]
# Of 255: from rounding to 8 bits, and from int8 on top.
FLOAT_TOLERANCE, INT8_TOLERANCE = 0.51, 6


def levels_of(clips: np.ndarray, frontend) -> np.ndarray:
    """Return the features of int16 ``(n, 16000)`` as the runtime feeds them to a network."""
    features = np.stack([ClipFeatures(frontend)(clip) for clip in clips])
    return (features - np.float32(frontend.mean)) / np.float32(frontend.std)


def through_png(levels: np.ndarray, folder: Path) -> np.ndarray:
    """Return the network input for pictures that were written as PNG files and read again."""
    paths = [folder / f"{number}.png" for number in range(len(levels))]
    for path, window in zip(paths, levels):
        write_picture(make_picture(window), path)
    return network_input(np.stack([PictureClip(path, "").read() for path in paths]))


def int8_pictures(levels: np.ndarray) -> np.ndarray:
    """Return the pictures that the layer draws in int8."""
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
    """Compare the pictures of the layer with the PNG files, in float and in int8."""
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
    From the runtime's frames of speech, for each recipe: within the rounding to 8 bits in float,
    within 6 of 255 and 1 on average in int8.
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
    A linear spectrogram of 126 x 130 is resized in both directions.
    """
    levels = rng.uniform(-0.2, 1.2, (2, 126, 130)).astype(np.float32)

    drawn = np.asarray(SpectrogramPicture()(levels))
    np.testing.assert_allclose(
        255 * drawn, 255 * through_png(levels, tmp_path), atol=FLOAT_TOLERANCE
    )
