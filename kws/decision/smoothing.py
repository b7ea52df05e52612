"""Smooth posteriors over time, so that no single window decides."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kws.dataclass_io import check_range


class PosteriorSmoother:
    """Mean of the last posteriors.

    Parameters
    ----------
    n_posteriors : int
        How many are averaged. More: fewer false accepts, later detections.
    """

    def __init__(self, n_posteriors: int) -> None:
        check_range("n_posteriors", n_posteriors, 1)
        self.n_posteriors = n_posteriors
        self._divisor = np.float32(n_posteriors)
        self.reset()

    @classmethod
    def spanning(cls, smoothing_ms: int, *, hop_ms: float) -> PosteriorSmoother:
        """Return a smoother over `smoothing_ms` of posteriors, at least one of them."""
        return cls(max(1, round(smoothing_ms / hop_ms)))

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
            None until there are `n_posteriors` of them.
        """
        n = self.n_posteriors
        if self._recent is None:
            self._recent = np.zeros((2 * n, len(posterior)), dtype=np.float32)
        # Every posterior is written twice, n rows apart, so that the last n are always contiguous.
        slot = self._count % n
        self._recent[slot] = posterior
        self._recent[slot + n] = posterior
        self._count += 1
        if self._count < n:
            return None
        # Along the first axis numpy adds row by row, oldest first: the same posteriors always
        # give the same last bit.
        total: NDArray[np.float32] = np.add.reduce(self._recent[slot + 1 : slot + 1 + n], axis=0)
        total /= self._divisor
        return total


def smooth(posteriors: NDArray[np.float32], n_posteriors: int) -> NDArray[np.float32]:
    """Return the smoothed posteriors of a recording, bit for bit as `PosteriorSmoother.push`.

    Parameters
    ----------
    posteriors : ndarray of float32, shape (n_hops, n_labels) or (n_hops,)
    n_posteriors : int
        How many are averaged.

    Returns
    -------
    scores : ndarray of float32, shape (n_scores, n_labels) or (n_scores,)
        Of the last ``n_hops - n_posteriors + 1`` hops.
    """
    n_scores = max(0, len(posteriors) - n_posteriors + 1)
    total = posteriors[:n_scores].astype(np.float32)
    # Oldest first, the order in which PosteriorSmoother adds them.
    for age in range(1, n_posteriors):
        total += posteriors[age : age + n_scores]
    total /= np.float32(n_posteriors)
    return total
