"""Evaluations behind `kws-eval`: one clip, many clips, long audio."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.config import FrontendConfig
from kws.errors import ConfigError
from kws.features.frontends import WholeFeatures
from kws.files import write_atomically
from kws.manifest import ModelManifest
from kws.spotter import KeywordSpotter
from training.datasets import twelve_class as protocol
from training.datasets.clips import Clip
from training.evaluation import long_audio as stream_run
from training.evaluation import metrics, stream_scores
from training.evaluation import plots as pictures
from training.evaluation.clips import ClipScorer
from training.evaluation.predictions import write_predictions
from training.evaluation.stream_scores import FileScores, Tally
from training.evaluation.truth import IGNORE, Event, read_truth

logger = logging.getLogger(__name__)
Progress = Callable[[Sequence[Any]], Sequence[Any]]


def evaluate_clip(
    path: Path, spotter: KeywordSpotter, *, label: str | None, picture: Path | None
) -> dict[str, Any]:
    """Return what a model makes of one clip, window by window; draws it if asked.

    Raises
    ------
    ConfigError
        If `label` is none of the model's.
    """
    labels = spotter.manifest.labels
    if label is not None and label not in labels:
        raise ConfigError(f"--label {label}: expected one of {', '.join(labels)}")
    times: list[float] = []
    rows: list[NDArray[np.float32]] = []

    def keep(time_s: float, posterior: NDArray[np.float32], _: object) -> None:
        if times and time_s <= times[-1]:
            # Short audio is gone through again at its end: only that is shown.
            times.clear()
            rows.clear()
        times.append(time_s)
        rows.append(posterior)

    samples = Clip(path, label or "").read()
    spotter.on_posterior = keep
    detections = spotter.process(samples) + spotter.flush()
    posteriors = np.array(rows)
    scorer = ClipScorer.open(spotter.manifest)
    posterior = scorer.posterior(Clip(path, label or ""))
    predicted = labels[int(posterior.argmax())]
    if picture is not None:
        verdict = "" if label is None else (", right" if predicted == label else ", wrong")
        pictures.draw_clip(
            samples,
            *_picture_of(samples, spotter.manifest.frontend),
            times,
            posteriors,
            labels,
            picture,
            title=f"{path.name}: {predicted} {posterior.max():.2f}{verdict}",
            sample_rate=spotter.sample_rate,
        )
    return {
        "file": str(path),
        "model": spotter.manifest.name,
        "label": label,
        "predicted": predicted,
        "right": None if label is None else predicted == label,
        "posterior": {name: float(value) for name, value in zip(labels, posterior)},
        "windows": [
            {"time_s": time_s, "best": labels[int(row.argmax())], "posterior": float(row.max())}
            for time_s, row in zip(times, posteriors)
        ],
        "detections": [
            {"keyword": found.keyword, "score": found.score, "time_s": found.time_s}
            for found in detections
        ],
    }


def _picture_of(
    samples: NDArray[np.int16], frontend: FrontendConfig
) -> tuple[NDArray[np.float32], float]:
    """Return frames to draw, and seconds from one to the next; of a waveform, its log-mel."""
    shown = FrontendConfig() if frontend.kind == "waveform" else frontend
    return WholeFeatures(shown)(samples), shown.frame_step_ms / 1000


def clips_to_score(
    root: Path, labels: Sequence[str], *, split: str | None, seed: int
) -> list[Clip]:
    """Return the clips that `kws-eval clips` counts: a balanced split, or every clip."""
    if split is None:
        return protocol.every_clip(root, labels)
    return protocol.balanced_split(root, labels, split, seed=seed)


def evaluate_clips(
    scorer: ClipScorer, clips: Sequence[Clip], *, root: Path, out: Path | None, progress: Progress
) -> dict[str, Any]:
    """Return accuracy, per-label figures and confusion; writes pictures and predictions."""
    labels = scorer.manifest.labels
    posteriors = scorer.posteriors(progress(clips))
    truth = [labels.index(clip.label) for clip in clips]
    report = {
        "model": scorer.manifest.name,
        "data": str(root),
        **metrics.classification_report(truth, metrics.argmax(posteriors), labels),
    }
    low, high = metrics.accuracy_interval(report["accuracy"], report["n"])
    report["accuracy_interval_95"] = [low, high]
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        pictures.draw_confusion(report, out / "confusion.png")
        pictures.draw_precision_recall(truth, posteriors, labels, out / "precision_recall.png")
        write_predictions(clips, posteriors, labels, root=root, path=out / "predictions.csv")
    return report


@dataclass(frozen=True)
class StreamResult:
    """What a model did on long audio."""

    files: list[FileScores]
    events: list[Event]
    report: dict[str, Any]
    tally: Tally


def evaluate_stream(
    spotter: KeywordSpotter, audio: Path, truth: Path, *, progress: Progress
) -> StreamResult:
    """Run every audio file of a folder through a spotter and score it against the truth.

    Raises
    ------
    AudioError
        If the folder holds no audio, or the truth does not fit it.
    """
    names = [path.name for path in stream_run.audio_in(audio)]
    events = read_truth(truth, files=names)
    manifest: ModelManifest = spotter.manifest
    spoken = {event.keyword for event in events} - {IGNORE}
    strange = sorted(spoken - set(spotter.keywords))
    if strange:
        logger.warning(
            "%s: %s is not known to %s; every event of it counts as missed",
            truth,
            ", ".join(strange),
            manifest.name,
        )
    files = stream_run.run_folder(spotter, audio, progress=progress)
    tally = Tally()
    for scores in files:
        tally.add(
            scores.file, scores.detections, [event for event in events if event.file == scores.file]
        )
    hours = sum(scores.duration_s for scores in files) / 3600
    report = {
        "model": manifest.name,
        "mode": spotter.model.mode,
        "hop_ms": spotter.hop_ms,
        **stream_scores.summarise(
            tally,
            hours=hours,
            keywords=(*spotter.keywords, *strange),
            thresholds=spotter.thresholds,
        ),
        "curve": stream_scores.curve(
            files,
            events,
            manifest.labels,
            suppression_s=manifest.decision.suppression_ms / 1000,
        ),
    }
    return StreamResult(files, events, report, tally)


def write_stream_report(result: StreamResult, out: Path) -> None:
    """Write the curve as a picture, and every detection and miss as a table."""
    out.mkdir(parents=True, exist_ok=True)
    pictures.draw_stream_curve(result.report, out / "curve.png")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("file", "time_s", "keyword", "score", "what"))
    rows = [
        (file, found.time_s, found.keyword, round(found.score, 4), "false accept")
        for file, found in result.tally.wrong
    ]
    rows += [
        (event.file, event.start_s, event.keyword, "", "miss") for event in result.tally.missed
    ]
    writer.writerows(sorted(rows, key=lambda row: (row[0], row[1])))
    write_atomically(out / "errors.csv", text.getvalue())
