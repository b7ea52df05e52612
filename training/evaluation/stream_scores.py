"""Score detections in long audio against the truth: misses, false accepts an hour, latency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.decision.policy import Detection, DetectionPolicy
from training.evaluation.truth import IGNORE, Event

# A detection counts up to this long after the end of its word.
LATE_S = 1.0


@dataclass(frozen=True)
class FileScores:
    """The scores of every hop of one file."""

    file: str
    duration_s: float
    times_s: NDArray[np.float64]
    """End of each window, shape (n_hops,)."""

    scores: NDArray[np.float32]
    """Smoothed posteriors, shape (n_hops, n_labels)."""

    detections: tuple[Detection, ...] = ()
    """What the spotter itself fired."""


@dataclass
class Tally:
    """Counts over one or many files."""

    events: dict[str, int] = field(default_factory=dict)
    hits: dict[str, int] = field(default_factory=dict)
    false_accepts: dict[str, int] = field(default_factory=dict)
    latencies_s: list[float] = field(default_factory=list)
    missed: list[Event] = field(default_factory=list)
    wrong: list[tuple[str, Detection]] = field(default_factory=list)

    def add(self, file: str, detections: Sequence[Detection], events: Sequence[Event]) -> None:
        """Match the detections of one file with its events.

        A detection is a hit for the first unmatched event of its keyword if it comes between
        that event's start and its end + 1 s. Any other one is a false accept, a second hit on
        one event too, unless it lies in an ignored span (grown by 1 s at its end).
        """
        ignored = [event for event in events if event.keyword == IGNORE]
        waiting = [event for event in events if event.keyword != IGNORE]
        for event in waiting:
            self.events[event.keyword] = self.events.get(event.keyword, 0) + 1
        for detection in detections:
            hit = next(
                (
                    event
                    for event in waiting
                    if event.keyword == detection.keyword and _within(detection.time_s, event)
                ),
                None,
            )
            keyword = detection.keyword
            if hit is not None:
                waiting.remove(hit)
                self.hits[keyword] = self.hits.get(keyword, 0) + 1
                self.latencies_s.append(detection.time_s - hit.end_s)
            elif not any(_within(detection.time_s, event) for event in ignored):
                self.false_accepts[keyword] = self.false_accepts.get(keyword, 0) + 1
                self.wrong.append((file, detection))
        self.missed += waiting


def _within(time_s: float, event: Event) -> bool:
    return event.start_s <= time_s <= event.end_s + LATE_S


def replay(
    scores: FileScores,
    labels: Sequence[str],
    thresholds: Mapping[str, float],
    *,
    suppression_s: float,
) -> list[Detection]:
    """Return what the decision policy fires on stored scores with other thresholds."""
    policy = DetectionPolicy(labels, thresholds, suppression_s=suppression_s)
    lowest = min(thresholds.values())
    keywords = [index for index, label in enumerate(labels) if label in thresholds]
    found = []
    # Hops below every threshold change nothing in the policy.
    for hop in np.flatnonzero(scores.scores[:, keywords].max(axis=1, initial=0.0) >= lowest):
        detection = policy.push(scores.scores[hop], float(scores.times_s[hop]))
        if detection is not None:
            found.append(detection)
    return found


def summarise(
    tally: Tally, *, hours: float, keywords: Sequence[str], thresholds: Mapping[str, float]
) -> dict[str, Any]:
    """Return the figures of `kws-eval stream --json`, but for model and curve."""
    n_events, n_hits = sum(tally.events.values()), sum(tally.hits.values())
    n_false = sum(tally.false_accepts.values())
    return {
        "events": n_events,
        "hits": n_hits,
        "false_reject_rate": _ratio(n_events - n_hits, n_events),
        "hours": hours,
        "false_accepts": n_false,
        "false_accepts_per_hour": _ratio(n_false, hours),
        "latency_s": {
            "median": _percentile(tally.latencies_s, 50),
            "p95": _percentile(tally.latencies_s, 95),
        },
        "per_keyword": {
            keyword: {
                "events": tally.events.get(keyword, 0),
                "hits": tally.hits.get(keyword, 0),
                "false_reject_rate": _ratio(
                    tally.events.get(keyword, 0) - tally.hits.get(keyword, 0),
                    tally.events.get(keyword, 0),
                ),
                "false_accepts": tally.false_accepts.get(keyword, 0),
                "threshold": thresholds.get(keyword),
            }
            for keyword in keywords
        },
    }


def curve(
    files: Sequence[FileScores],
    events: Sequence[Event],
    labels: Sequence[str],
    *,
    suppression_s: float,
    n_points: int = 50,
) -> list[dict[str, float | None]]:
    """Return misses against false accepts as one threshold for all keywords goes up."""
    keywords = [label for label in labels if not label.startswith("_")]
    hours = sum(scores.duration_s for scores in files) / 3600
    points: list[dict[str, float | None]] = []
    # Dense towards 1, where the scores of a confident model crowd.
    for threshold in 1 - np.geomspace(0.8, 0.004, n_points):
        tally = Tally()
        thresholds = dict.fromkeys(keywords, float(threshold))
        for scores in files:
            fired = replay(scores, labels, thresholds, suppression_s=suppression_s)
            tally.add(scores.file, fired, [event for event in events if event.file == scores.file])
        n_events = sum(tally.events.values())
        points.append(
            {
                "threshold": round(float(threshold), 4),
                "false_reject_rate": _ratio(n_events - sum(tally.hits.values()), n_events),
                "false_accepts_per_hour": _ratio(sum(tally.false_accepts.values()), hours),
            }
        )
    return points


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _percentile(values: Sequence[float], percent: float) -> float | None:
    return float(np.percentile(values, percent)) if len(values) else None
