"""Changes to clips that keep the word."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("scipy", reason="training needs the extra [eval]")

from training.batches import augmentation
from training.config.augmentation_sections import AugmentationConfig
from training.datasets import noise as noises
from training.datasets.clips import to_int16

SECOND = 16_000


def tone(hz: float = 500, level: float = 4_000, n: int = SECOND) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hz * np.arange(n) / SECOND)).astype(np.float32)


def rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def pitch(samples: np.ndarray) -> float:
    """The frequency with the most energy, in Hz."""
    return float(np.abs(np.fft.rfft(samples)).argmax()) * SECOND / len(samples)


@pytest.mark.parametrize(
    ("shift", "expected"),
    [
        (0, [1, 2, 3, 4]),
        (1, [0, 1, 2, 3]),
        (-1, [2, 3, 4, 0]),
        (4, [0, 0, 0, 0]),
        (-4, [0, 0, 0, 0]),
    ],
)
def test_a_shift_fills_the_gap_with_zeros(shift, expected):
    """
    Later for positive shifts, earlier for negative ones; nothing wraps round.
    """
    assert augmentation.time_shift(np.array([1, 2, 3, 4], np.float32), shift).tolist() == expected


@pytest.mark.parametrize("factor", [0.8, 1.0, 1.25])
def test_speed_changes_pitch_and_keeps_length(factor):
    """
    Played faster, a tone is higher by the factor; the clip stays one second.
    """
    changed = augmentation.change_speed(tone(500), factor)
    middle = changed[4_000:12_000]

    assert changed.dtype == np.float32
    assert len(changed) == SECOND
    assert pitch(middle) == pytest.approx(500 * factor, abs=2)


def test_speed_keeps_the_middle_in_the_middle():
    """
    A word in the middle stays there; what a faster clip lacks at its ends is zero.
    """
    click = np.zeros(SECOND, np.float32)
    click[7_990:8_010] = 1_000
    changed = augmentation.change_speed(tone(500), 2.0)

    assert abs(int(augmentation.change_speed(click, 1.15).argmax()) - 8_000) < 15
    assert not changed[:3_990].any()
    assert changed[5_000:11_000].any()
    assert not changed[12_010:].any()


def test_level_is_that_of_the_loudest_300_ms():
    """
    Silence round a word does not make it quieter.
    """
    word = np.zeros(SECOND, np.float32)
    word[6_400:11_200] = tone(level=1_000, n=4_800)

    assert noises.loud_level(word) == pytest.approx(1_000 / np.sqrt(2), rel=0.01)
    assert noises.loud_level(tone(level=1_000)) == pytest.approx(707.1, rel=0.01)
    assert noises.loud_level(np.full(100, 7, np.int16)) == pytest.approx(7)


@pytest.mark.parametrize("snr_db", [-5, 0, 20])
def test_noise_lies_so_many_db_below_the_word(rng, snr_db):
    """
    What is added is the noise, at the level of the loudest 300 ms less the SNR.
    """
    clip = tone(level=3_000)
    noise = rng.normal(0, 77, SECOND).astype(np.int16)
    added = noises.add_noise(clip, noise, snr_db) - clip

    assert 20 * np.log10(noises.loud_level(clip) / rms(added)) == pytest.approx(snr_db, abs=0.05)
    assert np.corrcoef(added, noise)[0, 1] > 0.999


def test_silence_stays_without_noise():
    """
    No level, no ratio: neither silent noise nor a silent clip makes infinities.
    """
    silent = np.zeros(SECOND, np.float32)

    np.testing.assert_array_equal(noises.add_noise(tone(), np.zeros(SECOND, np.int16), 10), tone())
    np.testing.assert_array_equal(
        noises.add_noise(silent, np.full(SECOND, 9, np.int16), 10), silent
    )


def test_a_room_keeps_length_and_level():
    """
    An echo comes after the word, and the loudest part is as loud as before.
    """
    room = np.zeros(4_001, np.float32)
    room[0], room[4_000] = 0.9, 0.4
    click = np.zeros(SECOND, np.float32)
    click[1_000:6_000] = tone(n=5_000)
    wet = augmentation.reverberate(click, room)

    assert wet.shape == click.shape
    assert not np.abs(wet[:990]).max() > 1
    assert rms(wet[6_100:9_900]) > 500
    assert noises.loud_level(wet) == pytest.approx(noises.loud_level(click), rel=0.01)


def test_samples_are_rounded_and_clipped():
    """
    Never truncated, never wrapped.
    """
    samples = np.array([0.6, -0.6, 40_000, -40_000], np.float32)

    assert to_int16(samples).tolist() == [1, -1, 32_767, -32_768]


def test_masks_are_stripes_of_zeros(rng):
    """
    Time masks blank whole frames, mel masks whole bands, never more than the settings allow.
    """
    config = AugmentationConfig(
        n_time_masks=2, time_mask_frames=12, n_mel_masks=2, mel_mask_bands=5
    )
    features = np.ones((200, 98, 40), np.float32)
    augmentation.mask_features(features, config, rng)
    frames = (features == 0).all(axis=2).sum(axis=1)
    bands = (features == 0).all(axis=1).sum(axis=1)
    for clip, n_frames, n_bands in zip(features, frames, bands):
        assert (clip == 1).sum() == (98 - n_frames) * (40 - n_bands)

    assert 12 < frames.max() <= 24
    assert 5 < bands.max() <= 10
    assert len({clip.tobytes() for clip in features}) > 150


def test_mixup_blends_features_and_targets_alike(rng):
    """
    Each row is w of itself and 1 - w of another, w at least a half, in both alike.
    """
    features = np.arange(64, dtype=np.float32)[:, None, None] * np.ones((1, 3, 2), np.float32)
    targets = np.eye(64, dtype=np.float32)
    config = AugmentationConfig(mixup_probability=0.5, mixup_alpha=0.4)
    mixed, labels = augmentation.mix_up(features, targets, config, rng)

    np.testing.assert_allclose(labels.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(labels @ np.arange(64), mixed[:, 0, 0], atol=1e-3)
    assert (np.diag(labels) >= 0.5).all()
    assert 10 < (np.diag(labels) < 1).sum() < 54
