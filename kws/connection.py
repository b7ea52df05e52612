"""A microphone that comes back: watched while it delivers, opened again when it is lost."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kws.audio_system import AudioSystem, Source
from kws.capture_config import CaptureConfig
from kws.device_choice import name_to_find_again
from kws.errors import DeviceError, SoundServerGoneError
from kws.patient_call import PatientCall

logger = logging.getLogger(__name__)
# Between attempts to open a lost device: soon at first, then often enough to be heard within a
# second of its return.
FIRST_RETRY_S = 0.1
LONGEST_RETRY_S = 0.5
# A sound server that has not opened a device after so long hangs.
OPEN_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 0.4
# A device's clock may be so much slower than ours: what it has delivered tells how far in time its
# audio goes, also where it was late or the consumer busy, and never lags behind for good.
CLOCK_LEEWAY = 1.001
# Longer than any attempt takes that does not hang.
HUSHED_S = 1.0


class Piece(NamedTuple):
    """Audio from the device, and what is missing in front of it."""

    samples: NDArray[np.int16]
    """Mono int16 ``(n,)`` at the device's rate."""

    rate: int
    dropped: int
    """Samples, at the device's rate, that the consumer was too slow for."""

    gap_s: float
    """Time without a device."""

    cut: bool
    """True if these do not follow on the last ones."""

    news: str | None
    """A sentence for people if the device is back with these."""


