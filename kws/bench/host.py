"""The machine of a measurement: what it is, and its clock, heat, load and throttling meanwhile.

CPU names, clocks, temperatures and CPU times come from psutil and py-cpuinfo (``pip install
'.[bench]'``). Without them these fields are None.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

X86 = ("x86_64", "AMD64", "i386", "i686")
EXTRA_HINT = "CPU name, clock, temperature and other processes unknown: pip install '.[bench]'"
# CPU features that int8 kernels use, by the kernel's names.
INT8_FEATURES = (
    *("neon", "asimd", "asimddp", "i8mm", "sve"),
    *("avx2", "avx512_vnni", "avx_vnni", "amx_int8"),
)
# Names of temperature sensors of CPUs, by psutil.
CPU_SENSOR = re.compile(r"cpu|soc|coretemp|k10temp|zenpower|x86_pkg_temp|bcm2835", re.IGNORECASE)
# Bits of `vcgencmd get_throttled`: now, and 16 higher since boot
# (Raspberry Pi documentation, "vcgencmd").
THROTTLING = {
    0: "under-voltage",
    1: "frequency capped",
    2: "throttled",
    3: "soft temperature limit",
}
SINCE_BOOT_SHIFT = 16
VCGENCMD_TIMEOUT_S = 3.0
# The kernel counts CPU time in ticks of 10 ms: shorter spans give no usable shares.
MIN_SPAN_S = 0.2


def describe() -> dict[str, Any]:
    """Return CPU, board, cores, clock range, governor, kind of system, and versions.

    Unknown values are None, or an empty list.
    """
    info = _cpu_info()
    flags = set(info.get("flags", ()))
    cores = usable_cores()
    cpufreq = Path(f"/sys/devices/system/cpu/cpu{cores[0]}/cpufreq")
    max_khz = read_text(cpufreq / "cpuinfo_max_freq") or ""
    limits = [core.max for core in _clocks() if core.max]
    emulated = is_emulated(platform.machine(), read_text(Path("/proc/cpuinfo")) or "")
    return {
        "cpu": None if emulated else info.get("brand_raw") or platform.processor() or None,
        "board": read_text(Path("/proc/device-tree/model")),
        "architecture": platform.machine(),
        "pointer_bits": 64 if sys.maxsize > 2**32 else 32,
        "cores": os.cpu_count(),
        "usable_cores": len(cores),
        "mixed_cores": len(set(limits)) > 1,
        "int8_features": [name for name in INT8_FEATURES if name in flags and not emulated],
        "max_mhz": round(int(max_khz) / 1000) if max_khz.isdigit() else None,
        "limit_mhz": round(max(limits)) if limits else None,
        "governor": read_text(cpufreq / "scaling_governor"),
        "virtual": "hypervisor" in flags or Path("/sys/hypervisor/type").exists(),
        "emulated": emulated,
        "extra_installed": _module("psutil") is not None and _module("cpuinfo") is not None,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def cpu_name() -> str | None:
    """Return the name of the CPU, such as ``Cortex-A72``; None if unknown."""
    return _cpu_info().get("brand_raw")


def usable_cores() -> list[int]:
    """Return the numbers of the cores that this process may run on, lowest first."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def is_emulated(architecture: str, cpuinfo: str) -> bool:
    """Return whether QEMU translates this process: /proc/cpuinfo is then of another CPU."""
    if "QEMU TCG" in cpuinfo:
        return True
    of_arm = architecture.startswith(("arm", "aarch64"))
    return ("vendor_id" in cpuinfo and of_arm) or (
        "CPU implementer" in cpuinfo and architecture in X86
    )


def snapshot() -> dict[str, Any]:
    """Return temperature, clock, load and throttling at this moment; None where unknown."""
    bits = vcgencmd("get_throttled") or ""
    flags = throttling(int(bits, 16)) if re.fullmatch(r"(0x)?[0-9a-fA-F]+", bits) else None
    clocks = [core.current for core in _clocks() if core.current]
    arm_hz = vcgencmd("measure_clock", "arm") or ""
    if not clocks and arm_hz.isdigit():
        clocks = [int(arm_hz) / 1e6]
    return {
        "temperature_c": _temperature_c(),
        "mhz": round(max(clocks)) if clocks else None,
        "load_1min": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "throttling": None if flags is None else flags[0],
        "throttling_since_boot": None if flags is None else flags[1],
    }


