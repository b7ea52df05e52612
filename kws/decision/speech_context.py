"""What was heard before a word: a command stands by itself, a word in a sentence does not."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.config import UNKNOWN, DecisionConfig


class SpeechContext:
    """Ask for more of a keyword where other speech was heard before it.

    A running mean of the posterior of `_unknown_` tells how much of the last seconds the model
    took for other speech, 0..1: near 1 in running speech, 0.2 to 0.4 in steady noise, near 0 in
    quiet. That times a keyword's weight is taken off the natural log odds of its score, as a
    prior would be that makes commands rarer in running speech. What a model is sure of still
    fires there; what it finds likely fires out of quiet and noise alone.

    Parameters
    ----------
    labels : sequence of str
        Labels in the order of the scores; where there are weights `_unknown_` is one of them.
    weights : mapping of str to float
        Log odds that a label loses after nothing but other speech; 0 for those not named. If all
        are 0, scores pass through as they are.
    memory_ms : float
        Time constant of the mean. Longer: pauses in speech last longer before they count.
    delay_ms : float
        Newest posteriors that are left out, because their windows hold the word itself.
    hop_ms : float
        Time from one posterior to the next.
    """

    def __init__(
        self,
        labels: Sequence[str],
        weights: Mapping[str, float],
        *,
        memory_ms: float,
        delay_ms: float,
        hop_ms: float,
    ) -> None:
        self.counts = any(weights.values())
        """Whether what was heard before counts at all."""

        self._unknown = labels.index(UNKNOWN) if self.counts else 0
        self._weights = np.array([weights.get(label, 0.0) for label in labels], dtype=np.float64)
        self._share = 1 - math.exp(-hop_ms / memory_ms)
        # Rounded up: a word's own window never counts against it.
        self._n_late = math.ceil(delay_ms / hop_ms - 1e-9)
        self.reset()

    @classmethod
    def of(cls, labels: Sequence[str], decision: DecisionConfig, *, hop_ms: float) -> SpeechContext:
        """Return the context that a decision asks for; without weights it does nothing."""
        return cls(
            labels,
            decision.context_weights,
            memory_ms=decision.context_ms,
            delay_ms=decision.context_delay_ms,
            hop_ms=hop_ms,
        )

    def reset(self) -> None:
        """Forget what was heard: as if it had been quiet."""
        self._speech = 0.0
        self._late: deque[float] = deque([0.0] * self._n_late)

    def push(self, posterior: NDArray[np.float32]) -> float:
        """Return how much of what came before is other speech, 0..1, after this posterior.

        Parameters
        ----------
        posterior : ndarray of float32, shape (n_labels,)
            Model output for one window, 0..1.
        """
        return self._hear(float(posterior[self._unknown])) if self.counts else 0.0

    def skip(self) -> None:
        """Count a hop that nobody listened to as quiet."""
        self._hear(0.0)

    def _hear(self, unknown: float) -> float:
        self._late.append(unknown)
        self._speech += self._share * (self._late.popleft() - self._speech)
        return self._speech

    def weigh(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return scores ``(n_labels,)`` as they count after what was heard."""
        return self._weighed(scores, self._speech) if self.counts else scores

    def weigh_all(
        self, posteriors: NDArray[np.float32], scores: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return the scores of a whole recording as they count, in one go; starts anew.

        Parameters
        ----------
        posteriors : ndarray of float32, shape (n_hops, n_labels)
            Of every hop.
        scores : ndarray of float32, shape (n_scores, n_labels)
            Smoothed, of the last `n_scores` hops.
        """
        if not self.counts:
            return scores
        self.reset()
        speech = np.array([self.push(posterior) for posterior in posteriors], dtype=np.float64)
        return self._weighed(scores, speech[len(speech) - len(scores) :, None])

    def _weighed(self, scores: NDArray[np.float32], speech: Any) -> NDArray[np.float32]:
        # In double precision: one row or many, the same last bit. A float model's softmax may
        # come out a bit above 1.
        scores = np.minimum(scores, 1)
        odds = np.exp(self._weights * speech)
        return np.asarray(scores / (scores + (1 - scores) * odds), dtype=np.float32)
