"""Where live audio comes from: an open microphone, and the system that opens it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from kws.audio import devices
from kws.audio.background_call import BackgroundCall
from kws.audio.capture_config import CaptureConfig
from kws.audio.devices import InputDevice
from kws.audio.microphone import Microphone
from kws.audio.portaudio_workarounds import StderrSilencer
from kws.audio.ring_buffer import RingBuffer

logger = logging.getLogger(__name__)
CLOSE_TIMEOUT_S = 0.3


class Source(Protocol):
    """An open microphone, as `kws.audio.reconnect` and the listener see it."""

    device: InputDevice
    rate: int
    n_channels: int
    buffer: RingBuffer
    ended: threading.Event

    @property
    def overflows(self) -> int:
        """How often the device lost input, of unknown length."""

    def close(self) -> None:
        """Stop capturing."""


class AudioSystem:
    """The machine: monotonic time, PortAudio, threads. Tests replace it."""

    def __init__(self) -> None:
        self._stderr = StderrSilencer()

    def now(self) -> float:
        """Return seconds on a monotonic clock."""
        return time.monotonic()

    def wait(self, event: threading.Event, timeout_s: float) -> None:
        """Return when `event` is set, or after `timeout_s`."""
        event.wait(timeout_s)

    def call(self, function: Callable[[], Any], ready: threading.Event) -> BackgroundCall[Any]:
        """Start a call that may hang; `ready` is set at its end."""
        return BackgroundCall(function, ready)

    def open(
        self,
        device: int | str | None,
        *,
        sample_rate: int,
        config: CaptureConfig,
        ready: threading.Event,
    ) -> Source:
        """Return an open `Microphone`."""
        return Microphone(device, sample_rate=sample_rate, config=config, ready=ready)

    def rescan_devices(self) -> bool:
        """Find out what is plugged in now; return False where that is not possible."""
        return devices.rescan_devices()

    def silence_stderr(self) -> None:
        """Keep libraries from printing until `restore_stderr`."""
        self._stderr.silence()

    def restore_stderr(self) -> None:
        """End `silence_stderr`."""
        self._stderr.restore()

    def abandon(self) -> None:
        """Let the process end although a call into PortAudio hangs."""
        devices.abandon_portaudio()


class PendingCall:
    """The one call into the sound server that is under way, if any; used by one thread.

    Parameters
    ----------
    system : AudioSystem
        Makes the calls and keeps the time.
    ready : Event
        Set at the end of each call.
    """

    def __init__(self, system: AudioSystem, ready: threading.Event) -> None:
        self._system = system
        self._ready = ready
        self._began_at = 0.0
        self.call: BackgroundCall[Any] | None = None
        """The call whose result has not been taken yet."""

    @property
    def age_s(self) -> float:
        """Seconds since the last call was started."""
        return self._system.now() - self._began_at

    def begin(self, function: Callable[[], Any]) -> BackgroundCall[Any]:
        """Start a call that may hang."""
        self._began_at = self._system.now()
        self.call = self._system.call(function, self._ready)
        return self.call

    def wait(self, call: BackgroundCall[Any], timeout_s: float) -> bool:
        """Wait for the call, or until `ready` is set; return whether the call is done."""
        if not call.done:
            self._system.wait(self._ready, timeout_s)
            self._ready.clear()
        return call.done

    def take(self, call: BackgroundCall[Any]) -> Any:
        """Forget a call that is done; return what it returned, or raise what it raised."""
        self.call = None
        return call.result()

    def finish(self) -> BackgroundCall[Any] | None:
        """Wait briefly for the call and forget it; abandon it if it hangs.

        Returns
        -------
        call : BackgroundCall or None
            The call if it is done.
        """
        call, self.call = self.call, None
        if call is None:
            return None
        done = False
        try:
            done = call.join(CLOSE_TIMEOUT_S)
        finally:
            # Also if an interrupt ends the wait: the call must not keep the process from ending.
            if not done:
                self._system.abandon()
        if done:
            return call
        logger.warning("the sound server does not answer; its stream is abandoned")
        return None
