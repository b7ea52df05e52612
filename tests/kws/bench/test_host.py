"""What the machine tells of itself, read from folders like the kernel's."""

import os
from pathlib import Path

import pytest

from kws.bench import cpu_names
from kws.bench import host as machine
from kws.bench import host_state as machine_state

ZERO_2 = """\
processor\t: 0
BogoMIPS\t: 38.40
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd03
CPU revision\t: 4

processor\t: 1
BogoMIPS\t: 38.40
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd03
CPU revision\t: 4

Revision\t: 902120
Model\t\t: Raspberry Pi Zero 2 W Rev 1.0
"""
# A 32-bit kernel: its "model name" tells only the architecture.
PI_2_32BIT = """\
processor\t: 0
model name\t: ARMv7 Processor rev 5 (v7l)
Features\t: half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt
CPU implementer\t: 0x41
CPU part\t: 0xc07

Hardware\t: BCM2835
Model\t\t: Raspberry Pi 2 Model B Rev 1.1
"""
# Kernels of old wrote what all cores share only once, after them.
OLD_ARM = """\
Processor\t: ARMv6-compatible processor rev 7 (v6l)
processor\t: 0
BogoMIPS\t: 697.95

CPU implementer\t: 0x41
CPU part\t: 0xb76
"""
BIG_LITTLE = "\n\n".join(
    f"processor\t: {n}\nFeatures\t: fp asimd asimddp\nCPU implementer\t: 0x41\nCPU part\t: {part}"
    for n, part in enumerate(["0xd05"] * 4 + ["0xd0b"] * 4)
)
EPYC = """\
processor\t: 0
vendor_id\t: AuthenticAMD
model name\t: AMD EPYC
cpu MHz\t\t: 2445.426
flags\t\t: fpu vme avx2 hypervisor avx512_vnni

processor\t: 1
vendor_id\t: AuthenticAMD
model name\t: AMD EPYC
cpu MHz\t\t: 2890.000
flags\t\t: fpu vme avx2 hypervisor avx512_vnni
"""


