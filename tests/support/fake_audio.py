"""Microphones and their time, made up: nothing hangs, nothing waits, all can be said again.

`FakeAudio` stands in for `kws.audio.audio_system.AudioSystem`. Time is a number that goes on when
somebody waits, or is said to be busy. Calls run in threads as the real ones do, but only one
thread ever runs, so that the same test takes the same way every time.
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
from kws.audio.wake_event import WakeEvent
from kws.errors import DeviceError
from support.fake_time import FakeCall, VirtualTime

RATE = 16_000
BUFFER_S = 4


class Room:
    """What there is to hear: one sound over and over, the same at every rate."""

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
    """The real buffer, which also counts what went in and what came out."""

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
    """Blocks of what the room holds, handed over as time goes on; what it lost is known."""

    def __init__(self, audio: FakeAudio, rate: int) -> None:
        self.rate = rate
        self.mute = False
        self.opened_s = audio.time.now_s
        self.n_missed = self.n_delivered = 0
        """Samples that the device itself lost, and those that it handed over."""

        self.first_late_s = 0.0
        """How late the first block came."""

        self._audio = audio
        self._overflowing = False
        self._heard = self._first = round(self.opened_s * rate)
        self._sample_s = (1 + audio.clock_error) / rate
        self._delivered_s = self.opened_s

    def take_block(self, samples: np.ndarray, *, overflowed: bool) -> None:
        """Get the next block."""
        raise NotImplementedError

    @property
    def heard_s(self) -> float:
        """Time of the newest sample that was handed over."""
        return self._captured_s(self._heard)

    def start(self) -> None:
        """Begin."""
        self._plan()

    def stop(self) -> None:
        """End the stream, as a device does that is unplugged."""
        self.mute = True

    def stall(self, seconds: float, *, lossy: bool) -> None:
        """Hand nothing over for a while; then all of it at once, or what comes then."""
        self._delivered_s = max(self._delivered_s, self._audio.time.now_s + seconds)
        if lossy:
            self._miss(round(seconds * self.rate))

    def overflow(self, seconds: float) -> None:
        """Lose input, and say so with the next block."""
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
            # It has stalled, or lost input, since this block was planned.
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
    """An open microphone, as `kws.audio.audio_system.Source` describes it."""

    def __init__(self, audio: FakeAudio, ready: WakeEvent) -> None:
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
    """What `Connection` and `Listener` ask of the machine; a test changes what it gives.

    The attributes are the device as it is found at the next opening; the callables are asked each
    time. `disturbance`, if there is one, is asked at every look at the clock or a source whether
    the listening thread has to stand by just there until the next planned action is over.
    """

    def __init__(self, room: Room | None = None) -> None:
        self.time = VirtualTime()
        self.room = Room(np.zeros(RATE, dtype=np.int16)) if room is None else room
        self.index, self.name, self.rate, self.n_channels = 3, "fake microphone", RATE, 1
        self.clock_error = 0.0
        """By how much longer than it should the device takes for a sample."""

        self.interrupted = False
        """True once somebody has pressed Ctrl-C: the next wait ends with that."""

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
        """When it was tried to open what."""

        self.looked_again_s: list[float] = []
        self.hushed_s: list[tuple[float, bool]] = []
        """When standard error was turned away (True) and back (False)."""

        self.n_given_up = 0
        self._thread = threading.current_thread()

    # What the code that is tested asks for.

    def now(self) -> float:
        self.disturb()
        return self.time.look()

    def wait(self, event: WakeEvent, timeout_s: float) -> None:
        # No clock stands still so long that a wait takes no time at all.
        deadline = self.time.look() + max(timeout_s, 1e-6)
        while not event.is_set() and self.time.step(deadline):
            pass
        event.clear()
        if self.interrupted:
            self.interrupted = False
            raise KeyboardInterrupt

    def call(self, function: Callable[[], Any], ready: WakeEvent) -> FakeCall:
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

    def look_again(self) -> None:
        self.looked_again_s.append(self.time.now_s)

    def hush(self) -> None:
        self.hushed_s.append((self.time.now_s, True))

    def speak(self) -> None:
        self.hushed_s.append((self.time.now_s, False))

    def give_up(self) -> None:
        self.n_given_up += 1

    # What a test does.

    @property
    def source(self) -> Any:
        """The microphone that was opened last."""
        return self.sources[-1]

    def at(self, time_s: float, action: Callable[[], object]) -> None:
        """Do something at a time."""
        self.time.at(time_s, action)

    def unplug(self, *, quietly: bool = False) -> None:
        """Take the device away: its stream ends, or, quietly, just delivers no more."""
        self.plugged_in = False
        if self.streams and quietly:
            self.streams[-1].mute = True
        elif self.streams:
            self.streams[-1].stop()

    def plug_in(self) -> None:
        """Bring it back."""
        self.plugged_in = True

    def disturb(self) -> None:
        """Maybe let something else happen before the listening thread goes on."""
        chance = self.disturbance
        if chance is None or self.time.running is not None or self.time.over:
            return
        if threading.current_thread() is self._thread and chance.random() < 0.02:
            self.time.step(min(self.time.next_s(), self.time.now_s + 0.01))

    def end(self) -> None:
        """Let calls that hang end, and their threads with them."""
        self.time.end(self.calls)
