"""Noise made without recordings."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("scipy", reason="training needs the extra [eval]")

from training.datasets import synthetic_noise as made_noise

N = 16_000


def slope_db(samples: np.ndarray) -> float:
    """Return how the power falls or rises from 500 Hz to 4 kHz, in dB an octave."""
    power = np.abs(np.fft.rfft(samples.astype(float))) ** 2
    low, high = power[450:550].mean(), power[3_600:4_400].mean()
    return float(10 * np.log10(high / low) / 3)


def test_coloured_noise_is_never_the_same():
    """
    Every draw is another noise: bright ones and dark ones, none of them silent or clipped all over.
    """
    rng = np.random.default_rng(3)
    drawn = [made_noise.coloured(rng, N) for _ in range(60)]
    slopes = [slope_db(noise) for noise in drawn]

    assert 60 == len({noise.tobytes() for noise in drawn})
    assert {(N,)} == {noise.shape for noise in drawn}
    assert min(slopes) < -6
    assert max(slopes) > 1
    levels = np.array([np.sqrt(np.mean(noise.astype(float) ** 2)) for noise in drawn])
    np.testing.assert_allclose(levels, made_noise.LEVEL, rtol=0.1)


def test_the_same_seed_gives_the_same_noise():
    """
    Noise depends on the generator alone, so that a batch can be made again.
    """
    one, other = (made_noise.coloured(np.random.default_rng(4), N) for _ in range(2))

    np.testing.assert_array_equal(one, other)


def test_babble_is_several_voices():
    """
    Three to six voices are asked for, each is heard, and a silent one does no harm.
    """
    asked = []

    def speech() -> np.ndarray:
        asked.append(1)
        hz = 200 * len(asked)
        wave = 0 if len(asked) == 2 else np.sin(np.arange(N) * hz * 2 * np.pi / N)
        return np.full(N, 0, np.int16) + np.int16(3_000 * wave)

    noise = made_noise.babble(np.random.default_rng(5), N, speech)
    spectrum = np.abs(np.fft.rfft(noise.astype(float)))
    heard = [200 * (n + 1) for n in range(len(asked)) if n != 1]

    assert 3 <= len(asked) <= 6
    assert all(spectrum[hz] > 100 * np.median(spectrum) for hz in heard)
    assert spectrum[400] < spectrum[200] / 100
