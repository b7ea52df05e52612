"""The machines to compare: this one, and an ARM one that QEMU plays, each with its packages."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

import boards

HERE = Path(__file__).resolve().parent
RUNTIMES = ("ai-edge-litert", "tflite-runtime")
CPUS = ("cortex-a53", "cortex-a72")
ARM = "aarch64"
# A run of a minute takes some when the machine is busy; one that hangs must still end.
TIMEOUT_S = 900


class RunError(Exception):
    """A script failed on one side; the message is its last line."""


@dataclass(frozen=True)
class Side:
    """Where a script runs: architecture, interpreter and, if emulated, the CPU that is played."""

    cache: Path
    """What setup.sh made."""

    architecture: str
    runtime: str
    cpu: str | None = None
    """A value of QEMU's ``-cpu``; None runs on this machine itself."""

    def command(self, plugin: str | None = None) -> list[str]:
        """Return what stands before the script."""
        if self.cpu is None:
            return [str(self.cache / "host/bin/python")]
        plugins = [] if plugin is None else ["-plugin", plugin]
        root = boards.root(self.cache, self.cpu)
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
            # As the commands of kws settle it; here before a script imports numpy.
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
        """Return it as a reader would name it."""
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
