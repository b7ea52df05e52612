"""What a connection needs of the machine: time, microphones, and calls that may hang."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from kws.audio import microphone
from kws.audio.background_call import PatientCall
from kws.audio.capture_config import CaptureConfig
from kws.audio.devices import InputDevice
from kws.audio.quiet_stderr import QuietStderr
from kws.audio.ring_buffer import RingBuffer
from kws.audio.wake_event import WakeEvent


class Source(Protocol):
    """What a connection asks of a microphone; `kws.audio.microphone.Microphone` is one."""

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
    """The real one: monotonic time, PortAudio, threads. A test may bring its own."""

    def __init__(self) -> None:
        self._stderr = QuietStderr()

    def now(self) -> float:
        """Return seconds that only ever grow."""
        return time.monotonic()

    def wait(self, event: WakeEvent, timeout_s: float) -> None:
        """Return when `event` is set, or after `timeout_s`."""
        event.wait(timeout_s)

    def call(self, function: Callable[[], Any], ready: WakeEvent) -> PatientCall[Any]:
        """Start a call that may hang; `ready` is set at its end."""
        return PatientCall(function, ready)

    def open(
        self,
        device: int | str | None,
        *,
        sample_rate: int,
        config: CaptureConfig,
        ready: WakeEvent,
    ) -> Source:
        """Return an open microphone; see `kws.audio.microphone.Microphone`."""
        return microphone.Microphone(device, sample_rate=sample_rate, config=config, ready=ready)

    def look_again(self) -> bool:
        """Find out what is plugged in now; False where that cannot be done."""
        return microphone.look_again()

    def hush(self) -> None:
        """Keep the libraries from printing, until `speak`."""
        self._stderr.start()

    def speak(self) -> None:
        """Let everybody print again."""
        self._stderr.restore()

    def give_up(self) -> None:
        """Let the process end though a call hangs."""
        microphone.give_up_on_portaudio()
