"""Events and counts of a listener, and warnings at a limited rate."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from math import inf
from typing import NamedTuple

# Reports of the same kind come no more often than this.
REPORT_S = 1.0


class ListenerEvent(NamedTuple):
    """Something that happened to the microphone."""

    kind: str
    """``lost``, ``returned``, ``overload``, ``overflow``, ``silent`` or ``clipped``."""

    text: str
    """A sentence for people."""

    time_s: float
    """Stream time at which it was noticed."""


class ListenerStatistics(NamedTuple):
    """Counts of a listener since it was opened."""

    audio_s: float
    """Stream time, lost samples included."""

    detections: int
    lost_samples: int
    """Samples, at the spotter's rate, that never reached it: dropped because the machine was too
    slow, or missed while the device was lost."""

    overflows: int
    """How often the device lost input, of unknown length, before delivering it."""

    losses: int
    """How often the device was lost."""

    clipped_samples: int
    """Samples at full scale, because of the device's level or the gain."""

    dropped_callbacks: int
    """Detections that a callback was too slow for."""


class LossReport:
    """Report audio that was lost to a slow machine or in the device, at most once a second.

    Parameters
    ----------
    notify : callable
        Called with ``("overload" or "overflow", a sentence for people)``.
    sample_rate : int
        Rate of the samples that are counted.
    """

    def __init__(self, notify: Callable[[str, str], None], *, sample_rate: int) -> None:
        self._notify = notify
        self._sample_rate = sample_rate
        self._dropped = self._overflows_reported = 0
        self._reported_at = -inf

    def drop(self, n_samples: int) -> None:
        """Count samples that were dropped because the machine was too slow."""
        self._dropped += n_samples

    def poll(self, now_s: float, *, overflows: int) -> None:
        """Report what is due; `overflows` is the number of overflows since the start."""
        if now_s - self._reported_at < REPORT_S:
            return
        if self._dropped:
            self._reported_at = now_s
            lost_s, self._dropped = self._dropped / self._sample_rate, 0
            self._notify("overload", f"{lost_s:.2f} s of audio lost: the machine cannot keep up")
        if overflows != self._overflows_reported:
            self._reported_at = now_s
            self._overflows_reported = overflows
            self._notify("overflow", "the device lost input before delivering it")


class RateLimitedLog:
    """Log warnings of each kind at most once a second, and count those held back.

    The kind is the message before its arguments are filled in. `poll`, once the second is over,
    or `flush` logs the latest one that was held back and how many there were.

    Parameters
    ----------
    logger : logging.Logger
        Where the warnings go.
    clock : callable
        Seconds on a monotonic clock.
    """

    def __init__(
        self,
        logger: logging.Logger,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._logger = logger
        self._clock = clock
        self._lock = threading.Lock()
        self._logged_s: dict[str, float] = {}
        self._held: dict[str, tuple[int, tuple[object, ...]]] = {}

    def warn(self, message: str, *arguments: object) -> None:
        """Log a warning now, or later if one of its kind was logged just now."""
        with self._lock:
            n_held, _ = self._held.get(message, (0, ()))
            self._held[message] = (n_held + 1, arguments)
        self.poll()

    def poll(self) -> None:
        """Log what was held back and is due."""
        if self._held:
            self._log(interval_s=REPORT_S)

    def flush(self) -> None:
        """Log everything that was held back."""
        self._log(interval_s=0.0)

    def _log(self, *, interval_s: float) -> None:
        now = self._clock()
        with self._lock:
            due = [
                kind for kind in self._held if now >= self._logged_s.get(kind, -inf) + interval_s
            ]
            logged = [(kind, *self._held.pop(kind)) for kind in due]
            self._logged_s.update((kind, now) for kind in due)
        for message, n_held, arguments in logged:
            more = f" (and {n_held - 1} more like this)" if n_held > 1 else ""
            self._logger.warning(message + more, *arguments)
