"""Recordings of a word: read, check, and find where the word is."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kws.errors import AudioError, ConfigError
from training.datasets.clips import SAMPLE_RATE, Clip
from training.datasets.folders import recordings_in
from training.embedding.backbone import Embedder

FloatArray = NDArray[np.float32]
# A label becomes a file name, an option's value and a line on the terminal.
WORD = re.compile(r"[^\W_][\w' -]{0,39}")
FRAME = SAMPLE_RATE // 100
QUIETEST_LEVEL = 30.0
"""Minimum RMS of the loudest 300 ms: about -61 dB of full scale."""

LEAST_CONTRAST_DB = 6.0
"""Minimum level of the loudest 300 ms above the quietest 300 ms."""

CLIPPED_SHARE = 0.002
"""Share of samples at full scale above which a recording counts as clipped."""

LONGEST_S = 10.0
# The loudest stretch may be another sound, or only one syllable: search this far around it.
ALIGN_REACH, ALIGN_STEP = SAMPLE_RATE * 300 // 1000, SAMPLE_RATE * 30 // 1000
ALIGN_ROUNDS = 3


@dataclass(frozen=True)
class Recording:
    """One utterance of a word."""

    word: str
    path: Path
    samples: NDArray[np.int16]
    """The whole recording, ``(n_samples,)`` at 16 kHz."""

    middle: int
    """Sample in the middle of the word; at first, of the loudest stretch."""

    def window(self, *, shift: int = 0, n_samples: int = SAMPLE_RATE) -> NDArray[np.int16]:
        """Return `n_samples` with the word in the middle, or `shift` samples later.

        The recording is padded with silence at both ends.
        """
        start = self.middle - n_samples // 2 - shift
        cut = self.samples[max(0, start) : max(0, start + n_samples)]
        before = min(n_samples, max(0, -start))
        return np.pad(cut, (before, n_samples - before - len(cut)))


def read_recordings(
    word: str, folder: Path, *, skip: Callable[[str], None] | None = None
) -> list[Recording]:
    """Return the recordings of a folder, sorted by name.

    With `skip`, files without a word are skipped, and `skip` is called with the reason.

    Raises
    ------
    ConfigError
        If the folder does not exist or holds no audio.
    AudioError
        If a file cannot be read, or holds no word.
    """
    found = []
    for path in recordings_in(folder, f"recordings of {word!r}"):
        try:
            found.append(checked(word, path, Clip(path, word).read()))
        except AudioError as error:
            if skip is None:
                raise
            skip(str(error))
    return found


def folders_of(words: Sequence[str], clips: Path) -> dict[str, Path]:
    """Return the folder of each word: ``CLIPS/WORD``, or CLIPS itself for a single word.

    Raises
    ------
    ConfigError
        If a word is invalid or is given twice.
    """
    for word in words:
        if not WORD.fullmatch(word):
            raise ConfigError(f"expected a word or a phrase of letters, got {word!r}")
    if len(set(words)) != len(words):
        raise ConfigError(f"expected each word once, got {', '.join(words)}")
    found = {word: clips / word for word in words}
    if len(words) == 1 and not found[words[0]].is_dir():
        return {words[0]: clips}
    return found


def checked(word: str, path: Path, samples: NDArray[np.int16]) -> Recording:
    """Return a recording with its loudest stretch marked.

    Raises
    ------
    AudioError
        If it is shorter than 0.2 s, longer than 10 s, or silent.
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


def align(recordings: Sequence[Recording], embedder: Embedder) -> list[Recording]:
    """Return the recordings of one word, each with its middle where the embeddings agree best.

    The loudest stretch is a rough guess. Each middle moves, within 300 ms, to the window most
    similar to the mean of the other recordings.
    """
    if len(recordings) < 2:
        return list(recordings)
    shifts = np.arange(-ALIGN_REACH, ALIGN_REACH + 1, ALIGN_STEP)
    n_samples = embedder.backbone.window_samples
    # Unit vectors, float32 (n_recordings, n_shifts, size).
    candidates = np.stack(
        [
            _unit(
                embedder.embed(
                    one.window(shift=-int(shift), n_samples=n_samples) for shift in shifts
                )
            )
            for one in recordings
        ]
    )
    chosen = np.full(len(recordings), len(shifts) // 2)
    for _ in range(ALIGN_ROUNDS):
        rows = candidates[np.arange(len(recordings)), chosen]
        for index in range(len(recordings)):
            others = (rows.sum(axis=0) - rows[index]) / (len(recordings) - 1)
            similarity = candidates[index] @ others
            # Ties go to the window closest to the loudest stretch.
            similarity -= 0.002 * np.abs(shifts) / ALIGN_REACH
            chosen[index] = int(np.argmax(similarity))
            rows[index] = candidates[index, chosen[index]]
    return [
        replace(one, middle=one.middle + int(shifts[place]))
        for one, place in zip(recordings, chosen)
    ]


def is_clipped(samples: NDArray[np.int16]) -> bool:
    """Return whether too many samples are at full scale."""
    return float(np.mean(np.abs(samples.astype(np.int32)) >= 32_700)) > CLIPPED_SHARE


def stands_out(samples: NDArray[np.int16]) -> bool:
    """Return whether the loudest 300 ms are clearly louder than the background."""
    energy = _energy(samples)
    quiet = max(float(np.percentile(energy, 10)), 1.0)
    return bool(10 * np.log10(max(float(energy.max()), 1.0) / quiet) >= LEAST_CONTRAST_DB)


def _energy(samples: NDArray[np.int16]) -> NDArray[np.float64]:
    """Return the mean square of each 300 ms window, one every 10 ms."""
    window = min(30 * FRAME, len(samples))
    total = np.concatenate(([0.0], np.cumsum(samples.astype(np.float64) ** 2)))
    starts = np.arange(0, len(samples) - window + 1, FRAME)
    return (total[starts + window] - total[starts]) / window


def _middle(samples: NDArray[np.int16]) -> int:
    """Return the middle of the stretch around the loudest 30 ms that is within 20 dB of them."""
    n_frames = len(samples) // FRAME
    frames = samples[: n_frames * FRAME].astype(np.float64).reshape(n_frames, FRAME)
    level = np.convolve(np.mean(frames**2, axis=1), np.ones(3) / 3, "same")
    floor = np.percentile(level, 20)
    # At least half way, in dB, between the background and the loudest place.
    limit = max(level.max() / 100, np.sqrt(level.max() * max(floor, 1.0)))
    loud = np.flatnonzero(level >= limit)
    peak = int(np.argmax(level))
    first = last = peak
    # Words and phrases contain pauses of up to 150 ms.
    for frame in loud[loud > peak]:
        if frame - last <= 15:
            last = int(frame)
    for frame in loud[loud < peak][::-1]:
        if first - frame <= 15:
            first = int(frame)
    return (first + last + 1) * FRAME // 2


def _unit(embeddings: FloatArray) -> FloatArray:
    centred = embeddings - embeddings.mean(axis=1, keepdims=True)
    return centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-6)
