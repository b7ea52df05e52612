"""What a device's samples go through on their way to the spotter: rate, DC offset, gain."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from kws.audio.resample import Resampler

# Corner of the high-pass: so far below the lowest mel band that 20 Hz loses less than 0.1 dB, and
# what a model was trained on stays what it is. What an offset changes by later is down to a
# hundredth after 0.3 s.
DC_CORNER_HZ = 2.5
FULL_SCALE = 32_767
# The closed form below divides by decay ** n; so many samples keep that far from underflow.
PIECE_SAMPLES = 2_000


class DcBlocker:
    """Take a slowly moving mean off a stream: a first-order high-pass, the same however it is cut.

    ``mean[n] = mean[n-1] + a * (x[n] - mean[n-1])`` and ``y[n] = x[n] - mean[n]``; written as a
    scaled cumulative sum, because numpy has no recursive filter and scipy takes 0.6 s to import.
    In the first 64 ms the mean is that of all samples since the start, ``1 / (n + 1)`` in the
    place of ``a``: a start from zero would turn an offset into a click.
    """

    def __init__(self, sample_rate: int) -> None:
        self._decay = math.exp(-2 * math.pi * DC_CORNER_HZ / sample_rate)
        self._powers = self._decay ** np.arange(1, PIECE_SAMPLES + 1)
        # So long one sample counts for more than `a` in the mean of all.
        self._start_samples = int(1 / (1 - self._decay))
        self._n_samples = 0
        self._sum = self._mean = 0.0

    def push(self, samples: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return float64 ``(n,)`` without its offset."""
        n_start = min(len(samples), self._start_samples - self._n_samples)
        pieces = [self._start(samples[:n_start])] if n_start else []
        pieces += [
            self._piece(samples[at : at + PIECE_SAMPLES])
            for at in range(n_start, len(samples), PIECE_SAMPLES)
        ]
        return np.concatenate(pieces) if pieces else samples

    def _start(self, samples: NDArray[np.float64]) -> NDArray[np.float64]:
        sums = self._sum + np.cumsum(samples)
        means = sums / np.arange(self._n_samples + 1, self._n_samples + len(samples) + 1)
        self._n_samples += len(samples)
        self._sum, self._mean = float(sums[-1]), float(means[-1])
        return np.asarray(samples - means)

    def _piece(self, samples: NDArray[np.float64]) -> NDArray[np.float64]:
        powers = self._powers[: len(samples)]
        means = powers * (self._mean + (1 - self._decay) * np.cumsum(samples / powers))
        self._mean = float(means[-1])
        return np.asarray(samples - means)


class Conditioner:
    """Bring a device's mono samples to the spotter's rate, without offset, with gain.

    Parameters
    ----------
    rate, wanted : int
        Rate of the device and of the spotter, in Hz.
    gain_db : float
        See `CaptureConfig`.
    """

    def __init__(self, rate: int, wanted: int, *, gain_db: float = 0.0) -> None:
        self._clipped = 0
        self._rate = rate
        self._wanted = wanted
        # At the device's full scale, in samples of the spotter's times the device's rate.
        self._at_full_scale = 0
        self._resampler = Resampler(rate, wanted) if rate != wanted else None
        self._blocker = DcBlocker(wanted)
        self._gain = 10.0 ** (gain_db / 20.0)

    def take_clipped(self) -> int:
        """Return how many samples were at full scale since the last call, at the spotter's rate.

        The device's level does that, or the gain.
        """
        clipped, self._clipped = self._clipped, 0
        return clipped

    def push(self, samples: NDArray[np.int16]) -> NDArray[np.int16]:
        """Return what these int16 ``(n,)`` samples complete at the spotter's rate."""
        at_full_scale = np.count_nonzero((samples >= FULL_SCALE) | (samples <= -FULL_SCALE))
        self._at_full_scale += int(at_full_scale) * self._wanted
        if self._resampler is not None:
            samples = self._resampler.push(samples)
        return self._without_offset(samples)

    def finish(self) -> NDArray[np.int16]:
        """Return what the resampler still holds back; nothing may be pushed any more."""
        if self._resampler is None:
            return np.zeros(0, dtype=np.int16)
        return self._without_offset(self._resampler.push(np.zeros(0, dtype=np.int16), last=True))

    def _without_offset(self, samples: NDArray[np.int16]) -> NDArray[np.int16]:
        scaled = np.round(self._blocker.push(samples.astype(np.float64)) * self._gain)
        beyond = int(np.count_nonzero(np.abs(scaled) > FULL_SCALE))
        # The gain clips again what the device has clipped already: counted once.
        before, self._at_full_scale = divmod(self._at_full_scale, self._rate)
        self._clipped += max(beyond, before)
        return np.asarray(np.clip(scaled, -FULL_SCALE - 1, FULL_SCALE), dtype=np.int16)
