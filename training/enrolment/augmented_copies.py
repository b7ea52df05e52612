"""Augmented copies of a recording: other positions, voices, tempos, rooms, noise and levels.

Rooms and noise are synthetic, because a user who enrols a word has no noise collection.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from training.batches.augmentation import change_speed, reverberate
from training.datasets.clips import SAMPLE_RATE, to_int16
from training.datasets.noise import add_noise
from training.datasets.synthetic_noise import coloured
from training.enrolment.recordings import Recording

FloatArray = NDArray[np.float32]
# A hop is 80 ms, and two consecutive hops must detect the word.
MAX_SHIFT = SAMPLE_RATE * 120 // 1000
SPEED = (0.88, 1.14)
VOICE, TEMPO = (0.82, 1.22), (0.8, 1.25)
"""Factors of every other copy: pitch and formants (as of a smaller speaker), and tempo."""

GAIN_DB = (-24.0, 6.0)
SNR_DB = (3.0, 30.0)
NOISE_PROBABILITY, ROOM_PROBABILITY = 0.75, 0.4
DECAY_S = (0.1, 0.6)
"""Reverberation time (60 dB): from a furnished room to a bare one."""

# Tempo changes: overlapping pieces of 25 ms, each moved by up to 7.5 ms to fit the previous one.
PIECE, REACH = 400, 120


def windows(
    recording: Recording,
    rng: np.random.Generator,
    *,
    n_copies: int,
    n_samples: int = SAMPLE_RATE,
) -> Iterator[NDArray[np.int16]]:
    """Yield `n_copies` windows ``(n_samples,)`` that contain the word; the first is unchanged.

    Every other copy has another voice and tempo.
    """
    yield recording.window(n_samples=n_samples)
    for number in range(1, n_copies):
        shift = int(rng.integers(-MAX_SHIFT, MAX_SHIFT + 1))
        yield _copy(recording, rng, n_samples, shift, other_voice=number % 2 == 0)


def _copy(
    recording: Recording, rng: np.random.Generator, n_samples: int, shift: int, *, other_voice: bool
) -> NDArray[np.int16]:
    # Wider than the window, so that faster copies need no padding.
    wide = recording.window(n_samples=2 * n_samples).astype(np.float32)
    if other_voice:
        voice, tempo = (float(np.exp(rng.uniform(*np.log(span)))) for span in (VOICE, TEMPO))
        wide = change_tempo(change_speed(wide, voice), tempo / voice)
    else:
        wide = change_speed(wide, float(rng.uniform(*SPEED)))
    if rng.random() < ROOM_PROBABILITY:
        wide = reverberate(wide, synthetic_room(rng))
    start = len(wide) // 2 - n_samples // 2 - shift
    wide = np.pad(wide, n_samples)[start + n_samples :]
    samples = wide[:n_samples]
    if rng.random() < NOISE_PROBABILITY:
        samples = add_noise(samples, coloured(rng, n_samples), float(rng.uniform(*SNR_DB)))
    return to_int16(samples * np.float32(10 ** (rng.uniform(*GAIN_DB) / 20)))


def synthetic_room(rng: np.random.Generator) -> FloatArray:
    """Return a room response of unit energy: direct sound and decaying noise (Polack 1988).

    Reverberation time and distance are random.
    """
    decay_s = rng.uniform(*DECAY_S)
    n_samples = int(decay_s * SAMPLE_RATE * 0.75)
    times = np.arange(n_samples) / SAMPLE_RATE
    tail = rng.standard_normal(n_samples) * 10.0 ** (-3.0 * times / decay_s)
    tail *= rng.uniform(0.1, 1.0) / np.sqrt(np.sum(tail**2))
    tail[0] += 1.0
    return np.asarray(tail / np.sqrt(np.sum(tail**2)), np.float32)


def change_tempo(samples: FloatArray, factor: float) -> FloatArray:
    """Change the tempo at the same pitch: waveform-similarity overlap-add (Verhelst 1993).

    Libraries for this need a compiler or a large binary.

    Parameters
    ----------
    samples : ndarray of float32, shape (n,)
        At 16 kHz.
    factor : float
        Above 1 is faster.

    Returns
    -------
    samples : ndarray of float32, shape (round(n / factor),)
    """
    hop, n_made = PIECE // 2, round(len(samples) / factor)
    shape = np.hanning(PIECE + 1)[:PIECE]
    padded = np.pad(samples, (hop, 2 * PIECE + 2 * REACH))
    made = np.zeros(n_made + 2 * PIECE)
    weight = np.zeros_like(made)
    follows: int | None = None
    for place in range(0, n_made, hop):
        start = min(int(place * factor) + hop, len(padded) - PIECE - REACH)
        if follows is not None:
            wanted = padded[follows : follows + PIECE]
            around = padded[start - REACH : start + REACH + PIECE]
            start += int(np.argmax(np.correlate(around, wanted, "valid"))) - REACH
        made[place : place + PIECE] += shape * padded[start : start + PIECE]
        weight[place : place + PIECE] += shape
        follows = min(start + hop, len(padded) - PIECE)
    return np.asarray((made / np.maximum(weight, 1e-3))[:n_made], np.float32)
