"""Feature clips, which have no audio, in batches from a cache."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.small_caches import cache_recipe

from kws.errors import ConfigError
from training.batches.augmentation import change_frames
from training.batches.cached_batches import CachedBatches
from training.batches.feature_clips import CLIPS, COLUMNS, FEATURES, SETTINGS, frontend_settings
from training.batches.features import FeatureMaker
from training.config.augmentation_sections import UNCHANGED, AugmentationConfig
from training.datasets import noise

LEVELS = {"yes": -2.0, "dog": 1.0, "bird": 3.0}
"""The log energy of all values of a word's training clips; those of validation have 9."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def write_clips(path: Path, frontend: dict[str, Any]) -> Path:
    """Write a training and a validation clip of each word."""
    path.mkdir()
    (path / SETTINGS).write_text(json.dumps({"frontend": frontend}))
    rows = [
        (word, f"{word}{split}", split) for word in LEVELS for split in ("training", "validation")
    ]
    with open(path / CLIPS, "w", newline="") as handle:
        csv.writer(handle).writerows([COLUMNS, *rows])
    levels = [LEVELS[word] if split == "training" else 9.0 for word, _, split in rows]
    np.save(
        path / FEATURES, np.ones((len(rows), 98, 40), np.float16) * np.array(levels)[:, None, None]
    )
    return path


@pytest.fixture
def recipe(cache, clips, tmp_path):
    """A recipe whose feature clips replace all clips of "yes" and of other words."""
    unchanged = dataclasses.asdict(UNCHANGED)
    made = cache_recipe(clips)
    path = write_clips(tmp_path / "clips", frontend_settings(made.frontend))
    sections = {"path": str(cache.path), "feature_clips": str(path), "feature_share": 1.0}
    config = dataclasses.replace(made.cache, **sections)
    return dataclasses.replace(made, cache=config, augmentation=AugmentationConfig(**unchanged))


def levels_of(recipe, cache) -> list[tuple[str, float | None]]:
    """Return the label of each clip of a pass, and its log energy where it is one of `LEVELS`."""
    found = []
    maker = CachedBatches(recipe, cache)
    for step in range(3):
        features, targets = maker.make(0, step)
        for clip, target in zip(features * recipe.frontend.std + recipe.frontend.mean, targets):
            assert target.max() == 1.0
            level = float(clip.mean().round(3)) if np.ptp(clip) < 1e-4 else None
            found.append((recipe.data.labels[int(target.argmax())], level))
    return found


def test_feature_clips_take_the_place_of_clips_of_their_label(recipe, cache):
    """
    Training clips alone replace "yes" and other words, "no" and silence stay audio.
    """
    found = levels_of(recipe, cache)
    labels = sorted(label for label, _ in found)

    assert {-2.0} == {level for label, level in found if label == "yes"}
    assert {1.0, 3.0} == {level for label, level in found if label == "_unknown_"}
    assert {None} == {level for label, level in found if label == "no"}
    assert labels == sorted(recipe.data.labels[label] for label in cache.read_labels())


@pytest.mark.parametrize(
    ("words", "levels"),
    [(["bird"], {3.0}), (["_unknown_"], {1.0, 3.0}), (["yes"], {-2.0})],
)
def test_only_some_words_may_be_drawn(recipe, cache, words, levels):
    """
    `feature_words` names words, or all that are no keywords.
    """
    config = dataclasses.replace(recipe.cache, feature_words=tuple(words))
    found = levels_of(dataclasses.replace(recipe, cache=config), cache)

    assert levels == {level for _, level in found if level in LEVELS.values()}


def test_a_share_of_nothing_changes_no_batch(recipe, cache):
    """
    With a share of 0 every clip is the one of the cache.
    """
    config = dataclasses.replace(recipe.cache, feature_share=0.0)
    without = dataclasses.replace(recipe.cache, feature_clips="")
    batches = [
        CachedBatches(dataclasses.replace(recipe, cache=each), cache).make(0, 0)
        for each in (config, without)
    ]

    np.testing.assert_array_equal(batches[0][0], batches[1][0])
    np.testing.assert_array_equal(batches[0][1], batches[1][1])


def test_what_does_not_fit_is_refused(recipe, cache, tmp_path):
    """
    Unfinished folders, other front ends and words without clips are named before training.
    """

    def refuse(message: str, **changes: Any) -> None:
        config = dataclasses.replace(recipe.cache, **changes)
        with pytest.raises(ConfigError, match=message):
            CachedBatches(dataclasses.replace(recipe, cache=config), cache)

    other = frontend_settings(dataclasses.replace(recipe.frontend, low_hz=70.0))

    refuse("no training clips of zebra", feature_words=("yes", "zebra"))
    refuse("expected finished feature clips", feature_clips=str(tmp_path))
    refuse("make them again", feature_clips=str(write_clips(tmp_path / "other", other)))


def test_frames_with_noise_are_nearly_those_of_noisy_audio(recipe, rng):
    """
    Noise added to powers differs from noise added to samples by the phase: under 1 dB on average.
    """
    times = np.arange(16_000) / 16_000
    word = 6_000 * np.sin(2 * np.pi * 900 * times) * np.exp(-(((times - 0.5) / 0.1) ** 2))
    word = word.astype(np.float32)
    hiss = rng.normal(0, 2_000, 16_000).astype(np.int16)
    maker = FeatureMaker(dataclasses.replace(recipe.frontend, mean=0.0, std=1.0))
    wanted = maker.frames(noise.add_noise(word, hiss, 10.0).astype(np.int16))[:98]
    config = dataclasses.replace(UNCHANGED, noise_probability=1.0, snr_db_range=(10.0, 10.0))
    frames = maker.frames(word.astype(np.int16))[:98]
    noisy = change_frames(
        frames, config, rng, frontend=recipe.frontend, background=lambda: maker.frames(hiss)[:98]
    )

    assert abs(np.mean(noisy - wanted)) * 10 / np.log(10) < 1.0
    assert np.abs(noisy - wanted).mean() < np.abs(frames - wanted).mean() / 5


def test_frames_move_and_change_loudness_as_clips_do(recipe, rng):
    """
    A gain adds the same to every value above the log floor; a shift fills with the floor.
    """
    floor = np.float32(np.log(recipe.frontend.log_floor))
    config = dataclasses.replace(
        UNCHANGED, time_shift_ms=100, gain_probability=1.0, gain_db_range=(-20.0, -20.0)
    )
    frames = np.full((98, 40), 2.0, np.float32)
    changed = change_frames(frames, config, rng, frontend=recipe.frontend, background=lambda: None)
    filled = np.isclose(changed, floor).all(axis=1)

    assert 0 < filled.sum() <= 10
    np.testing.assert_allclose(changed[~filled], 2.0 - 2 * np.log(10), atol=1e-3)
