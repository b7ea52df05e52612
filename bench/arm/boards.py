"""What a Linux on a Raspberry Pi says of its CPU, laid over the emulated system.

QEMU's user mode emulates the CPU alone: /proc/cpuinfo and /sys stay this machine's. XNNPACK asks
there which core it runs on and picks its kernels by the answer, and ai-edge-litert 2.2 and later
dies when an x86 CPU turns up. QEMU looks for a file below its -L folder first, so files laid there
tell it of the CPU that is played.
"""

from __future__ import annotations

import functools
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

N_CORES = 4


@dataclass(frozen=True)
class Board:
    """The facts of a board that the kernel tells of its cores, all alike."""

    part: str
    revision: int
    max_khz: int
    caches: tuple[tuple[int, str, str], ...]
    """Level, type and size of each cache."""


# Raspberry Pi Zero 2 W and Raspberry Pi 4. Neither has the dot product instructions of Armv8.2.
BOARDS = {
    "cortex-a53": Board(
        "0xd03",
        4,
        1_000_000,
        ((1, "Data", "32K"), (1, "Instruction", "32K"), (2, "Unified", "512K")),
    ),
    "cortex-a72": Board(
        "0xd08",
        3,
        1_500_000,
        ((1, "Data", "32K"), (1, "Instruction", "48K"), (2, "Unified", "1024K")),
    ),
}


@functools.cache
def root(cache: Path, cpu: str) -> Path:
    """Return the folder for QEMU's -L: the emulated system, with the board's tables if known."""
    rootfs = cache / "rootfs"
    if cpu not in BOARDS:
        return rootfs
    folder = cache / f"rootfs-{cpu}"
    if not folder.is_dir():
        # Hard links: no space and a second of time. Links to folders would show in paths that a
        # program resolves.
        making = folder.with_suffix(".making")
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir()
        for name in ("bin", "etc", "lib", "usr"):
            shutil.copytree(rootfs / name, making / name, symlinks=True, copy_function=_link)
        making.rename(folder)
    for name, text in tables(BOARDS[cpu]).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def _link(source: str, target: str) -> None:
    os.link(source, target, follow_symlinks=False)


def tables(board: Board) -> dict[str, str]:
    """Return the kernel's files by their path."""
    everyone = f"0-{N_CORES - 1}\n"
    cpus = "sys/devices/system/cpu"
    files = {"proc/cpuinfo": "".join(_processor(board, core) for core in range(N_CORES))}
    files.update({f"{cpus}/{name}": everyone for name in ("possible", "present", "online")})
    for core in range(N_CORES):
        own, alone = f"{cpus}/cpu{core}", f"{core}\n"
        files[f"{own}/cpufreq/cpuinfo_max_freq"] = f"{board.max_khz}\n"
        files[f"{own}/cpufreq/cpuinfo_min_freq"] = "600000\n"
        files[f"{own}/topology/physical_package_id"] = "0\n"
        files[f"{own}/topology/core_id"] = alone
        for group in ("core_siblings_list", "package_cpus_list", "cluster_cpus_list"):
            files[f"{own}/topology/{group}"] = everyone
        for group in ("thread_siblings_list", "core_cpus_list"):
            files[f"{own}/topology/{group}"] = alone
        for index, (level, kind, size) in enumerate(board.caches):
            place = f"{own}/cache/index{index}"
            files[f"{place}/level"] = f"{level}\n"
            files[f"{place}/type"] = f"{kind}\n"
            files[f"{place}/size"] = f"{size}\n"
            files[f"{place}/shared_cpu_list"] = alone if level == 1 else everyone
    return files


def _processor(board: Board, core: int) -> str:
    return (
        f"processor\t: {core}\nBogoMIPS\t: 38.40\n"
        "Features\t: fp asimd evtstrm crc32 cpuid\n"
        "CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\n"
        f"CPU part\t: {board.part}\nCPU revision\t: {board.revision}\n\n"
    )
