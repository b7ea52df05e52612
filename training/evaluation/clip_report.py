"""Reports on labelled clips: one clip, a folder of clips, and the scores of a training run."""

from __future__ import annotations

import csv
import io
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.config import FrontendConfig
from kws.errors import ConfigError
from kws.features.frontends import ClipFeatures
from kws.files import write_atomically
from kws.spotter import KeywordSpotter
from training.batches.task import Task
from training.datasets.clips import Clip
from training.evaluation import plots
from training.evaluation.clips import ClipScorer
from training.evaluation.long_audio import recorded_hops
from training.evaluation.metrics import classification_report

logger = logging.getLogger(__name__)
Progress = Callable[[Sequence[Any]], Sequence[Any]]
Predict = Callable[[list[Any]], NDArray[np.float32]]
# Limits the memory that features take.
CLIPS_AT_ONCE = 512
SCORES = "scores.json"


def evaluate_clip(
    path: Path, spotter: KeywordSpotter, *, label: str | None, picture: Path | None
) -> dict[str, Any]:
    """Return the posteriors and detections of one clip; draw them if `picture` is given.

    Raises
    ------
    ConfigError
        If the model has no such `label`.
    """
    labels = spotter.manifest.labels
    if label is not None and label not in labels:
        raise ConfigError(f"--label {label}: expected one of {', '.join(labels)}")
    clip = Clip(path, label or "")
    samples = clip.read()
    with recorded_hops(spotter) as hops:
        detections = spotter.process(samples) + spotter.flush()
    times_s, posteriors = hops.times_s, np.array(hops.posteriors)
    posterior = ClipScorer.open(spotter.manifest).posterior(clip)
    predicted = labels[int(posterior.argmax())]
    if picture is not None:
        verdict = "" if label is None else (", right" if predicted == label else ", wrong")
        plots.draw_clip(
            samples,
            *_features_to_draw(samples, spotter.manifest.frontend),
            times_s,
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
            for time_s, row in zip(times_s, posteriors)
        ],
        "detections": [
            {"keyword": found.keyword, "score": found.score, "time_s": found.time_s}
            for found in detections
        ],
    }


def _features_to_draw(
    samples: NDArray[np.int16], frontend: FrontendConfig
) -> tuple[NDArray[np.float32], float]:
    """Return frames and their step in seconds; log-mel where the model takes the waveform."""
    shown = FrontendConfig() if frontend.kind == "waveform" else frontend
    return ClipFeatures(shown)(samples), shown.frame_step_ms / 1000


def evaluate_clips(
    scorer: ClipScorer, clips: Sequence[Clip], *, root: Path, out: Path | None, progress: Progress
) -> dict[str, Any]:
    """Return accuracy, per-label figures and confusion; write plots and predictions to `out`."""
    labels = scorer.manifest.labels
    posteriors = scorer.posteriors(progress(clips))
    truth = [labels.index(clip.label) for clip in clips]
    report = {
        "model": scorer.manifest.name,
        "data": str(root),
        **classification_report(truth, posteriors.argmax(axis=1), labels),
    }
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        plots.draw_confusion(report, out / "confusion.png")
        plots.draw_precision_recall(truth, posteriors, labels, out / "precision_recall.png")
        write_predictions(clips, posteriors, labels, root=root, path=out / "predictions.csv")
    return report


def write_scores(task: Task, out: Path, predict: Predict) -> dict[str, Any]:
    """Write ``scores.json`` and ``predictions-SPLIT.csv`` of the task's scored splits.

    Parameters
    ----------
    task : Task
        Its `scored_splits` are scored.
    out : Path
        The run's folder.
    predict : callable
        From a list of clips to posteriors ``(n_clips, n_labels)``.

    Returns
    -------
    scores : dict
        By split the `classification_report`; a split without clips is omitted.
    """
    root = task.recipe.data.root()
    scores = {}
    for split in task.scored_splits:
        clips = task.clips(split)
        if not clips:
            continue
        parts = range(0, len(clips), CLIPS_AT_ONCE)
        posteriors = np.concatenate(
            [predict(clips[start : start + CLIPS_AT_ONCE]) for start in parts]
        )
        report = classification_report(task.truth(clips), posteriors.argmax(axis=1), task.labels)
        scores[split] = report
        path = out / f"predictions-{split}.csv"
        write_predictions(clips, posteriors, task.labels, root=root, path=path)
        logger.info("%s", summary(split, report))
    write_atomically(out / SCORES, json.dumps(scores, indent=2) + "\n")
    return scores


def summary(name: str, report: dict[str, Any]) -> str:
    """Return one line with accuracy and the mean precision, recall and F1 of the classes."""
    macro = report["macro"]
    return (
        f"{name}: accuracy {100 * report['accuracy']:.1f} % of {report['n']}, "
        f"precision {100 * macro['precision']:.1f}, recall {100 * macro['recall']:.1f}, "
        f"F1 {100 * macro['f1']:.1f} % (means over classes)"
    )


def write_predictions(
    clips: Sequence[Any],
    posteriors: NDArray[np.float32],
    labels: Sequence[str],
    *,
    root: Path,
    path: Path,
) -> None:
    """Write a CSV: file (relative to `root`), label, predicted, and the score of every label.

    Where some clips are cuts of longer files, a column holds the first sample of each.
    """
    has_cuts = any(clip.n_samples is not None for clip in clips)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("file", *(("start",) if has_cuts else ()), "label", "predicted", *labels))
    folder = root.parent if root.suffix in (".csv", ".npz") else root
    for clip, row in zip(clips, posteriors):
        name = clip.path.relative_to(folder) if clip.path.is_relative_to(folder) else clip.path
        predicted = labels[int(row.argmax())]
        start = (clip.start,) if has_cuts else ()
        scores = (f"{value:.4f}" for value in row)
        writer.writerow((name.as_posix(), *start, clip.label, predicted, *scores))
    write_atomically(path, text.getvalue())
