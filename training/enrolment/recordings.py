"""Recordings of a word: read, checked, and cut to where the word is."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kws.errors import AudioError, ConfigError
from training.datasets.clips import SAMPLE_RATE, Clip
from training.datasets.folders import AUDIO_SUFFIXES

# What a label may be: it becomes a file name, an option's value, and a line on the terminal.
WORD = re.compile(r"[^\W_][\w' -]{0,39}")
FRAME = SAMPLE_RATE // 100
QUIETEST_LEVEL = 30.0
"""RMS of the loudest 300 ms, under which nothing was said: about -61 dB of full scale."""

LEAST_CONTRAST_DB = 6.0
"""How far the loudest 300 ms must stand out of the quietest for there to be a word at all."""

CLIPPED_SHARE = 0.002
"""Part of the samples at full scale from which a recording is called clipped."""

LONGEST_S = 10.0


@dataclass(frozen=True)
class Recording:
    """One utterance of a word."""

    word: str
    path: Path
    samples: NDArray[np.int16]
    """The whole recording, ``(n_samples,)`` at 16 kHz."""

    middle: int
    """Sample in the middle of the loudest stretch, where the word is."""

    def window(self, *, shift: int = 0, n_samples: int = SAMPLE_RATE) -> NDArray[np.int16]:
        """Return `n_samples` about the middle, which lies `shift` samples later in them.

        Beyond the ends of the recording there is silence.
        """
        start = self.middle - n_samples // 2 - shift
        cut = self.samples[max(0, start) : max(0, start + n_samples)]
        before = min(n_samples, max(0, -start))
        return np.pad(cut, (before, n_samples - before - len(cut)))


def read_recordings(
    word: str, folder: Path, *, skip: Callable[[str], None] | None = None
) -> list[Recording]:
    """Return the recordings of a folder, sorted by name.

    With `skip`, files that hold no word are passed over, and it is told why.

    Raises
    ------
    ConfigError
        If the folder is not there or holds no audio.
    AudioError
        If a file cannot be read, or holds no word.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder}: expected a folder with recordings of {word!r}, found none")
    # What begins with a dot is half written, or not meant to be seen.
    visible = (path for path in folder.iterdir() if not path.name.startswith("."))
    paths = sorted(path for path in visible if path.suffix.lower() in AUDIO_SUFFIXES)
    if not paths:
        raise ConfigError(
            f"{folder}: expected recordings of {word!r} ({', '.join(sorted(AUDIO_SUFFIXES))}), "
            "found none"
        )
    found = []
    for path in paths:
        try:
            found.append(checked(word, path, Clip(path, word).read()))
        except AudioError as error:
            if skip is None:
                raise
            skip(str(error))
    return found


def folders_of(words: Sequence[str], clips: Path) -> dict[str, Path]:
    """Return where each word's recordings lie: ``CLIPS/WORD``, or CLIPS itself for a single word.

    Raises
    ------
    ConfigError
        If a word is none, is given twice, or has no folder.
    """
    for word in words:
        if not WORD.fullmatch(word):
            raise ConfigError(f"expected a word or a phrase of letters, got {word!r}")
    if len(set(words)) != len(words):
        raise ConfigError(f"expected each word once, got {', '.join(words)}")
    found = {word: clips / word for word in words}
    if len(words) == 1 and not found[words[0]].is_dir():
        return {words[0]: clips}
    for word, folder in found.items():
        if not folder.is_dir():
            raise ConfigError(f"{folder}: expected a folder with recordings of {word!r}")
    return found


def checked(word: str, path: Path, samples: NDArray[np.int16]) -> Recording:
    """Return a recording with its word found, or say what is wrong with it.

    Raises
    ------
    AudioError
        If it is shorter than 0.2 s or longer than 10 s, silent, or of one loudness throughout.
    """
    length = len(samples) / SAMPLE_RATE
    if not 0.2 <= length <= LONGEST_S:
        raise AudioError(
            f"{path}: expected 0.2 to {LONGEST_S:g} s with one {word!r}, got {length:.1f} s"
        )
    energy = _energy(samples)
    best = int(np.argmax(energy))
    loud = float(np.sqrt(energy[best]))
    if loud < QUIETEST_LEVEL:
        raise AudioError(
            f"{path}: expected {word!r}, got silence (its loudest 300 ms are at "
            f"{20 * np.log10(max(loud, 1e-3) / 32_768):.0f} dB of full scale)"
        )
    return Recording(word, path, samples, middle=_middle(samples))


def is_clipped(samples: NDArray[np.int16]) -> bool:
    """Whether so much of a recording stands at full scale that its word is distorted."""
    return float(np.mean(np.abs(samples.astype(np.int32)) >= 32_700)) > CLIPPED_SHARE


def stands_out(samples: NDArray[np.int16]) -> bool:
    """Whether the loudest 300 ms stand out of the rest as a word does in a quiet room."""
    energy = _energy(samples)
    quiet = max(float(np.percentile(energy, 10)), 1.0)
    return bool(10 * np.log10(max(float(energy.max()), 1.0) / quiet) >= LEAST_CONTRAST_DB)


def _energy(samples: NDArray[np.int16]) -> NDArray[np.float64]:
    """Return the mean square of each 300 ms that begin at a whole 10 ms."""
    window = min(30 * FRAME, len(samples))
    total = np.concatenate(([0.0], np.cumsum(samples.astype(np.float64) ** 2)))
    starts = np.arange(0, len(samples) - window + 1, FRAME)
    return (total[starts + window] - total[starts]) / window


def _middle(samples: NDArray[np.int16]) -> int:
    """Return the middle of what is within 20 dB of the loudest 30 ms, about that loudest place."""
    n_frames = len(samples) // FRAME
    frames = samples[: n_frames * FRAME].astype(np.float64).reshape(n_frames, FRAME)
    level = np.convolve(np.mean(frames**2, axis=1), np.ones(3) / 3, "same")
    floor = np.percentile(level, 20)
    # Above the room's noise by half of what the word stands out of it, on the scale of dB.
    limit = max(level.max() / 100, np.sqrt(level.max() * max(floor, 1.0)))
    loud = np.flatnonzero(level >= limit)
    peak = int(np.argmax(level))
    first = last = peak
    # Pauses of up to 150 ms lie inside words and between the words of a phrase.
    for frame in loud[loud > peak]:
        if frame - last <= 15:
            last = int(frame)
    for frame in loud[loud < peak][::-1]:
        if first - frame <= 15:
            first = int(frame)
    return (first + last + 1) * FRAME // 2
