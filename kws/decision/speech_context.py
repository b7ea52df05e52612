"""Penalise keywords inside running speech: a command usually follows a pause."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.config import UNKNOWN, DecisionConfig


class SpeechContext:
    """Lower the score of a keyword that follows other speech.

    A running mean of the posterior of `_unknown_` estimates how much of the last seconds was
    other speech, 0..1: near 1 in running speech, 0.2 to 0.4 in steady noise, near 0 in quiet.
    The mean times a keyword's weight is subtracted from the natural log odds of its score, like
    a prior that makes commands rarer in running speech. There a keyword fires only if the model
    is nearly certain; after quiet or noise its score is unchanged.

    Parameters
    ----------
    labels : sequence of str
        Labels in the order of the scores; where there are weights `_unknown_` is one of them.
    decision : DecisionConfig
        Weights, time constant and delay. If all weights are 0, scores do not change.
    hop_ms : float
        Time from one posterior to the next.
    """

    def __init__(self, labels: Sequence[str], decision: DecisionConfig, *, hop_ms: float) -> None:
        weights = decision.context_weights
        self.is_active = any(weights.values())
        """Whether any label has a weight."""

        self._unknown = labels.index(UNKNOWN) if self.is_active else 0
        self._weights = np.array([weights.get(label, 0.0) for label in labels], dtype=np.float64)
        self._share = 1 - math.exp(-hop_ms / decision.context_ms)
        # Rounded up, so that a word's own window never counts against it.
        self._n_late = math.ceil(decision.context_delay_ms / hop_ms - 1e-9)
        self.reset()

    def reset(self) -> None:
        """Forget all posteriors, as after a long silence."""
        self._speech = 0.0
        self._late: deque[float] = deque([0.0] * self._n_late)

    def push(self, posterior: NDArray[np.float32]) -> float:
        """Return the updated share of other speech, 0..1.

        Parameters
        ----------
        posterior : ndarray of float32, shape (n_labels,)
            Model output for one window, 0..1.
        """
        if not self.is_active:
            return 0.0
        self._late.append(float(posterior[self._unknown]))
        self._speech += self._share * (self._late.popleft() - self._speech)
        return self._speech

    def skip(self) -> None:
        """Count a hop without a posterior as quiet."""
        self._late.append(0.0)
        self._speech += self._share * (self._late.popleft() - self._speech)

    def apply(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return scores ``(n_labels,)`` after the penalty; never higher than before."""
        return self._penalised(scores, self._speech) if self.is_active else scores

    def apply_to_recording(
        self, posteriors: NDArray[np.float32], scores: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Reset, and return the scores of a whole recording after the penalty.

        Parameters
        ----------
        posteriors : ndarray of float32, shape (n_hops, n_labels)
            Of every hop.
        scores : ndarray of float32, shape (n_scores, n_labels)
            Smoothed, of the last `n_scores` hops.
        """
        if not self.is_active:
            return scores
        self.reset()
        speech = np.array([self.push(posterior) for posterior in posteriors], dtype=np.float64)
        return self._penalised(scores, speech[len(speech) - len(scores) :, None])

    def _penalised(self, scores: NDArray[np.float32], speech: Any) -> NDArray[np.float32]:
        # In double precision, so that one row and many give the same last bit. The softmax of a
        # float model may be slightly above 1.
        scores = np.minimum(scores, 1)
        odds = np.exp(self._weights * speech)
        return np.asarray(scores / (scores + (1 - scores) * odds), dtype=np.float32)
