"""An operating point of the decision stage, and its figures on sets of audio."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kws.manifest import ModelManifest
from training.conditions.scores import condition_figures
from training.evaluation.stream_scores import FileScores, replay
from training.tuning.posterior_cache import ScoreSettings
from training.tuning.tuning_audio import AudioSet, TuningAudio


@dataclass(frozen=True)
class OperatingPoint:
    """The values that tuning writes into the decision section of a manifest."""

    scoring: ScoreSettings
    suppression_ms: int
    thresholds: Mapping[str, float]

    def as_table(self, manifest: ModelManifest) -> dict[str, Any]:
        """Return the values as plain JSON, in the terms of a manifest."""
        return {
            "smoothing_ms": self.scoring.smoothing_ms,
            "context_weights": dict(self.scoring.weights(manifest)),
            "suppression_ms": self.suppression_ms,
            "thresholds": dict(self.thresholds),
        }

    def detect(self, part: AudioSet, manifest: ModelManifest) -> list[FileScores]:
        """Return the detections of the decision policy in each file of a set; scores are dropped.

        The files keep their names, durations and detections.
        """
        files = []
        for posteriors in part.files:
            scores = self.scoring.scores(posteriors, manifest)
            found = replay(
                scores,
                manifest.labels,
                self.thresholds,
                suppression_s=self.suppression_ms / 1000,
            )
            nothing = scores.scores[:0]
            files.append(
                replace(scores, times_s=scores.times_s[:0], scores=nothing, detections=tuple(found))
            )
        return files


def figures(
    halves: Sequence[tuple[TuningAudio, OperatingPoint]], manifest: ModelManifest
) -> dict[str, Any]:
    """Return the figures of operating points, each on its own part of the audio, pooled.

    Returns
    -------
    figures : dict
        ``missed``: the weighted mean over the sets with keywords; ``budgets``: for each set with
        one ``limit``, ``is_share`` and ``used``, the share of it that is used; ``conditions``:
        `condition_figures` of every set.
    """
    conditions, budgets, missed, weights = {}, {}, 0.0, 0.0
    for name, first in halves[0][0].sets.items():
        parts = [audio.sets[name] for audio, _ in halves]
        files = [
            file for audio, point in halves for file in point.detect(audio.sets[name], manifest)
        ]
        row = condition_figures(files, [event for part in parts for event in part.events])
        conditions[name] = row
        if row["events"]:
            missed += first.weight * row["missed"]
            weights += first.weight
        if first.budget:
            rate = row["fired" if first.budget.is_share else "false_alarms_per_hour"]
            budgets[name] = {
                "limit": first.budget.limit,
                "is_share": first.budget.is_share,
                "used": round(rate / first.budget.limit, 3),
            }
    return {
        "missed": round(missed / weights, 4) if weights else None,
        "budgets": budgets,
        "conditions": conditions,
    }
