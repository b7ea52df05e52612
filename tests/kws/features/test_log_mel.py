"""The log-mel formula against slow, independent maths."""

from __future__ import annotations

import cmath
import math

import numpy as np
import pytest

from kws.config import FrontendConfig
from kws.features.log_mel import LogMelTransform, hann_window, hz_to_mel, mel_filterbank
from kws.features.streaming import clip_frames, log_mel

SMALL = FrontendConfig(
    sample_rate=8_000, frame_length_ms=20, n_fft=256, n_mels=20, low_hz=60.0, high_hz=3_800.0
)


def mel(hz: float) -> float:
    """HTK's mel, with log10 as the book writes it."""
    return 2595 * math.log10(1 + hz / 700)


def slow_log_mel(frame: list[float], config: FrontendConfig) -> list[float]:
    """One frame by the definition: float64, plain loops, no FFT."""
    n = len(frame)
    tapered = [
        x / 32_768 * (0.5 - 0.5 * math.cos(2 * math.pi * i / n)) for i, x in enumerate(frame)
    ]
    powers = []
    for k in range(config.n_fft // 2 + 1):
        turn = -2j * math.pi * k / config.n_fft
        powers.append(abs(sum(x * cmath.exp(turn * i) for i, x in enumerate(tapered))) ** 2)
    step = (mel(config.high_hz) - mel(config.low_hz)) / (config.n_mels + 1)
    logs = []
    for band in range(config.n_mels):
        centre = mel(config.low_hz) + (band + 1) * step
        energy = 0.0
        for k, power in enumerate(powers):
            distance = abs(mel(k * config.sample_rate / config.n_fft) - centre)
            energy += power * max(0.0, 1 - distance / step)
        logs.append(math.log(max(energy, config.log_floor)))
    return logs


@pytest.mark.parametrize("config", [FrontendConfig(), SMALL], ids=["default", "small"])
def test_log_mel_equals_the_slow_definition(rng, config):
    """
    Fast float32 log-mel is the float64 definition within 1e-3, loud or quiet.
    """
    length = config.frame_length_samples
    noise = rng.normal(0, 3_000, length)
    tone = 20_000 * np.sin(2 * np.pi * 440 * np.arange(length) / config.sample_rate)
    frames = np.stack([noise, tone, noise / 300]).astype(np.int16)

    expected = [slow_log_mel([float(x) for x in frame], config) for frame in frames]

    np.testing.assert_allclose(LogMelTransform(config)(frames), expected, atol=1e-3)


def test_scipy_fft_gives_the_same_within_1e_4(rng):
    """
    Training's FFT and the runtime's agree to 1e-4 before normalisation, on any level.
    """
    scipy_fft = pytest.importorskip("scipy.fft", reason="scipy comes with the extra [eval]")
    config = FrontendConfig()
    levels = 10 ** rng.uniform(0, 4, (8, 1))
    clips = (rng.normal(0, 1, (8, 16_000)) * levels).clip(-32_768, 32_767).astype(np.int16)

    of_runtime = log_mel(clips, config)
    of_training = clip_frames(clips, LogMelTransform(config, rfft=scipy_fft.rfft, dtype=np.float32))

    np.testing.assert_allclose(of_training, of_runtime, atol=1e-4)


def test_taper_is_a_periodic_hann():
    """
    The taper starts at 0, is 1 in the middle, and would go on at 0 after its last sample.
    """
    expected = [0, 0.5, 1, 0.5]

    np.testing.assert_allclose(hann_window(4), expected, atol=1e-7)
    assert hann_window(400).dtype == np.float32


@pytest.mark.parametrize(
    ("hz", "expected"), [(0, 0.0), (700, 781.17), (1_000, 1_000.0), (8_000, 2_840.02)]
)
def test_mel_scale_is_htk(hz, expected):
    """
    HTK's scale: 1000 Hz is 1000 mel.
    """
    assert hz_to_mel(np.array(float(hz))) == pytest.approx(expected, abs=0.05)


def test_every_band_hears_something():
    """
    No filter is empty or negative, none exceeds 1, and nothing outside the edges counts.
    """
    config = FrontendConfig()
    filters = mel_filterbank(config)
    hz = np.arange(257) * 16_000 / 512

    assert filters.shape == (257, 40)
    assert filters.min() == 0
    assert filters.sum(axis=0).min() > 0
    assert filters.max() <= 1
    assert not filters[(hz <= 20) | (hz >= 7_600)].any()


def test_bands_between_the_first_and_last_centre_sum_to_one():
    """
    Neighbouring triangles add up to 1 at each bin, so every frequency counts once.
    """
    config = FrontendConfig()
    filters = mel_filterbank(config)
    edges = np.linspace(mel(20), mel(7_600), 42)
    bins = np.array([mel(k * 16_000 / 512) for k in range(257)])
    inside = (bins >= edges[1]) & (bins <= edges[-2])

    np.testing.assert_allclose(filters[inside].sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("band", [8, 15, 25, 39])
def test_a_tone_is_loudest_in_its_own_band(band):
    """
    A tone at the centre of a band has its most energy there.
    """
    centre = np.linspace(mel(20), mel(7_600), 42)[1 + band]
    hz = 700 * (10 ** (centre / 2_595) - 1)
    tone = (10_000 * np.sin(2 * np.pi * hz * np.arange(16_000) / 16_000)).astype(np.int16)

    assert set(log_mel(tone, FrontendConfig()).argmax(axis=1).tolist()) == {band}


def test_silence_is_the_log_floor():
    """
    Digital silence gives exactly log(log_floor), never -inf.
    """
    config = FrontendConfig(log_floor=1e-3)
    frames = log_mel(np.zeros(16_000, dtype=np.int16), config)

    assert frames.shape == (98, 40)
    np.testing.assert_array_equal(frames, np.log(np.float32(1e-3)))
    assert frames.dtype == np.float32


def test_ten_times_louder_adds_log_100():
    """
    Log-mel is of energy: ten times the amplitude adds ln 100 to every band.
    """
    rng = np.random.default_rng(3)
    quiet = rng.integers(-3_000, 3_000, 16_000).astype(np.int16)
    config = FrontendConfig(log_floor=1e-30)

    difference = log_mel(quiet * 10, config) - log_mel(quiet, config)

    np.testing.assert_allclose(difference, math.log(100), atol=2e-3)
