"""The machines to compare: this one, and an ARM board played by QEMU, each with its packages.

QEMU's user mode emulates only the CPU: /proc/cpuinfo and /sys remain those of the host. XNNPACK
reads them to choose its kernels, and ai-edge-litert 2.2 and later crashes if it finds an x86 CPU.
QEMU looks for a file below its -L folder first, so the files of a Raspberry Pi are placed there.
"""

from __future__ import annotations

import functools
import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
RUNTIMES = ("ai-edge-litert", "tflite-runtime")
CPUS = ("cortex-a53", "cortex-a72")
ARM = "aarch64"
# A run takes about a minute, longer on a busy machine.
TIMEOUT_S = 900
N_CORES = 4


class RunError(Exception):
    """A script failed on a machine; the message is its last line."""


@dataclass(frozen=True)
class Side:
    """Where a script runs: architecture, interpreter and, if emulated, the CPU."""

    cache: Path
    """Folder made by setup.sh."""

    architecture: str
    runtime: str
    cpu: str | None = None
    """A value of QEMU's ``-cpu``; None runs on this machine itself."""

    def command(self, plugin: str | None = None) -> list[str]:
        """Return the command before the script."""
        if self.cpu is None:
            return [str(self.cache / "host/bin/python")]
        plugins = [] if plugin is None else ["-plugin", plugin]
        root = board_root(self.cache, self.cpu)
        emulator = ["qemu-aarch64", "-cpu", self.cpu, *plugins, "-L", str(root)]
        return [*emulator, str(root / "usr/bin/python3.11")]

    def run(self, script: str, *arguments: str, plugin: str | None = None) -> str:
        """Run a script of this folder and return its standard output.

        Raises
        ------
        RunError
            If it fails, is killed or takes too long.
        """
        packages = self.cache / "packages" / f"{self.architecture}-{self.runtime}"
        environment = {
            **os.environ,
            "PYTHONPATH": f"{self.cache / 'kws'}:{packages}",
            "KWS_RUNTIME": self.runtime,
            # Same hashes, same order of dictionaries, same instructions.
            "PYTHONHASHSEED": "0",
            # As the commands of kws set it, before numpy is imported.
            "OPENBLAS_NUM_THREADS": "1",
        }
        command = [*self.command(plugin), str(HERE / script), *arguments]
        try:
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise RunError(f"{self}: {error}") from error
        if done.returncode:
            raise RunError(f"{self}: {_reason(done)}")
        return done.stdout

    def __str__(self) -> str:
        """Return the machine in words."""
        return f"{self.runtime} on {self.architecture}" + (f" ({self.cpu})" if self.cpu else "")


def here(cache: Path, runtime: str) -> Side:
    """Return this machine."""
    return Side(cache, platform.machine(), runtime)


def emulated(cache: Path, runtime: str, cpu: str) -> Side:
    """Return the ARM machine with this CPU."""
    return Side(cache, ARM, runtime, cpu)


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    """Return why a run failed, in one line."""
    if done.returncode < 0:
        return f"ended by signal {-done.returncode}"
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return f"exit code {done.returncode}: {lines[-1] if lines else 'no message'}"


@dataclass(frozen=True)
class Board:
    """What the kernel of a board reports about its cores, all of one kind."""

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
def board_root(cache: Path, cpu: str) -> Path:
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
