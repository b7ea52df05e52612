"""A clip: a labelled stretch of an audio file, read only when asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.audio.files import open_sound, to_mono
from kws.audio.files import to_int16 as from_unit_scale
from kws.audio.resample import Resampler
from kws.errors import AudioError

SAMPLE_RATE = 16_000


@dataclass(frozen=True)
class Clip:
    """One labelled example on disk."""

    path: Path
    """The audio file."""

    label: str
    """Its word, before words are mapped to the labels of a model."""

    start: int = 0
    """First sample, counted at the file's own rate."""

    n_samples: int | None = None
    """Length in samples at the file's own rate; None means to the end."""

    gain: float = 1.0
    """Factor on the samples; a result beyond full scale is clipped."""

    def read(self) -> NDArray[np.int16]:
        """Return the clip as mono int16 ``(n_samples,)`` at 16 kHz.

        Raises
        ------
        AudioError
            If the file is missing or is not audio.
        """
        with open_sound(self.path) as sound:
            rate = sound.samplerate
            try:
                sound.seek(self.start)
                n_samples = -1 if self.n_samples is None else self.n_samples
                samples = from_unit_scale(sound.read(n_samples, dtype="float32", always_2d=True))
            except (RuntimeError, AudioError, MemoryError) as error:
                # A MemoryError: the header claims an impossible length.
                raise AudioError(f"{self.path}: cannot be decoded: {error}") from error
        mono = to_mono(samples)
        if rate != SAMPLE_RATE:
            mono = Resampler(rate, SAMPLE_RATE).push(mono, last=True)
        if self.gain != 1.0:
            mono = to_int16(mono * self.gain)
        return np.asarray(mono, dtype=np.int16)


def to_int16(samples: NDArray[Any]) -> NDArray[np.int16]:
    """Return samples on the int16 scale rounded and clipped to int16."""
    return np.clip(np.round(samples), -32_768, 32_767).astype(np.int16)


def fit_length(samples: NDArray[np.int16], n_samples: int) -> NDArray[np.int16]:
    """Return exactly `n_samples`: zeros after a short clip, the loudest stretch of a long one.

    Zeros after the end is what Speech Commands' own tools do with short clips.
    """
    extra = len(samples) - n_samples
    if extra < 0:
        return np.pad(samples, (0, -extra))
    if extra == 0:
        return samples
    energy = np.concatenate(([0.0], np.cumsum(samples.astype(np.float64) ** 2)))
    # Whole 10 ms steps are fine enough to find a word.
    starts = np.arange(0, extra + 1, 160)
    start = int(starts[np.argmax(energy[starts + n_samples] - energy[starts])])
    return samples[start : start + n_samples]


def key_of(clips: Sequence[Any], more: str = "") -> str:
    """Return a hash of clips, of the size and time of their files, and of `more`."""
    digest = hashlib.sha256(f"{more}\n".encode())
    for clip in clips:
        # Clips of an archive have the archive as their parent.
        state = (clip.path if clip.path.is_file() else clip.path.parent).stat()
        digest.update(f"{clip!r} {state.st_size} {state.st_mtime_ns}\n".encode())
    return digest.hexdigest()


class SampleCache:
    """Keeps clips in memory after their first reading, up to a number of bytes."""

    def __init__(self, max_bytes: int = 2**30) -> None:
        self._room = max_bytes
        self._samples: dict[Clip, NDArray[np.int16]] = {}

    def read(self, clip: Clip) -> NDArray[np.int16]:
        """Return the samples of `clip`, from memory if they are there."""
        known = self._samples.get(clip)
        if known is not None:
            return known
        samples = clip.read()
        if samples.nbytes <= self._room:
            self._room -= samples.nbytes
            samples.flags.writeable = False
            self._samples[clip] = samples
        return samples
