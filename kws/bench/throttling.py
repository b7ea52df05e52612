"""Whether the board slows its CPU down: under-voltage, heat, frequency caps."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

# Bits of `vcgencmd get_throttled`: now, and 16 higher the same since boot
# (Raspberry Pi documentation, "vcgencmd").
FLAGS = {
    0: "under-voltage",
    1: "frequency capped",
    2: "throttled",
    3: "soft temperature limit",
}
SINCE_BOOT_SHIFT = 16
TIMEOUT_S = 3.0


@dataclass(frozen=True)
class Throttling:
    """What slows the CPU down, in the words of `FLAGS`."""

    source: str
    """Where it was read: ``vcgencmd`` or ``sysfs``."""

    now: tuple[str, ...]
    since_boot: tuple[str, ...] | None
    """None where the source does not remember."""


def decode(bits: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the flags set now and the flags set at any time since boot."""
    now = tuple(name for bit, name in FLAGS.items() if bits >> bit & 1)
    past = tuple(name for bit, name in FLAGS.items() if bits >> bit + SINCE_BOOT_SHIFT & 1)
    return now, past


def vcgencmd(*arguments: str, search_path: str | None = None) -> str | None:
    """Return the value behind ``=`` that a Raspberry Pi's firmware answers; None elsewhere.

    Parameters
    ----------
    *arguments : str
        Of the command, such as ``get_throttled``.
    search_path : str, optional
        Where to look for the command, as in ``PATH``, which is the default.
    """
    command = shutil.which("vcgencmd", path=search_path)
    if command is None:
        return None
    try:
        done = subprocess.run(
            [command, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=TIMEOUT_S,
            text=True,
            check=False,
        )
    except (OSError, subprocess.SubprocessError, UnicodeError):
        return None
    _, sign, value = done.stdout.strip().partition("=")
    # Users outside the group `video` get an error text, with or without an exit code.
    return value if sign and done.returncode == 0 else None


def read(*, sys_root: Path = Path("/sys"), search_path: str | None = None) -> Throttling | None:
    """Return what slows the CPU down; None where nothing tells."""
    answer = vcgencmd("get_throttled", search_path=search_path)
    if answer is not None and re.fullmatch(r"(0[xX])?[0-9a-fA-F]+", answer):
        now, since_boot = decode(int(answer, 16))
        return Throttling("vcgencmd", now, since_boot)
    return _from_sysfs(sys_root)


def _from_sysfs(sys_root: Path) -> Throttling | None:
    """Ask the kernel: its voltage alarm on a Raspberry Pi, its cooling by frequency anywhere.

    The older soc:firmware/get_throttled is left alone: to read it puts a warning into the
    kernel's log.
    """
    told = False
    now = []
    for folder in sorted(sys_root.glob("class/hwmon/hwmon*")):
        if _text(folder / "name") == "rpi_volt":
            told = True
            if _text(folder / "in0_lcrit_alarm") == "1":
                now.append(FLAGS[0])
    for folder in sorted(sys_root.glob("class/thermal/cooling_device*")):
        kind = _text(folder / "type")
        if "cpufreq" in kind or kind == "Processor":
            told = True
            if _text(folder / "cur_state") not in ("", "0") and FLAGS[2] not in now:
                now.append(FLAGS[2])
    return Throttling("sysfs", tuple(now), None) if told else None


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
