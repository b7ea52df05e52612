"""Run long audio through `KeywordSpotter`, the way the listener does, and keep every score."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kws.audio.files import read_file
from kws.errors import AudioError
from kws.spotter import KeywordSpotter
from training.datasets.folders import AUDIO_SUFFIXES
from training.evaluation.stream_scores import FileScores


def audio_in(folder: Path) -> list[Path]:
    """Return every audio file of a folder, sorted, or the one file that is named.

    Other files of the folder are passed over.

    Raises
    ------
    AudioError
        If it is no folder, or holds no audio.
    """
    if folder.is_file():
        return [folder]
    if not folder.is_dir():
        raise AudioError(f"{folder}: expected a folder with audio files")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in AUDIO_SUFFIXES)
    if not paths:
        raise AudioError(f"{folder}: expected audio files, found none")
    return paths


def run_file(spotter: KeywordSpotter, path: Path) -> FileScores:
    """Return the scores and detections of one file, its end flushed as `kws-listen` does."""
    times: list[float] = []
    rows: list[NDArray[np.float32]] = []

    def keep(
        time_s: float, posterior: NDArray[np.float32], scores: NDArray[np.float32] | None
    ) -> None:
        if times and time_s <= times[-1]:
            # Short audio is gone through again at its end: only that counts.
            times.clear()
            rows.clear()
        if scores is not None:
            times.append(time_s)
            rows.append(scores)

    spotter.reset()
    spotter.on_posterior = keep
    detections = []
    n_samples = 0
    for chunk in read_file(path, sample_rate=spotter.sample_rate):
        n_samples += len(chunk)
        detections += spotter.process(chunk)
    detections += spotter.flush()
    spotter.on_posterior = None
    n_labels = len(spotter.manifest.labels)
    return FileScores(
        file=path.name,
        duration_s=n_samples / spotter.sample_rate,
        times_s=np.array(times, dtype=np.float64),
        scores=np.array(rows, dtype=np.float32).reshape(-1, n_labels),
        detections=tuple(detections),
    )


def run_folder(
    spotter: KeywordSpotter, folder: Path, *, progress: Callable[[Sequence[Path]], Sequence[Path]]
) -> list[FileScores]:
    """Return the scores of every audio file of a folder; `progress` wraps the iteration."""
    return [run_file(spotter, path) for path in progress(audio_in(folder))]
