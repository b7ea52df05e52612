"""Clips of an `.npz` archive with `wav_vals` and `label_vals`.

Pickled objects are never loaded: they could run code.
"""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.audio.files import to_int16
from kws.audio.resample import Resampler
from kws.errors import AudioError, ConfigError
from training.datasets.clips import SAMPLE_RATE

SAMPLES, LABELS = "wav_vals", "label_vals"
# What an archive may hold besides: one value for all clips, or one a clip.
RATE, GROUPS, FOLDS = "sample_rate", "group_vals", "fold_vals"
# Floats of -1..1 may overshoot by a resampler's ringing; beyond that they are integers in disguise.
MAX_FLOAT = 2.0


@dataclass(frozen=True)
class ArrayClip:
    """One row of the samples of an archive."""

    archive: Path
    index: int
    label: str
    rate: int = SAMPLE_RATE

    start = 0
    n_samples = None

    @property
    def path(self) -> Path:
        """Name of the clip in tables: ARCHIVE.npz/INDEX."""
        return self.archive / str(self.index)

    def read(self) -> NDArray[np.int16]:
        """Return the clip as mono int16 ``(n_samples,)`` at 16 kHz.

        Raises
        ------
        AudioError
            If it is neither int16 nor floats of -1..1.
        """
        row = np.asarray(_arrays(self.archive)[SAMPLES][self.index]).reshape(-1)
        if row.dtype == np.int16:
            samples = np.array(row)
        elif row.dtype.kind == "f":
            peak = float(np.abs(row).max(initial=0.0))
            if not peak <= MAX_FLOAT:
                raise AudioError(
                    f"{self.path}: expected floats of -1..1, got up to {peak:g}; "
                    "store int16, or divide by 32768"
                )
            samples = to_int16(row.astype(np.float32))
        else:
            raise AudioError(f"{self.path}: expected int16 or floats of -1..1, got {row.dtype}")
        if self.rate == SAMPLE_RATE:
            return samples
        return Resampler(self.rate, SAMPLE_RATE).push(samples, last=True)


def read_archive(path: Path, *, sample_rate: int) -> list[tuple[ArrayClip, str, str]]:
    """Return the clips of an archive, each with its group and fold ("" where it has none).

    Raises
    ------
    ConfigError
        If it is no such archive, holds pickled objects, or its arrays do not fit each other.
    """
    shape, labels = _arrays(path)[SAMPLES].shape, _texts(path, LABELS)
    if len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] != 1):
        raise ConfigError(f"{path}: {SAMPLES}: expected (n_clips, n_samples), got {shape}")
    if len(labels) != shape[0] or not labels:
        raise ConfigError(f"{path}: {shape[0]} rows of {SAMPLES}, {len(labels)} of {LABELS}")
    columns = []
    for name in (GROUPS, FOLDS):
        column = _texts(path, name) or [""] * len(labels)
        if len(column) != len(labels):
            raise ConfigError(f"{path}: {len(labels)} rows of {LABELS}, {len(column)} of {name}")
        columns.append(column)
    n_hz = _rate_of(path, sample_rate)
    clips = [ArrayClip(path, index, label, n_hz) for index, label in enumerate(labels)]
    return list(zip(clips, *columns))


def _rate_of(path: Path, sample_rate: int) -> int:
    """Return the one rate of all clips in Hz: the archive's own, or else `sample_rate`."""
    rates = sorted(set(_texts(path, RATE)))
    if not rates:
        return sample_rate
    try:
        n_hz = int(float(rates[0]))
    except (ValueError, OverflowError):
        n_hz = 0
    if len(rates) > 1 or n_hz < 1:
        raise ConfigError(
            f"{path}: {RATE}: expected one rate in Hz for all clips, got {', '.join(rates[:4])}"
        )
    return n_hz


def _texts(path: Path, name: str) -> list[str]:
    """Return a small array as texts; an empty list where the archive has none of that name."""
    values = _arrays(path).get(name, np.empty(0))
    if values.ndim > 1:
        raise ConfigError(f"{path}: {name}: expected one value a clip, got {values.shape}")
    return [str(value) for value in np.atleast_1d(values)]


@lru_cache(maxsize=4)
def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of an archive by name, in memory."""
    if not zipfile.is_zipfile(path):
        raise ConfigError(f"{path}: expected an .npz archive")
    arrays = {}
    name = "archive"
    try:
        with np.load(path, allow_pickle=False) as archive:
            names = archive.files
            for name in {SAMPLES, LABELS, RATE, GROUPS, FOLDS} & set(names):
                values = archive[name]
                is_bytes = values.dtype.kind == "S"
                arrays[name] = np.char.decode(values, "utf-8") if is_bytes else values
    except ValueError as error:
        raise ConfigError(f"{path}: {name}: {error}; save texts with .astype(str)") from error
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise ConfigError(f"{path}: {name}: {error}; the file is damaged") from error
    for name in (SAMPLES, LABELS):
        if name not in arrays:
            raise ConfigError(f"{path}: expected {name} in it, got {', '.join(names)}")
    return arrays
