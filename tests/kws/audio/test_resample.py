"""Sample-rate conversion without seams."""

from __future__ import annotations

import numpy as np
import pytest
import soxr
from hypothesis import given
from hypothesis import strategies as st

from kws.audio.resample import Resampler
from kws.errors import AudioError

RATES = [8_000, 11_025, 22_050, 32_000, 44_100, 48_000, 96_000]


def tone(rate: int, *, hz: float = 440, n: int | None = None) -> np.ndarray:
    times = np.arange(rate if n is None else n) / rate
    return np.round(12_000 * np.sin(2 * np.pi * hz * times)).astype(np.int16)


def in_pieces(samples: np.ndarray, sizes: list[int], rate: int) -> np.ndarray:
    resampler = Resampler(rate, 16_000)
    out, at = [], 0
    while at < len(samples):
        for size in sizes:
            out.append(resampler.push(samples[at : at + size]))
            at += size
    out.append(resampler.push(samples[:0], last=True))
    return np.concatenate(out)


@given(
    rate=st.sampled_from(RATES),
    sizes=st.lists(st.integers(1, 5_000), min_size=1, max_size=6).filter(lambda s: sum(s) > 20),
)
def test_chunking_does_not_matter(rate, sizes):
    """
    However the input is cut, the samples are exactly the same.
    """
    rng = np.random.default_rng(rate)
    samples = rng.integers(-20_000, 20_000, 12_000).astype(np.int16)

    expected = Resampler(rate, 16_000).push(samples, last=True)

    np.testing.assert_array_equal(in_pieces(samples, sizes, rate), expected)


@pytest.mark.parametrize("rate", RATES)
def test_a_tone_is_unchanged(rate):
    """
    A second at any rate becomes a second at 16 kHz, with the same pitch, phase and level.
    """
    resampled = Resampler(rate, 16_000).push(tone(rate), last=True)
    middle = slice(2_000, 14_000)

    assert resampled.dtype == np.int16
    assert len(resampled) == pytest.approx(16_000, abs=1)
    np.testing.assert_allclose(resampled[middle], tone(16_000)[middle], atol=12)


def test_samples_are_rounded_to_the_nearest():
    """
    Rounding costs at most half a step, without bias.
    """
    samples = np.random.default_rng(1).integers(-100, 100, 44_100).astype(np.int16)
    exact = soxr.resample(samples.astype(np.float64), 44_100, 16_000)
    error = Resampler(44_100, 16_000).push(samples, last=True) - exact

    assert np.abs(error).max() < 0.51
    assert abs(error.mean()) < 0.02


def test_frequencies_above_half_the_rate_are_removed():
    """
    A 10 kHz tone disappears instead of aliasing to 6 kHz.
    """
    resampled = Resampler(48_000, 16_000).push(tone(48_000, hz=10_000), last=True)

    assert np.abs(resampled[1_000:-1_000]).max() <= 2


def test_full_scale_is_clipped_not_wrapped():
    """
    Ringing beyond full scale stays at full scale.
    """
    square = np.repeat(np.array([32_767, -32_768] * 50, dtype=np.int16), 441)
    resampled = Resampler(44_100, 16_000).push(square, last=True)
    expected = np.repeat(np.array([1, -1] * 50), 160)[: len(resampled)]

    assert resampled.max() == 32_767
    assert resampled.min() == -32_768
    assert np.mean(np.sign(resampled.astype(int)) == expected) > 0.98


def test_reset_equals_new():
    """
    After reset, earlier audio has no influence.
    """
    used = Resampler(44_100, 16_000)
    used.push(tone(44_100, hz=1_000))
    used.reset()

    expected = Resampler(44_100, 16_000).push(tone(44_100), last=True)

    np.testing.assert_array_equal(used.push(tone(44_100), last=True), expected)


@pytest.mark.parametrize("rate", [0, -16_000, 999, 1_000_000])
def test_impossible_rates_are_refused(rate):
    """
    The message names the rate.
    """
    with pytest.raises(AudioError, match=rf"sample rate of 1000\.\.768000 Hz, got {rate}"):
        Resampler(rate, 16_000)
