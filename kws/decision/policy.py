"""From scores to detections: threshold, suppression, one firing an utterance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kws.errors import ConfigError

# Times are sums of samples over a rate: a quiet time of so many hops must end with the last of
# them whatever the last bit of the sum is. Far below a sample, far above rounding in a year.
ROUNDING_S = 1e-6


@dataclass(frozen=True)
class Detection:
    """A keyword was heard."""

    keyword: str
    """The label that fired."""

    score: float
    """Its smoothed posterior at that moment, as what was heard before lets it count, 0..1."""

    time_s: float
    """End of the window that fired, in seconds of audio fed since the start."""


class DetectionPolicy:
    """Fire when the best keyword's score reaches its threshold, once an utterance.

    Parameters
    ----------
    labels : sequence of str
        Labels in the order of the scores.
    thresholds : mapping of str to float
        The keywords that may fire, with the score each needs, above 0 and up to 1. Labels not
        named here never fire.
    suppression_s : float
        Quiet time of a keyword after its score last stood at or above its threshold. Longer:
        fewer double firings, but a word said again sooner is missed.

    Raises
    ------
    ConfigError
        If a keyword is no label, or a threshold lies outside its range.
    """

    def __init__(
        self, labels: Sequence[str], thresholds: Mapping[str, float], *, suppression_s: float
    ) -> None:
        self._labels = tuple(labels)
        self._suppression_s = suppression_s
        self._thresholds = np.full(len(labels), np.inf, dtype=np.float64)
        for keyword, threshold in thresholds.items():
            if keyword not in self._labels:
                known = ", ".join(label for label in labels if not label.startswith("_"))
                raise ConfigError(f"keyword {keyword!r}: expected one of {known}")
            if not 0 < threshold <= 1:
                raise ConfigError(
                    f"threshold of {keyword}: expected above 0 and up to 1, got {threshold}"
                )
            self._thresholds[self._labels.index(keyword)] = threshold
        self.reset()

    def reset(self) -> None:
        """Forget all firings: every keyword may fire at once."""
        self._quiet_until_s = [-np.inf] * len(self._labels)

    def push(self, scores: NDArray[np.float32], time_s: float) -> Detection | None:
        """Return the detection that these scores make, if they make one.

        Parameters
        ----------
        scores : ndarray of float32, shape (n_labels,)
            Smoothed posteriors, as they count after what was heard before.
        time_s : float
            Stream time of the scores, in seconds; must not go back.
        """
        reached = scores >= self._thresholds
        # Nearly every hop ends here.
        if not reached.any():
            return None
        above = np.flatnonzero(reached)
        best = int(above[np.argmax(scores[above])])
        armed = time_s >= self._quiet_until_s[best]
        for index in above:
            # Each step at or above threshold extends the quiet time, so a long utterance
            # cannot fire twice. A runner-up falls quiet only with a firing: it may be the
            # next word coming up.
            if armed or time_s < self._quiet_until_s[index]:
                self._quiet_until_s[index] = time_s + self._suppression_s - ROUNDING_S
        return Detection(self._labels[best], float(scores[best]), time_s) if armed else None
