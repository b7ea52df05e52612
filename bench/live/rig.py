"""What the live measurements share: a virtual microphone, kws-listen on it, and a report."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from support.pulse_server import PulseServer

from kws.bench.host import cpu_name

DEMO = Path(__file__).resolve().parents[2] / "firmware_models" / "demo.wav"
LISTEN = [sys.executable, "-u", "-m", "kws"]


@contextlib.contextmanager
def virtual_microphone() -> Iterator[PulseServer]:
    """Run a PulseAudio server of our own during the block."""
    with tempfile.TemporaryDirectory(prefix="kws") as folder:
        server = PulseServer(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()


class Listening:
    """A `kws-listen --json` that runs, and its records, as they come."""

    def __init__(self, environment: Mapping[str, str], *arguments: str) -> None:
        self.process = subprocess.Popen(
            [*LISTEN, "--json", *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.records: list[dict[str, Any]] = []
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def until(self, timeout_s: float = 60.0, **wanted: object) -> dict[str, Any]:
        """Return the first record that has these values."""
        with self._changed:
            found: list[dict[str, Any]] = []

            def come() -> bool:
                found[:] = [each for each in self.records if wanted.items() <= each.items()]
                return bool(found)

            if not self._changed.wait_for(come, timeout_s):
                raise TimeoutError(f"no record of {wanted} within {timeout_s} s")
        return found[0]

    def end(self) -> dict[str, Any]:
        """End it; return its summary."""
        self.process.terminate()
        self.process.wait(20)
        self._thread.join(5)
        return self.of_type("summary")[0]

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        """Return the records of a type."""
        return [record for record in self.records if record["type"] == kind]

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.records.append(json.loads(line))
                self._changed.notify_all()


def spread(values: Sequence[float], *, digits: int = 3) -> dict[str, Any]:
    """Return number, median, 95th percentile and worst."""
    return {
        "n": len(values),
        "median": round(float(np.median(values)), digits),
        "p95": round(float(np.percentile(values, 95)), digits),
        "worst": round(max(values), digits),
    }


def machine() -> str:
    """Name the machine, and how busy others keep it."""
    name = cpu_name() or "an unknown CPU"
    version = sys.version.split()[0]
    load = os.getloadavg()[0]
    return f"{name}, {os.cpu_count()} cores, Python {version}, load {load:.1f}"


def report(figures: Mapping[str, Any], sentence: str) -> None:
    """Print the figures as JSON, and what they say in a sentence."""
    where = machine()
    print(json.dumps({**figures, "machine": where}, indent=1))
    print(f"{sentence} ({where}).")
