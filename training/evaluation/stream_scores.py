"""Scores of detections in long audio: missed words, false alarms per hour, latency."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.decision.policy import Detection, DetectionPolicy
from training.evaluation.truth import IGNORE, OTHER, Event

# A detection counts as a hit up to this long after the end of its word.
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
    """The spotter's own, at its thresholds."""


@dataclass
class Tally:
    """Counts over one or several files, by keyword; two can be added."""

    events: dict[str, int] = field(default_factory=dict)
    hits: dict[str, int] = field(default_factory=dict)
    false_accepts: dict[str, int] = field(default_factory=dict)
    latencies_s: list[float] = field(default_factory=list)
    missed: list[Event] = field(default_factory=list)
    wrong: list[tuple[str, Detection]] = field(default_factory=list)
    others: int = 0
    """Words that are no keyword."""

    fired: int = 0
    """Those of them at which a keyword fired."""

    def add(self, file: str, detections: Sequence[Detection], events: Sequence[Event]) -> None:
        """Match the detections of one file with its events.

        A detection hits the first unmatched event of its keyword between that event's start and
        1 s after its end. Any other detection is a false accept, a second one on the same event
        too, unless it falls into an ignored span (extended by 1 s at its end). A false accept up
        to 1 s after the end of another word is also counted as that word's firing; of two such
        words it belongs to the one that began last.
        """
        ignored = [event for event in events if event.keyword == IGNORE]
        others = [event for event in events if event.keyword == OTHER]
        waiting = [event for event in events if event.keyword not in (IGNORE, OTHER)]
        fired: set[Event] = set()
        self.others += len(others)
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
                fired.update([event for event in others if _within(detection.time_s, event)][-1:])
        self.missed += waiting
        self.fired += len(fired)

    def __add__(self, other: Tally) -> Tally:
        def added(name: str) -> dict[str, int]:
            return dict(Counter(getattr(self, name)) + Counter(getattr(other, name)))

        return Tally(
            added("events"),
            added("hits"),
            added("false_accepts"),
            self.latencies_s + other.latencies_s,
            self.missed + other.missed,
            self.wrong + other.wrong,
            self.others + other.others,
            self.fired + other.fired,
        )


def _within(time_s: float, event: Event) -> bool:
    return event.start_s <= time_s <= event.end_s + LATE_S


def tally_files(
    detections: Iterable[tuple[str, Sequence[Detection]]], events: Sequence[Event]
) -> Tally:
    """Return the counts of (file, detections) pairs, matched with the events of all files."""
    by_file: dict[str, list[Event]] = {}
    for event in events:
        by_file.setdefault(event.file, []).append(event)
    tally = Tally()
    for file, found in detections:
        tally.add(file, found, by_file.get(file, []))
    return tally


def replay(
    scores: FileScores,
    labels: Sequence[str],
    thresholds: Mapping[str, float],
    *,
    suppression_s: float,
) -> list[Detection]:
    """Return the detections of the decision policy on stored scores."""
    policy = DetectionPolicy(labels, thresholds, suppression_s=suppression_s)
    return policy.replay(scores.scores, scores.times_s)


def summarise(
    words: Tally,
    alarms: Tally,
    *,
    hours: float,
    keywords: Sequence[str],
    thresholds: Mapping[str, float],
) -> dict[str, Any]:
    """Return the figures of `kws-eval stream --json`, without model and curve.

    Words and latency are counted in `words`, false accepts in `alarms` over `hours`; the two
    may be the same.
    """
    n_events, n_hits = sum(words.events.values()), sum(words.hits.values())
    n_false = sum(alarms.false_accepts.values())
    per_keyword = {}
    for keyword in keywords:
        events, hits = words.events.get(keyword, 0), words.hits.get(keyword, 0)
        per_keyword[keyword] = {
            "events": events,
            "hits": hits,
            "false_reject_rate": _ratio(events - hits, events),
            "false_accepts": alarms.false_accepts.get(keyword, 0),
            "threshold": thresholds.get(keyword),
        }
    return {
        "events": n_events,
        "hits": n_hits,
        "false_reject_rate": _ratio(n_events - n_hits, n_events),
        "hours": hours,
        "false_accepts": n_false,
        "false_accepts_per_hour": _ratio(n_false, hours),
        "other_words": words.others,
        "other_words_fired": words.fired,
        "latency_s": {
            "median": percentile(words.latencies_s, 50),
            "p95": percentile(words.latencies_s, 95),
        },
        "per_keyword": per_keyword,
    }


def curve(
    files: Sequence[FileScores],
    events: Sequence[Event],
    labels: Sequence[str],
    *,
    suppression_s: float,
) -> list[dict[str, float | None]]:
    """Return missed words against false accepts as one threshold for all keywords rises."""
    keywords = [label for label in labels if not label.startswith("_")]
    hours = sum(scores.duration_s for scores in files) / 3600
    points: list[dict[str, float | None]] = []
    # Dense towards 1, where a confident model has most of its scores.
    for threshold in 1 - np.geomspace(0.8, 0.004, 50):
        thresholds = dict.fromkeys(keywords, float(threshold))
        fired = (
            (file.file, replay(file, labels, thresholds, suppression_s=suppression_s))
            for file in files
        )
        tally = tally_files(fired, events)
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


def percentile(values: Sequence[float], percent: float) -> float | None:
    """Return a percentile, None of no values."""
    return float(np.percentile(values, percent)) if len(values) else None
