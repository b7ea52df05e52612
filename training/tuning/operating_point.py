"""An operating point of the decision stage, and its figures on a set of audio."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kws.manifest import ModelManifest
from training.evaluation.metrics import rate_interval, share_interval
from training.evaluation.stream_scores import Tally, replay, tally_files
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


@dataclass
class Outcome:
    """Detections of an operating point on some audio; two outcomes can be added."""

    hours: float
    quiet: Tally
    words: Tally

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(self.hours + other.hours, self.quiet + other.quiet, self.words + other.words)

    def figures(self, keywords: Sequence[str]) -> dict[str, Any]:
        """Return counts, rates and their 95 % intervals, in total and per keyword."""
        n_false = sum(self.quiet.false_accepts.values())
        n_words, n_hits = sum(self.words.events.values()), sum(self.words.hits.values())
        late = self.words.latencies_s
        return {
            "hours": round(self.hours, 4),
            "false_accepts": n_false,
            "false_accepts_per_hour": round(n_false / self.hours, 3),
            "false_accepts_interval_95": _rounded(rate_interval(n_false, self.hours)),
            "words": n_words,
            "missed": n_words - n_hits,
            "false_reject_rate": round(1 - n_hits / n_words, 4) if n_words else None,
            "false_reject_interval_95": _rounded(share_interval(n_words - n_hits, n_words)),
            "other_firings_beside_words": sum(self.words.false_accepts.values()),
            "latency_s": {
                "median": round(float(np.median(late)), 3) if late else None,
                "p95": round(float(np.percentile(late, 95)), 3) if late else None,
            },
            "per_keyword": {keyword: self._of(keyword) for keyword in keywords},
        }

    def _of(self, keyword: str) -> dict[str, Any]:
        words, false = self.words.events.get(keyword, 0), self.quiet.false_accepts.get(keyword, 0)
        missed = words - self.words.hits.get(keyword, 0)
        return {
            "false_accepts": false,
            "false_accepts_interval_95": _rounded(rate_interval(false, self.hours)),
            "words": words,
            "missed": missed,
            "false_reject_interval_95": _rounded(share_interval(missed, words)),
        }


def measure(audio: TuningAudio, setting: OperatingPoint, manifest: ModelManifest) -> Outcome:
    """Return the detections of the decision policy at an operating point."""
    return Outcome(
        audio.quiet.hours,
        tally(audio.quiet, setting, manifest),
        tally(audio.words, setting, manifest),
    )


def tally(part: AudioSet, setting: OperatingPoint, manifest: ModelManifest) -> Tally:
    """Return the detections on a set of audio, matched with the spoken words."""
    fired = (
        (
            file.file,
            replay(
                setting.scoring.scores(file, manifest),
                manifest.labels,
                setting.thresholds,
                suppression_s=setting.suppression_ms / 1000,
            ),
        )
        for file in part.files
    )
    return tally_files(fired, part.events)


def _rounded(interval: tuple[float, float]) -> list[float]:
    return [round(value, 4) for value in interval]
