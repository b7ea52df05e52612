"""Clips of an `.npz` archive with `wav_vals` and `label_vals`, mapped into memory where it can be.

Archives from `numpy.savez` are mapped and read clip by clip; those from `savez_compressed` are
unpacked as a whole. Pickled objects are never loaded: they could run code.
"""

from __future__ import annotations

import contextlib
import struct
import zipfile
import zlib
from collections.abc import Iterator
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
# The fixed part of a zip entry's header; name and extra field follow it (APPNOTE 4.3.7).
ZIP_HEADER = struct.Struct("<26xHH")
# Floats of -1..1 may overshoot by a resampler's ringing; beyond that they are integers in disguise.
MAX_FLOAT = 2.0
# What unpacking a damaged file raises.
DAMAGE = (OSError, EOFError, zlib.error, zipfile.BadZipFile)


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

    def read(self, sample_rate: int = SAMPLE_RATE) -> NDArray[np.int16]:
        """Return the clip as mono int16 ``(n_samples,)``.

        Raises
        ------
        AudioError
            If it is neither int16 nor floats of -1..1.
        """
        row = np.asarray(_samples(self.archive)[self.index]).reshape(-1)
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
        if self.rate == sample_rate:
            return samples
        return Resampler(self.rate, sample_rate).push(samples, last=True)


@dataclass(frozen=True)
class Archive:
    """The clips of an archive, before their audio is read."""

    clips: list[ArrayClip]
    groups: list[str]
    folds: list[str]


def open_archive(path: Path, *, sample_rate: int) -> Archive:
    """Return the clips of an archive, with their groups and folds ("" where it has none).

    Raises
    ------
    ConfigError
        If it is no such archive, holds pickled objects, or its arrays do not fit each other.
    """
    shape = _samples(path).shape
    labels = _texts(path, LABELS, required=True)
    if len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] != 1):
        raise ConfigError(f"{path}: {SAMPLES}: expected (n_clips, n_samples), got {shape}")
    if len(labels) != shape[0] or not labels:
        raise ConfigError(f"{path}: {shape[0]} rows of {SAMPLES}, {len(labels)} of {LABELS}")
    n_hz = _rate_of(path, sample_rate)
    columns = []
    for name in (GROUPS, FOLDS):
        column = _texts(path, name) or [""] * len(labels)
        if len(column) != len(labels):
            raise ConfigError(f"{path}: {len(labels)} rows of {LABELS}, {len(column)} of {name}")
        columns.append(column)
    clips = [ArrayClip(path, index, label, n_hz) for index, label in enumerate(labels)]
    return Archive(clips, *columns)


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


def _texts(path: Path, name: str, *, required: bool = False) -> list[str]:
    """Return a small array as texts; an empty list where the archive has none of that name."""
    with _open(path) as archive:
        if name not in archive.files:
            if required:
                raise ConfigError(f"{path}: expected {name} in it, got {', '.join(archive.files)}")
            return []
        try:
            values = archive[name]
            if values.dtype.kind == "S":
                values = np.char.decode(values, "utf-8")
        except ValueError as error:
            raise ConfigError(f"{path}: {name}: {error}; save it with .astype(str)") from error
        except DAMAGE as error:
            raise ConfigError(f"{path}: {name}: {error}; the file is damaged") from error
    if values.ndim > 1:
        raise ConfigError(f"{path}: {name}: expected one value a clip, got {values.shape}")
    return [str(value) for value in np.atleast_1d(values)]


@contextlib.contextmanager
def _open(path: Path) -> Iterator[Any]:
    """Yield the archive opened by numpy, without unpickling."""
    with contextlib.ExitStack() as stack:
        try:
            # Opened here: numpy would leave the file of a broken archive open.
            opened = np.load(stack.enter_context(open(path, "rb")), allow_pickle=False)
        except (ValueError, *DAMAGE) as error:
            raise ConfigError(f"{path}: expected an .npz archive: {error}") from error
        if not hasattr(opened, "files"):
            raise ConfigError(f"{path}: expected an .npz archive, got a single array")
        yield stack.enter_context(opened)


@lru_cache(maxsize=4)
def _samples(path: Path) -> NDArray[Any]:
    """Return the samples: a map of the file where it is stored as it is, else in memory."""
    with _open(path) as archive:
        if SAMPLES not in archive.files:
            raise ConfigError(f"{path}: expected {SAMPLES} in it, got {', '.join(archive.files)}")
    with zipfile.ZipFile(path) as archive:
        entry = archive.getinfo(f"{SAMPLES}.npy")
    if entry.compress_type == zipfile.ZIP_STORED:
        mapped = _map(path, entry.header_offset)
        if mapped is not None:
            return mapped
    with _open(path) as archive:
        try:
            return np.asarray(archive[SAMPLES])
        except (ValueError, *DAMAGE) as error:
            raise ConfigError(f"{path}: {SAMPLES}: {error}") from error


def _map(path: Path, offset: int) -> NDArray[Any] | None:
    """Return the array of a stored zip entry as a read-only map; None for what cannot be mapped."""
    with open(path, "rb") as handle:
        handle.seek(offset)
        name_length, extra_length = ZIP_HEADER.unpack(handle.read(ZIP_HEADER.size))
        handle.seek(offset + ZIP_HEADER.size + name_length + extra_length)
        version = np.lib.format.read_magic(handle)
        if version == (1, 0):
            shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(handle)
        elif version == (2, 0):
            shape, is_fortran, dtype = np.lib.format.read_array_header_2_0(handle)
        else:
            return None
        if dtype.hasobject or 0 in shape:
            return None
        start = handle.tell()
    try:
        return np.memmap(
            path,
            dtype=dtype,
            mode="r",
            offset=start,
            shape=shape,
            order="F" if is_fortran else "C",
        )
    except ValueError as error:
        raise ConfigError(f"{path}: {SAMPLES}: {error}; the file is cut off") from error
