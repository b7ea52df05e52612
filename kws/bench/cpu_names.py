"""Names of CPU cores: ARM ones only show numbers in /proc/cpuinfo."""

from __future__ import annotations

from collections import Counter

ARM_IMPLEMENTER = 0x41
# "CPU part" of cores by Arm itself; the numbers are those of the MIDR register in each manual.
ARM_PARTS = {
    0x920: "ARM920T",
    0x926: "ARM926EJ-S",
    0xB02: "ARM11 MPCore",
    0xB36: "ARM1136",
    0xB56: "ARM1156",
    0xB76: "ARM1176",
    0xC05: "Cortex-A5",
    0xC07: "Cortex-A7",
    0xC08: "Cortex-A8",
    0xC09: "Cortex-A9",
    0xC0D: "Cortex-A17",
    0xC0E: "Cortex-A17",
    0xC0F: "Cortex-A15",
    0xD01: "Cortex-A32",
    0xD02: "Cortex-A34",
    0xD03: "Cortex-A53",
    0xD04: "Cortex-A35",
    0xD05: "Cortex-A55",
    0xD06: "Cortex-A65",
    0xD07: "Cortex-A57",
    0xD08: "Cortex-A72",
    0xD09: "Cortex-A73",
    0xD0A: "Cortex-A75",
    0xD0B: "Cortex-A76",
    0xD0C: "Neoverse-N1",
    0xD0D: "Cortex-A77",
    0xD0E: "Cortex-A76AE",
    0xD40: "Neoverse-V1",
    0xD41: "Cortex-A78",
    0xD42: "Cortex-A78AE",
    0xD44: "Cortex-X1",
    0xD46: "Cortex-A510",
    0xD47: "Cortex-A710",
    0xD48: "Cortex-X2",
    0xD49: "Neoverse-N2",
    0xD4B: "Cortex-A78C",
    0xD4D: "Cortex-A715",
    0xD4E: "Cortex-X3",
    0xD4F: "Neoverse-V2",
    0xD80: "Cortex-A520",
    0xD81: "Cortex-A720",
    0xD82: "Cortex-X4",
}
IMPLEMENTERS = {
    ARM_IMPLEMENTER: "Arm",
    0x42: "Broadcom",
    0x43: "Cavium",
    0x46: "Fujitsu",
    0x48: "HiSilicon",
    0x4E: "NVIDIA",
    0x50: "APM",
    0x51: "Qualcomm",
    0x53: "Samsung",
    0x56: "Marvell",
    0x61: "Apple",
    0x69: "Intel",
    0xC0: "Ampere",
}
# What int8 kernels look for, by the kernel's word for it.
INT8_FEATURES = (
    "neon",
    "asimd",
    "asimddp",
    "i8mm",
    "sve",
    "avx2",
    "avx512_vnni",
    "avx_vnni",
    "amx_int8",
)


def cpu_name(cpuinfo: str) -> str | None:
    """Return the name of the cores in the text of /proc/cpuinfo; None where it tells none.

    Cores of several kinds are counted: ``4x Cortex-A55 + 4x Cortex-A76``.
    """
    names = Counter(_core_name(core) for core in _cores(cpuinfo))
    names.pop("", None)
    if len(names) > 1:
        return " + ".join(f"{count}x {name}" for name, count in names.items())
    return next(iter(names), None)


def is_mixed(cpuinfo: str) -> bool:
    """Return whether there are cores of several kinds."""
    return len({_core_name(core) for core in _cores(cpuinfo)} - {""}) > 1


def is_arm(cpuinfo: str) -> bool:
    """Return whether the text is of an ARM kernel."""
    return "CPU implementer" in cpuinfo or "CPU part" in cpuinfo


def int8_features(cpuinfo: str) -> list[str]:
    """Return those of `INT8_FEATURES` that the CPU has."""
    for core in _cores(cpuinfo):
        words = set((core.get("Features") or core.get("flags") or "").split())
        if words:
            return [name for name in INT8_FEATURES if name in words]
    return []


def board_name(cpuinfo: str) -> str | None:
    """Return the board that a Raspberry Pi kernel names at the end of the text."""
    return _fields(cpuinfo).get("Model") or None


def is_hypervisor_guest(cpuinfo: str) -> bool:
    """Return whether an x86 CPU says that it is a virtual one."""
    return any("hypervisor" in core.get("flags", "").split() for core in _cores(cpuinfo))


def _cores(cpuinfo: str) -> list[dict[str, str]]:
    """Return the fields of each processor; older ARM kernels write the shared ones only once."""
    blocks = [_fields(block) for block in cpuinfo.split("\n\n")]
    cores = [block for block in blocks if "processor" in block]
    shared = {
        key: value for block in blocks if "processor" not in block for key, value in block.items()
    }
    if shared.get("CPU part"):
        return [{**shared, **core} for core in cores] or [shared]
    return cores or [shared]


def _fields(block: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in block.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs if key.strip()}


def _core_name(core: dict[str, str]) -> str:
    # First of all: 32-bit ARM kernels also have a "model name", which tells only the architecture.
    if "CPU part" in core:
        try:
            implementer, part = (
                int(core.get(f"CPU {key}", ""), 16) for key in ("implementer", "part")
            )
        except ValueError:
            return ""
        if implementer == ARM_IMPLEMENTER and part in ARM_PARTS:
            return ARM_PARTS[part]
        return f"{IMPLEMENTERS.get(implementer, f'implementer {implementer:#x}')} part {part:#x}"
    return core.get("model name") or core.get("uarch") or core.get("cpu") or ""
