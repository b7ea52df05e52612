"""What a machine does before, during and after a measurement: heat, clock, load, neighbours."""

from __future__ import annotations

import os
import platform
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kws.bench import throttling
from kws.bench.host import PROC, SYS, X86, read_number, read_text, usable_cores

# Sensors that stand for the CPU, among zones that may be of a battery or a radio.
CPU_ZONE = re.compile(r"cpu|soc|x86_pkg_temp|bcm2835", re.IGNORECASE)
CPU_SENSORS = ("coretemp", "k10temp", "zenpower", "cpu_thermal")
# Below this the kernel's ticks of 10 ms say too little.
SHORTEST_S = 0.2


def snapshot(
    *, proc: Path = PROC, sys_root: Path = SYS, search_path: str | None = None
) -> dict[str, Any]:
    """Return temperature, clock, throttling and load of this moment; None where unknown.

    Parameters
    ----------
    proc, sys_root : Path
        Where the kernel's tables are.
    search_path : str, optional
        Where to look for a Raspberry Pi's ``vcgencmd`` (default: ``PATH``).
    """
    slowed = throttling.read(sys_root=sys_root, search_path=search_path)
    return {
        "temperature_c": _temperature_c(sys_root, search_path),
        "mhz": _mhz(proc, sys_root, search_path),
        "load_1min": _load(proc),
        "throttling": None if slowed is None else list(slowed.now),
        "throttling_since_boot": (
            None if slowed is None or slowed.since_boot is None else list(slowed.since_boot)
        ),
        "throttle_count": _throttle_count(sys_root),
    }


@dataclass(frozen=True)
class Ticks:
    """CPU time that passed on the machine and in this process up to one moment, in seconds."""

    wall_s: float
    busy_s: float
    steal_s: float
    total_s: float
    own_s: float
    n_switches: int | None
    """Times the kernel took the core away from this process."""


def ticks(*, proc: Path = PROC) -> Ticks | None:
    """Return the CPU time passed so far; None where the kernel does not tell."""
    first = (read_text(proc / "stat") or "").partition("\n")[0].split()
    if len(first) < 9 or first[0] != "cpu":
        return None
    per_second = os.sysconf("SC_CLK_TCK")
    # user nice system idle iowait irq softirq steal; guest time is in user already.
    user, nice, system, idle, iowait, irq, softirq, steal = (
        int(field) / per_second for field in first[1:9]
    )
    busy = user + nice + system + irq + softirq
    own = os.times()
    return Ticks(
        wall_s=time.monotonic(),
        busy_s=busy,
        steal_s=steal,
        total_s=busy + idle + iowait + steal,
        own_s=own.user + own.system,
        n_switches=_involuntary_switches(),
    )


def between(start: Ticks | None, end: Ticks | None) -> dict[str, float | None]:
    """Return what went on between two moments, with None where it was too short to tell.

    Returns
    -------
    activity : dict
        ``others_cores``: cores that other processes kept busy; ``steal``: share of the time that
        the hypervisor gave to other guests, 0..1; ``involuntary_switches_per_s``: times a second
        of its own CPU time that this process was put aside.
    """
    unknown: dict[str, float | None] = {
        "others_cores": None,
        "steal": None,
        "involuntary_switches_per_s": None,
    }
    if start is None or end is None or end.wall_s - start.wall_s < SHORTEST_S:
        return unknown
    wall = end.wall_s - start.wall_s
    own = end.own_s - start.own_s
    others = (end.busy_s - start.busy_s - own) / wall
    switches = None
    if start.n_switches is not None and end.n_switches is not None and own > 0:
        switches = round((end.n_switches - start.n_switches) / own, 1)
    total = end.total_s - start.total_s
    return {
        "others_cores": round(max(0.0, others), 2),
        "steal": round((end.steal_s - start.steal_s) / total, 4) if total else None,
        "involuntary_switches_per_s": switches,
    }


def _involuntary_switches() -> int | None:
    try:
        import resource
    except ModuleNotFoundError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def _temperature_c(sys_root: Path, search_path: str | None) -> float | None:
    answer = re.match(
        r"-?[0-9.]+", throttling.vcgencmd("measure_temp", search_path=search_path) or ""
    )
    if answer:
        return round(float(answer[0]), 1)
    zones = sorted(sys_root.glob("class/thermal/thermal_zone*"))
    of_cpu = [zone for zone in zones if CPU_ZONE.search(read_text(zone / "type") or "")]
    found = [read_number(zone / "temp") for zone in of_cpu or zones[:1]]
    for folder in sorted(sys_root.glob("class/hwmon/hwmon*")):
        if read_text(folder / "name") in CPU_SENSORS:
            found.append(read_number(folder / "temp1_input"))
    known = [value for value in found if value is not None]
    return round(max(known) / 1000, 1) if known else None


def _mhz(proc: Path, sys_root: Path, search_path: str | None) -> int | None:
    """Return the clock of the fastest core we may use: that is where a busy process is."""
    folder = sys_root / "devices/system/cpu"
    current = [read_number(folder / f"cpu{n}/cpufreq/scaling_cur_freq") for n in usable_cores()]
    known = [value for value in current if value is not None]
    if known:
        return round(max(known) / 1000)
    answer = throttling.vcgencmd("measure_clock", "arm", search_path=search_path) or ""
    if answer.isdigit():
        return round(int(answer) / 1e6)
    # ARM kernels show no clock there; where one stands, the table is an emulator's host's.
    if platform.machine() not in X86:
        return None
    told = re.findall(r"^cpu MHz\s*:\s*([0-9.]+)", read_text(proc / "cpuinfo") or "", re.MULTILINE)
    return round(max(float(value) for value in told)) if told else None


def _load(proc: Path) -> float | None:
    words = (read_text(proc / "loadavg") or "").split()
    return float(words[0]) if words else None


def _throttle_count(sys_root: Path) -> int | None:
    """Return how often x86 cores were slowed by heat since boot."""
    counts = [
        read_number(path)
        for path in sys_root.glob("devices/system/cpu/cpu*/thermal_throttle/*_throttle_count")
    ]
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
