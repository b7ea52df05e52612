"""Measures the models of a report: clips, noise, long audio and latency, as plain JSON values."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws import __version__
from kws.bench import host
from training.conditions import scores
from training.conditions.layout import Condition
from training.evaluation.clips import clips_to_score
from training.evaluation.metrics import classification_report, reliability, share_interval
from training.evaluation.noisy_clips import SNRS_DB, HeldOutNoise, over_noise
from training.report import bench, published
from training.report.models import ReportModel, facts
from training.report.streams import StreamFolder, measure_streams

Progress = Callable[[str], Callable[[Sequence[Any]], Iterable[Any]]]
LIBRARIES = ("numpy", "scikit-learn", "matplotlib", "scipy", "soundfile", "soxr")


@dataclass(frozen=True)
class ClipPlan:
    """The clips to measure on, and the noise to mix them with."""

    data: Path
    split: str | None
    seed: int
    noise: HeldOutNoise
    """Without recordings, clips are measured without noise only."""


@dataclass(frozen=True)
class ReportPlan:
    """What to measure; the report marks everything else as not measured."""

    clips: ClipPlan | None = None
    streams: tuple[StreamFolder, ...] = ()
    benches: tuple[Path, ...] = ()
    run_bench: bool = False
    conditions: tuple[Condition, ...] = ()
    half: str | None = None
    """Of the speakers of `conditions`: a, b, or None for both."""


def measure(
    models: Sequence[ReportModel], plan: ReportPlan, *, command: str, progress: Progress
) -> dict[str, Any]:
    """Return the report.

    Parameters
    ----------
    models : sequence of ReportModel
        At least one.
    plan : ReportPlan
        What to measure.
    command : str
        The command line, for the provenance.
    progress : callable
        Takes a description; returns a wrapper for the iteration that follows.

    Returns
    -------
    report : dict
        ``models`` (each with ``clips``, ``reliability``, ``noise``, ``streams``, ``conditions``,
        ``bench``;
        None or empty if not measured), ``published``, and the provenance.
    """
    benches = bench.read_benches(plan.benches, models)
    rows = []
    for model, measured in zip(models, benches):
        row = {**facts(model), "clips": None, "reliability": None, "noise": [], "streams": None}
        if plan.clips is not None:
            row.update(measure_clips(model, plan.clips, progress=progress))
        if plan.streams:
            row["streams"] = measure_streams(model, plan.streams, progress=progress)
        # Without a measurement the page shows what `kws-eval conditions --write` stored.
        row["conditions"] = model.manifest.metrics.get("conditions")
        if plan.conditions:
            found = scores.measure(
                model.spotter(),
                plan.conditions,
                half=plan.half,
                title=model.title,
                progress=progress,
            )
            row["conditions"] = {"half": plan.half or "both", "command": command, **found}
        rows.append({**row, "bench": list(measured)})
    if plan.run_bench:
        # Last, so that no other work of this process disturbs it.
        for index in progress("latency")(range(len(models))):
            rows[index]["bench"].append(bench.run_bench(models[index]))
    return {
        "kws": __version__,
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": command,
        "data": _data(plan),
        "machine": host.describe(),
        "versions": _versions(),
        "models": rows,
        "published": published.points(),
    }


def measure_clips(model: ReportModel, plan: ClipPlan, *, progress: Progress) -> dict[str, Any]:
    """Return the figures of a model on clips, clean and at each level of noise.

    Returns
    -------
    figures : dict
        ``clips`` (as in `kws-eval clips --json`), ``reliability``, and ``noise``: one row per
        level (``snr_db``, None for clean) with accuracy, keyword recall and calibration error.
    """
    manifest = model.manifest
    labels = manifest.labels
    clips = clips_to_score(manifest, plan.data, split=plan.split, seed=plan.seed)
    truth = [labels.index(clip.label) for clip in clips]
    clean = model.scorer.posteriors(progress(f"{model.title}, clips")(clips))
    report = {
        "model": manifest.name,
        "data": str(plan.data),
        **classification_report(truth, clean.argmax(axis=1), labels),
    }
    if plan.split:
        report["split"], report["seed"] = plan.split, plan.seed
    rows = [_noise_row(None, truth, clean, labels)]
    # A level over noise has no meaning for sounds other than words.
    for snr_db in SNRS_DB if plan.noise.bank.recordings and manifest.tells_speech else ():
        mixed = over_noise(
            clips, plan.noise.bank, snr_db=snr_db, window_s=model.scorer.window_s, seed=plan.seed
        )
        posteriors = model.scorer.posteriors(progress(f"{model.title}, {snr_db:g} dB")(mixed))
        rows.append(_noise_row(snr_db, truth, posteriors, labels))
    return {"clips": report, "reliability": reliability(truth, clean), "noise": rows}


def _noise_row(
    snr_db: float | None,
    truth: Sequence[int],
    posteriors: NDArray[np.float32],
    labels: Sequence[str],
) -> dict[str, Any]:
    correct = posteriors.argmax(axis=1) == np.asarray(truth)
    is_keyword = np.array([not labels[index].startswith("_") for index in truth])
    error = reliability(truth, posteriors)["expected_calibration_error"]
    return {
        "snr_db": snr_db,
        "n": len(correct),
        "accuracy": float(correct.mean()),
        "accuracy_interval_95": list(share_interval(int(correct.sum()), len(correct))),
        "n_keywords": int(is_keyword.sum()),
        "keyword_recall": float(correct[is_keyword].mean()) if is_keyword.any() else None,
        "expected_calibration_error": error,
    }


def _data(plan: ReportPlan) -> dict[str, Any]:
    clips = plan.clips
    return {
        "clips": str(clips.data) if clips else None,
        "split": clips.split if clips else None,
        "seed": clips.seed if clips else None,
        "noise": list(clips.noise.sources) if clips else [],
        "streams": [
            {"folder": str(item.path), "misses": item.misses, "accepts": item.accepts}
            for item in plan.streams
        ],
        "bench": [str(path) for path in plan.benches],
    }


def _versions() -> dict[str, str]:
    found = {"kws": __version__, "python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
