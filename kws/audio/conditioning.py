"""Condition a device's samples for the spotter: rate, DC offset, gain; and check their level."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from kws.audio.resample import Resampler

# Corner of the high-pass. It is so far below the lowest mel band that 20 Hz loses less than 0.1 dB,
# so features match training. A step of the offset decays to a hundredth within 0.3 s.
DC_CORNER_HZ = 2.5
FULL_SCALE = 32_767
# The closed form below divides by decay ** n; this many samples keep it far from underflow.
SEGMENT_SAMPLES = 2_000
# Peaks below this count as silence: rounding and dither of silence reach 3 of 32,768.
SILENT_PEAK = 4
SILENT_S = 15.0
CLIPPED_SPAN_S = 5.0
CLIPPED_SHARE = 0.01
SILENT_HINT = (
    "the microphone has given nothing but silence for {:.0f} s: is it muted, or the wrong one? "
    "(kws-listen --list-devices)"
)
CLIPPED_HINT = (
    "the microphone is clipped: {:.0%} of the last {:.0f} s is at full scale; lower its level, "
    "or --gain-db"
)


class DcBlocker:
    """Subtract a slowly moving mean: a first-order high-pass that does not depend on chunking.

    ``mean[n] = mean[n-1] + a * (x[n] - mean[n-1])`` and ``y[n] = x[n] - mean[n]``, written as a
    scaled cumulative sum, because numpy has no recursive filter and scipy takes 0.6 s to import.
    In the first 64 ms ``a`` is ``1 / (n + 1)``, so the mean is that of all samples since the
    start: starting from zero would turn an offset into a click.
    """

    def __init__(self, sample_rate: int) -> None:
        self._decay = math.exp(-2 * math.pi * DC_CORNER_HZ / sample_rate)
        self._powers = self._decay ** np.arange(1, SEGMENT_SAMPLES + 1)
        # Until then one sample weighs more than `a` in the mean of all.
        self._start_samples = int(1 / (1 - self._decay))
        self._n_samples = 0
        self._sum = self._mean = 0.0

    def push(self, samples: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return float64 ``(n,)`` without its offset."""
        n_start = min(len(samples), self._start_samples - self._n_samples)
        if not n_start and 0 < len(samples) <= SEGMENT_SAMPLES:
            return self._segment(samples)
        segments = [self._start(samples[:n_start])] if n_start else []
        segments += [
            self._segment(samples[at : at + SEGMENT_SAMPLES])
            for at in range(n_start, len(samples), SEGMENT_SAMPLES)
        ]
        return np.concatenate(segments) if segments else samples

    def _start(self, samples: NDArray[np.float64]) -> NDArray[np.float64]:
        sums = self._sum + np.cumsum(samples)
        means = sums / np.arange(self._n_samples + 1, self._n_samples + len(samples) + 1)
        self._n_samples += len(samples)
        self._sum, self._mean = float(sums[-1]), float(means[-1])
        return np.asarray(samples - means)

    def _segment(self, samples: NDArray[np.float64]) -> NDArray[np.float64]:
        powers = self._powers[: len(samples)]
        means = powers * (self._mean + (1 - self._decay) * np.cumsum(samples / powers))
        self._mean = float(means[-1])
        return np.asarray(samples - means)


class Conditioner:
    """Convert a device's mono samples to the spotter's rate, remove the offset, apply gain.

    Parameters
    ----------
    rate, out_rate : int
        Rate of the device and of the spotter, in Hz.
    gain_db : float
        See `CaptureConfig`.
    """

    def __init__(self, rate: int, out_rate: int, *, gain_db: float = 0.0) -> None:
        self.clipped = 0
        """Samples clipped by the device or the gain so far, at the spotter's rate."""

        self._rate = rate
        self._out_rate = out_rate
        # Samples at the device's full scale, times the spotter's rate.
        self._at_full_scale = 0
        self._resampler = Resampler(rate, out_rate) if rate != out_rate else None
        self._blocker = DcBlocker(out_rate)
        self._gain = 10.0 ** (gain_db / 20.0)

    def push(self, samples: NDArray[np.int16]) -> NDArray[np.int16]:
        """Return the samples at the spotter's rate that these int16 ``(n,)`` complete."""
        at_full_scale = np.count_nonzero((samples >= FULL_SCALE) | (samples <= -FULL_SCALE))
        self._at_full_scale += int(at_full_scale) * self._out_rate
        if self._resampler is not None:
            samples = self._resampler.push(samples)
        return self._without_offset(samples)

    def finish(self) -> NDArray[np.int16]:
        """Return what the resampler still holds back; push nothing afterwards."""
        if self._resampler is None:
            return np.zeros(0, dtype=np.int16)
        return self._without_offset(self._resampler.push(np.zeros(0, dtype=np.int16), last=True))

    def _without_offset(self, samples: NDArray[np.int16]) -> NDArray[np.int16]:
        scaled = np.round(self._blocker.push(samples.astype(np.float64)) * self._gain)
        beyond = int(np.count_nonzero(np.abs(scaled) > FULL_SCALE))
        # The gain clips again what the device has already clipped: count it once.
        before, self._at_full_scale = divmod(self._at_full_scale, self._rate)
        self.clipped += max(beyond, before)
        return np.asarray(np.clip(scaled, -FULL_SCALE - 1, FULL_SCALE), dtype=np.int16)


class SignalHealth:
    """Report a muted or clipping microphone, from the samples that go to the spotter.

    Silence is reported after 15 s, once until there is sound again. Clipping is reported when
    more than 1 % of 5 s is clipped, once until 5 s pass with less.
    """

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._silent_samples = 0
        self._span_samples = 0
        self._span_clipped = 0
        self._reported_silent = False
        self._reported_clipped = False

    def push(self, samples: NDArray[np.int16], n_clipped: int) -> tuple[str, str] | None:
        """Return ``("silent" or "clipped", sentence)`` when there is something to report.

        Parameters
        ----------
        samples : ndarray of int16, shape (n_samples,)
            Samples that follow on the last call's.
        n_clipped : int
            How many of them are clipped.
        """
        self._span_samples += len(samples)
        self._span_clipped += n_clipped
        if len(samples) and max(int(samples.max()), -int(samples.min())) >= SILENT_PEAK:
            self._silent_samples = 0
            self._reported_silent = False
        else:
            self._silent_samples += len(samples)
            silent_s = self._silent_samples / self._rate
            if not self._reported_silent and silent_s >= SILENT_S:
                self._reported_silent = True
                return "silent", SILENT_HINT.format(silent_s)
        if self._span_samples >= CLIPPED_SPAN_S * self._rate:
            return self._clipping()
        return None

    def _clipping(self) -> tuple[str, str] | None:
        """End a span; report it if it is clipped and the last one was not."""
        share = self._span_clipped / self._span_samples
        span_s = self._span_samples / self._rate
        self._span_samples = self._span_clipped = 0
        reported, self._reported_clipped = self._reported_clipped, share > CLIPPED_SHARE
        if reported or not self._reported_clipped:
            return None
        return "clipped", CLIPPED_HINT.format(share, span_s)
