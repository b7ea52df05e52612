"""Find the microphone that somebody means, today and after it was unplugged."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from kws.errors import DeviceError


@dataclass(frozen=True)
class InputDevice:
    """A device that can be listened to."""

    index: int
    name: str
    n_channels: int
    default_rate: int
    is_default: bool


def stable_name(name: str) -> str:
    """Return a device's name without the card number that ALSA puts behind it.

    ``USB Mic: Audio (hw:2,0)`` may come back as ``(hw:3,0)``.
    """
    return re.sub(r"\s*\((?:plug)?hw:\d+,\d+\)$", "", name)


def choose(devices: Sequence[InputDevice], wanted: int | str | None) -> InputDevice:
    """Return the device with an index, or whose name holds a text; None is the default one.

    A whole name whose card number is another one by now still finds its device.

    Raises
    ------
    DeviceError
        If none or several fit; the message lists the choices.
    """
    if not devices:
        raise DeviceError(
            "no microphone: PortAudio knows no input device; plug one in, or check that the "
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
    found = "several fit" if chosen else "no such input device"
    choices = "; ".join(f"{device.index} {device.name}" for device in chosen or devices)
    raise DeviceError(f"device {wanted!r}: {found}; choose one of: {choices}")


def name_to_find_again(device: InputDevice, wanted: int | str | None) -> str | None:
    """Return what finds a chosen device again: never its index, which another may have by then.

    Somebody's own text stands; the default device is whatever is the default when it comes back.
    The whole name, with its card, tells two devices of one kind apart as long as they stay put.
    """
    if isinstance(wanted, int) or (wanted is not None and wanted.isdecimal()):
        return device.name
    return wanted
