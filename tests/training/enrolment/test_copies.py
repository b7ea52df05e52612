"""Augmented copies of a recording: voices, tempos, positions and rooms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from training.enrolment import augmented_copies as copies
from training.enrolment.augmented_copies import change_tempo
from training.enrolment.recordings import Recording

RATE = 16_000


def tone(hz: float, n: int = RATE) -> np.ndarray:
    """Return a tone in the middle of silence, half as long as that."""
    samples = np.zeros(n, np.float32)
    samples[n // 4 : 3 * n // 4] = 8_000 * np.sin(2 * np.pi * hz * np.arange(n // 2) / RATE)
    return samples


def pitch(samples: np.ndarray) -> float:
    """Return the strongest frequency, in Hz."""
    spectrum = np.abs(np.fft.rfft(samples.astype(np.float64) * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * RATE / len(samples))


@pytest.mark.parametrize("factor", [0.8, 1.0, 1.25])
def test_tempo_changes_length_and_not_pitch(factor):
    """The length changes; pitch and level of a tone do not."""
    samples = tone(440)

    made = change_tempo(samples, factor)

    assert round(RATE / factor) == len(made)
    assert pytest.approx(440, abs=8) == pitch(made)
    loud = np.flatnonzero(np.abs(made) > 2_000)
    assert pytest.approx(RATE / 2 / factor, rel=0.1) == loud[-1] - loud[0]
    assert pytest.approx(8_000, rel=0.15) == np.abs(made).max()


def test_tempo_one_changes_nothing(rng):
    """The samples come back."""
    samples = rng.normal(0, 1_000, RATE).astype(np.float32)

    np.testing.assert_allclose(samples[400:-400], change_tempo(samples, 1.0)[400:-400], atol=1)


def test_copies_have_other_voices(rng):
    """The pitch of copies varies; the first copy is unchanged."""
    recording = Recording("lamp", Path("lamp.wav"), tone(440).astype(np.int16), middle=RATE // 2)

    made = list(copies.windows(recording, rng, n_copies=60, n_samples=17_520))

    np.testing.assert_array_equal(recording.window(n_samples=17_520), made[0])
    found = np.array([pitch(one) for one in made[1:]])
    assert found.min() < 400 < 480 < found.max()
    assert 440 * 0.8 < np.median(found) < 440 * 1.2
    assert {17_520} == {len(one) for one in made}


def test_copies_hold_the_word_near_their_middle(rng):
    """The word is off the middle by at most the maximum shift."""
    recording = Recording("lamp", Path("lamp.wav"), tone(440).astype(np.int16), middle=RATE // 2)

    for one in copies.windows(recording, rng, n_copies=40, n_samples=17_520):
        energy = np.convolve(one.astype(np.float64) ** 2, np.ones(4_000), "same")
        assert abs(int(np.argmax(energy)) - 8_760) < copies.MAX_SHIFT + 4_000