def throttling(bits: int) -> tuple[list[str], list[str]]:
    """Return what slows a Raspberry Pi down now, and what did at any time since boot."""
    now = [name for bit, name in THROTTLING.items() if bits >> bit & 1]
    past = [name for bit, name in THROTTLING.items() if bits >> bit + SINCE_BOOT_SHIFT & 1]
    return now, past


def vcgencmd(*arguments: str) -> str | None:
    """Return the value behind ``=`` in the answer of a Raspberry Pi's firmware; None elsewhere."""
    command = shutil.which("vcgencmd")
    if command is None:
        return None
    try:
        done = subprocess.run(
            [command, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=VCGENCMD_TIMEOUT_S,
            text=True,
            check=False,
        )
    except (OSError, subprocess.SubprocessError, UnicodeError):
        return None
    name, sign, value = done.stdout.strip().partition("=")
    # Users outside the group `video` get an error text, with or without an exit code.
    return value if sign and name != "error" and done.returncode == 0 else None


class Activity:
    """What happens on the machine from now on; unknown without psutil."""

    def __init__(self) -> None:
        self._psutil = _module("psutil")
        if self._psutil is not None:
            self._process = self._psutil.Process()
            self._started_s, self._cpu_s = time.monotonic(), time.process_time()
            self._n_switches = self._process.num_ctx_switches().involuntary
            # These return what happened since their last call.
            self._psutil.cpu_times_percent()
            self._process.cpu_percent()

    def end(self) -> dict[str, float | None]:
        """Return the activity since the start; None where unknown or too short to tell.

        Returns
        -------
        activity : dict
            ``others_cores``: cores that other processes kept busy; ``steal``: share of the time
            that the hypervisor gave to other guests, 0..1; ``involuntary_switches_per_s``: how
            often a second of its own CPU time this process lost its core.
        """
        if self._psutil is None or time.monotonic() - self._started_s < MIN_SPAN_S:
            return {"others_cores": None, "steal": None, "involuntary_switches_per_s": None}
        percent, own_percent = self._psutil.cpu_times_percent(), self._process.cpu_percent()
        steal = getattr(percent, "steal", 0.0)
        busy = 100 - percent.idle - getattr(percent, "iowait", 0.0) - steal
        others = (busy * (os.cpu_count() or 1) - own_percent) / 100
        switches = self._process.num_ctx_switches().involuntary - self._n_switches
        own_s = time.process_time() - self._cpu_s
        return {
            "others_cores": round(max(0.0, others), 2),
            "steal": round(steal / 100, 3),
            "involuntary_switches_per_s": round(switches / own_s, 1) if own_s > 0 else None,
        }


def read_text(path: Path) -> str | None:
    """Return the text of a kernel's file, stripped; None if there is none."""
    try:
        return path.read_text(errors="replace").strip("\0\n ") or None
    except OSError:
        return None


def _module(name: str) -> Any:
    """Return a module of the extra [bench]; None if it is not installed."""
    try:
        return import_module(name)
    except ImportError:
        return None


def _cpu_info() -> dict[str, Any]:
    cpuinfo = _module("cpuinfo")
    return {} if cpuinfo is None else dict(cpuinfo.get_cpu_info())


def _clocks() -> list[Any]:
    """Return psutil's clock, with its limit, of each usable core."""
    psutil = _module("psutil")
    # On some kernels psutil has no such function, on others it finds nothing.
    clocks = psutil.cpu_freq(percpu=True) if hasattr(psutil, "cpu_freq") else []
    return [clocks[core] for core in usable_cores() if core < len(clocks)]


def _temperature_c() -> float | None:
    answer = re.match(r"-?[0-9.]+", vcgencmd("measure_temp") or "")
    if answer:
        return round(float(answer[0]), 1)
    psutil = _module("psutil")
    sensors = psutil.sensors_temperatures() if hasattr(psutil, "sensors_temperatures") else {}
    found = [
        reading.current
        for name, readings in sensors.items()
        if CPU_SENSOR.search(name)
        for reading in readings
    ]
    return round(max(found), 1) if found else None
