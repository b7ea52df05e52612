"""What machine a measurement was made on, as far as it tells."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np

from kws.bench import cpu_names

X86 = ("x86_64", "AMD64", "i386", "i686")
PROC = Path("/proc")
SYS = Path("/sys")


def describe(*, proc: Path = PROC, sys_root: Path = SYS) -> dict[str, Any]:
    """Return CPU, board, cores, clock range, governor, kind of system, and versions.

    None, or an empty list, stands where the machine does not tell.

    Parameters
    ----------
    proc, sys_root : Path
        Where the kernel's tables are.
    """
    cpuinfo = read_text(proc / "cpuinfo") or ""
    emulated = is_emulated(platform.machine(), cpuinfo, read_text(proc / "self/comm") or "")
    cpufreq = sys_root / "devices/system/cpu" / f"cpu{usable_cores()[0]}" / "cpufreq"
    return {
        "cpu": None if emulated else cpu_names.cpu_name(cpuinfo) or platform.processor() or None,
        "board": read_text(proc / "device-tree/model") or cpu_names.board_name(cpuinfo),
        "architecture": platform.machine(),
        "pointer_bits": 64 if sys.maxsize > 2**32 else 32,
        "cores": os.cpu_count(),
        "usable_cores": len(usable_cores()),
        "mixed_cores": cpu_names.is_mixed(cpuinfo),
        "int8_features": [] if emulated else cpu_names.int8_features(cpuinfo),
        "max_mhz": _mhz(cpufreq / "cpuinfo_max_freq"),
        "limit_mhz": _mhz(cpufreq / "scaling_max_freq"),
        "governor": read_text(cpufreq / "scaling_governor"),
        "virtual": _is_virtual(cpuinfo, sys_root),
        "emulated": emulated,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def usable_cores() -> list[int]:
    """Return the numbers of the cores that this process may run on, lowest first."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def is_emulated(architecture: str, cpuinfo: str, comm: str) -> bool:
    """Return whether QEMU translates this process' instructions, as far as it shows.

    In user mode the kernel's tables are the host's: they tell of another architecture, and the
    process bears the emulator's name.
    """
    of_arm = architecture.startswith(("arm", "aarch64"))
    of_x86 = architecture in X86
    other_tables = ("vendor_id" in cpuinfo and of_arm) or (cpu_names.is_arm(cpuinfo) and of_x86)
    return other_tables or comm.startswith("qemu-") or "QEMU TCG" in cpuinfo


def read_text(path: Path) -> str | None:
    """Return the text of a kernel's file, stripped; None where there is none."""
    try:
        return path.read_text(errors="replace").strip("\0\n ") or None
    except OSError:
        return None


def read_number(path: Path) -> int | None:
    """Return the whole number in a kernel's file; None where there is none."""
    text = read_text(path) or ""
    return int(text) if text.lstrip("-").isdigit() else None


def _mhz(path: Path) -> int | None:
    khz = read_number(path)
    return None if khz is None else round(khz / 1000)


def _is_virtual(cpuinfo: str, sys_root: Path) -> bool:
    """Return whether a hypervisor shows: neighbours may then share the cores."""
    vendor = read_text(sys_root / "class/dmi/id/sys_vendor") or ""
    return (
        cpu_names.is_hypervisor_guest(cpuinfo)
        or vendor in ("QEMU", "Amazon EC2")
        or (sys_root / "hypervisor/type").exists()
    )
