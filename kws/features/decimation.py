"""Decimation: low-pass filter the audio and keep every n-th sample."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Samples at the new rate on each side of the filter's centre. Tones up to 0.44 of the new rate
# pass; aliases of tones from 0.56 of it are 80 dB down. The delay is 3 ms at 8 kHz.
SIDE_SAMPLES = 24
KAISER_BETA = 8.0
# Taps are multiples of 2**-20. Sums of int16 products are then whole numbers below 2**53, exact in
# double precision in any order: the same on every machine and for every block size.
SCALE = 2.0**20


class Decimator:
    """Convert a stream of samples to an n-th of its rate; the same for every block size.

    Every `factor` samples in give one out immediately. `soxr`, which `Resampler` uses for devices
    and files, returns samples in bursts, 10 to 115 ms late from 16 to 8 kHz.

    Parameters
    ----------
    factor : int
        Samples in for one sample out, at least 2.
    """

    def __init__(self, factor: int) -> None:
        self.factor = factor
        self._filters = _filters_by_column(decimation_taps(factor), factor)
        self._n_kept = 2 * SIDE_SAMPLES * factor
        self.reset()

    def reset(self) -> None:
        """Forget all audio; silence comes before the first sample."""
        self._kept = np.zeros(self._n_kept, dtype=np.float64)

    def push(self, samples: NDArray[np.int16]) -> NDArray[np.int16]:
        """Return what these int16 ``(n,)`` samples complete at the new rate; maybe empty."""
        factor = self.factor
        audio: NDArray[np.float64] = np.concatenate((self._kept, samples.astype(np.float64)))
        n_new = (len(audio) - self._n_kept) // factor
        self._kept = audio[n_new * factor :]
        if n_new == 0:
            return np.zeros(0, dtype=np.int16)
        total = np.zeros(n_new)
        rows = audio[: n_new * factor + self._n_kept].reshape(-1, factor)
        for column, (first, taps) in enumerate(self._filters):
            used = rows[first : first + n_new + len(taps) - 1, column]
            total += np.convolve(used, taps, mode="valid")
        scaled = np.rint(total / SCALE)
        return np.asarray(np.clip(scaled, -32_768, 32_767), dtype=np.int16)


def decimate(samples: NDArray[np.int16], factor: int) -> NDArray[np.int16]:
    """Return a whole recording at an n-th of its rate, as a new `Decimator` does."""
    return samples if factor == 1 else Decimator(factor).push(samples)


def decimation_taps(factor: int) -> NDArray[np.float64]:
    """Return the low-pass filter, a Kaiser-windowed sinc, in integer multiples of 1 / `SCALE`."""
    n_side = SIDE_SAMPLES * factor
    times = np.arange(-n_side, n_side + 1) / factor
    taps = np.sinc(times) * np.kaiser(2 * n_side + 1, KAISER_BETA)
    return np.asarray(np.rint(SCALE * taps / taps.sum()))


def _filters_by_column(
    taps: NDArray[np.float64], factor: int
) -> list[tuple[int, NDArray[np.float64]]]:
    """Return first row and taps of the filter on each column of audio in rows of `factor`.

    Zeros at the ends are omitted: with a factor of 2 one of the two filters is a single tap.
    """
    n_rows = 2 * SIDE_SAMPLES + 1
    padded = np.zeros(n_rows * factor)
    padded[: len(taps)] = taps
    filters = []
    for column in range(factor):
        # Tap 0 is for the newest sample, in the last column.
        of_column = padded[factor - 1 - column :: factor]
        used = np.flatnonzero(of_column)
        first, last = int(used[0]), int(used[-1])
        filters.append((n_rows - 1 - last, of_column[first : last + 1].copy()))
    return filters
