"""Where the threshold lies: what a word's score does on hours without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
EVENT_S = 1.0
"""Of so much audio the highest score counts: what is above a threshold in it is one event."""

TAIL_EVENTS = 40
# Of the events, those with the highest scores, whose tail is fitted.


@dataclass(frozen=True)
class Tail:
    """How often a score of running speech goes above a high level.

    An exponential tail, fitted to the highest of the events (peaks over threshold; Pickands 1975,
    of shape 0): some hours are too few to count events as rare as one in two hours.
    """

    level: float
    """Score above which there were `n_events` events."""

    n_events: int
    hours: float
    """Of speech in which they were counted."""

    scale: float
    """Mean excess over `level`."""

    @classmethod
    def of(cls, runs: Sequence[FloatArray], *, hop_s: float) -> Tail:
        """Return the tail of the logits ``(n_hops,)`` of pieces of running speech."""
        found = [peaks(smoothed(run), hop_s) for run in runs]
        ordered = np.sort(np.concatenate(found))[::-1]
        n_events = min(TAIL_EVENTS, max(1, len(ordered) // 4))
        level = float(ordered[min(n_events, len(ordered) - 1)])
        scale = float(max((ordered[:n_events] - level).mean(), 1e-3))
        hours = sum(len(run) for run in runs) * hop_s / 3600
        return cls(level, n_events, hours, scale)

    def threshold(self, per_hour: float) -> float:
        """Return the score that false accepts exceed `per_hour` times an hour."""
        return self.level + self.scale * float(np.log(self.n_events / self.hours / per_hour))

    def per_hour(self, threshold: float) -> float:
        """Return how many false accepts an hour a threshold makes."""
        above = (threshold - self.level) / self.scale
        return self.n_events / self.hours * float(np.exp(-above))

    def interval(self, threshold: float) -> tuple[float, float]:
        """Return where the rate lies with 95 %: the scale is known from `n_events` only."""
        reach = min(0.9, 1.96 / np.sqrt(self.n_events))
        rates = []
        for factor in (1 / (1 + reach), 1 / (1 - reach)):
            other = replace(self, scale=self.scale * factor)
            rates.append(other.per_hour(threshold))
        return rates[0], rates[1]


def smoothed(logits: FloatArray) -> FloatArray:
    """Return what the spotter makes of the logits ``(n,)`` of a piece of audio.

    It averages the posteriors of two hops, whose mean is above 1/2 where the sum of their logits
    is above 0: the mean of logits is what is held against a threshold.
    """
    return (logits[1:] + logits[:-1]) / 2 if len(logits) > 1 else logits


def peaks(scores: FloatArray, hop_s: float) -> FloatArray:
    """Return the highest score of each second or so of a piece of audio."""
    n_hops = max(1, round(EVENT_S / hop_s))
    # Equal parts, so that no short rest counts as much as a whole one.
    parts = np.array_split(scores, max(1, round(len(scores) / n_hops)))
    return np.array([part.max() for part in parts], np.float32)
