"""Background noise from recordings and voices, and mixing it into a clip at a given SNR."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.config import SILENCE
from kws.errors import ConfigError
from training.datasets.clips import Clip
from training.datasets.folders import AUDIO_SUFFIXES, NOISE_FOLDER
from training.datasets.synthetic_noise import SYNTHETIC_RMS

# Which part of each long recording belongs to which split: parts never overlap.
PORTIONS = {"training": (0.0, 0.8), "validation": (0.8, 0.9), "testing": (0.9, 1.0)}
# ESC-10 has five folds by source recording; whole folds are kept apart.
ESC_FOLDS = {"training": (1, 2, 3, 4), "validation": (5,), "testing": (5,)}

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class NoiseRecordings:
    """Noise recordings, int16 ``(n_samples,)`` each, at 16 kHz."""

    recordings: tuple[NDArray[np.int16], ...]

    def cut(self, rng: np.random.Generator, n_samples: int) -> NDArray[np.int16]:
        """Return `n_samples` of one recording; short ones are repeated."""
        recording = self.recordings[rng.integers(len(self.recordings))]
        if len(recording) < n_samples:
            recording = np.tile(recording, -(-n_samples // len(recording)))
        start = int(rng.integers(len(recording) - n_samples + 1))
        return recording[start : start + n_samples]

    def cut_changed(self, rng: np.random.Generator, n_samples: int) -> NDArray[np.int16]:
        """Return a cut at 0.6 to 1.7 times its speed, half of the time with another over it.

        A few hundred recordings so become many more sounds.
        """
        factor = 2 ** rng.uniform(-0.75, 0.75)
        longer = self.cut(rng, int(n_samples * factor) + 2)
        mix = np.interp(np.arange(n_samples) * factor, np.arange(len(longer)), longer)
        if rng.random() < 0.5:
            mix += self.cut(rng, n_samples) * 10 ** rng.uniform(-1.0, 0.5)
        return np.clip(mix, -32_768, 32_767).astype(np.int16)


def noise_files(root: Path) -> list[Path]:
    """Return the recordings in the noise folder of a Speech Commands tree, sorted."""
    folder = root / NOISE_FOLDER
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in AUDIO_SUFFIXES)


def split_noise(root: Path, split: str) -> NoiseRecordings:
    """Return the part of each background recording that belongs to `split`."""
    first, last = PORTIONS[split]
    parts = []
    for path in noise_files(root):
        samples = Clip(path, SILENCE).read()
        parts.append(samples[int(len(samples) * first) : int(len(samples) * last)])
    return NoiseRecordings(tuple(parts))


def esc_noise(root: Path, split: str, *, without: tuple[str, ...] = ()) -> NoiseRecordings:
    """Return the environmental sounds of an ESC folder tree whose folds belong to `split`.

    Raises
    ------
    ConfigError
        If a class of `without` does not exist, or a file's name has no fold.
    """
    absent = [name for name in without if not (root / name).is_dir()]
    if absent:
        raise ConfigError(f"{root}: expected classes to hold out, found no {', '.join(absent)}")
    wanted = ESC_FOLDS[split]
    return NoiseRecordings(
        tuple(
            Clip(path, path.parent.name).read()
            for path in sorted(root.glob("*/*.wav"))
            if _fold_of(path) in wanted and path.parent.name not in without
        )
    )


def _fold_of(path: Path) -> int:
    fold = path.name.split("-", 1)[0]
    if not fold.isdecimal():
        raise ConfigError(f"{path}: expected a name that begins with its fold, as 1-rain.wav does")
    return int(fold)


def babble(
    rng: np.random.Generator, n_samples: int, speech: Callable[[], NDArray[np.int16]]
) -> NDArray[np.int16]:
    """Return three to six voices at once; `speech` draws ``(n_samples,)`` of one."""
    total = np.zeros(n_samples, np.float32)
    for _ in range(int(rng.integers(3, 7))):
        voice = speech().astype(np.float32)
        level = np.sqrt(np.mean(voice**2))
        if level > 1.0:
            total += voice * np.float32(rng.uniform(0.4, 1.0) * SYNTHETIC_RMS / level)
    return np.clip(total, -32_768, 32_767).astype(np.int16)


def loud_level(samples: NDArray[Any], window: int = 4_800) -> float:
    """Return the RMS of the loudest 300 ms, in the unit of the samples: the level of a word."""
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
