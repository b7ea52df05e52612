"""A microphone that is watched while it delivers, and opened again when it is lost."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kws.audio.background_call import BackgroundCall
from kws.audio.capture_config import CaptureConfig
from kws.audio.devices import name_to_find_again, stable_name
from kws.audio.source import AudioSystem, PendingCall, Source
from kws.audio.stream_clock import StreamClock
from kws.errors import DeviceError, SoundServerGoneError

logger = logging.getLogger(__name__)
# While the microphone opens, the caller gets control this often.
POLL_S = 0.1
# Delay between attempts to open a lost device.
FIRST_RETRY_S = 0.1
LONGEST_RETRY_S = 0.5
# A sound server that takes longer to open a device hangs.
OPEN_TIMEOUT_S = 10.0
# After this, only a new process can listen again: this one can neither open nor close anything.
HUNG_S = 60.0
# Longer than any attempt that does not hang.
SILENCED_S = 1.0


class AudioChunk(NamedTuple):
    """Audio from the device, and what is missing before it."""

    samples: NDArray[np.int16]
    """Mono int16 ``(n,)`` at the device's rate."""

    rate: int
    dropped: int
    """Samples, at the device's rate, that the consumer was too slow to read."""

    gap_s: float
    """Time without a device."""

    cut: bool
    """True if these samples do not follow on the last ones."""

    status_text: str | None
    """A sentence for people if the device is back with this chunk."""


