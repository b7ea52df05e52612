"""Choose each keyword's threshold on audio without keywords, for a stated false-accept rate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from training.stream_scores import LATE_S, FileScores
from training.truth import Event


def false_peaks(
    files: Sequence[FileScores],
    events: Sequence[Event],
    labels: Sequence[str],
    *,
    floor: float,
    suppression_s: float,
) -> list[tuple[float, str]]:
    """Return score and keyword of every stretch that would fire falsely at `floor`.

    A stretch lasts until the keyword's score has stayed below `floor` for the suppression time;
    its peak is the threshold it takes to silence it. Stretches in or near any event of the
    truth, ignored or spoken, are left out.
    """
    peaks = []
    for scores in files:
        spans = [(e.start_s, e.end_s + LATE_S) for e in events if e.file == scores.file]
        for index, label in enumerate(labels):
            if label.startswith("_"):
                continue
            hops = np.flatnonzero(scores.scores[:, index] >= floor)
            times = scores.times_s[hops]
            for group in np.split(hops, np.flatnonzero(np.diff(times) > suppression_s) + 1):
                if len(group) and not _near(float(scores.times_s[group[0]]), spans):
                    peaks.append((float(scores.scores[group, index].max()), label))
    return sorted(peaks, reverse=True)


def choose_thresholds(
    peaks: Sequence[tuple[float, str]],
    keywords: Sequence[str],
    *,
    hours: float,
    per_hour: float,
    floor: float,
    margin: float = 0.01,
) -> dict[str, float]:
    """Return a threshold per keyword that leaves at most ``per_hour`` false accepts in all.

    The false accepts that are left are those with the highest scores, which it would cost the
    most misses to silence; every keyword's threshold lies `margin` above its highest other one,
    and never below `floor`.
    """
    allowed = int(per_hour * hours)
    thresholds = dict.fromkeys(keywords, floor)
    for score, keyword in sorted(peaks, reverse=True)[allowed:]:
        thresholds[keyword] = max(thresholds[keyword], min(1.0, score + margin))
    return {keyword: round(value, 3) for keyword, value in thresholds.items()}


def _near(time_s: float, spans: Sequence[tuple[float, float]]) -> bool:
    return any(start <= time_s <= end for start, end in spans)
