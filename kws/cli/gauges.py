"""Gauges that the meter and the status lines read: level and CPU."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

FLOOR_DB = -96.0


class LevelGauge:
    """RMS level of the audio since it was last read."""

    def __init__(self) -> None:
        self._energy = 0.0
        self._n_samples = 0

    def push(self, samples: NDArray[np.int16]) -> None:
        """Take int16 ``(n_samples,)``."""
        self._energy += float(np.sum(np.square(samples, dtype=np.float64)))
        self._n_samples += len(samples)

    def read(self) -> float:
        """Return dB below full scale, -96 at least; what was pushed is forgotten."""
        mean = self._energy / max(1, self._n_samples)
        self._energy, self._n_samples = 0.0, 0
        return max(FLOOR_DB, 10 * float(np.log10(max(mean, 1e-9) / 32_768**2)))


class CpuGauge:
    """CPU time of this process against the time that went by since it was last read."""

    def __init__(self) -> None:
        self._cpu_s, self._wall_s = time.process_time(), time.monotonic()

    def read(self) -> float:
        """Return percent of one core."""
        cpu_s, wall_s = time.process_time(), time.monotonic()
        used_s, gone_s = cpu_s - self._cpu_s, wall_s - self._wall_s
        self._cpu_s, self._wall_s = cpu_s, wall_s
        return 100 * used_s / gone_s if gone_s > 0 else 0.0
