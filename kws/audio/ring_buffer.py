"""Pass samples from the audio thread to the consumer without making the audio thread wait."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kws.dataclass_io import check_range


class RingBuffer:
    """Single-producer, single-consumer buffer of int16 samples that drops the oldest.

    The producer only writes samples and then its own counter, the consumer only its own, so
    neither takes a lock. When the producer laps the consumer, the overwritten samples count as
    dropped.

    Parameters
    ----------
    capacity : int
        Samples that fit. Raising it survives longer stalls of the consumer, at 2 bytes each.
    """

    def __init__(self, capacity: int) -> None:
        check_range("capacity", capacity, 1)
        self.capacity = capacity
        self._samples = np.zeros(capacity, dtype=np.int16)
        # The end of the write under way: the consumer ignores samples older than one capacity
        # before it.
        self._claimed = 0
        self._written = 0
        self._read = 0
        self.dropped_samples = 0
        """Samples overwritten before they were read, since the start."""

    def __len__(self) -> int:
        """Return how many samples can be read now."""
        return min(self._written - self._read, self.capacity)

    def write(self, samples: NDArray[np.int16]) -> None:
        """Append mono int16 ``(n_samples,)``; called by the producer only, never blocks."""
        n = len(samples)
        start = self._written
        self._claimed = start + n
        kept = samples[-self.capacity :]
        at = (start + n - len(kept)) % self.capacity
        first = min(len(kept), self.capacity - at)
        self._samples[at : at + first] = kept[:first]
        self._samples[: len(kept) - first] = kept[first:]
        self._written = start + n

    def read(self, max_samples: int | None = None) -> NDArray[np.int16]:
        """Return and remove the oldest samples; called by the consumer only.

        Parameters
        ----------
        max_samples : int, optional
            The most to read; without it, everything.

        Returns
        -------
        samples : ndarray of int16, shape (n_samples,)
            A copy, maybe empty. The increase of `dropped_samples` during the call is the number
            of samples missing before these.
        """
        written = self._written
        start = max(self._read, written - self.capacity)
        n = written - start if max_samples is None else min(written - start, max_samples)
        at = start % self.capacity
        first = min(n, self.capacity - at)
        samples = np.concatenate((self._samples[at : at + first], self._samples[: n - first]))
        # The producer may have lapped us during the copy: samples it overwrote are lost.
        safe = max(start, min(self._claimed - self.capacity, start + n))
        self.dropped_samples += safe - self._read
        self._read = start + n
        return np.asarray(samples[safe - start :])
