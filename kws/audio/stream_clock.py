"""How far in time a device's audio goes, and how long it was away."""

from __future__ import annotations

from collections.abc import Callable

# A device's clock may be so much slower than ours: what it has delivered tells how far in time its
# audio goes, also where it was late or the consumer busy, and never lags behind for good.
CLOCK_LEEWAY = 1.001


class AudioClock:
    """Keep the time of a device's audio, over its losses and returns.

    Parameters
    ----------
    now : callable
        Seconds that only ever grow.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._heard_at = self._audio_until = self._watched_until = 0.0
        self._lost_at: float | None = None

    @property
    def lost(self) -> bool:
        """True from a loss until the first audio after it."""
        return self._lost_at is not None

    @property
    def silent_s(self) -> float:
        """How long nothing has been delivered by now."""
        return self._now() - self._heard_at

    def start(self) -> None:
        """Note that a device was opened."""
        self._heard_at = self._audio_until = self._watched_until = self._now()

    def watch(self) -> None:
        """Note that somebody has just looked for audio."""
        self._watched_until = self._now()

    def lose(self) -> None:
        """Note that the device is lost: not now, for there has been no audio for longer."""
        if self._lost_at is None:
            self._lost_at = self._audio_until

    def deliver(self, audio_s: float) -> float | None:
        """Note that so much audio came; return the gap in front of it after a loss, else None."""
        now = self._now()
        gap_s = None
        if self._lost_at is not None:
            # Nobody may have looked since long before: it can have gone again by now.
            self._audio_until = min(now - audio_s, self._watched_until)
            gap_s = max(0.0, self._audio_until - self._lost_at)
            self._lost_at = None
        self._audio_until = min(now, self._audio_until + audio_s * CLOCK_LEEWAY)
        self._heard_at = now
        return gap_s

    def leave_gap_s(self, unread_s: float) -> float:
        """Return how long the device has been away; from here on that counts as told.

        One that is back by now may have delivered `unread_s` that nobody has read yet.
        """
        if self._lost_at is None:
            return 0.0
        gap_s = max(0.0, self._now() - unread_s - self._lost_at)
        self._lost_at += gap_s
        return gap_s
