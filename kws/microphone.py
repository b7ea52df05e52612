"""The microphone: a PortAudio stream that fills the ring buffer; the only user of sounddevice."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.errors import DeviceError, MissingDependencyError
from kws.ring_buffer import RingBuffer

logger = logging.getLogger(__name__)
BLOCK_MS = 50
# Audio the consumer may fall behind before the oldest is dropped.
BUFFER_S = 4


@dataclass(frozen=True)
class InputDevice:
    """A device that can be listened to."""

    index: int
    name: str
    n_channels: int
    default_rate: int
    is_default: bool


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


def choose_device(wanted: int | str | None) -> InputDevice:
    """Return the device with an index, or whose name holds a text; None is the default one.

    Raises
    ------
    DeviceError
        If none or several fit; the message lists the choices.
    """
    devices = list_devices()
    if not devices:
        raise DeviceError(
            "no microphone: PortAudio knows no input device; plug one in, or check that the "
            "user may use it (group audio) and that a sound server runs"
        )
    if wanted is None:
        chosen = [device for device in devices if device.is_default] or devices[:1]
    elif isinstance(wanted, int) or wanted.isdigit():
        chosen = [device for device in devices if device.index == int(wanted)]
    else:
        exact = [device for device in devices if device.name == wanted]
        part = [device for device in devices if wanted.lower() in device.name.lower()]
        chosen = exact or part
    if len(chosen) == 1:
        return chosen[0]
    found = "several fit" if chosen else "no such input device"
    choices = "; ".join(f"{device.index} {device.name}" for device in chosen or devices)
    raise DeviceError(f"device {wanted!r}: {found}; choose one of: {choices}")


class Microphone:
    """Capture mono int16 from a device into a ring buffer.

    The device's own rate is used where it refuses `sample_rate`; see `rate`.

    Parameters
    ----------
    device : int or str, optional
        Index or part of the name; without it the default device.
    sample_rate : int
        Rate to ask for, in Hz.

    Raises
    ------
    DeviceError
        If the device cannot be found or opened.
    """

    def __init__(self, device: int | str | None = None, *, sample_rate: int = 16_000) -> None:
        self.device = choose_device(device)
        self.ended = threading.Event()
        """Set when the stream stopped by itself: the device is gone."""

        self.ready = threading.Event()
        """Set whenever new samples are in the buffer; the consumer clears it."""

        self._overflows = 0
        self._stream = self._open_stream(sample_rate)
        self.rate: int = int(self._stream.samplerate)
        self.buffer = RingBuffer(self.rate * BUFFER_S)
        try:
            self._stream.start()
        except _sounddevice().PortAudioError as error:
            self._stream.close(ignore_errors=True)
            raise DeviceError(
                f"device {self.device.index} {self.device.name}: cannot be started ({error}); "
                "another program may hold it"
            ) from error

    @property
    def overflows(self) -> int:
        """How often PortAudio said that it lost input before handing it over."""
        return self._overflows

    def close(self) -> None:
        """Stop and close the stream; safe to call twice."""
        self._stream.close(ignore_errors=True)

    def _open_stream(self, sample_rate: int) -> Any:
        sounddevice = _sounddevice()
        problems = []
        for rate in dict.fromkeys((sample_rate, self.device.default_rate)):
            try:
                return sounddevice.InputStream(
                    samplerate=rate,
                    blocksize=rate * BLOCK_MS // 1000,
                    device=self.device.index,
                    channels=1,
                    dtype="int16",
                    callback=self._on_block,
                    finished_callback=self._on_end,
                )
            except (sounddevice.PortAudioError, ValueError) as error:
                problems.append(f"{rate} Hz: {error}")
        raise DeviceError(
            f"device {self.device.index} {self.device.name}: cannot be opened "
            f"({'; '.join(problems)}); another program may hold it"
        )

    def _on_block(
        self, block: NDArray[np.int16], n_samples: int, time_info: Any, status: Any
    ) -> None:
        """Copy a block into the ring buffer; runs in PortAudio's thread."""
        if status.input_overflow:
            self._overflows += 1
        self.buffer.write(block[:, 0])
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
