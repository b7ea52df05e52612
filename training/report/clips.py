"""A model on labelled clips: the figures of `kws-eval clips`, its calibration, and in noise."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.evaluation import metrics
from training.evaluation.evaluate import clips_to_score
from training.evaluation.noisy_clips import SNRS_DB, HeldOutNoise, over_noise
from training.evaluation.metrics import reliability
from training.evaluation.source_clips import clips_of_source
from training.report.models import Subject

Progress = Callable[[str], Callable[[Sequence[Any]], Iterable[Any]]]


@dataclass(frozen=True)
class ClipPlan:
    """Which clips, and over which noise."""

    data: Path
    split: str | None
    seed: int
    noise: HeldOutNoise
    """Without recordings clips are scored as they are, and nothing else."""


def measure_clips(subject: Subject, plan: ClipPlan, *, progress: Progress) -> dict[str, Any]:
    """Return what a model does on clips; every level of noise is run once.

    Returns
    -------
    figures : dict
        ``clips``, as `kws-eval clips --json` gives it; ``reliability``; and ``noise``, a row a
        level (``snr_db``, None for clean): accuracy of all clips, recall of the keywords alone,
        calibration error.
    """
    labels = subject.manifest.labels
    plain = clips_of_source(subject.manifest, plan.data, split=plan.split)
    clips = plain or clips_to_score(plan.data, labels, split=plan.split, seed=plan.seed)
    truth = [labels.index(clip.label) for clip in clips]
    clean = _scores(subject, clips, progress(f"{subject.title}, clips"))
    report = {
        "model": subject.manifest.name,
        "data": str(plan.data),
        **metrics.classification_report(truth, metrics.argmax(clean), labels),
    }
    report["accuracy_interval_95"] = list(
        metrics.accuracy_interval(report["accuracy"], report["n"])
    )
    if plan.split:
        report["split"], report["seed"] = plan.split, plan.seed
    rows = [_row(None, truth, clean, subject)]
    # Sounds that are no words have no level over noise that would mean the same.
    for snr_db in SNRS_DB if plan.noise.bank.recordings and plain is None else ():
        mixed = over_noise(
            clips, plan.noise.bank, snr_db=snr_db, window_s=subject.window_s, seed=plan.seed
        )
        doing = progress(f"{subject.title}, {snr_db:g} dB")
        rows.append(_row(snr_db, truth, _scores(subject, mixed, doing), subject))
    return {"clips": report, "reliability": reliability(truth, clean), "noise": rows}


def _scores(
    subject: Subject, clips: Sequence[Any], doing: Callable[[Sequence[Any]], Iterable[Any]]
) -> NDArray[np.float32]:
    return subject.scorer.posteriors(doing(clips))


def _row(
    snr_db: float | None, truth: Sequence[int], scores: NDArray[np.float32], subject: Subject
) -> dict[str, Any]:
    labels = subject.manifest.labels
    right = scores.argmax(axis=1) == np.asarray(truth)
    spoken = np.array([not labels[index].startswith("_") for index in truth])
    accuracy = float(right.mean())
    return {
        "snr_db": snr_db,
        "n": len(right),
        "accuracy": accuracy,
        "accuracy_interval_95": list(metrics.accuracy_interval(accuracy, len(right))),
        "n_keywords": int(spoken.sum()),
        "keyword_recall": float(right[spoken].mean()) if spoken.any() else None,
        "expected_calibration_error": reliability(truth, scores)["expected_calibration_error"],
    }
