"""A microphone that comes back: watched while it delivers, opened again when it is lost."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable

from kws.audio.audio_system import AudioSystem, Source
from kws.audio.background_call import PatientCall
from kws.audio.capture_config import CaptureConfig
from kws.audio.chunk import Piece
from kws.audio.devices import name_to_find_again, stable_name
from kws.audio.pending_call import CLOSE_TIMEOUT_S, DeviceCalls
from kws.audio.stream_clock import AudioClock
from kws.audio.wake_event import WakeEvent
from kws.errors import DeviceError, SoundServerGoneError

__all__ = ["CLOSE_TIMEOUT_S", "Connection"]

logger = logging.getLogger(__name__)
# Between attempts to open a lost device: often enough that it is heard soon after its return.
FIRST_RETRY_S = 0.1
LONGEST_RETRY_S = 0.5
# A sound server that has not opened a device after so long hangs.
OPEN_TIMEOUT_S = 10.0
# Nor can this process open or close anything else then: only a new one can listen again.
HUNG_S = 60.0
# Longer than any attempt takes that does not hang.
HUSHED_S = 1.0


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
        self._ready = WakeEvent()
        self._source: Source | None = None
        self._calls = DeviceCalls(self._system, self._ready)
        self._name = ""
        self._cannot_look = self._said_so = False
        self._clock = AudioClock(self._system.now)
        self._retry_at = 0.0
        self._retry_s = FIRST_RETRY_S
        self._dropped_seen = 0
        self._overflows_seen = 0
        self.closed = False
        """True after `close`."""

        self.n_losses = 0
        self.overflows = 0
        """How often a device lost input before it could hand it over."""

    @property
    def source(self) -> Source | None:
        """The open microphone; None while it is lost."""
        return self._source

    @property
    def lost(self) -> bool:
        """True from a loss until the first audio after it."""
        return self._clock.lost

    def open(self) -> Source:
        """Open the microphone for the first time.

        Raises
        ------
        DeviceError
            If it cannot be found or opened, or the sound server does not answer.
        """
        call = self._calls.begin(lambda: self._opened(self._wanted))
        while not self._calls.wait(call, max(0.0, OPEN_TIMEOUT_S - self._calls.age_s)):
            if self._calls.age_s >= OPEN_TIMEOUT_S:
                raise DeviceError(
                    f"the sound server has not answered for {OPEN_TIMEOUT_S:g} s; restart it"
                )
        source: Source = self._calls.take(call)
        self._wanted = name_to_find_again(source.device, self._wanted)
        self._name = source.device.name
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
            if not self.closed:
                self._find_again(timeout_s)
            return None
        left = self._config.stall_s - self._clock.silent_s
        if not len(source.buffer):
            self._system.wait(self._ready, max(0.0, min(timeout_s, left)))
            self._clock.watch()
        self._ready.clear()
        piece = self._piece(source)
        if piece is not None:
            return piece
        if self.closed:
            # Meanwhile, by another thread: that ends the stream too, and is no loss.
            return None
        if source.ended.is_set():
            self._lose(source, "the stream ended (is it unplugged?)")
        elif self._clock.silent_s >= self._config.stall_s:
            self._lose(source, f"no audio for {self._config.stall_s:g} s")
        return None

    def leave_gap_s(self) -> float:
        """Return how long the device has been away; from here on that counts as told."""
        source = self._source
        return self._clock.leave_gap_s(0.0 if source is None else len(source.buffer) / source.rate)

    def close(self) -> None:
        """Let the microphone go; returns soon whatever the sound server does."""
        self.closed = True
        source, self._source = self._source, None
        try:
            over = self._calls.finish()
            if over is not None:
                # A device that came back a moment ago, and was not taken any more.
                with contextlib.suppress(Exception):
                    source = over.result()
            if source is not None:
                self._calls.begin(source.close)
                self._calls.finish()
        finally:
            self._system.speak()

    def _opened(self, wanted: int | str | None) -> Source:
        source = self._system.open(
            wanted, sample_rate=self._sample_rate, config=self._config, ready=self._ready
        )
        if self.closed:
            source.close()
        return source

    def _opened_again(self, *, look_again: bool) -> Source:
        self._system.hush()
        try:
            if look_again:
                self._cannot_look = self._system.look_again() is False
            return self._opened(self._wanted)
        finally:
            self._system.speak()

    def _take(self, source: Source) -> None:
        self._source = source
        self._clock.start()
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
        gap_s = self._clock.deliver((len(samples) + dropped) / source.rate)
        news = None
        if gap_s is not None:
            self._retry_s = FIRST_RETRY_S
            news = self._news(source.device.name, gap_s)
        cut = bool(dropped or overflows or news)
        return Piece(samples, source.rate, dropped, gap_s or 0.0, cut, news)

    def _news(self, name: str, gap_s: float) -> str:
        """Return what to tell of a device that delivers, and remember its name."""
        before, self._name = self._name, name
        if stable_name(name) == stable_name(before):
            return f"{name} is back after {gap_s:.1f} s; listening goes on"
        # The default is another one by now, or another one's name fits.
        return f"{before} is gone; listening to {name} after {gap_s:.1f} s"

    def _lose(self, source: Source, why: str) -> None:
        """Let the device go, and look for it from now on."""
        message = f"device {source.device.name}: {why}"
        first = not self._clock.lost
        self.n_losses += first
        if not self._config.reconnect:
            raise DeviceError(message)
        if first:
            self._clock.lose()
            self._said_so = False
            self._tell("lost", f"{message}; waiting for it to come back")
        self._source = None
        self._calls.begin(source.close)
        self._retry_later()

    def _retry_later(self) -> None:
        self._retry_at = self._system.now() + self._retry_s
        self._retry_s = min(2 * self._retry_s, LONGEST_RETRY_S)

    def _find_again(self, timeout_s: float) -> None:
        """Go one step on the way back to the device, within `timeout_s`."""
        call = self._calls.call
        if call is None:
            wait_s = self._retry_at - self._system.now()
            if wait_s > 0:
                self._system.wait(self._ready, min(wait_s, timeout_s))
                self._ready.clear()
                return
            # A second attempt asks what is plugged in: a USB device has another card by then.
            again = self._retry_s > 2 * FIRST_RETRY_S
            call = self._calls.begin(lambda: self._opened_again(look_again=again))
        if self._calls.wait(call, timeout_s):
            self._finish_call(call)
        elif self._calls.age_s > HUNG_S:
            raise SoundServerGoneError(
                f"device {self._name}: the sound server has not answered for {HUNG_S:g} s; "
                "restart it, then start again"
            )
        elif self._calls.age_s > HUSHED_S:
            self._system.speak()

    def _finish_call(self, call: PatientCall[Source | None]) -> None:
        """Take the device that was opened, or plan the next attempt."""
        try:
            opened = self._calls.take(call)
        except Exception as error:  # Whatever it is, the device is not back.
            if isinstance(error, SoundServerGoneError):
                raise
            logger.debug("not back yet: %s", error)
            self._say_that_it_cannot_look()
            self._retry_later()
            return
        # The call that closes a lost device returns nothing.
        if opened is not None:
            self._take(opened)

    def _say_that_it_cannot_look(self) -> None:
        """Warn, once a loss, that a device in another place would not be found."""
        if self._cannot_look and not self._said_so:
            self._said_so = True
            logger.warning(
                "device %s: found again only where it was, for PortAudio cannot look at what is "
                "plugged in now while another microphone of this process is open",
                self._name,
            )
