"""The microphone: a PortAudio stream that fills the ring buffer; the only user of sounddevice."""

from __future__ import annotations

import atexit
import contextlib
import threading
import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.audio.background_call import PatientCall
from kws.audio.capture_config import CaptureConfig
from kws.audio.devices import InputDevice, choose
from kws.audio.files import to_mono
from kws.audio.portaudio_workarounds import SpinWatch, library_threads
from kws.audio.ring_buffer import RingBuffer
from kws.audio.wake_event import WakeEvent
from kws.errors import DeviceError, MissingDependencyError, SoundServerGoneError

# Audio the consumer may fall behind before the oldest is dropped.
BUFFER_S = 4
# PortAudio 19.6 may loop for ever, at full speed, over an ALSA device that goes before its first
# block (WaitForFrames reads a variable that was never set), in the thread that it reads in. A
# sound server that hangs takes no CPU. So often it is looked at:
SPIN_LOOK_S = 1.0
# Open, or about to be: PortAudio cannot start anew under any of them.
_in_use: weakref.WeakSet[Microphone] = weakref.WeakSet()
_in_use_lock = threading.Lock()


def list_devices() -> list[InputDevice]:
    """Return the input devices that PortAudio knows.

    Raises
    ------
    MissingDependencyError
        If sounddevice or PortAudio is not installed.
    """
    sounddevice = _sounddevice()
    try:
        default = sounddevice.default.device[0]
        infos = sounddevice.query_devices()
    except sounddevice.PortAudioError as error:
        raise DeviceError(f"PortAudio cannot list the devices: {error}") from error
    return [
        InputDevice(
            index=index,
            name=info["name"],
            n_channels=info["max_input_channels"],
            default_rate=int(info["default_samplerate"]),
            is_default=index == default,
        )
        for index, info in enumerate(infos)
        if info["max_input_channels"] > 0
    ]


def look_again() -> bool:
    """Let PortAudio find out what is plugged in now: it lists devices once, when it starts.

    That ends every PortAudio stream of the process: it is not done while a `Microphone` is open.
    Streams that others have opened with sounddevice are not known here, and end.

    Returns
    -------
    looked : bool
        False if a microphone was open.
    """
    sounddevice = _sounddevice()
    # Held meanwhile, so that none is opened on a PortAudio that is about to end.
    with _in_use_lock:
        if any(each.portaudio is sounddevice for each in _in_use):
            return False
        with contextlib.suppress(sounddevice.PortAudioError):
            sounddevice._terminate()
        try:
            sounddevice._initialize()
        except sounddevice.PortAudioError as error:
            raise DeviceError(f"PortAudio cannot be started: {error}") from error
    return True


def give_up_on_portaudio() -> None:
    """Let the process end though a call into PortAudio hangs: its exit handler would hang too.

    Its threads run to the very end, past the moment at which Python unloads libraries: PortAudio
    and the streams that are open are never given back.
    """
    import ctypes

    sounddevice = _sounddevice()
    atexit.unregister(sounddevice._exit_handler)
    for kept in (sounddevice._lib, sounddevice._ffi, *(each.stream for each in _in_use)):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(kept))


