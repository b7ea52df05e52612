"""What slows a board down, as a Raspberry Pi's firmware or the kernel tells it."""

import stat

import pytest

from kws.bench import host_state as machine_state
from kws.bench import throttling

PAST_HEAT = ("frequency capped", "throttled", "soft temperature limit")


@pytest.fixture
def firmware(tmp_path):
    """Make a `vcgencmd` that gives these answers, and return the folder that it is in."""

    def make(answers: dict[str, str], *, code: int = 0) -> str:
        folder = tmp_path / "bin"
        folder.mkdir()
        cases = "\n".join(f"  '{asked}') echo \"{said}\" ;;" for asked, said in answers.items())
        command = folder / "vcgencmd"
        command.write_text(f'#!/bin/sh\ncase "$*" in\n{cases}\n  *) exit 2 ;;\nesac\nexit {code}\n')
        command.chmod(command.stat().st_mode | stat.S_IXUSR)
        return str(folder)

    return make


@pytest.mark.parametrize(
    ("bits", "now", "since_boot"),
    [
        (0x0, (), ()),
        (0x50005, ("under-voltage", "throttled"), ("under-voltage", "throttled")),
        (0x50000, (), ("under-voltage", "throttled")),
        (0xE0008, ("soft temperature limit",), PAST_HEAT),
        (0xE0000, (), PAST_HEAT),
        (0x20002, ("frequency capped",), ("frequency capped",)),
    ],
)
def test_throttling_bits_are_decoded(bits, now, since_boot, firmware, tmp_path):
    """
    The answer of a Raspberry Pi's firmware: low bits are of now, those 16 higher since boot.
    """
    folder = firmware({"get_throttled": f"throttled={bits:#x}"})

    found = throttling.read(sys_root=tmp_path, search_path=folder)

    assert throttling.Throttling("vcgencmd", now, since_boot) == found


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("VCHI initialization failed", 255),
        ("VCHI initialization failed", 0),
        ("error=1 error_msg=Command not registered", 0),
        ("throttled=0x50005", 1),
    ],
)
def test_a_firmware_that_refuses_tells_nothing(answer, code, firmware, tmp_path):
    """
    An error text or exit code, as users outside the group `video` get, is "unknown".
    """
    folder = firmware({"get_throttled": answer}, code=code)

    assert throttling.read(sys_root=tmp_path, search_path=folder) is None


def lay(root, files):
    """Write files below a folder, as the kernel shows them: with a line end."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")


def test_without_firmware_the_kernel_is_asked(tmp_path):
    """
    The voltage alarm and an active cooling device stand for what they mean; memory there is none.
    """
    lay(
        tmp_path,
        {
            "class/hwmon/hwmon0/name": "cpu_thermal",
            "class/hwmon/hwmon1/name": "rpi_volt",
            "class/hwmon/hwmon1/in0_lcrit_alarm": "1",
            "class/thermal/cooling_device0/type": "thermal-cpufreq-0",
            "class/thermal/cooling_device0/cur_state": "2",
            "class/thermal/cooling_device1/type": "pwm-fan",
            "class/thermal/cooling_device1/cur_state": "4",
        },
    )

    found = throttling.read(sys_root=tmp_path, search_path="")

    assert throttling.Throttling("sysfs", ("under-voltage", "throttled"), None) == found
    lay(
        tmp_path,
        {
            "class/hwmon/hwmon1/in0_lcrit_alarm": "0",
            "class/thermal/cooling_device0/cur_state": "0",
        },
    )
    assert () == throttling.read(sys_root=tmp_path, search_path="").now


def test_state_of_a_board_from_its_firmware(tmp_path, firmware):
    """
    Where `vcgencmd` answers, temperature, clock and throttling are its.
    """
    folder = firmware(
        {
            "measure_temp": "temp=61.8'C",
            "measure_clock arm": "frequency(48)=1000212096",
            "get_throttled": "throttled=0x20002",
        }
    )

    state = machine_state.snapshot(proc=tmp_path, sys_root=tmp_path, search_path=folder)

    assert (61.8, 1000) == (state["temperature_c"], state["mhz"])
    assert ["frequency capped"] == state["throttling"] == state["throttling_since_boot"]
