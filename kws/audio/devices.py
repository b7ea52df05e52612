"""Input devices: list them, choose one by index or name, and find it again after a loss."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import re
import threading
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kws.errors import DeviceError, MissingDependencyError

# Objects with `portaudio` and `stream` that are open or about to be: PortAudio cannot be
# restarted under any of them.
open_microphones: weakref.WeakSet[Any] = weakref.WeakSet()
open_microphones_lock = threading.Lock()


@dataclass(frozen=True)
class InputDevice:
    """A device that can capture audio."""

    index: int
    name: str
    n_channels: int
    default_rate: int
    is_default: bool


def sounddevice() -> Any:
    """Return the sounddevice module, the only way to PortAudio.

    Raises
    ------
    MissingDependencyError
        If sounddevice or PortAudio is not installed.
    """
    try:
        import sounddevice as module
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "the microphone needs sounddevice; pip install sounddevice"
        ) from error
    except OSError as error:
        raise MissingDependencyError(
            f"the microphone needs the PortAudio library ({error}); apt install libportaudio2"
        ) from error
    return module


def list_devices() -> list[InputDevice]:
    """Return the input devices that PortAudio knows.

    Raises
    ------
    MissingDependencyError
        If sounddevice or PortAudio is not installed.
    """
    portaudio = sounddevice()
    try:
        default = portaudio.default.device[0]
        infos = portaudio.query_devices()
    except portaudio.PortAudioError as error:
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


def rescan_devices() -> bool:
    """Restart PortAudio, which lists the devices only at its start.

    That ends every PortAudio stream of the process, so it is not done while a `Microphone` is
    open. Streams that other code opened with sounddevice are not known here, and end.

    Returns
    -------
    rescanned : bool
        False if a microphone was open.
    """
    portaudio = sounddevice()
    # Held until the restart is over, so that no microphone opens in between.
    with open_microphones_lock:
        if any(each.portaudio is portaudio for each in open_microphones):
            return False
        with contextlib.suppress(portaudio.PortAudioError):
            portaudio._terminate()
        try:
            portaudio._initialize()
        except portaudio.PortAudioError as error:
            raise DeviceError(f"PortAudio cannot be started: {error}") from error
    return True


def abandon_portaudio() -> None:
    """Let the process end although a call into PortAudio hangs: its exit handler would hang too.

    PortAudio's threads run to the very end, after Python has unloaded libraries, so PortAudio and
    the open streams are never released.
    """
    portaudio = sounddevice()
    atexit.unregister(portaudio._exit_handler)
    streams = (each.stream for each in open_microphones)
    for kept in (portaudio._lib, portaudio._ffi, *streams):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(kept))


def stable_name(name: str) -> str:
    """Return a device's name without the card number that ALSA appends.

    ``USB Mic: Audio (hw:2,0)`` may come back as ``(hw:3,0)``.
    """
    return re.sub(r"\s*\((?:plug)?hw:\d+,\d+\)$", "", name)


def choose(devices: Sequence[InputDevice], wanted: int | str | None) -> InputDevice:
    """Return the device with this index or part of its name; None is the default device.

    A whole name finds its device also when only the card number has changed.

    Raises
    ------
    DeviceError
        If none or several match; the message lists the choices.
    """
    if not devices:
        raise DeviceError(
            "no microphone: PortAudio finds no input device; plug one in, or check that the "
            "user may use it (group audio) and that a sound server runs"
        )
    if wanted is None:
        chosen = [device for device in devices if device.is_default] or list(devices[:1])
    elif isinstance(wanted, int) or wanted.isdecimal():
        chosen = [device for device in devices if device.index == int(wanted)]
    else:
        exact = [device for device in devices if device.name == wanted]
        part = [device for device in devices if wanted.lower() in device.name.lower()]
        moved = [device for device in devices if stable_name(device.name) == stable_name(wanted)]
        chosen = exact or part or moved
    if len(chosen) == 1:
        return chosen[0]
    problem = "several match" if chosen else "no such input device"
    choices = "; ".join(f"{device.index} {device.name}" for device in chosen or devices)
    raise DeviceError(f"device {wanted!r}: {problem}; choose one of: {choices}")


def name_to_find_again(device: InputDevice, wanted: int | str | None) -> str | None:
    """Return the name by which to reopen a device: an index may belong to another one by then.

    A name the user gave is kept; without a name, the default device at that time is used.
    The whole name, with its card number, distinguishes two devices of one kind while they stay
    plugged in where they are.
    """
    if isinstance(wanted, int) or (wanted is not None and wanted.isdecimal()):
        return device.name
    return wanted
