"""Changes to clips and features that keep the word: each one can be switched off in the recipe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.errors import ConfigError
from training.datasets.clips import Clip

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class AugmentationConfig:
    """What is done to each training clip, and how often. A probability of 0 switches it off."""

    time_shift_ms: int = 150
    """Largest shift either way; the gap is filled with zeros."""

    shift_wraps: bool = False
    """Fill the gap with what was moved out at the other end: for sounds without a beginning."""

    speed_probability: float = 0.5
    speed_range: tuple[float, float] = (0.85, 1.15)
    """Factor on speed, which changes pitch with it."""

    gain_probability: float = 0.7
    gain_db_range: tuple[float, float] = (-18.0, 6.0)

    reverb_probability: float = 0.2
    """How often a clip is heard through one of the room responses."""

    noise_probability: float = 0.7
    snr_db_range: tuple[float, float] = (2.0, 30.0)
    """Drawn evenly; the level of a clip is that of its loudest 300 ms."""

    n_time_masks: int = 2
    time_mask_frames: int = 12
    n_mel_masks: int = 2
    mel_mask_bands: int = 5
    """SpecAugment (Park et al. 2019): masks hold the mean of the features."""

    mixup_probability: float = 0.0
    mixup_alpha: float = 0.2
    """Mixup (Zhang et al. 2018) of feature pairs within a batch."""

    def __post_init__(self) -> None:
        if not 0 <= self.time_shift_ms <= 1_000:
            raise ConfigError(
                f"augmentation.time_shift_ms must lie in 0..1000, got {self.time_shift_ms}"
            )
        for name in ("speed", "gain", "reverb", "noise", "mixup"):
            value = getattr(self, f"{name}_probability")
            if not 0 <= value <= 1:
                raise ConfigError(f"augmentation.{name}_probability must lie in 0..1, got {value}")
        for name in ("speed_range", "gain_db_range", "snr_db_range"):
            low, high = getattr(self, name)
            if low > high:
                raise ConfigError(f"augmentation.{name} must be (low, high), got {(low, high)}")
        if self.speed_range[0] <= 0:
            raise ConfigError(f"augmentation.speed_range must be above 0, got {self.speed_range}")


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


def loud_level(samples: NDArray[Any], window: int = 4_800) -> float:
    """Return the RMS of the loudest 300 ms, in the unit of the samples; the word's own level."""
    energy = np.concatenate(([0.0], np.cumsum(np.square(samples, dtype=np.float64))))
    if len(samples) <= window:
        return float(np.sqrt(energy[-1] / max(1, len(samples))))
    blocks = energy[window::160] - energy[: len(energy) - window : 160][: len(energy[window::160])]
    return float(np.sqrt(max(0.0, blocks.max()) / window))


def add_noise(samples: FloatArray, noise: NDArray[Any], snr_db: float) -> FloatArray:
    """Return the clip with `noise` under it, `snr_db` below the level of its loudest 300 ms."""
    noise_rms = float(np.sqrt(np.mean(np.square(noise, dtype=np.float64))))
    level = loud_level(samples)
    if noise_rms < 1e-6 or level < 1e-6:
        return samples
    factor = level / noise_rms * 10.0 ** (-snr_db / 20.0)
    return samples + noise.astype(np.float32) * np.float32(factor)


def read_rooms(root: Path | None, *, max_samples: int = 8_000) -> list[FloatArray]:
    """Return room responses from the first arrival on, unit energy, at most half a second."""
    if root is None or not root.is_dir():
        return []
    rooms = []
    for path in sorted(root.iterdir()):
        if path.suffix.lower() not in {".wav", ".flac"}:
            continue
        response = Clip(path, "room").read().astype(np.float32)
        start = int(np.argmax(np.abs(response)))
        response = response[max(0, start - 8) : start + max_samples]
        rooms.append(response / np.sqrt(np.sum(response**2)))
    return rooms


def reverberate(samples: FloatArray, room: FloatArray) -> FloatArray:
    """Return the clip as heard in a room, same length and loudest level."""
    # Imported here, so that recipes can be read and listed without the extra.
    from scipy.signal import oaconvolve

    wet = oaconvolve(samples, room)[: len(samples)].astype(np.float32)
    level = loud_level(wet)
    if level < 1e-6:
        return samples
    return np.asarray(wet * np.float32(loud_level(samples) / level))


def to_int16(samples: FloatArray) -> NDArray[np.int16]:
    """Return the samples rounded and clipped to int16."""
    return np.clip(np.round(samples), -32_768, 32_767).astype(np.int16)


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
