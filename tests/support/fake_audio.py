"""Simulated microphones in simulated time: deterministic, and without real waiting.

`FakeAudio` replaces `kws.audio.source.AudioSystem`. Time advances when a thread waits or is
busy. Calls run in threads like the real ones, but only one thread runs at a time.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import soxr

from kws.audio.devices import InputDevice
from kws.audio.ring_buffer import RingBuffer
from kws.errors import DeviceError
from support.fake_time import FakeCall, VirtualTime

RATE = 16_000
BUFFER_S = 4


class Room:
    """The sound at the microphone: one recording, looped, the same at every rate."""

    def __init__(self, sound: np.ndarray) -> None:
        self._sounds = {RATE: sound}

    def hear(self, rate: int, start: int, n: int) -> np.ndarray:
        """Return samples from `start`, counted at `rate` since time 0."""
        if rate not in self._sounds:
            made = soxr.resample(self._sounds[RATE].astype(np.float32), RATE, rate)
            self._sounds[rate] = np.clip(np.round(made), -32_768, 32_767).astype(np.int16)
        sound = self._sounds[rate]
        at = start % len(sound)
        if at + n <= len(sound):
            return sound[at : at + n]
        return sound[np.arange(at, at + n) % len(sound)]


class CountingBuffer(RingBuffer):
    """A ring buffer that counts samples in and out."""

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.n_written = self.n_read = 0

    def write(self, samples: np.ndarray) -> None:
        self.n_written += len(samples)
        super().write(samples)

    def read(self, max_samples: int | None = None) -> np.ndarray:
        samples = super().read(max_samples)
        self.n_read += len(samples)
        return samples


class FakeStream:
    """Delivers blocks of the room's sound as time passes, and counts what it loses."""

    def __init__(self, audio: FakeAudio, rate: int) -> None:
        self.rate = rate
        self.mute = False
        self.opened_s = audio.time.now_s
        self.n_missed = self.n_delivered = 0
        """Samples that the device lost, and those it delivered."""

        self.first_late_s = 0.0
        """Delay of the first block."""

        self._audio = audio
        self._overflowing = False
        self._heard = self._first = round(self.opened_s * rate)
        self._sample_s = (1 + audio.clock_error) / rate
        self._delivered_s = self.opened_s

    def take_block(self, samples: np.ndarray, *, overflowed: bool) -> None:
        """Receive the next block."""
        raise NotImplementedError

    @property
    def heard_s(self) -> float:
        """Time of the newest sample delivered."""
        return self._captured_s(self._heard)

    def start(self) -> None:
        """Start delivering."""
        self._plan()

    def stop(self) -> None:
        """End the stream, like an unplugged device."""
        self.mute = True

    def stall(self, seconds: float, *, lossy: bool) -> None:
        """Deliver nothing for a while; then everything at once, or (lossy) only newer audio."""
        self._delivered_s = max(self._delivered_s, self._audio.time.now_s + seconds)
        if lossy:
            self._miss(round(seconds * self.rate))

    def overflow(self, seconds: float) -> None:
        """Lose input, and flag it with the next block."""
        self._overflowing = True
        self._miss(round(seconds * self.rate))

    def _captured_s(self, n: int) -> float:
        return self._first / self.rate + (n - self._first) * self._sample_s

    def _miss(self, n: int) -> None:
        self._heard += n
        self.n_missed += n

    def _plan(self) -> None:
        self._n = self._audio.block_samples(self.rate)
        delivered_s = self._captured_s(self._heard + self._n) + self._audio.delay_s()
        self._delivered_s = max(self._delivered_s, delivered_s)
        self._audio.time.at(self._delivered_s, self._deliver)

    def _deliver(self) -> None:
        if self.mute:
            return
        late_s = max(self._delivered_s, self._captured_s(self._heard + self._n))
        if late_s > self._audio.time.now_s:
            # The device has stalled or lost input since this block was planned.
            self._audio.time.at(late_s, self._deliver)
            return
        overflowed, self._overflowing = self._overflowing, False
        samples = self._audio.room.hear(self.rate, self._heard, self._n)
        if not self.n_delivered:
            self.first_late_s = self._audio.time.now_s - self._captured_s(self._heard + self._n)
        self._heard += self._n
        self.n_delivered += self._n
        self.take_block(samples, overflowed=overflowed)
        self._plan()


