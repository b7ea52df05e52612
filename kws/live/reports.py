"""What a listener tells: events as they happen, counts when asked, losses at a bearable pace."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

# Losses are told no more often than this.
REPORT_S = 1.0


class ListenerEvent(NamedTuple):
    """Something that happened to the microphone."""

    kind: str
    """``lost``, ``returned``, ``overload``, ``overflow``, ``silent`` or ``clipped``."""

    text: str
    """A sentence for people."""

    time_s: float
    """Audio time at which it was noticed."""


class ListenerStatistics(NamedTuple):
    """What a listener has done since it was opened."""

    audio_s: float
    """Audio that went by, lost samples included."""

    detections: int
    lost_samples: int
    """Samples, at the spotter's rate, that never reached it: dropped because they came too fast
    for the consumer, or gone by while the device was lost."""

    overflows: int
    """How often the device lost input before it could hand it over, of unknown length."""

    losses: int
    """How often the device was lost."""

    clipped_samples: int
    """Samples at full scale, because of the device's level or the gain."""

    dropped_callbacks: int
    """Detections that a callback was too slow for."""


class LossReport:
    """Tell of audio that was lost to a slow machine or in the device, at most once a second.

    Parameters
    ----------
    tell : callable
        Called with ``("overload" or "overflow", a sentence for people)``.
    sample_rate : int
        Of the samples that are counted.
    """

    def __init__(self, tell: Callable[[str, str], None], *, sample_rate: int) -> None:
        self._tell = tell
        self._sample_rate = sample_rate
        self._dropped = self._overflows_told = 0
        self._told_at = float("-inf")

    def drop(self, n_samples: int) -> None:
        """Note that samples were dropped because the machine was too slow for them."""
        self._dropped += n_samples

    def tend(self, now_s: float, *, overflows: int) -> None:
        """Tell what is due, with how many overflows there have been in all."""
        if now_s - self._told_at < REPORT_S:
            return
        if not self._dropped and overflows == self._overflows_told:
            return
        self._told_at = now_s
        if self._dropped:
            lost_s, self._dropped = self._dropped / self._sample_rate, 0
            self._tell("overload", f"{lost_s:.2f} s of audio lost: the machine cannot keep up")
        if overflows != self._overflows_told:
            self._overflows_told = overflows
            self._tell("overflow", "the device lost input before it was handed over")
