"""A simulated PortAudio, to run the real `kws.audio.microphone` in simulated time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np

from kws.audio import devices, microphone
from support.fake_audio import CountingBuffer, FakeAudio, FakeStream


class PortAudioError(Exception):
    """The error of sounddevice."""


class CallInPlace:
    """A `BackgroundCall` that runs in the calling thread."""

    def __init__(self, function: Callable[[], Any], ready: threading.Event) -> None:
        self._outcome = function()
        ready.set()

    def join(self, timeout_s: float) -> bool:
        return True

    def result(self) -> Any:
        return self._outcome


class FakeInputStream(FakeStream):
    """A `sounddevice.InputStream`."""

    def __init__(
        self,
        audio: FakePortAudioSystem,
        *,
        rate: int,
        n_channels: int,
        callback: Callable[..., None],
        finished_callback: Callable[[], None],
    ) -> None:
        super().__init__(audio, rate)
        self.samplerate = float(rate)
        self.channels = n_channels
        self.closed = False
        self.active = True
        self._callback = callback
        self._finished_callback = finished_callback
        # Loudest first; the mean of all is the room's sound, but for rounding.
        weights = np.linspace(1.5, 0.5, n_channels) if n_channels > 1 else np.ones(1)
        self._weights = weights.astype(np.float32)

    def take_block(self, samples: np.ndarray, *, overflowed: bool) -> None:
        loud = np.clip(np.outer(samples, self._weights), -32_768, 32_767)
        status = SimpleNamespace(input_overflow=overflowed)
        self._callback(loud.astype(np.int16), len(samples), None, status)

    def stop(self) -> None:
        if self.active:
            super().stop()
            self.active = False
            self._finished_callback()

    def close(self, ignore_errors: bool = False) -> None:
        if not self.closed:
            self.closed = True
            self.stop()
            self._audio.time.take(self._audio.closing_s())


class FakePortAudioSystem(FakeAudio):
    """A `FakeAudio` with real microphones on a simulated PortAudio.

    `rates` and `counts` are the sample rates and numbers of channels that the device accepts.
    """

    PortAudioError = PortAudioError

    def __init__(self, room: Any = None) -> None:
        super().__init__(room)
        self.rates: tuple[int, ...] = (16_000, 44_100, 48_000)
        self.counts: tuple[int, ...] = (1, 2)
        self.settings: list[dict[str, Any]] = []
        """The arguments of each stream."""

        self._listed = True
        self._blocksize = 0
        self.block_samples = lambda rate: self._blocksize

    def open(self, device: Any, *, sample_rate: int, config: Any, ready: Any) -> Any:
        self.asked.append((self.time.now_s, device))
        source = microphone.Microphone(device, sample_rate=sample_rate, config=config, ready=ready)
        self.sources.append(source)
        return source

    def rescan_devices(self) -> None:
        super().rescan_devices()
        devices.rescan_devices()

    def abandon(self) -> None:
        super().abandon()
        devices.abandon_portaudio()

    # The interface of sounddevice.

    @property
    def default(self) -> Any:
        return SimpleNamespace(device=[self.index if self._listed else -1, -1])

    def query_devices(self, device: int | None = None) -> Any:
        """Return the devices at the start of PortAudio."""
        speaker = _info("speaker", 0, 48_000)
        mine = _info(self.name, max(self.counts), self.rate)
        infos = [speaker] * self.index + ([mine] if self._listed else [])
        return infos if device is None else infos[device]

    def query_hostapis(self, index: int) -> dict[str, Any]:
        return {"name": "ALSA"}

    def InputStream(self, **settings: Any) -> FakeInputStream:  # noqa: N802
        self.settings.append(settings)
        self.time.take(self.opening_s())
        if not self.plugged_in:
            raise PortAudioError("Illegal combination of I/O devices")
        if settings["samplerate"] not in self.rates:
            raise PortAudioError("Invalid sample rate")
        if settings["channels"] not in self.counts:
            raise PortAudioError("Invalid number of channels")
        self._blocksize = settings["blocksize"]
        stream = FakeInputStream(
            self,
            rate=settings["samplerate"],
            n_channels=settings["channels"],
            callback=settings["callback"],
            finished_callback=settings["finished_callback"],
        )
        self.streams.append(stream)
        return stream

    def _initialize(self) -> None:
        self._listed = self.plugged_in

    def _terminate(self) -> None:
        for stream in self.streams:
            stream.stop()

    # What `abandon_portaudio` keeps alive.
    _lib = _ffi = object()

    def _exit_handler(self) -> None:
        raise AssertionError("registered nowhere")

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Replace sounddevice by this."""
        with (
            mock.patch.object(devices, "sounddevice", return_value=self),
            mock.patch.object(microphone, "RingBuffer", CountingBuffer),
            mock.patch.object(microphone, "BackgroundCall", CallInPlace),
        ):
            yield


def _info(name: str, n_channels: int, rate: int) -> dict[str, Any]:
    return {
        "name": name,
        "max_input_channels": n_channels,
        "default_samplerate": float(rate),
        "hostapi": 0,
    }
