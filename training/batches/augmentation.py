"""Augmentation of clips and features that keeps the word; the recipe can switch each off."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from kws.config import FrontendConfig
from training.config.augmentation_sections import AugmentationConfig
from training.datasets.noise import add_noise, loud_level

FloatArray = NDArray[np.float32]
Background = Callable[[], "NDArray[np.int16] | None"]
FADE_SAMPLES = 80


def change_clip(
    samples: FloatArray,
    config: AugmentationConfig,
    rng: np.random.Generator,
    *,
    sample_rate: int,
    rooms: Sequence[FloatArray],
    background: Background | None,
) -> FloatArray:
    """Return a clip with changed speed, time shift, reverberation, noise and gain, in this order.

    Parameters
    ----------
    samples : ndarray of float32, shape (n_samples,)
        On the int16 scale.
    rooms : sequence of ndarray
        Room responses to choose from.
    background : callable, optional
        Draws ``n_samples`` of noise, or None; without it the clip gets no noise.

    Returns
    -------
    changed : ndarray of float32, shape (n_samples,)
    """
    if rng.random() < config.speed_probability:
        samples = change_speed(samples, rng.uniform(*config.speed_range))
    limit = sample_rate * config.time_shift_ms // 1000
    if limit:
        shift = int(rng.integers(-limit, limit + 1))
        samples = np.roll(samples, shift) if config.shift_wraps else time_shift(samples, shift)
    if rooms and rng.random() < config.reverb_probability:
        samples = reverberate(samples, rooms[int(rng.integers(len(rooms)))])
    noise = background() if background else None
    if noise is not None:
        samples = add_noise(samples, noise, rng.uniform(*config.snr_db_range))
    if rng.random() < config.gain_probability:
        gain = 10.0 ** (rng.uniform(*config.gain_db_range) / 20.0)
        samples = samples * np.float32(gain)
    return samples


def change_frames(
    frames: FloatArray,
    config: AugmentationConfig,
    rng: np.random.Generator,
    *,
    frontend: FrontendConfig,
    background: Callable[[], FloatArray | None],
) -> FloatArray:
    """Return log-mel frames with changed time shift, noise and gain, as `change_clip` does.

    Speed and rooms need samples. Noise is added as power, without the phase between both, and its
    level counts in the mel bands alone.

    Parameters
    ----------
    frames : ndarray of float32, shape (n_frames, n_mels)
        Natural log of mel energy, not normalised.
    background : callable
        Draws frames of noise, of the same shape and unit, or None.
    """
    floor = np.float32(np.log(frontend.log_floor))
    limit = int(config.time_shift_ms / frontend.frame_step_ms)
    if limit:
        shift = int(rng.integers(-limit, limit + 1))
        frames = time_shift(frames - floor, shift) + floor
    power = np.exp(frames)
    noise = background() if rng.random() < config.noise_probability else None
    if noise is not None:
        n_loud = int(300 / frontend.frame_step_ms)
        loudest = np.convolve(power.sum(axis=1), np.ones(n_loud) / n_loud, "valid").max()
        noise_power = np.exp(noise)
        factor = loudest / noise_power.sum(axis=1).mean()
        power += noise_power * np.float32(
            factor * 10.0 ** (-rng.uniform(*config.snr_db_range) / 10)
        )
    if rng.random() < config.gain_probability:
        power *= np.float32(10.0 ** (rng.uniform(*config.gain_db_range) / 10.0))
    return np.log(np.maximum(power, np.float32(frontend.log_floor)))


def loud_half(samples: NDArray[np.int16], *, second: bool) -> NDArray[np.int16]:
    """Return the part of a word before, or after, half of its energy has passed.

    The cut end is faded over 5 ms at 16 kHz: a click would mark it as cut.
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


def random_crop(
    samples: NDArray[np.int16], n_samples: int, rng: np.random.Generator
) -> NDArray[np.int16]:
    """Return `n_samples` from a random place of a longer clip; zeros follow a shorter one."""
    extra = len(samples) - n_samples
    if extra <= 0:
        return np.pad(samples, (0, -extra))
    start = int(rng.integers(extra + 1))
    return samples[start : start + n_samples]


def time_shift(samples: FloatArray, shift: int) -> FloatArray:
    """Return the clip moved later by `shift` samples (earlier if negative), zeros in the gap."""
    moved = np.zeros_like(samples)
    if shift >= 0:
        moved[shift:] = samples[: len(samples) - shift]
    else:
        moved[:shift] = samples[-shift:]
    return moved


def change_speed(samples: FloatArray, factor: float) -> FloatArray:
    """Return the clip played `factor` times as fast about its middle, same length."""
    n = len(samples)
    middle = (n - 1) / 2
    positions = (np.arange(n) - middle) * factor + middle
    return np.interp(positions, np.arange(n), samples, left=0.0, right=0.0).astype(np.float32)


def reverberate(samples: FloatArray, room: FloatArray) -> FloatArray:
    """Return the clip convolved with a room response, at the same length and loudest level."""
    # Imported here, so that recipes can be listed without the extra.
    from scipy.signal import oaconvolve

    wet = oaconvolve(samples, room)[: len(samples)].astype(np.float32)
    level = loud_level(wet)
    if level < 1e-6:
        return samples
    return np.asarray(wet * np.float32(loud_level(samples) / level))


def mask_features(
    features: FloatArray, config: AugmentationConfig, rng: np.random.Generator
) -> None:
    """Set random time and mel stripes of normalised features ``(n, frames, mels)`` to 0."""
    n_clips, n_frames, n_mels = features.shape
    for clip in range(n_clips):
        for _ in range(config.n_time_masks):
            width = int(rng.integers(config.time_mask_frames + 1))
            start = int(rng.integers(n_frames - width + 1))
            features[clip, start : start + width] = 0.0
        for _ in range(config.n_mel_masks):
            width = int(rng.integers(config.mel_mask_bands + 1))
            start = int(rng.integers(n_mels - width + 1))
            features[clip, :, start : start + width] = 0.0


def mix_up(
    features: FloatArray, targets: FloatArray, config: AugmentationConfig, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Return each clip blended with a random other one of the batch, with probability."""
    n_clips = len(features)
    weight = rng.beta(config.mixup_alpha, config.mixup_alpha, n_clips).astype(np.float32)
    weight = np.maximum(weight, 1 - weight)
    weight[rng.random(n_clips) >= config.mixup_probability] = 1.0
    other = rng.permutation(n_clips)
    each = weight.reshape(n_clips, *(1,) * (features.ndim - 1))
    mixed = each * features + (1 - each) * features[other]
    return mixed, weight[:, None] * targets + (1 - weight)[:, None] * targets[other]
