"""Evaluation on long audio: run the spotter as the listener does and score its detections."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.audio.files import read_file
from kws.files import write_atomically
from kws.spotter import KeywordSpotter
from training.datasets.folders import recordings_in
from training.evaluation import plots
from training.evaluation.stream_scores import FileScores, Tally, curve, summarise, tally_files
from training.evaluation.truth import IGNORE, OTHER, read_truth

logger = logging.getLogger(__name__)
Progress = Callable[[Sequence[Path]], Iterable[Path]]


@dataclass
class HopLog:
    """The posteriors and scores of every hop."""

    times_s: list[float] = field(default_factory=list)
    """End of each window."""

    posteriors: list[NDArray[np.float32]] = field(default_factory=list)
    scores: list[NDArray[np.float32]] = field(default_factory=list)
    """Smoothed posteriors; the first hops have none, until the smoothing span is full."""

    def __call__(
        self, time_s: float, posterior: NDArray[np.float32], scores: NDArray[np.float32] | None
    ) -> None:
        """Add a hop; the spotter's `on_posterior` hook."""
        if self.times_s and time_s <= self.times_s[-1]:
            # The flush repeats audio shorter than a window: only the last pass counts.
            self.times_s.clear()
            self.posteriors.clear()
            self.scores.clear()
        self.times_s.append(time_s)
        self.posteriors.append(posterior.copy())
        if scores is not None:
            self.scores.append(scores)


@contextmanager
def recorded_hops(spotter: KeywordSpotter) -> Iterator[HopLog]:
    """Reset a spotter and log each of its hops within the block."""
    log = HopLog()
    spotter.reset()
    spotter.on_posterior = log
    try:
        yield log
    finally:
        spotter.on_posterior = None
        spotter.reset()


def audio_in(folder: Path) -> list[Path]:
    """Return the audio files of a folder in sorted order, or the one file that is given."""
    return [folder] if folder.is_file() else recordings_in(folder)


def run_file(spotter: KeywordSpotter, path: Path) -> FileScores:
    """Return the scores and detections of one file, flushed at its end as `kws-listen` does."""
    detections = []
    n_samples = 0
    with recorded_hops(spotter) as hops:
        for chunk in read_file(path, sample_rate=spotter.sample_rate):
            n_samples += len(chunk)
            detections += spotter.process(chunk)
        detections += spotter.flush()
    scores = np.array(hops.scores, dtype=np.float32)
    return FileScores(
        file=path.name,
        duration_s=n_samples / spotter.sample_rate,
        times_s=np.array(hops.times_s[len(hops.times_s) - len(scores) :], dtype=np.float64),
        scores=scores.reshape(-1, len(spotter.manifest.labels)),
        detections=tuple(detections),
    )


@dataclass(frozen=True)
class StreamResult:
    """What a model did on long audio."""

    tally: Tally
    report: dict[str, Any]


def evaluate_stream(
    spotter: KeywordSpotter, audio: Path, truth: Path, *, progress: Progress
) -> StreamResult:
    """Run every audio file of a folder through a spotter and score it against the truth.

    Raises
    ------
    KwsError
        If the folder holds no audio, or the truth does not fit it.
    """
    paths = audio_in(audio)
    events = read_truth(truth, files=[path.name for path in paths])
    manifest = spotter.manifest
    strange = sorted({event.keyword for event in events} - {IGNORE, OTHER} - set(spotter.keywords))
    if strange:
        logger.warning(
            "%s: %s has no keyword %s; each of these words counts as missed",
            truth,
            manifest.name,
            ", ".join(strange),
        )
    files = [run_file(spotter, path) for path in progress(paths)]
    tally = tally_files(((file.file, file.detections) for file in files), events)
    figures = summarise(
        tally,
        tally,
        hours=sum(file.duration_s for file in files) / 3600,
        keywords=(*spotter.keywords, *strange),
        thresholds=spotter.thresholds,
    )
    suppression_s = manifest.decision.suppression_ms / 1000
    report = {
        "model": manifest.name,
        "mode": spotter.model.mode,
        "hop_ms": spotter.hop_ms,
        **figures,
        "curve": curve(files, events, manifest.labels, suppression_s=suppression_s),
    }
    return StreamResult(tally, report)


def write_stream_report(result: StreamResult, out: Path) -> None:
    """Write the curve as a picture, and every false alarm and missed word as a table."""
    out.mkdir(parents=True, exist_ok=True)
    plots.draw_stream_curve(result.report, out / "curve.png")
    rows: list[tuple[Any, ...]] = [
        (file, found.time_s, found.keyword, round(found.score, 4), "false accept")
        for file, found in result.tally.wrong
    ]
    rows += [
        (event.file, event.start_s, event.keyword, "", "miss") for event in result.tally.missed
    ]
    rows.sort(key=lambda row: (row[0], row[1]))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("file", "time_s", "keyword", "score", "what"))
    writer.writerows(rows)
    write_atomically(out / "errors.csv", text.getvalue())