class Connection:
    """Deliver pieces of audio from one microphone, over all its losses and returns.

    Used by one thread, but for `wake`. Calls into PortAudio, which may hang, run beside it.

    Parameters
    ----------
    wanted : int or str, optional
        Index or part of the name of the microphone; without it the default one.
    sample_rate : int
        Rate to ask for, in Hz.
    config : CaptureConfig
        How to open and watch it.
    tell : callable
        Called with ``("lost", sentence)``; that it is back is told with the first piece.
    system : AudioSystem, optional
        Time and microphones.
    """

    def __init__(
        self,
        wanted: int | str | None,
        *,
        sample_rate: int,
        config: CaptureConfig,
        tell: Callable[[str, str], None],
        system: AudioSystem | None = None,
    ) -> None:
        self._wanted = wanted
        self._sample_rate = sample_rate
        self._config = config
        self._tell = tell
        self._system = AudioSystem() if system is None else system
        self._ready = threading.Event()
        self._source: Source | None = None
        self._call: PatientCall[Any] | None = None
        self._beginning = False
        self._called_at = 0.0
        self._heard_at = 0.0
        self._audio_until = 0.0
        self._watched_until = 0.0
        self._lost_at: float | None = None
        self._retry_at = 0.0
        self._retry_s = FIRST_RETRY_S
        self._dropped_seen = 0
        self._overflows_seen = 0
        self._closed = False
        self.n_losses = 0
        self.overflows = 0
        """How often a device lost input before it could hand it over."""

    @property
    def closed(self) -> bool:
        """True after `close`."""
        return self._closed

    @property
    def source(self) -> Source | None:
        """The open microphone; None while it is lost."""
        return self._source

    def open(self) -> Source:
        """Open the microphone for the first time.

        Raises
        ------
        DeviceError
            If it cannot be found or opened, or the sound server does not answer.
        """
        call = self._begin(lambda: self._opened(self._wanted))
        deadline = self._system.now() + OPEN_TIMEOUT_S
        while not call.done:
            left = deadline - self._system.now()
            if left <= 0:
                raise DeviceError(
                    f"the sound server has not answered for {OPEN_TIMEOUT_S:g} s; restart it"
                )
            self._ready.clear()
            if not call.done:
                self._system.wait(self._ready, left)
        self._call = None
        source: Source = call.result()
        self._wanted = name_to_find_again(source.device, self._wanted)
        self._take(source)
        return source

    def wake(self) -> None:
        """Make `read` return early; from any thread."""
        self._ready.set()

    def read(self, timeout_s: float) -> Piece | None:
        """Return what the microphone has delivered, or None after at most `timeout_s`.

        Raises
        ------
        DeviceError
            If it is lost and the settings say that it shall not be opened again, or nothing
            that this process can do will bring it back.
        """
        source = self._source
        if source is None:
            if not self._closed:
                self._find_again(timeout_s)
            return None
        left = self._heard_at + self._config.stall_s - self._system.now()
        if not len(source.buffer):
            self._system.wait(self._ready, max(0.0, min(timeout_s, left)))
            self._watched_until = self._system.now()
        self._ready.clear()
        piece = self._piece(source)
        if piece is not None:
            return piece
        if self._closed:
            # Meanwhile, by another thread: that ends the stream too, and is no loss.
            return None
        if source.ended.is_set():
            self._lose(source, "the stream ended (is it unplugged?)")
        elif self._system.now() - self._heard_at >= self._config.stall_s:
            self._lose(source, f"no audio for {self._config.stall_s:g} s")
        return None

    def leave_gap_s(self) -> float:
        """Return how long the device has been away; from here on that counts as told."""
        if self._lost_at is None:
            return 0.0
        source = self._source
        # A device that is back by now may have delivered what was not read yet.
        unread_s = 0.0 if source is None else len(source.buffer) / source.rate
        gap_s = max(0.0, self._system.now() - unread_s - self._lost_at)
        self._lost_at += gap_s
        return gap_s

    def close(self) -> None:
        """Let the microphone go; returns soon whatever the sound server does."""
        self._closed = True
        source, self._source = self._source, None
        if self._call is not None and self._has_ended(self._call):
            # A device that came back a moment ago, and was not taken any more.
            with contextlib.suppress(Exception):
                source = self._call.result()
        if source is not None:
            self._has_ended(self._system.call(source.close, self._ready))
        elif self._call is None and self._beginning:
            # An interrupt came between the start of a call and the moment at which it was kept.
            self._system.give_up()
        self._call = None
        self._system.speak()

    def _has_ended(self, call: PatientCall[Any]) -> bool:
        """Wait a moment for a call; one that hangs is left behind."""
        if call.join(CLOSE_TIMEOUT_S):
            return True
        logger.warning("the sound server does not answer; its stream is left behind")
        self._system.give_up()
        return False

    def _begin(self, function: Callable[[], Any]) -> PatientCall[Any]:
        """Start a call that may hang, and keep it."""
        self._beginning = True
        call = self._call = self._system.call(function, self._ready)
        self._beginning = False
        return call

    def _opened(self, wanted: int | str | None) -> Source:
        source = self._system.open(
            wanted, sample_rate=self._sample_rate, config=self._config, ready=self._ready
        )
        if self._closed:
            source.close()
        return source

    def _opened_again(self, *, look_again: bool) -> Source:
        self._system.hush()
        try:
            if look_again:
                self._system.look_again()
            return self._opened(self._wanted)
        finally:
            self._system.speak()

    def _take(self, source: Source) -> None:
        self._source = source
        self._heard_at = self._audio_until = self._watched_until = self._system.now()
        self._dropped_seen = self._overflows_seen = 0

    def _piece(self, source: Source) -> Piece | None:
        samples = source.buffer.read()
        dropped = source.buffer.dropped_samples - self._dropped_seen
        if not len(samples) and not dropped:
            # An overflow is told before its block is there: it stays for that one.
            return None
        self._dropped_seen += dropped
        overflows = source.overflows - self._overflows_seen
        self._overflows_seen += overflows
        self.overflows += overflows
        now = self._system.now()
        audio_s = (len(samples) + dropped) / source.rate
        gap_s, news = 0.0, None
        if self._lost_at is not None:
            # Nobody may have looked since long before: it can have gone again by now.
            self._audio_until = min(now - audio_s, self._watched_until)
            gap_s = max(0.0, self._audio_until - self._lost_at)
            self._lost_at = None
            self._retry_s = FIRST_RETRY_S
            news = f"{source.device.name} is back after {gap_s:.1f} s; listening goes on"
        self._audio_until = min(now, self._audio_until + audio_s * CLOCK_LEEWAY)
        self._heard_at = now
        cut = bool(dropped or overflows or news)
        return Piece(samples, source.rate, dropped, gap_s, cut, news)

    def _lose(self, source: Source, why: str) -> None:
        """Let the device go, and look for it from now on."""
        message = f"device {source.device.name}: {why}"
        self.n_losses += self._lost_at is None
        if not self._config.reconnect:
            raise DeviceError(message)
        if self._lost_at is None:
            # Not when the loss was noticed: since then there has been no audio.
            self._lost_at = self._audio_until
            self._tell("lost", f"{message}; waiting for it to come back")
        self._source = None
        self._begin(source.close)
        self._retry_later()

    def _retry_later(self) -> None:
        self._retry_at = self._system.now() + self._retry_s
        self._retry_s = min(2 * self._retry_s, LONGEST_RETRY_S)

    def _find_again(self, timeout_s: float) -> None:
        """Go one step on the way back to the device, within `timeout_s`."""
        if self._call is None:
            wait_s = self._retry_at - self._system.now()
            if wait_s > 0:
                self._system.wait(self._ready, min(wait_s, timeout_s))
                self._ready.clear()
                return
            # A second attempt asks what is plugged in: a USB device has another card by then.
            again = self._retry_s > 2 * FIRST_RETRY_S
            self._called_at = self._system.now()
            call = self._begin(lambda: self._opened_again(look_again=again))
        else:
            call = self._call
        if not call.done:
            self._system.wait(self._ready, timeout_s)
            self._ready.clear()
        if call.done:
            self._finish_call(call)
        elif self._system.now() - self._called_at > HUSHED_S:
            self._system.speak()

    def _finish_call(self, call: PatientCall[Any]) -> None:
        """Take the device that was opened, or plan the next attempt."""
        self._call = None
        try:
            opened = call.result()
        except SoundServerGoneError:
            raise
        except Exception as error:  # Whatever it is, the device is not back.
            logger.debug("not back yet: %s", error)
            self._retry_later()
            return
        # The call that closes a lost device returns nothing.
        if opened is not None:
            self._take(opened)
