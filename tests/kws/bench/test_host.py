"""Facts and state of the machine, from stand-ins for psutil, py-cpuinfo and vcgencmd."""

from __future__ import annotations

import stat
from types import SimpleNamespace
from typing import Any

import pytest

from kws.bench import host

UNKNOWN = {"others_cores": None, "steal": None, "involuntary_switches_per_s": None}


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Replace the modules of the extra [bench]; a missing key is a module not installed."""
    found: dict[str, Any] = {}
    monkeypatch.setattr(host, "_module", found.get)
    return found


@pytest.fixture
def firmware(tmp_path, monkeypatch):
    """Put a `vcgencmd` with these answers first on the path."""

    def make(answers: dict[str, str], *, code: int = 0) -> None:
        cases = "\n".join(f"  '{asked}') echo \"{text}\" ;;" for asked, text in answers.items())
        command = tmp_path / "vcgencmd"
        command.write_text(f'#!/bin/sh\ncase "$*" in\n{cases}\n  *) exit 2 ;;\nesac\nexit {code}\n')
        command.chmod(command.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", str(tmp_path))

    return make


def test_without_the_extra_fields_are_unknown(modules):
    """
    Without psutil and py-cpuinfo nothing fails, and the report can say what to install.
    """
    facts, state = host.describe(), host.snapshot()

    assert not facts["extra_installed"]
    assert [] == facts["int8_features"]
    assert facts["limit_mhz"] is None
    assert host.cpu_name() is None
    assert (None, None) == (state["temperature_c"], state["mhz"])
    assert UNKNOWN == host.Activity().end()


def test_facts_come_from_the_extra(modules):
    """
    Name and features of the CPU, its clocks and limits, and whether its cores differ.
    """
    flags = ["fp", "asimd", "asimddp", "hypervisor"]
    clocks = [SimpleNamespace(current=600.0 + n, max=1_800.0 + n % 2) for n in range(64)]
    modules["cpuinfo"] = SimpleNamespace(
        get_cpu_info=lambda: {"brand_raw": "Cortex-A72", "flags": flags}
    )
    modules["psutil"] = SimpleNamespace(
        cpu_freq=lambda percpu: clocks,
        sensors_temperatures=lambda: {
            "battery": [SimpleNamespace(current=91.0)],
            "cpu_thermal": [SimpleNamespace(current=48.3)],
        },
    )
    cores = host.usable_cores()

    facts, state = host.describe(), host.snapshot()

    assert "Cortex-A72" == facts["cpu"] == host.cpu_name()
    assert ["asimd", "asimddp"] == facts["int8_features"]
    assert facts["virtual"]
    assert facts["extra_installed"]
    assert facts["mixed_cores"] is (len({n % 2 for n in cores}) > 1)
    assert max(1_800 + n % 2 for n in cores) == facts["limit_mhz"]
    assert 600 + cores[-1] == state["mhz"]
    assert 48.3 == state["temperature_c"]


def test_this_machine_describes_itself():
    """
    On the machine that runs the tests the facts that every system has are there.
    """
    facts = host.describe()

    assert len(host.usable_cores()) == facts["usable_cores"] >= 1
    assert facts["pointer_bits"] in (32, 64)
    assert {"cpu", "governor", "max_mhz", "emulated", "python", "numpy"} <= set(facts)


def test_activity_between_two_moments(modules, monkeypatch):
    """
    What others used is the machine's busy time less our own; steal is a share of all time.
    """
    switches, clock = iter([5, 35]), iter([10.0, 15.0, 20.0, 20.1])
    process = SimpleNamespace(
        num_ctx_switches=lambda: SimpleNamespace(involuntary=next(switches, 35)),
        cpu_percent=lambda: 30.0,
    )
    percent = SimpleNamespace(idle=60.0, iowait=10.0, steal=10.0)
    modules["psutil"] = SimpleNamespace(Process=lambda: process, cpu_times_percent=lambda: percent)
    cpu = iter([1.0, 2.5, 2.5])
    times = SimpleNamespace(monotonic=lambda: next(clock), process_time=lambda: next(cpu))
    monkeypatch.setattr(host, "time", times)
    monkeypatch.setattr(host.os, "cpu_count", lambda: 4)

    expected = {"others_cores": 0.5, "steal": 0.1, "involuntary_switches_per_s": 20.0}
    assert expected == host.Activity().end()
    assert UNKNOWN == host.Activity().end()


@pytest.mark.parametrize(
    ("architecture", "cpuinfo", "emulated"),
    [
        ("aarch64", "vendor_id\t: AuthenticAMD", True),
        ("x86_64", "CPU implementer\t: 0x41", True),
        ("x86_64", "model name\t: QEMU TCG CPU", True),
        ("aarch64", "CPU implementer\t: 0x41", False),
        ("x86_64", "vendor_id\t: AuthenticAMD", False),
        ("riscv64", "", False),
    ],
)
def test_emulation_is_recognised(architecture, cpuinfo, emulated):
    """
    In QEMU's user mode /proc/cpuinfo is of another architecture than the process.
    """
    assert emulated is host.is_emulated(architecture, cpuinfo)


@pytest.mark.parametrize(
    ("bits", "now", "since_boot"),
    [
        (0x0, [], []),
        (0x50005, ["under-voltage", "throttled"], ["under-voltage", "throttled"]),
        (0xE0008, ["soft temperature limit"], list(host.THROTTLING.values())[1:]),
        (0x20002, ["frequency capped"], ["frequency capped"]),
    ],
)
def test_the_firmware_of_a_raspberry_pi_is_asked(bits, now, since_boot, modules, firmware):
    """
    Where `vcgencmd` answers, temperature, clock and throttling come from it.
    """
    firmware(
        {
            "measure_temp": "temp=61.8'C",
            "measure_clock arm": "frequency(48)=1000212096",
            "get_throttled": f"throttled={bits:#x}",
        }
    )

    state = host.snapshot()

    assert (61.8, 1000) == (state["temperature_c"], state["mhz"])
    assert (now, since_boot) == (state["throttling"], state["throttling_since_boot"])


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("VCHI initialization failed", 255),
        ("VCHI initialization failed", 0),
        ("error=1 error_msg=Command not registered", 0),
        ("throttled=0x50005", 1),
    ],
)
def test_a_firmware_that_refuses_is_unknown(answer, code, modules, firmware):
    """
    An error text or exit code, as users outside the group `video` get, is "unknown".
    """
    firmware({"get_throttled": answer}, code=code)

    assert host.snapshot()["throttling"] is None