class Microphone:
    """Capture mono int16 from a device into a ring buffer.

    At `sample_rate` if the device takes it, else at its own; see `rate`.

    Parameters
    ----------
    device : int or str, optional
        Index or part of the name; without it the default device.
    sample_rate : int
        Rate to ask for, in Hz.
    config : CaptureConfig
        Channel, latency and block length.
    ready : WakeEvent, optional
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
        ready: WakeEvent | None = None,
    ) -> None:
        self.portaudio = _sounddevice()
        """The library that it is open in."""

        self.ended = threading.Event()
        """Set when the stream stopped by itself: the device is gone."""

        self.stream: Any = None
        """PortAudio's; None until it is open."""

        self.ready = WakeEvent() if ready is None else ready
        self._config = CaptureConfig() if config is None else config
        self._column: int | None = None
        self._overflows = 0
        with _in_use_lock:
            _in_use.add(self)
        try:
            self.device = choose(list_devices(), device)
            self.stream = self._open_stream(sample_rate)
            self.rate: int = round(self.stream.samplerate)
            self.n_channels: int = self.stream.channels
            """Channels that the device was opened with; the buffer holds their mean, or one."""

            self.buffer = RingBuffer(self.rate * BUFFER_S)
            self._threads = self._start()
        except BaseException:
            self._give_back()
            raise

    @property
    def overflows(self) -> int:
        """How often PortAudio said that it lost input before handing it over."""
        return self._overflows

    def close(self) -> None:
        """Stop and close the stream; safe to call twice.

        Raises
        ------
        SoundServerGoneError
            If it is on a JACK server that has ended, or PortAudio never comes back; the stream is
            left as it is.
        """
        if self._jack_is_gone():
            give_up_on_portaudio()
            raise SoundServerGoneError(
                f"device {self.device.name}: the JACK server has ended, and PortAudio finds no "
                "new one within this process; start it again"
            )
        watch = SpinWatch(self._threads)

        def close() -> None:
            watch.add(threading.get_native_id())
            self.stream.close(ignore_errors=True)

        closing = PatientCall(close, WakeEvent())
        while not closing.join(SPIN_LOOK_S):
            if watch.spins():
                give_up_on_portaudio()
                raise SoundServerGoneError(
                    f"device {self.device.name}: it went before its first block, which sends "
                    "PortAudio round in circles; start again"
                )
        # Not before: one that cannot be closed is still in PortAudio's hands.
        self._give_back()
        closing.result()

    def _give_back(self) -> None:
        """Let PortAudio start anew, as far as this microphone is concerned."""
        with _in_use_lock:
            _in_use.discard(self)

    def _start(self) -> frozenset[int]:
        """Let blocks come; return the threads that PortAudio has started for that."""
        before = library_threads()
        try:
            self.stream.start()
        except self.portaudio.PortAudioError as error:
            self.stream.close(ignore_errors=True)
            raise self._cannot("be started", str(error)) from error
        return library_threads() - before

    def _jack_is_gone(self) -> bool:
        """Tell whether PortAudio would wait ten minutes for JACK, and then abort the process."""
        stream = self.stream
        # Elsewhere a stream that stops by itself says so before it counts as inactive.
        if stream.closed or stream.active or self.ended.is_set():
            return False
        sounddevice = self.portaudio
        host = sounddevice.query_devices(self.device.index)["hostapi"]
        return "JACK" in str(sounddevice.query_hostapis(host)["name"])

    def _open_stream(self, sample_rate: int) -> Any:
        """Return the first stream that the device takes: our rate before its."""
        sounddevice = self.portaudio
        config = self._config
        least = config.channel or 1
        if least > self.device.n_channels:
            raise DeviceError(
                f"device {self.device.index} {self.device.name}: expected at least {least} "
                f"channels for channel {least}, it has {self.device.n_channels}"
            )
        self._column = None if config.channel is None else config.channel - 1
        latency = config.latency
        if not isinstance(latency, str):
            latency /= 1000
        problems = {}
        for rate in dict.fromkeys((sample_rate, self.device.default_rate)):
            for n_channels in self._channel_counts():
                try:
                    return sounddevice.InputStream(
                        samplerate=rate,
                        blocksize=round(rate * config.block_ms / 1000),
                        device=self.device.index,
                        channels=n_channels,
                        dtype="int16",
                        latency=latency,
                        callback=self._on_block,
                        finished_callback=self._on_end,
                    )
                except (sounddevice.PortAudioError, ValueError) as error:
                    problems[rate] = f"{rate} Hz: {error}"
                except MemoryError as error:
                    # What cffi raises where systemd's MemoryDenyWriteExecute or SELinux forbids
                    # the code that it writes for a callback.
                    raise DeviceError(
                        "the microphone needs memory that is writable and executable, which this "
                        "process may not have; allow it (systemd: MemoryDenyWriteExecute=no)"
                    ) from error
        raise self._cannot("be opened", "; ".join(problems.values()))

    def _channel_counts(self) -> list[int]:
        """Return the numbers of channels to ask for, in turn.

        A sound server mixes down to what it is asked for: the mean may as well be made there, but
        one channel has to be asked for as one of two. A bare device takes its own number alone.
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


def _sounddevice() -> Any:
    """Return the sounddevice module, or say what is missing."""
    try:
        import sounddevice
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "the microphone needs sounddevice; pip install sounddevice"
        ) from error
    except OSError as error:
        raise MissingDependencyError(
            f"the microphone needs the PortAudio library ({error}); apt install libportaudio2"
        ) from error
    return sounddevice
