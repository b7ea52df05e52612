"""Average posteriors over time, so that one odd window decides nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kws.errors import ConfigError


class PosteriorSmoother:
    """Mean of the last posteriors.

    Parameters
    ----------
    n_posteriors : int
        How many are averaged. More: steadier scores, later detections.
    """

    def __init__(self, n_posteriors: int) -> None:
        if n_posteriors < 1:
            raise ConfigError(f"n_posteriors must be at least 1, got {n_posteriors}")
        self._n = n_posteriors
        self.reset()

    @classmethod
    def spanning(cls, smoothing_ms: int, *, hop_ms: int) -> PosteriorSmoother:
        """Return a smoother over `smoothing_ms` of posteriors, at least one of them."""
        return cls(max(1, round(smoothing_ms / hop_ms)))

    @property
    def n_posteriors(self) -> int:
        """How many posteriors are averaged."""
        return self._n

    def reset(self) -> None:
        """Forget all posteriors."""
        self._recent: NDArray[np.float32] | None = None
        self._count = 0

    def push(self, posterior: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """Return the scores after this posterior.

        Parameters
        ----------
        posterior : ndarray of float32, shape (n_labels,)
            Model output for one window, 0..1.

        Returns
        -------
        scores : ndarray of float32, shape (n_labels,), or None
            None until the span is filled: "not known yet" is not "certainly not".
        """
        if self._recent is None:
            self._recent = np.zeros((self._n, len(posterior)), dtype=np.float32)
        self._recent[self._count % self._n] = posterior
        self._count += 1
        if self._count < self._n:
            return None
        # Summed in order of age, so that the same posteriors always give the same last bit.
        start = self._count % self._n
        total = self._recent[start].copy()
        for age in range(1, self._n):
            total += self._recent[(start + age) % self._n]
        return np.asarray(total / np.float32(self._n))
