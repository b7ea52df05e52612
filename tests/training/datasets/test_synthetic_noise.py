"""Noise made by code: each kind varies, and is repeatable."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("scipy", reason="training needs the extra [eval]")

from training.datasets.synthetic_noise import KINDS, SYNTHETIC_RMS, coloured, synthetic

SECOND = 16_000


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
    drawn = [coloured(rng, SECOND) for _ in range(60)]
    slopes = [slope_db(one) for one in drawn]

    assert 60 == len({one.tobytes() for one in drawn})
    assert {(SECOND,)} == {one.shape for one in drawn}
    assert min(slopes) < -6
    assert max(slopes) > 1
    levels = np.array([np.sqrt(np.mean(one.astype(float) ** 2)) for one in drawn])
    np.testing.assert_allclose(levels, SYNTHETIC_RMS, rtol=0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_audible_varied_and_repeatable(kind):
    """
    Every draw is int16 of the length asked for, near the common level, and follows from the seed.
    """
    drawn = [KINDS[kind](np.random.default_rng(seed), SECOND) for seed in range(12)]
    levels = [np.sqrt(np.mean(one.astype(float) ** 2)) for one in drawn]

    assert {(np.dtype(np.int16), (SECOND,))} == {(one.dtype, one.shape) for one in drawn}
    # Clipping lowers the level of a few clicks in silence.
    assert np.median(levels) == pytest.approx(SYNTHETIC_RMS, rel=0.1)
    assert min(levels) > SYNTHETIC_RMS / 10
    assert 12 == len({one.tobytes() for one in drawn})
    np.testing.assert_array_equal(drawn[3], KINDS[kind](np.random.default_rng(3), SECOND))


def test_kinds_are_drawn_evenly(monkeypatch):
    """
    Each kind of noise comes about as often as another.
    """
    counts = dict.fromkeys(KINDS, 0)

    def counted(name):
        def draw(rng, n_samples):
            counts[name] += 1
            return np.zeros(n_samples, np.int16)

        return draw

    for name in KINDS:
        monkeypatch.setitem(KINDS, name, counted(name))
    rng = np.random.default_rng(1)
    for _ in range(700):
        synthetic(rng, 100)

    assert min(counts.values()) > 60
    assert max(counts.values()) < 150
