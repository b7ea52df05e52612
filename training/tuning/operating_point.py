"""A setting of the decision, and what it does on some material."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kws.manifest import ModelManifest
from training.evaluation.metrics import rate_interval, share_interval
from training.evaluation.stream_scores import Tally, replay
from training.tuning.score_settings import Scoring
from training.tuning.tune_data import Material, Part


@dataclass(frozen=True)
class Setting:
    """What goes into a manifest's decision section."""

    scoring: Scoring
    suppression_ms: int
    thresholds: Mapping[str, float]


@dataclass
class Outcome:
    """What a setting does on some material; two of them can be added."""

    hours: float
    quiet: Tally
    words: Tally

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(
            self.hours + other.hours, _sum(self.quiet, other.quiet), _sum(self.words, other.words)
        )

    def figures(self, keywords: Sequence[str]) -> dict[str, Any]:
        """Return counts, rates and their 95 % intervals, per keyword too."""
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


def measure(material: Material, setting: Setting, manifest: ModelManifest) -> Outcome:
    """Return what the decision policy itself does with a setting."""
    return Outcome(
        material.quiet.hours,
        tally(material.quiet, setting, manifest),
        tally(material.words, setting, manifest),
    )


def tally(part: Part, setting: Setting, manifest: ModelManifest) -> Tally:
    """Return what fires on one part, matched with what was spoken."""
    found = Tally()
    for file in part.files:
        fired = replay(
            setting.scoring.of(file, manifest),
            manifest.labels,
            setting.thresholds,
            suppression_s=setting.suppression_ms / 1000,
        )
        found.add(file.file, fired, [event for event in part.events if event.file == file.file])
    return found


def _sum(one: Tally, other: Tally) -> Tally:
    def added(name: str) -> dict[str, int]:
        a, b = getattr(one, name), getattr(other, name)
        return {key: a.get(key, 0) + b.get(key, 0) for key in {**a, **b}}

    return Tally(
        added("events"),
        added("hits"),
        added("false_accepts"),
        one.latencies_s + other.latencies_s,
        one.missed + other.missed,
        one.wrong + other.wrong,
    )


def _rounded(interval: tuple[float, float]) -> list[float]:
    return [round(value, 4) for value in interval]
