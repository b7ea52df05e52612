"""Choosing a microphone, and finding it again after it was unplugged."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kws.audio.devices import InputDevice, choose, name_to_find_again, stable_name
from kws.errors import DeviceError


def device(index: int, name: str, *, is_default: bool = False) -> InputDevice:
    return InputDevice(index, name, n_channels=2, default_rate=48_000, is_default=is_default)


INTERNAL = device(0, "HDA Intel PCH: ALC257 Analog (hw:0,0)")
USB = device(4, "USB Mic: Audio (hw:2,0)")
OTHER_USB = device(5, "USB Mic: Audio (hw:3,0)")
PULSE = device(7, "pulse")
DEFAULT = device(8, "default", is_default=True)
DEVICES = [INTERNAL, USB, PULSE, DEFAULT]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (None, DEFAULT),
        (4, USB),
        (0, INTERNAL),
        ("7", PULSE),
        ("usb", USB),
        ("ALC257", INTERNAL),
        ("USB Mic: Audio (hw:2,0)", USB),
    ],
)
def test_a_device_is_found_by_index_or_by_a_part_of_its_name(wanted, expected):
    """
    A number, also as text, is an index; a text is part of a name, in any case; None is the
    default.
    """
    assert choose(DEVICES, wanted) == expected


def test_without_a_default_the_first_device_is_taken():
    """
    If no device is the default, the first one is used.
    """
    assert choose([USB, PULSE], None) == USB


def test_a_whole_name_beats_part_of_another():
    """
    "pulse" is the device of that name, although another name contains it.
    """
    louder = device(9, "pulse of the house")

    assert choose([louder, *DEVICES], "pulse") == PULSE


def test_an_ambiguous_name_lists_the_matches():
    """
    The message lists the matching devices and no others.
    """
    with pytest.raises(DeviceError) as caught:
        choose([*DEVICES, OTHER_USB], "usb mic")

    assert str(caught.value) == (
        "device 'usb mic': several match; choose one of: 4 USB Mic: Audio (hw:2,0); "
        "5 USB Mic: Audio (hw:3,0)"
    )


@pytest.mark.parametrize("wanted", ["bluetooth", 3, "3", "-1", "²"])
def test_an_unknown_name_lists_all_devices(wanted):
    """
    The message lists every device.
    """
    with pytest.raises(DeviceError) as caught:
        choose([USB, PULSE], wanted)

    assert str(caught.value) == (
        f"device {wanted!r}: no such input device; choose one of: 4 USB Mic: Audio (hw:2,0); "
        "7 pulse"
    )


@pytest.mark.parametrize("wanted", [None, 0, "usb"])
def test_without_any_device_the_message_says_what_to_check(wanted):
    """
    It is about the missing microphone, not about the choice.
    """
    with pytest.raises(DeviceError, match="no microphone: PortAudio finds no input device; plug"):
        choose([], wanted)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("USB Mic: Audio (hw:2,0)", "USB Mic: Audio"),
        ("USB Mic: Audio (plughw:11,2)", "USB Mic: Audio"),
        ("USB Mic: Audio (hw:2,0) of mine", "USB Mic: Audio (hw:2,0) of mine"),
        ("pulse", "pulse"),
        ("Mic (stereo)", "Mic (stereo)"),
    ],
)
def test_the_card_number_is_removed_from_a_name(name, expected):
    """
    Only ALSA's suffix is removed.
    """
    assert stable_name(name) == expected


def again(chosen: InputDevice, wanted: int | str | None, devices: list[InputDevice]) -> InputDevice:
    """Return what is opened after a loss."""
    return choose(devices, name_to_find_again(chosen, wanted))


@pytest.mark.parametrize("wanted", [4, "4", "usb", "USB Mic: Audio (hw:2,0)"])
def test_a_device_is_found_again_under_another_index_and_card(wanted):
    """
    After replugging, the same device is found, although another one has its old index.
    """
    chosen = choose(DEVICES, wanted)
    replugged = replace(USB, index=9, name="USB Mic: Audio (hw:5,0)")
    in_its_place = device(4, "Webcam: Audio (hw:2,0)")

    assert chosen == USB
    assert again(chosen, wanted, [INTERNAL, in_its_place, PULSE, replugged]) == replugged


def test_the_same_of_two_equal_devices_is_found_again():
    """
    Their card numbers distinguish them while they stay plugged in; the index may change.
    """
    moved = [replace(USB, index=1), replace(OTHER_USB, index=2)]

    assert again(USB, 4, moved) == moved[0]
    assert again(OTHER_USB, "5", moved) == moved[1]


def test_another_device_does_not_pass_for_a_lost_one():
    """
    While the chosen one is away, no other is opened, whatever its index.
    """
    with pytest.raises(DeviceError, match="no such input device"):
        again(USB, 4, [INTERNAL, device(4, "Webcam: Audio (hw:2,0)"), PULSE])


def test_the_default_device_may_change():
    """
    Without a chosen device, the default at the time of reopening is used.
    """
    new_default = replace(PULSE, is_default=True)

    assert name_to_find_again(DEFAULT, None) is None
    assert again(DEFAULT, None, [INTERNAL, new_default]) == new_default
