"""Training's features are the runtime's, whichever kind of front end a recipe names."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("scipy", reason="training needs the extra [eval]")

from kws.config import FrontendConfig
from kws.features.frontends import open_frontend
from training.batches import augmentation
from training.batches.batch_maker import DrawnBatches
from training.batches.features import FeatureMaker
from training.config import recipe as recipes
from training.config.augmentation_sections import AugmentationConfig

CONFIGS = {
    "waveform": FrontendConfig(kind="waveform", sample_rate=8_000, mean=0.01, std=0.1),
    "spectrogram": FrontendConfig(
        kind="spectrogram",
        sample_rate=8_000,
        frame_length_ms=31.25,
        frame_step_ms=7.75,
        n_fft=258,
        mean=-7.5,
        std=3.8,
    ),
    "log_mel": FrontendConfig(mean=-4.0, std=4.5),
}


@pytest.mark.parametrize("kind", sorted(CONFIGS))
def test_features_are_the_runtimes(kind, demo_audio):
    """
    Whole clips through training's FFT equal the runtime's stream in odd pieces, within 1e-4.
    """
    config = CONFIGS[kind]
    clips = demo_audio[:64_000].reshape(4, 16_000)
    of_training = FeatureMaker(config).windows(clips)

    for clip, trained in zip(clips, of_training):
        frontend = open_frontend(config)
        pieces = [frontend.push(clip[at : at + 777]) for at in range(0, len(clip), 777)]
        expected = (np.concatenate(pieces) - config.mean) / config.std

        assert trained.shape == config.shape(
            config.n_frames(len(clip) * config.sample_rate // 16_000)
        )
        np.testing.assert_allclose(trained, expected.reshape(trained.shape), atol=1e-4)


@pytest.mark.parametrize("kind", sorted(CONFIGS))
def test_windows_are_the_first_frames(kind, demo_audio):
    """
    A network gets as many frames as it asks for, of float32.
    """
    maker = FeatureMaker(CONFIGS[kind])
    clips = demo_audio[:32_000].reshape(2, 16_000)
    whole = maker.frames(clips[1])

    cut = maker.windows(clips, n_frames=90)

    assert cut.dtype == np.float32
    np.testing.assert_array_equal(cut[1], whole[:90].reshape(cut[1].shape))


class TwoClips:
    """Draws the same two clips for every batch."""

    def __init__(self, audio: np.ndarray) -> None:
        self._audio = audio

    def draw_batch(self, *_: Any) -> list[tuple[np.ndarray, int]]:
        return [(self._audio[:16_000], 0), (self._audio[16_000:32_000], 1)]


def batch(audio: np.ndarray, recipe_name: str, **changes: Any) -> tuple[np.ndarray, np.ndarray]:
    overrides = {"fit.batch_size": 2, **{f"augmentation.{k}": v for k, v in changes.items()}}
    recipe = recipes.load(recipe_name, overrides=overrides)
    maker = FeatureMaker(recipe.frontend)
    n_frames = recipe.model.window_frames
    batches = DrawnBatches(
        recipe, TwoClips(audio), lambda clips: maker.windows(clips, n_frames=n_frames)
    )
    return batches.make(0, 0)


@pytest.mark.parametrize(
    ("recipe", "shape"),
    [
        ("conv1d-8k", (8_000,)),
        ("conv1d-spectrogram", (126, 130)),
        ("mel-in-graph", (16_000,)),
        ("default", (98, 40)),
    ],
)
def test_batches_have_the_networks_shape(demo_audio, recipe, shape):
    """
    Clips of 16 kHz become what the recipe's network takes.
    """
    windows, targets = batch(demo_audio, recipe)

    assert windows.shape == (2, *shape)
    assert targets.shape == (2, 12)


def test_masks_are_for_features_with_bands(demo_audio):
    """
    A spectrogram loses stripes, a waveform keeps every sample.
    """
    many = {"n_time_masks": 4, "time_mask_frames": 40, "mixup_probability": 0.0}
    none = {"n_time_masks": 0, "n_mel_masks": 0, "mixup_probability": 0.0}

    masked, plain = (batch(demo_audio, "conv1d-spectrogram", **how)[0] for how in (many, none))

    assert (masked == 0).all(axis=2).any()
    assert not (plain == 0).all(axis=2).any()

    masked, plain = (batch(demo_audio, "conv1d-8k", **how)[0] for how in (many, none))

    np.testing.assert_array_equal(masked, plain)


@pytest.mark.parametrize("shape", [(16,), (5, 4), (6, 6, 3)])
def test_mixup_takes_any_shape(rng, shape):
    """
    Every clip is a blend of itself, at least half, and another one; its target likewise.
    """
    clips = rng.normal(size=(8, *shape)).astype(np.float32)
    config = AugmentationConfig(mixup_probability=1.0, mixup_alpha=1.0)
    mixed, targets = augmentation.mix_up(clips, np.eye(8, dtype=np.float32), config, rng)

    expected = np.tensordot(targets, clips, axes=1)

    np.testing.assert_allclose(mixed, expected, atol=1e-5)
    assert (targets.diagonal() >= 0.5).all()
    np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-6)
