"""Copies of a recording as other rooms, distances and moments would have made them.

Everything here is made, nothing recorded: whoever teaches a word has no collection of noise.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from training.batches.augmentation import change_speed, reverberate
from training.datasets.clips import SAMPLE_RATE, to_int16
from training.datasets.noise import add_noise, coloured
from training.enrolment.recordings import Recording
from training.enrolment.tempo import change_tempo

FloatArray = NDArray[np.float32]
# Either way of the middle: a hop is 80 ms, and two in a row must be sure of the word.
MAX_SHIFT = SAMPLE_RATE * 120 // 1000
SPEED = (0.88, 1.14)
VOICE, TEMPO = (0.82, 1.22), (0.8, 1.25)
"""Of every other copy: how much higher pitch and formants lie, as of a smaller speaker, and how
much faster it is said."""

GAIN_DB = (-24.0, 6.0)
SNR_DB = (3.0, 30.0)
NOISE_PROBABILITY, ROOM_PROBABILITY = 0.75, 0.4
DECAY_S = (0.1, 0.6)
"""Reverberation time (60 dB) of a made room: a furnished one to a bare one."""


def windows(
    recording: Recording,
    rng: np.random.Generator,
    *,
    n_copies: int,
    n_samples: int = SAMPLE_RATE,
) -> Iterator[NDArray[np.int16]]:
    """Yield `n_copies` windows ``(n_samples,)`` with the word in them, the first as it is.

    Every other one is said by another voice at another tempo.
    """
    yield recording.window(n_samples=n_samples)
    for number in range(1, n_copies):
        shift = int(rng.integers(-MAX_SHIFT, MAX_SHIFT + 1))
        yield _copy(recording, rng, n_samples, shift, other_voice=number % 2 == 0)


def _copy(
    recording: Recording, rng: np.random.Generator, n_samples: int, shift: int, *, other_voice: bool
) -> NDArray[np.int16]:
    # Wider than the window: what a faster copy draws in from the sides is real audio.
    wide = recording.window(n_samples=2 * n_samples).astype(np.float32)
    if other_voice:
        voice, tempo = (float(np.exp(rng.uniform(*np.log(span)))) for span in (VOICE, TEMPO))
        wide = change_tempo(change_speed(wide, voice), tempo / voice)
    else:
        wide = change_speed(wide, float(rng.uniform(*SPEED)))
    if rng.random() < ROOM_PROBABILITY:
        wide = reverberate(wide, made_room(rng))
    start = len(wide) // 2 - n_samples // 2 - shift
    wide = np.pad(wide, n_samples)[start + n_samples :]
    samples = wide[:n_samples]
    if rng.random() < NOISE_PROBABILITY:
        samples = add_noise(samples, coloured(rng, n_samples), float(rng.uniform(*SNR_DB)))
    return to_int16(samples * np.float32(10 ** (rng.uniform(*GAIN_DB) / 20)))


def made_room(rng: np.random.Generator) -> FloatArray:
    """Return a room response of unit energy: noise that decays behind a direct sound.

    Polack's model (1988), with a drawn reverberation time and a drawn distance.
    """
    decay_s = rng.uniform(*DECAY_S)
    n_samples = int(decay_s * SAMPLE_RATE * 0.75)
    times = np.arange(n_samples) / SAMPLE_RATE
    tail = rng.standard_normal(n_samples) * 10.0 ** (-3.0 * times / decay_s)
    tail *= rng.uniform(0.1, 1.0) / np.sqrt(np.sum(tail**2))
    tail[0] += 1.0
    return np.asarray(tail / np.sqrt(np.sum(tail**2)), np.float32)
