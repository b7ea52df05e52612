"""Which microphone somebody means, and which it is after it was unplugged."""

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
    A number is an index, as text too; a text is any part of a name, in any case; nothing is the
    default device.
    """
    assert choose(DEVICES, wanted) == expected


def test_without_a_default_the_first_device_is_taken():
    """
    Where no device is the default, nothing given still finds one.
    """
    assert choose([USB, PULSE], None) == USB


def test_a_whole_name_beats_names_that_hold_it():
    """
    "pulse" is the device of that name though another one's name has it inside.
    """
    louder = device(9, "pulse of the house")

    assert choose([louder, *DEVICES], "pulse") == PULSE


def test_several_that_fit_are_listed():
    """
    An ambiguous text is refused; the message lists those that fit, and no others.
    """
    with pytest.raises(DeviceError) as caught:
        choose([*DEVICES, OTHER_USB], "usb mic")

    assert str(caught.value) == (
        "device 'usb mic': several match; choose one of: 4 USB Mic: Audio (hw:2,0); "
        "5 USB Mic: Audio (hw:3,0)"
    )


@pytest.mark.parametrize("wanted", ["bluetooth", 3, "3", "-1", "²"])
def test_none_that_fits_lists_all(wanted):
    """
    What fits nothing is refused in a clear line with every device there is.
    """
    with pytest.raises(DeviceError) as caught:
        choose([USB, PULSE], wanted)

    assert str(caught.value) == (
        f"device {wanted!r}: no such input device; choose one of: 4 USB Mic: Audio (hw:2,0); "
        "7 pulse"
    )


@pytest.mark.parametrize("wanted", [None, 0, "usb"])
def test_no_device_at_all_says_what_to_look_after(wanted):
    """
    Without any microphone the message is about that, not about the choice.
    """
    with pytest.raises(DeviceError, match="no microphone: PortAudio knows no input device; plug"):
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
def test_the_card_number_is_no_part_of_the_name(name, expected):
    """
    Only what ALSA puts behind a name goes.
    """
    assert stable_name(name) == expected


def again(chosen: InputDevice, wanted: int | str | None, devices: list[InputDevice]) -> InputDevice:
    """Return what is opened after a loss."""
    return choose(devices, name_to_find_again(chosen, wanted))


@pytest.mark.parametrize("wanted", [4, "4", "usb", "USB Mic: Audio (hw:2,0)"])
def test_a_device_is_found_again_under_another_index_and_card(wanted):
    """
    However it was chosen: replugged, with another number and card, and another device in its
    old place, it is the same one that is opened.
    """
    chosen = choose(DEVICES, wanted)
    replugged = replace(USB, index=9, name="USB Mic: Audio (hw:5,0)")
    in_its_place = device(4, "Webcam: Audio (hw:2,0)")

    assert chosen == USB
    assert again(chosen, wanted, [INTERNAL, in_its_place, PULSE, replugged]) == replugged


def test_of_two_of_a_kind_the_same_one_is_found_again():
    """
    Two alike are told apart by their cards as long as those stay; the index may change.
    """
    moved = [replace(USB, index=1), replace(OTHER_USB, index=2)]

    assert again(USB, 4, moved) == moved[0]
    assert again(OTHER_USB, "5", moved) == moved[1]


def test_another_device_does_not_pass_for_a_lost_one():
    """
    While the chosen one is away nothing else is opened in its place, whatever its index.
    """
    with pytest.raises(DeviceError, match="no such input device"):
        again(USB, 4, [INTERNAL, device(4, "Webcam: Audio (hw:2,0)"), PULSE])


def test_the_default_device_is_the_default_of_then():
    """
    Who asked for no device in particular gets whatever is the default when it is opened again.
    """
    new_default = replace(PULSE, is_default=True)

    assert name_to_find_again(DEFAULT, None) is None
    assert again(DEFAULT, None, [INTERNAL, new_default]) == new_default
