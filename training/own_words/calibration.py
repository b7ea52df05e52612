"""Where the threshold lies: what a word's score does on hours without it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
# Of the windows of running speech, those with the highest scores, whose tail is fitted.
TAIL_WINDOWS = 100
HOPS_PER_FALSE_ACCEPT = 2.0
"""Hops at which a smoothed score stays above a threshold: they are one event."""


@dataclass(frozen=True)
class Tail:
    """How often scores of random windows of speech lie above a high level.

    An exponential tail, fitted to the highest scores (peaks over threshold; Pickands 1975, of
    shape 0): a bank of windows is too small to count events as rare as one in two hours.
    """

    level: float
    """Score above which `share` of the windows lie."""

    share: float
    scale: float
    """Mean excess over `level`."""

    n_windows: int
    """Windows that the share was counted on."""

    hop_s: float
    """Time from one hop to the next, in s."""

    @classmethod
    def of(cls, scores: FloatArray, *, hop_s: float = 0.1) -> Tail:
        """Return the tail of the scores ``(n,)`` at random hops."""
        ordered = np.sort(scores)[::-1]
        n_tail = min(TAIL_WINDOWS, len(ordered) // 4)
        level = float(ordered[n_tail])
        excess = ordered[:n_tail] - level
        scale = float(max(excess.mean(), 1e-3))
        return cls(level, n_tail / len(ordered), scale, len(ordered), hop_s)

    @property
    def _most_per_hour(self) -> float:
        """Events an hour if every hop were above the threshold."""
        return 3600 / self.hop_s / HOPS_PER_FALSE_ACCEPT

    def threshold(self, per_hour: float) -> float:
        """Return the score that false accepts exceed `per_hour` times an hour."""
        share = per_hour / self._most_per_hour
        return self.level + self.scale * float(np.log(self.share / share))

    def per_hour(self, threshold: float) -> float:
        """Return how many false accepts an hour a threshold makes."""
        share = self.share * float(np.exp(-(threshold - self.level) / self.scale))
        return min(share, 1.0) * self._most_per_hour

    def interval(self, threshold: float) -> tuple[float, float]:
        """Return where the rate lies with 95 %: the scale is known from 100 excesses only."""
        reach = 1.96 / np.sqrt(TAIL_WINDOWS)
        rates = []
        for factor in (1 / (1 + reach), 1 / (1 - reach)):
            other = replace(self, scale=self.scale * factor)
            rates.append(other.per_hour(threshold))
        return rates[0], rates[1]
