"""Thresholds from the scores of hours of speech that does not contain the word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kws.decision.smoothing import smooth

FloatArray = NDArray[np.float32]
SMOOTHING_HOPS = 2
"""Posteriors averaged by an enrolled model, so that a click at one hop does not fire."""

PEAK_S = 1.0
"""Only the highest score of each second counts: a stretch above the threshold is one event."""

TAIL_EVENTS = 40
"""Number of highest peaks that the tail is fitted to."""


@dataclass(frozen=True)
class ScoreTail:
    """How often the score of running speech exceeds a high level.

    An exponential fitted to the highest peaks (peaks over threshold with shape 0; Pickands 1975).
    A few hours of speech are too short to count events as rare as one in two hours.
    """

    level: float
    """Score that `n_events` peaks exceed."""

    n_events: int
    hours: float
    """Hours of speech in which they were counted."""

    scale: float
    """Mean excess over `level`."""

    @classmethod
    def fit(cls, segments: Sequence[FloatArray], *, hop_s: float) -> ScoreTail:
        """Return the tail of the logits ``(n_hops,)`` of segments of running speech."""
        found = [peaks(smoothed(logits), hop_s) for logits in segments]
        ordered = np.sort(np.concatenate(found))[::-1]
        n_events = min(TAIL_EVENTS, max(1, len(ordered) // 4))
        level = float(ordered[min(n_events, len(ordered) - 1)])
        scale = float(max((ordered[:n_events] - level).mean(), 1e-3))
        hours = sum(len(logits) for logits in segments) * hop_s / 3600
        return cls(level, n_events, hours, scale)

    def threshold(self, per_hour: float) -> float:
        """Return the score that is exceeded `per_hour` times an hour."""
        return self.level + self.scale * float(np.log(self.n_events / self.hours / per_hour))

    def per_hour(self, threshold: float) -> float:
        """Return the false accepts per hour at a threshold."""
        above = (threshold - self.level) / self.scale
        return self.n_events / self.hours * float(np.exp(-above))

    def interval(self, threshold: float) -> tuple[float, float]:
        """Return the 95 % interval of the rate: `n_events` peaks determine the scale."""
        reach = min(0.9, 1.96 / np.sqrt(self.n_events))
        low, high = (
            replace(self, scale=self.scale * factor).per_hour(threshold)
            for factor in (1 / (1 + reach), 1 / (1 - reach))
        )
        return low, high


def smoothed(logits: FloatArray) -> FloatArray:
    """Return the scores that the spotter compares with the threshold, as logits.

    The mean of two posteriors exceeds 1/2 where the sum of their logits exceeds 0. A single hop
    is returned as it is.
    """
    return smooth(logits, SMOOTHING_HOPS) if len(logits) >= SMOOTHING_HOPS else logits


def peaks(scores: FloatArray, hop_s: float) -> FloatArray:
    """Return the highest score of each second of a segment, approximately."""
    n_hops = max(1, round(PEAK_S / hop_s))
    # Equal parts, so that a short remainder does not count as a whole one.
    parts = np.array_split(scores, max(1, round(len(scores) / n_hops)))
    return np.array([part.max() for part in parts], np.float32)
