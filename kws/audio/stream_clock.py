"""The stream time of a device's audio, and how long the device was away."""

from __future__ import annotations

from collections.abc import Callable

# A device's clock may be slower than ours by this factor. The stream time follows the amount of
# audio delivered, even if it came late or the consumer was busy.
CLOCK_LEEWAY = 1.001


class StreamClock:
    """Keep the time of a device's audio, across losses and returns.

    Parameters
    ----------
    now : callable
        Seconds on a monotonic clock.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._delivered_at = self._audio_until = self._watched_until = 0.0
        self._lost_at: float | None = None

    @property
    def lost(self) -> bool:
        """True from a loss until the first audio after it."""
        return self._lost_at is not None

    @property
    def silent_s(self) -> float:
        """Time since the last delivery."""
        return self._now() - self._delivered_at

    def start(self) -> None:
        """Note that a device was opened."""
        self._delivered_at = self._audio_until = self._watched_until = self._now()

    def watch(self) -> None:
        """Note that the consumer has just checked for audio."""
        self._watched_until = self._now()

    def lose(self) -> None:
        """Note that the device is lost, from the end of its audio on."""
        if self._lost_at is None:
            self._lost_at = self._audio_until

    def deliver(self, audio_s: float) -> float | None:
        """Note a delivery of `audio_s`; return the gap before it after a loss, else None."""
        now = self._now()
        gap_s = None
        if self._lost_at is not None:
            # The consumer may not have checked for long: the device can be gone again by now.
            self._audio_until = min(now - audio_s, self._watched_until)
            gap_s = max(0.0, self._audio_until - self._lost_at)
            self._lost_at = None
        self._audio_until = min(now, self._audio_until + audio_s * CLOCK_LEEWAY)
        self._delivered_at = now
        return gap_s

    def take_gap_s(self, unread_s: float) -> float:
        """Return how long the device has been away, and do not count that time again.

        A device that is back may have delivered `unread_s` that has not been read yet.
        """
        if self._lost_at is None:
            return 0.0
        gap_s = max(0.0, self._now() - unread_s - self._lost_at)
        self._lost_at += gap_s
        return gap_s
