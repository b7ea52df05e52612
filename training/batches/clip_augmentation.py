"""What is done to the samples of a training clip, in the order in which it is done."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from training.batches import augmentation
from training.batches.augmentation import AugmentationConfig

FloatArray = NDArray[np.float32]
Background = Callable[[], "NDArray[np.int16] | None"]


FADE_SAMPLES = 80


def loud_half(samples: NDArray[np.int16], *, second: bool) -> NDArray[np.int16]:
    """Return what comes before, or after, half of the energy of a word has passed.

    The cut end is faded over 5 ms at 16 kHz: a click would tell that it was cut.
    """
    passed = np.cumsum(np.square(samples, dtype=np.float64))
    middle = int(np.searchsorted(passed, passed[-1] / 2)) + 1
    half = samples[middle:] if second else samples[:middle]
    n_fade = min(FADE_SAMPLES, len(half))
    fade = np.linspace(0, 1, n_fade) if second else np.linspace(1, 0, n_fade)
    place = slice(0, n_fade) if second else slice(len(half) - n_fade, len(half))
    faded = half.astype(np.float64)
    faded[place] *= fade
    return faded.astype(np.int16)


def change_clip(
    samples: FloatArray,
    config: AugmentationConfig,
    rng: np.random.Generator,
    *,
    sample_rate: int,
    rooms: Sequence[FloatArray],
    background: Background | None,
) -> FloatArray:
    """Return a clip at another speed, moved, in a room, with noise, louder or softer.

    Parameters
    ----------
    samples : ndarray of float32, shape (n_samples,)
        On the int16 scale.
    config : AugmentationConfig
        How often and how much.
    rng : numpy.random.Generator
        Draws everything.
    sample_rate : int
        In Hz.
    rooms : sequence of ndarray
        Room responses to choose from.
    background : callable, optional
        Draws as many samples of noise, or None; without it the clip gets no noise.

    Returns
    -------
    changed : ndarray of float32, shape (n_samples,)
    """
    if rng.random() < config.speed_probability:
        samples = augmentation.change_speed(samples, rng.uniform(*config.speed_range))
    limit = sample_rate * config.time_shift_ms // 1000
    if limit:
        shift = int(rng.integers(-limit, limit + 1))
        samples = (
            np.roll(samples, shift)
            if config.shift_wraps
            else augmentation.time_shift(samples, shift)
        )
    if rooms and rng.random() < config.reverb_probability:
        samples = augmentation.reverberate(samples, rooms[rng.integers(len(rooms))])
    noise = background() if background else None
    if noise is not None:
        samples = augmentation.add_noise(samples, noise, rng.uniform(*config.snr_db_range))
    if rng.random() < config.gain_probability:
        gain = 10.0 ** (rng.uniform(*config.gain_db_range) / 20.0)
        samples = samples * np.float32(gain)
    return samples


def random_crop(
    samples: NDArray[np.int16], n_samples: int, rng: np.random.Generator
) -> NDArray[np.int16]:
    """Return `n_samples` from a random place of a longer clip; zeros follow a shorter one."""
    extra = len(samples) - n_samples
    if extra <= 0:
        return np.pad(samples, (0, -extra))
    start = int(rng.integers(extra + 1))
    return samples[start : start + n_samples]
