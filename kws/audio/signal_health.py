"""Notice a microphone that is muted or far too loud, and say so once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Peaks below this are nothing: 3 of 32,768 is what rounding and dither leave of silence.
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


class SignalHealth:
    """Watch the samples that go to the spotter.

    Silence is told after 15 s, once until there is sound again; clipping where it takes more than
    1 % of 5 s, once until 5 s go by with less.
    """

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._silent_samples = 0
        self._span_samples = 0
        self._span_clipped = 0
        self._told_silent = False
        self._told_clipped = False

    def push(self, samples: NDArray[np.int16], n_clipped: int) -> tuple[str, str] | None:
        """Return ``("silent" or "clipped", a sentence for people)`` when there is one to tell.

        Parameters
        ----------
        samples : ndarray of int16, shape (n_samples,)
            What follows on the last call's.
        n_clipped : int
            How many of them are clipped.
        """
        return self._silence(samples) or self._clipping(len(samples), n_clipped)

    def _silence(self, samples: NDArray[np.int16]) -> tuple[str, str] | None:
        if len(samples) and max(int(samples.max()), -int(samples.min())) >= SILENT_PEAK:
            self._silent_samples = 0
            self._told_silent = False
            return None
        self._silent_samples += len(samples)
        silent_s = self._silent_samples / self._rate
        if self._told_silent or silent_s < SILENT_S:
            return None
        self._told_silent = True
        return "silent", SILENT_HINT.format(silent_s)

    def _clipping(self, n_samples: int, n_clipped: int) -> tuple[str, str] | None:
        self._span_samples += n_samples
        self._span_clipped += n_clipped
        if self._span_samples < CLIPPED_SPAN_S * self._rate:
            return None
        share = self._span_clipped / self._span_samples
        span_s = self._span_samples / self._rate
        self._span_samples = self._span_clipped = 0
        told, self._told_clipped = self._told_clipped, share > CLIPPED_SHARE
        if told or not self._told_clipped:
            return None
        return "clipped", CLIPPED_HINT.format(share, span_s)