def lay(root: Path, files: dict[str, str]) -> Path:
    """Write files below a folder, as the kernel shows them: with a line end."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


@pytest.mark.parametrize(
    ("cpuinfo", "name"),
    [
        (ZERO_2, "Cortex-A53"),
        (PI_2_32BIT, "Cortex-A7"),
        (OLD_ARM, "ARM1176"),
        (BIG_LITTLE, "4x Cortex-A55 + 4x Cortex-A76"),
        (EPYC, "AMD EPYC"),
        (ZERO_2.replace("0xd03", "0xd08"), "Cortex-A72"),
        (ZERO_2.replace("0xd03", "0xd0b"), "Cortex-A76"),
        (ZERO_2.replace("0xd03", "0xeee"), "Arm part 0xeee"),
        (ZERO_2.replace("0x41", "0x51"), "Qualcomm part 0xd03"),
        (ZERO_2.replace("0x41", "0x77"), "implementer 0x77 part 0xd03"),
        ("", None),
    ],
)
def test_cores_have_names(cpuinfo, name):
    """
    ARM cores are named by implementer and part, others by the model name.
    """
    assert name == cpu_names.cpu_name(cpuinfo)


def test_features_that_int8_kernels_use():
    """
    Only what such kernels look for is told; cores of several kinds are seen.
    """
    assert ["asimd"] == cpu_names.int8_features(ZERO_2)
    assert ["neon"] == cpu_names.int8_features(PI_2_32BIT)
    assert ["asimd", "asimddp"] == cpu_names.int8_features(BIG_LITTLE)
    assert ["avx2", "avx512_vnni"] == cpu_names.int8_features(EPYC)
    assert [False, True] == [cpu_names.is_mixed(text) for text in (ZERO_2, BIG_LITTLE)]


def test_a_machine_that_tells_nothing(tmp_path):
    """
    Empty tables give None everywhere, and no error.
    """
    facts = machine.describe(proc=tmp_path, sys_root=tmp_path)
    state = machine_state.snapshot(proc=tmp_path, sys_root=tmp_path, search_path="")

    assert {None} == {facts[key] for key in ("board", "max_mhz", "limit_mhz", "governor")}
    assert {None} == set(state.values())
    assert machine_state.ticks(proc=tmp_path) is None
    assert {None} == set(machine_state.between(None, None).values())


def test_facts_of_a_board(tmp_path):
    """
    Board, clock range and governor come from the kernel's tables of the first usable core.
    """
    core = f"devices/system/cpu/cpu{machine.usable_cores()[0]}/cpufreq"
    proc = lay(tmp_path / "proc", {"cpuinfo": PI_2_32BIT})
    sys_root = lay(
        tmp_path / "sys",
        {
            f"{core}/cpuinfo_max_freq": "1500000",
            f"{core}/scaling_max_freq": "1000000",
            f"{core}/scaling_governor": "ondemand",
        },
    )

    facts = machine.describe(proc=proc, sys_root=sys_root)

    assert ("Raspberry Pi 2 Model B Rev 1.1", 1500, 1000, "ondemand") == tuple(
        facts[key] for key in ("board", "max_mhz", "limit_mhz", "governor")
    )
    lay(proc, {"device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0"})
    named = machine.describe(proc=proc, sys_root=sys_root)["board"]
    assert "Raspberry Pi 4 Model B Rev 1.4" == named


def test_state_of_a_board_from_sysfs(tmp_path):
    """
    The CPU's zone is read, not a battery's; the clock is that of the fastest usable core.
    """
    cores = machine.usable_cores()
    sys_root = lay(
        tmp_path / "sys",
        {
            "class/thermal/thermal_zone0/type": "battery",
            "class/thermal/thermal_zone0/temp": "91000",
            "class/thermal/thermal_zone1/type": "cpu-thermal",
            "class/thermal/thermal_zone1/temp": "48312",
            "devices/system/cpu/cpu0/thermal_throttle/core_throttle_count": "3",
            "devices/system/cpu/cpu0/thermal_throttle/package_throttle_count": "4",
            **{
                f"devices/system/cpu/cpu{number}/cpufreq/scaling_cur_freq": f"{600 + place}000"
                for place, number in enumerate(cores)
            },
        },
    )
    proc = lay(tmp_path / "proc", {"loadavg": "1.25 0.80 0.40 1/123 4567"})

    state = machine_state.snapshot(proc=proc, sys_root=sys_root, search_path="")

    assert 48.3 == state["temperature_c"]
    assert 600 + len(cores) - 1 == state["mhz"]
    assert 1.25 == state["load_1min"]
    assert 7 == state["throttle_count"]
    assert state["throttling"] is None


def test_activity_between_two_moments(tmp_path):
    """
    What others used is the machine's busy time less our own; steal is a share of all time.
    """
    per_second = os.sysconf("SC_CLK_TCK")
    moments = []
    for busy_s, idle_s, steal_s, wall_s, own_s, switches in (
        (100, 50, 0, 10.0, 1.0, 5),
        (104, 55, 1, 15.0, 2.5, 35),
    ):
        fields = [0, 0, busy_s, idle_s, 0, 0, 0, steal_s, 0, 0]
        numbers = " ".join(str(field * per_second) for field in fields)
        lay(tmp_path, {"stat": f"cpu  {numbers}\ncpu0 {numbers}"})
        read = machine_state.ticks(proc=tmp_path)
        moments.append(
            machine_state.Ticks(wall_s, read.busy_s, read.steal_s, read.total_s, own_s, switches)
        )

    activity = machine_state.between(*moments)

    expected = {"others_cores": 0.5, "steal": 0.1, "involuntary_switches_per_s": 20.0}
    assert expected == activity
    assert {None} == set(machine_state.between(moments[0], moments[0]).values())


@pytest.mark.parametrize(
    ("architecture", "cpuinfo", "comm", "emulated"),
    [
        ("aarch64", EPYC, "python3", True),
        ("armv7l", EPYC, "python3", True),
        ("x86_64", ZERO_2, "python3", True),
        ("aarch64", ZERO_2, "qemu-aarch64", True),
        ("aarch64", ZERO_2, "python3", False),
        ("armv7l", ZERO_2, "python3", False),
        ("x86_64", EPYC, "python3", False),
        ("riscv64", "", "", False),
    ],
)
def test_emulation_is_seen(architecture, cpuinfo, comm, emulated):
    """
    Tables of another architecture, or the emulator's name, give QEMU away; 32 bits on 64 do not.
    """
    assert emulated is machine.is_emulated(architecture, cpuinfo, comm)


def test_this_machine_describes_itself():
    """
    On the machine that runs the tests the facts that every system has are there.
    """
    facts = machine.describe()

    assert len(machine.usable_cores()) == facts["usable_cores"] >= 1
    assert facts["pointer_bits"] in (32, 64)