class FakeSource(FakeStream):
    """An open microphone: a `kws.audio.source.Source`."""

    def __init__(self, audio: FakeAudio, ready: threading.Event) -> None:
        super().__init__(audio, audio.rate)
        self.device = InputDevice(audio.index, audio.name, audio.n_channels, audio.rate, True)
        self.n_channels = audio.n_channels
        self.ended = threading.Event()
        self.counted = CountingBuffer(self.rate * BUFFER_S)
        self.closed = False
        self._ready = ready
        self._n_overflows = 0
        self.start()

    @property
    def buffer(self) -> CountingBuffer:
        self._audio.disturb()
        return self.counted

    @property
    def overflows(self) -> int:
        self._audio.disturb()
        return self._n_overflows

    def take_block(self, samples: np.ndarray, *, overflowed: bool) -> None:
        self._n_overflows += overflowed
        self.counted.write(samples)
        self._ready.set()

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.stop()
            self._audio.time.take(self._audio.closing_s())

    def stop(self) -> None:
        super().stop()
        self.ended.set()
        self._ready.set()


class FakeAudio:
    """The machine as `ReconnectingMicrophone` and `Listener` see it; tests change it.

    The attributes describe the device at its next opening; the callables are called each time.
    `disturbance`, if set, decides at each reading of the clock or a source whether the listening
    thread is preempted there until the next planned action is over.
    """

    def __init__(self, room: Room | None = None) -> None:
        self.time = VirtualTime()
        self.room = Room(np.zeros(RATE, dtype=np.int16)) if room is None else room
        self.index, self.name, self.rate, self.n_channels = 3, "fake microphone", RATE, 1
        self.clock_error = 0.0
        """Relative error of the device's clock; positive is slow."""

        self.interrupted = False
        """Set to True to press Ctrl-C: the next wait raises `KeyboardInterrupt`."""

        self.plugged_in = True
        self.block_samples: Callable[[int], int] = lambda rate: rate // 20
        self.delay_s: Callable[[], float] = lambda: 0.0
        self.starting_s: Callable[[], float] = lambda: 0.0
        self.opening_s: Callable[[], float] = lambda: 0.01
        self.closing_s: Callable[[], float] = lambda: 0.01
        self.disturbance: random.Random | None = None
        self.sources: list[Any] = []
        self.streams: list[FakeStream] = []
        self.calls: list[FakeCall] = []
        self.asked: list[tuple[float, int | str | None]] = []
        """Time and device of each attempt to open."""

        self.rescanned_s: list[float] = []
        self.silenced_s: list[tuple[float, bool]] = []
        """When standard error was silenced (True) and restored (False)."""

        self.n_abandoned = 0
        self._thread = threading.current_thread()

    # The interface of `AudioSystem`.

    def now(self) -> float:
        self.disturb()
        return self.time.look()

    def wait(self, event: threading.Event, timeout_s: float) -> None:
        # Every wait takes some time.
        deadline = self.time.look() + max(timeout_s, 1e-6)
        while not event.is_set() and self.time.step(deadline):
            pass
        if self.interrupted:
            self.interrupted = False
            raise KeyboardInterrupt

    def call(self, function: Callable[[], Any], ready: threading.Event) -> FakeCall:
        call = FakeCall(self.time, function, ready, starts_after_s=self.starting_s())
        self.calls.append(call)
        return call

    def open(self, device: Any, *, sample_rate: int, config: Any, ready: Any) -> FakeSource:
        self.asked.append((self.time.now_s, device))
        self.time.take(self.opening_s())
        if not self.plugged_in:
            raise DeviceError(f"device {device!r}: no such input device")
        source = FakeSource(self, ready)
        self.sources.append(source)
        self.streams.append(source)
        return source

    def rescan_devices(self) -> None:
        self.rescanned_s.append(self.time.now_s)

    def silence_stderr(self) -> None:
        self.silenced_s.append((self.time.now_s, True))

    def restore_stderr(self) -> None:
        self.silenced_s.append((self.time.now_s, False))

    def abandon(self) -> None:
        self.n_abandoned += 1

    # For the test.

    @property
    def source(self) -> Any:
        """The microphone opened last."""
        return self.sources[-1]

    def at(self, time_s: float, action: Callable[[], object]) -> None:
        """Run `action` at a time."""
        self.time.at(time_s, action)

    def unplug(self, *, quietly: bool = False) -> None:
        """Remove the device: its stream ends or, quietly, only stops delivering."""
        self.plugged_in = False
        if self.streams and quietly:
            self.streams[-1].mute = True
        elif self.streams:
            self.streams[-1].stop()

    def plug_in(self) -> None:
        """Bring it back."""
        self.plugged_in = True

    def disturb(self) -> None:
        """Maybe preempt the listening thread here."""
        chance = self.disturbance
        if chance is None or self.time.running is not None or self.time.over:
            return
        if threading.current_thread() is self._thread and chance.random() < 0.02:
            self.time.step(min(self.time.next_s(), self.time.now_s + 0.01))

    def end(self) -> None:
        """End hanging calls and their threads."""
        self.time.end(self.calls)