class ReconnectingMicrophone:
    """Deliver chunks of audio from one microphone, across all its losses and returns.

    Used by one thread, except `close`. Calls into PortAudio, which may hang, run in the background.

    Parameters
    ----------
    wanted : int or str, optional
        Index or part of the name of the microphone; without it the default one.
    sample_rate : int
        Rate to request, in Hz.
    config : CaptureConfig
        How to open and watch it.
    notify : callable
        Called with ``("lost", sentence)``; a return is reported with the first chunk.
    system : AudioSystem
        Time and microphones.
    """

    def __init__(
        self,
        wanted: int | str | None,
        *,
        sample_rate: int,
        config: CaptureConfig,
        notify: Callable[[str, str], None],
        system: AudioSystem,
    ) -> None:
        self._wanted = wanted
        self._sample_rate = sample_rate
        self._config = config
        self._notify = notify
        self._system = system
        self._ready = threading.Event()
        self._pending = PendingCall(self._system, self._ready)
        self._name = ""
        self._cannot_rescan = self._rescan_warned = False
        self._clock = StreamClock(self._system.now)
        self._retry_at = 0.0
        self._retry_s = FIRST_RETRY_S
        self._dropped_seen = 0
        self._overflows_seen = 0
        self.source: Source | None = None
        """The open microphone; None while it is lost."""

        self.closed = False
        """True after `close`."""

        self.n_losses = 0
        self.overflows = 0
        """How often a device lost input before delivering it."""

    @property
    def lost(self) -> bool:
        """True from a loss until the first audio after it."""
        return self._clock.lost

    def open(self, poll: Callable[[], object] = lambda: None) -> Source:
        """Open the microphone for the first time; `poll` is called ten times a second meanwhile.

        Raises
        ------
        DeviceError
            If it cannot be found or opened, or the sound server does not answer.
        """
        call = self._pending.begin(lambda: self._open(self._wanted))
        while not self._pending.wait(call, POLL_S):
            poll()
            if self._pending.age_s >= OPEN_TIMEOUT_S:
                raise DeviceError(
                    f"the sound server has not answered for {OPEN_TIMEOUT_S:g} s; restart it"
                )
        source: Source = self._pending.take(call)
        self._wanted = name_to_find_again(source.device, self._wanted)
        self._name = source.device.name
        self._use(source)
        return source

    def read(self, timeout_s: float) -> AudioChunk | None:
        """Return what the microphone has delivered, or None after at most `timeout_s`.

        Raises
        ------
        DeviceError
            If it is lost and reconnecting is off, or only a new process can open it again.
        """
        source = self.source
        if source is None:
            if not self.closed:
                self._find_again(timeout_s)
            return None
        left = self._config.stall_s - self._clock.silent_s
        if not len(source.buffer):
            self._system.wait(self._ready, max(0.0, min(timeout_s, left)))
            self._clock.watch()
        self._ready.clear()
        chunk = self._chunk(source)
        if chunk is not None:
            return chunk
        if self.closed:
            # By another thread meanwhile: that ends the stream too, and is no loss.
            return None
        if source.ended.is_set():
            self._lose(source, "the stream ended (is it unplugged?)")
        elif self._clock.silent_s >= self._config.stall_s:
            self._lose(source, f"no audio for {self._config.stall_s:g} s")
        return None

    def take_gap_s(self) -> float:
        """Return how long the device has been away, and do not count that time again."""
        source = self.source
        return self._clock.take_gap_s(0.0 if source is None else len(source.buffer) / source.rate)

    def close(self) -> None:
        """Close the microphone; returns soon even if the sound server hangs."""
        self.closed = True
        source, self.source = self.source, None
        try:
            call = self._pending.finish()
            if call is not None:
                # A device that returned a moment ago and was not used yet.
                with contextlib.suppress(Exception):
                    source = call.result()
            if source is not None:
                self._pending.begin(source.close)
                self._pending.finish()
        finally:
            self._system.restore_stderr()

    def _open(self, wanted: int | str | None) -> Source:
        source = self._system.open(
            wanted, sample_rate=self._sample_rate, config=self._config, ready=self._ready
        )
        if self.closed:
            source.close()
        return source

    def _reopen(self, *, rescan: bool) -> Source:
        self._system.silence_stderr()
        try:
            if rescan:
                self._cannot_rescan = self._system.rescan_devices() is False
            return self._open(self._wanted)
        finally:
            self._system.restore_stderr()

    def _use(self, source: Source) -> None:
        self.source = source
        self._clock.start()
        self._dropped_seen = self._overflows_seen = 0

    def _chunk(self, source: Source) -> AudioChunk | None:
        samples = source.buffer.read()
        dropped = source.buffer.dropped_samples - self._dropped_seen
        if not len(samples) and not dropped:
            # An overflow is counted before its block arrives: keep it for that block.
            return None
        self._dropped_seen += dropped
        overflows = source.overflows - self._overflows_seen
        self._overflows_seen += overflows
        self.overflows += overflows
        gap_s = self._clock.deliver((len(samples) + dropped) / source.rate)
        status_text = None
        if gap_s is not None:
            self._retry_s = FIRST_RETRY_S
            status_text = self._returned(source.device.name, gap_s)
        cut = bool(dropped or overflows or status_text)
        return AudioChunk(samples, source.rate, dropped, gap_s or 0.0, cut, status_text)

    def _returned(self, name: str, gap_s: float) -> str:
        """Return the sentence about a device that delivers again, and remember its name."""
        before, self._name = self._name, name
        if stable_name(name) == stable_name(before):
            return f"{name} is back after {gap_s:.1f} s; listening goes on"
        # The default device has changed, or another one matches the name.
        return f"{before} is gone; listening to {name} after {gap_s:.1f} s"

    def _lose(self, source: Source, why: str) -> None:
        """Close the device, and look for it from now on."""
        message = f"device {source.device.name}: {why}"
        first = not self._clock.lost
        self.n_losses += first
        if not self._config.reconnect:
            raise DeviceError(message)
        if first:
            self._clock.lose()
            self._rescan_warned = False
            self._notify("lost", f"{message}; waiting for it to come back")
        self.source = None
        self._pending.begin(source.close)
        self._retry_later()

    def _retry_later(self) -> None:
        self._retry_at = self._system.now() + self._retry_s
        self._retry_s = min(2 * self._retry_s, LONGEST_RETRY_S)

    def _find_again(self, timeout_s: float) -> None:
        """Take one step towards reopening the device, within `timeout_s`."""
        call = self._pending.call
        if call is None:
            wait_s = self._retry_at - self._system.now()
            if wait_s > 0:
                self._system.wait(self._ready, min(wait_s, timeout_s))
                self._ready.clear()
                return
            # From the second attempt on: a USB device has another card number by then.
            rescan = self._retry_s > 2 * FIRST_RETRY_S
            call = self._pending.begin(lambda: self._reopen(rescan=rescan))
        if self._pending.wait(call, timeout_s):
            self._finish_call(call)
        elif self._pending.age_s > HUNG_S:
            raise SoundServerGoneError(
                f"device {self._name}: the sound server has not answered for {HUNG_S:g} s; "
                "restart it, then start again"
            )
        elif self._pending.age_s > SILENCED_S:
            self._system.restore_stderr()

    def _finish_call(self, call: BackgroundCall[Source | None]) -> None:
        """Use the device that was opened, or plan the next attempt."""
        try:
            source = self._pending.take(call)
        except SoundServerGoneError:
            raise
        except Exception as error:  # Whatever it is, the device is not back.
            logger.debug("not back yet: %s", error)
            self._warn_without_rescan()
            self._retry_later()
            return
        # The call that closes a lost device returns None.
        if source is not None:
            self._use(source)

    def _warn_without_rescan(self) -> None:
        """Warn, once a loss, that a device plugged in elsewhere would not be found."""
        if self._cannot_rescan and not self._rescan_warned:
            self._rescan_warned = True
            logger.warning(
                "device %s: found again only where it was, because PortAudio cannot rescan "
                "devices while another microphone of this process is open",
                self._name,
            )
