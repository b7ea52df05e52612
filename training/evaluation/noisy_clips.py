"""Clips in simulated rooms and over held-out noise at a stated level."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kws.errors import ConfigError
from training.batches.augmentation import reverberate
from training.datasets.clips import SAMPLE_RATE, Clip, fit_length, to_int16
from training.datasets.folders import recordings_in
from training.datasets.noise import (
    ESC_FOLDS,
    PORTIONS,
    NoiseRecordings,
    add_noise,
    esc_noise,
    noise_files,
    split_noise,
)
from training.datasets.rooms import simulate_room

FloatArray = NDArray[np.float32]
SNRS_DB = (20.0, 10.0, 5.0, 0.0)
# Some recordings contain digital silence. Scaling a cut quieter than this (70 dB below full
# scale) would amplify hiss a thousandfold, so another cut is drawn.
LEAST_RMS = 10.0
MAX_DRAWS = 50
# Rooms to measure in: what a living room or a kitchen has (training draws a wider range).
N_ROOMS = 60
DISTANCE_M, RT60_S = (1.0, 4.0), (0.25, 0.7)


@dataclass(frozen=True)
class HeldOutNoise:
    """Noise that no training run uses, with a description of its sources."""

    bank: NoiseRecordings
    sources: tuple[str, ...]


@dataclass(frozen=True)
class NoisyClip:
    """A clip mixed over noise that fills its window."""

    clip: Clip

    noise: NDArray[np.int16]
    """Shape ``(n_samples,)`` at 16 kHz; the clip is fitted to this length."""

    snr_db: float
    """Level of the loudest 300 ms of the clip above the RMS of the noise."""

    room: FloatArray | None = None
    """Response of the room between speaker and microphone."""

    @property
    def label(self) -> str:
        """The label of the clip."""
        return self.clip.label

    @property
    def path(self) -> Path:
        """The file of the clip."""
        return self.clip.path

    @property
    def start(self) -> int:
        """The first sample of the clip in its file."""
        return self.clip.start

    @property
    def n_samples(self) -> int | None:
        """The length of the clip in its file; None to the end."""
        return self.clip.n_samples

    def read(self) -> NDArray[np.int16]:
        """Return the mix as mono int16 ``(n_samples,)`` at 16 kHz."""
        whole = fit_length(self.clip.read(), len(self.noise)).astype(np.float32)
        if self.room is not None:
            whole = reverberate(whole, self.room)
        return to_int16(add_noise(whole, self.noise, self.snr_db))


def held_out_noise(
    data: Path, split: str, *, environment: Path | None = None, folders: Sequence[Path] = ()
) -> HeldOutNoise:
    """Return the noise of a split, or all recordings of the given folders.

    Parameters
    ----------
    data : Path
        Folder of clips; the part of its ``_background_noise_`` that belongs to the split.
    split : str
        validation or testing.
    environment : Path, optional
        An ESC folder tree; only the split's folds are used. Default: ``esc10`` beside
        `data`.
    folders : sequence of Path
        Folders whose recordings are used instead of both.

    Raises
    ------
    ConfigError
        If a given folder holds no audio.
    """
    if folders:
        return _whole_folders(folders)
    recordings = split_noise(data, split).recordings
    sources = []
    if recordings:
        first, last = (round(100 * part) for part in PORTIONS[split])
        count = len(noise_files(data))
        sources.append(f"{first} to {last} % of each of {count} background recordings")
    tree = environment or data.resolve().parent / "esc10"
    sounds = esc_noise(tree, split).recordings if tree.is_dir() else ()
    if environment and not sounds:
        raise ConfigError(f"{environment}: expected environmental sounds (CLASS/FOLD-*.wav)")
    if sounds:
        folds = ", ".join(str(fold) for fold in ESC_FOLDS[split])
        sources.append(f"{len(sounds)} recordings of fold {folds} of {tree.name}")
    return HeldOutNoise(NoiseRecordings((*recordings, *sounds)), tuple(sources))


def _whole_folders(folders: Sequence[Path]) -> HeldOutNoise:
    recordings = []
    sources = []
    for folder in folders:
        paths = recordings_in(folder, "recordings of noise", deep=True)
        recordings += [Clip(path, "noise").read() for path in paths]
        sources.append(f"{len(paths)} recordings of {folder.name}")
    return HeldOutNoise(NoiseRecordings(tuple(recordings)), tuple(sources))


def rooms_to_measure(seed: int) -> list[FloatArray]:
    """Return the responses of `N_ROOMS` simulated rooms that are not used for training.

    Raises
    ------
    MissingDependencyError
        If pyroomacoustics is not installed.
    """
    return [
        # Three numbers: `rooms.write_rooms`, whose rooms train, seeds with two.
        simulate_room(
            np.random.default_rng((seed, number, 1)), distance_m=DISTANCE_M, rt60_s=RT60_S
        )[0]
        for number in range(N_ROOMS)
    ]


def over_noise(
    clips: Sequence[Clip],
    noise: NoiseRecordings,
    *,
    snr_db: float,
    window_s: float,
    seed: int,
    rooms: Sequence[FloatArray] = (),
) -> list[NoisyClip]:
    """Return the clips over noise; a clip has the same noise at every level.

    Parameters
    ----------
    clips : sequence of Clip
        In a fixed order: the noise of a clip depends on the seed and its position.
    noise : NoiseRecordings
        Source of the cuts.
    snr_db : float
        Of the loudest 300 ms of a clip over the RMS of its noise.
    window_s : float
        Length of the model's window.
    seed : int
        Of the draws.
    rooms : sequence of ndarray
        Room responses to draw from; none leaves the clips dry.

    Raises
    ------
    ConfigError
        If the level is not finite, or all noise is silent.
    """
    if not math.isfinite(snr_db):
        raise ConfigError(f"--snr-db: expected a finite level, got {snr_db}")
    n_samples = round(window_s * SAMPLE_RATE)
    made = []
    for index, clip in enumerate(clips):
        rng = np.random.default_rng((seed, index))
        cut = _loud_cut(noise, rng, n_samples)
        room = rooms[int(rng.integers(len(rooms)))] if rooms else None
        made.append(NoisyClip(clip, cut, snr_db, room))
    return made


def _loud_cut(
    noise: NoiseRecordings, rng: np.random.Generator, n_samples: int
) -> NDArray[np.int16]:
    for _ in range(MAX_DRAWS):
        cut = noise.cut(rng, n_samples)
        if np.sqrt(np.mean(np.square(cut, dtype=np.float64))) >= LEAST_RMS:
            return cut
    raise ConfigError(f"noise: expected audible noise, got {MAX_DRAWS} cuts of digital silence")
