"""The beginning of a stream, kept in case it turns out to be all there is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Beginning:
    """Keep all samples since the start, as long as they are few.

    Parameters
    ----------
    n_samples : int
        How many are few.
    """

    def __init__(self, n_samples: int) -> None:
        self._audio = np.zeros(n_samples, dtype=np.int16)
        self.reset()

    def reset(self) -> None:
        """Start anew."""
        self._n = 0
        self._is_all = True

    def push(self, samples: NDArray[np.int16]) -> None:
        """Keep these int16 ``(n_samples,)`` too, or give up where they are too many."""
        if not self._is_all:
            return
        end = self._n + len(samples)
        if end > len(self._audio):
            self.give_up()
            return
        self._audio[self._n : end] = samples
        self._n = end

    def give_up(self) -> None:
        """Keep nothing until the next `reset`: what was kept is not to be heard again."""
        self._is_all = False

    def whole(self) -> NDArray[np.int16] | None:
        """Return a copy of all audio since the start; None if there was none, or not few."""
        return self._audio[: self._n].copy() if self._is_all and self._n else None
