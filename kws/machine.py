"""What machine a measurement was made on, as far as it tells."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np


def describe() -> dict[str, Any]:
    """Return CPU, cores, governor, temperature, load, and versions; None where unknown."""
    return {
        "cpu": _cpu_model(),
        "board": _text(Path("/proc/device-tree/model")),
        "architecture": platform.machine(),
        "pointer_bits": 64 if sys.maxsize > 2**32 else 32,
        "cores": os.cpu_count(),
        "usable_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "governor": _text(Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
        "temperature_c": _temperature_c(),
        "load_1min": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def peak_rss_mb() -> float | None:
    """Return the peak resident memory of this process in MB (2**20 bytes)."""
    # getrusage would count what the parent held before exec; the kernel's own mark does not.
    status = _text(Path("/proc/self/status")) or ""
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return round(int(line.split()[1]) / 1024, 1)
    try:
        import resource
    except ModuleNotFoundError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)


def _cpu_model() -> str | None:
    """Return the CPU's name from the kernel's table, whichever key this architecture uses."""
    lines = (_text(Path("/proc/cpuinfo")) or "").splitlines()
    fields = {
        key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)
    }
    if "model name" in fields:
        return fields["model name"]
    if "CPU part" in fields:
        return f"ARM implementer {fields.get('CPU implementer')} part {fields['CPU part']}"
    return platform.processor() or None


def _temperature_c() -> float | None:
    text = _text(Path("/sys/class/thermal/thermal_zone0/temp"))
    return round(int(text) / 1000, 1) if text and text.lstrip("-").isdigit() else None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace").strip("\0\n ")
    except OSError:
        return None
