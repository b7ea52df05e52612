"""Background noise: recordings held in memory, cut at random places."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kws.errors import ConfigError
from training.datasets.clips import Clip
from training.datasets.folders import AUDIO_SUFFIXES, NOISE_FOLDER

# Which part of each long recording belongs to which split: parts never overlap.
PORTIONS = {"training": (0.0, 0.8), "validation": (0.8, 0.9), "testing": (0.9, 1.0)}
# ESC-10 is cut into five folds by source recording; whole folds are kept apart.
ESC_FOLDS = {"training": (1, 2, 3, 4), "validation": (5,), "testing": (5,)}


@dataclass(frozen=True)
class NoiseBank:
    """Noise recordings, int16 ``(n_samples,)`` each, at 16 kHz."""

    recordings: tuple[NDArray[np.int16], ...]

    def cut(self, rng: np.random.Generator, n_samples: int) -> NDArray[np.int16]:
        """Return `n_samples` of one recording; short ones are repeated."""
        recording = self.recordings[rng.integers(len(self.recordings))]
        if len(recording) < n_samples:
            recording = np.tile(recording, -(-n_samples // len(recording)))
        start = int(rng.integers(len(recording) - n_samples + 1))
        return recording[start : start + n_samples]


def noise_files(root: Path) -> list[Path]:
    """Return the recordings in the noise folder of a Speech Commands tree, sorted."""
    folder = root / NOISE_FOLDER
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in AUDIO_SUFFIXES)


def split_noise(root: Path, split: str) -> NoiseBank:
    """Return the part of each background recording that belongs to `split`."""
    first, last = PORTIONS[split]
    parts = []
    for path in noise_files(root):
        samples = Clip(path, "_silence_").read()
        parts.append(samples[int(len(samples) * first) : int(len(samples) * last)])
    return NoiseBank(tuple(parts))


def esc_noise(root: Path, split: str, *, without: tuple[str, ...] = ()) -> NoiseBank:
    """Return the environmental sounds of an ESC folder tree whose folds belong to `split`.

    Raises
    ------
    ConfigError
        If a class of `without` is none, or a file's name tells no fold.
    """
    absent = [name for name in without if not (root / name).is_dir()]
    if absent:
        raise ConfigError(f"{root}: expected classes to hold out, found no {', '.join(absent)}")
    wanted = ESC_FOLDS[split]
    return NoiseBank(
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
