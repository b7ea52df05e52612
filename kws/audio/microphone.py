"""The microphone: a PortAudio stream that fills the ring buffer."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.audio import devices
from kws.audio.background_call import BackgroundCall
from kws.audio.capture_config import CaptureConfig
from kws.audio.devices import open_microphones, open_microphones_lock
from kws.audio.files import to_mono
from kws.audio.portaudio_workarounds import SpinWatch, library_threads
from kws.audio.ring_buffer import RingBuffer
from kws.errors import DeviceError, SoundServerGoneError

# Audio the consumer may fall behind before the oldest is dropped.
BUFFER_S = 4
# PortAudio 19.6 may loop for ever, at full speed, over an ALSA device that disappears before its
# first block (WaitForFrames reads an uninitialised variable). A hanging sound server takes no
# CPU. The interval between checks:
SPIN_CHECK_S = 1.0


class Microphone:
    """Capture mono int16 from a device into a ring buffer.

    Captures at `sample_rate` if the device supports it, else at the device's own; see `rate`.

    Parameters
    ----------
    device : int or str, optional
        Index or part of the name; without it the default device.
    sample_rate : int
        Rate to request, in Hz.
    config : CaptureConfig
        Channel, latency and block length.
    ready : Event, optional
        Set whenever new samples are in the buffer, and at the end; the consumer clears it.

    Raises
    ------
    DeviceError
        If the device cannot be found or opened.
    """

    def __init__(
        self,
        device: int | str | None = None,
        *,
        sample_rate: int = 16_000,
        config: CaptureConfig | None = None,
        ready: threading.Event | None = None,
    ) -> None:
        self.portaudio = devices.sounddevice()
        """The library that the stream belongs to."""

        self.ended = threading.Event()
        """Set when the stream ended on its own: the device is gone."""

        self.stream: Any = None
        """PortAudio's stream; None until it is open."""

        self.ready = threading.Event() if ready is None else ready
        self._config = CaptureConfig() if config is None else config
        self._column: int | None = None
        self._overflows = 0
        with open_microphones_lock:
            open_microphones.add(self)
        try:
            self.device = devices.choose(devices.list_devices(), device)
            self.stream = self._open_stream(sample_rate)
            self.rate: int = round(self.stream.samplerate)
            self.n_channels: int = self.stream.channels
            """Channels the device was opened with; the buffer holds their mean, or one of them."""

            self.buffer = RingBuffer(self.rate * BUFFER_S)
            self._threads = self._start()
        except BaseException:
            self._unregister()
            raise

    @property
    def overflows(self) -> int:
        """How often PortAudio reported lost input."""
        return self._overflows

    def close(self) -> None:
        """Stop and close the stream; safe to call twice.

        Raises
        ------
        SoundServerGoneError
            If it belongs to a JACK server that has ended, or PortAudio never returns; the stream
            is abandoned.
        """
        if self._jack_is_gone():
            devices.abandon_portaudio()
            raise SoundServerGoneError(
                f"device {self.device.name}: the JACK server has ended, and PortAudio cannot "
                "reach a new one from this process; start it again"
            )
        watch = SpinWatch(self._threads)

        def close() -> None:
            watch.add(threading.get_native_id())
            self.stream.close(ignore_errors=True)

        closing = BackgroundCall(close, threading.Event())
        while not closing.join(SPIN_CHECK_S):
            if watch.spins():
                devices.abandon_portaudio()
                raise SoundServerGoneError(
                    f"device {self.device.name}: it disappeared before its first block, and "
                    "PortAudio is caught in an endless loop; start again"
                )
        # Only now: PortAudio still uses a stream that cannot be closed.
        self._unregister()
        closing.result()

    def _unregister(self) -> None:
        with open_microphones_lock:
            open_microphones.discard(self)

    def _start(self) -> frozenset[int]:
        """Start the stream; return the threads that PortAudio started for it."""
        before = library_threads()
        try:
            self.stream.start()
        except self.portaudio.PortAudioError as error:
            self.stream.close(ignore_errors=True)
            raise self._cannot("be started", str(error)) from error
        return library_threads() - before

    def _jack_is_gone(self) -> bool:
        """Return whether PortAudio would wait ten minutes for JACK and then abort the process."""
        stream = self.stream
        # With other servers, a stream that ends on its own sets `ended` before it is inactive.
        if stream.closed or stream.active or self.ended.is_set():
            return False
        host = self.portaudio.query_devices(self.device.index)["hostapi"]
        return "JACK" in str(self.portaudio.query_hostapis(host)["name"])

    def _open_stream(self, sample_rate: int) -> Any:
        """Return the first stream that the device accepts, preferring our rate to its own."""
        config = self._config
        least = config.channel or 1
        if least > self.device.n_channels:
            raise DeviceError(
                f"device {self.device.index} {self.device.name}: expected at least {least} "
                f"channels for channel {least}, it has {self.device.n_channels}"
            )
        self._column = None if config.channel is None else config.channel - 1
        problems = {}
        for rate in dict.fromkeys((sample_rate, self.device.default_rate)):
            for n_channels in self._channel_counts():
                try:
                    return self._input_stream(rate, n_channels)
                except (self.portaudio.PortAudioError, ValueError) as error:
                    problems[rate] = f"{rate} Hz: {error}"
                except MemoryError as error:
                    # cffi raises it where systemd's MemoryDenyWriteExecute or SELinux forbids
                    # the code that it generates for a callback.
                    raise DeviceError(
                        "the microphone needs memory that is writable and executable, which this "
                        "process may not have; allow it (systemd: MemoryDenyWriteExecute=no)"
                    ) from error
        raise self._cannot("be opened", "; ".join(problems.values()))

    def _input_stream(self, rate: int, n_channels: int) -> Any:
        latency = self._config.latency
        return self.portaudio.InputStream(
            samplerate=rate,
            blocksize=round(rate * self._config.block_ms / 1000),
            device=self.device.index,
            channels=n_channels,
            dtype="int16",
            latency=latency if isinstance(latency, str) else latency / 1000,
            callback=self._on_block,
            finished_callback=self._on_end,
        )

    def _channel_counts(self) -> list[int]:
        """Return the numbers of channels to try, in order.

        A sound server mixes down to the number requested, so it can compute the mean; but to get
        one channel, at least two must be requested. A bare device accepts only its own number.
        """
        most, channel = self.device.n_channels, self._config.channel
        counts = (1, 2, most) if channel is None else (max(channel, 2), most, channel)
        return list(dict.fromkeys(n for n in counts if n <= most))

    def _cannot(self, what: str, why: str) -> DeviceError:
        return DeviceError(
            f"device {self.device.index} {self.device.name}: cannot {what} ({why}); "
            "another program may hold it"
        )

    def _on_block(
        self, block: NDArray[np.int16], n_samples: int, time_info: Any, status: Any
    ) -> None:
        """Copy a block into the ring buffer; runs in PortAudio's thread."""
        if status.input_overflow:
            self._overflows += 1
        self.buffer.write(to_mono(block) if self._column is None else block[:, self._column])
        self.ready.set()

    def _on_end(self) -> None:
        self.ended.set()
        self.ready.set()
