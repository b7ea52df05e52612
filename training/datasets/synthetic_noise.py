"""Noise that no recording is needed for: coloured noise, and many people talking at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.fft
from numpy.typing import NDArray

LEVEL = 2_000.0
"""RMS of what is made; whoever adds it to a clip sets the level anyway."""


def coloured(rng: np.random.Generator, n_samples: int) -> NDArray[np.int16]:
    """Return noise with a drawn spectral slope, a drawn resonance and a slowly drawn loudness.

    The slope is -9..3 dB an octave (brown noise has -6, pink -3, white 0), so that hums, hisses,
    wind and fans lie between; the resonance lifts a band as a motor or a pipe would.
    """
    frequency = np.arange(1, n_samples // 2 + 2, dtype=np.float32) / n_samples
    gain_db = rng.uniform(-9.0, 3.0) * np.log2(frequency * 16)
    centre, width = rng.uniform(-7.0, -1.0), rng.uniform(0.1, 1.5)
    gain_db += rng.uniform(0.0, 20.0) * np.exp(-(((np.log2(frequency) - centre) / width) ** 2))
    gain = 10.0 ** (np.clip(gain_db, -80.0, 60.0) / 20.0)
    phases = rng.random(len(gain), dtype=np.float32) * np.float32(2 * np.pi)
    noise = scipy.fft.irfft(gain * np.exp(1j * phases), n_samples)
    # Loudness goes up and down between five points, by at most 12 dB.
    points = rng.uniform(-rng.uniform(0.0, 12.0), 0.0, 5)
    noise *= 10.0 ** (np.interp(np.linspace(0, 4, n_samples), np.arange(5), points) / 20.0)
    noise *= LEVEL / np.sqrt(np.mean(noise**2))
    return np.clip(noise, -32_768, 32_767).astype(np.int16)


def babble(
    rng: np.random.Generator, n_samples: int, speech: Callable[[], NDArray[np.int16]]
) -> NDArray[np.int16]:
    """Return three to six voices at once; `speech` gives ``(n_samples,)`` of one."""
    total = np.zeros(n_samples, np.float32)
    for _ in range(int(rng.integers(3, 7))):
        voice = speech().astype(np.float32)
        level = np.sqrt(np.mean(voice**2))
        if level > 1.0:
            total += voice * np.float32(rng.uniform(0.4, 1.0) * LEVEL / level)
    return np.clip(total, -32_768, 32_767).astype(np.int16)
